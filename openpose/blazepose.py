"""Image to people with BlazePose: joints, hands, feet, and which pixels are the person.

Two networks of MediaPipe (Apache-2.0, so a shop may use them): a detector that looks at the whole
picture, and one that looks at each person in a turned square. They are .tflite files, run by LiteRT
(ai-edge-litert, Apache-2.0, 22 MB, wheels for Linux, Windows and macOS, no upper pin on numpy), and
not converted to ONNX for the runtime that is here already: converters need TensorFlow, a writer of
our own would have to know some thirty operations, and the files would then be nobody's with a hash.
It is imported when first used, so that only this network needs it.
Source: Bazarevsky et al., arXiv 2006.10204.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .person import Person
from .regions import (
    ANCHORS,
    LANDMARK_SIZE,
    Region,
    cut_out,
    detections,
    letterbox,
    map_in_picture,
    points_in_picture,
    sigmoid,
)
from .skeleton import JOINTS, Joint

LANDMARKS = 33
"""Of a person; six more say where the next frame of a film has to look."""
MIN_PRESENCE = 0.5
"""Of a person in the region, and of a landmark in the picture."""
SAME_PERSON_DISTANCE = 0.1
"""Two people whose landmarks lie nearer, in shares of the region's side, are one found twice."""

ROWS = {
    Joint.NOSE: 0, Joint.RIGHT_SHOULDER: 12, Joint.RIGHT_ELBOW: 14, Joint.RIGHT_WRIST: 16,
    Joint.LEFT_SHOULDER: 11, Joint.LEFT_ELBOW: 13, Joint.LEFT_WRIST: 15, Joint.RIGHT_HIP: 24,
    Joint.RIGHT_KNEE: 26, Joint.RIGHT_ANKLE: 28, Joint.LEFT_HIP: 23, Joint.LEFT_KNEE: 25,
    Joint.LEFT_ANKLE: 27, Joint.RIGHT_EYE: 5, Joint.LEFT_EYE: 2, Joint.RIGHT_EAR: 8,
    Joint.LEFT_EAR: 7,
}  # fmt: skip
"""BlazePose's landmark for each joint but the neck, which is the middle of the shoulders."""
HANDS = ((20, 18, 22), (19, 17, 21))
"""Knuckles of index and little finger, and the thumb: right hand, left hand."""
FEET = ((30, 32), (29, 31))
"""Heel and big toe: right foot, left foot."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WholePerson:
    """A person with what 18 joints do not tell.

    Points are float32 rows (x, y, confidence) in pixels of the picture; confidence 0 means missing.

    person: joints, hands and feet. mask: float32 [H, W], 0 to 1: how surely a pixel shows this
    person, clothes and hair included.
    """

    person: Person
    mask: NDArray[np.float32]


class BlazePose:
    """The two networks, loaded. Runs on the CPU, in some 50 ms a person on one thread."""

    def __init__(self, detector: Path, landmarks: Path, *, threads: int = 1) -> None:
        """Raises ModuleNotFoundError without LiteRT, ValueError for a file that is no such
        network."""
        self._detector = _Network(detector, threads, [(1, ANCHORS, 12), (1, ANCHORS, 1)])
        size = LANDMARK_SIZE
        self._landmarks = _Network(landmarks, threads, [(1, 195), (1, 1), (1, size, size, 1)])

    def __call__(self, image: NDArray[np.uint8]) -> list[WholePerson]:
        """Find the people in an image, the surest first; an empty list where there is nobody.

        image: uint8 RGB [H, W, 3] of any size. Raises ValueError for another array.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(
                f"An image must be uint8 of shape (height, width, 3), got {image.dtype} "
                f"of shape {image.shape}."
            )
        square, to_picture = letterbox(image)
        boxes, logits = self._detector(square)
        people: list[WholePerson] = []
        seen: list[tuple[NDArray[np.float64], float]] = []
        for found in detections(boxes[0], logits[0, :, 0], to_picture):
            region = Region.around(found.hips, found.circle)
            values, presence, mask = self._landmarks(cut_out(image, region))
            if presence[0, 0] < MIN_PRESENCE:
                continue
            landmarks = values.reshape(-1, 5)[:LANDMARKS]
            points = points_in_picture(landmarks[:, :2], region)
            if any(_distance(points, other) < SAME_PERSON_DISTANCE * side for other, side in seen):
                continue
            seen.append((points, region.side))
            rows = _with_confidence(points, landmarks, image.shape[:2])
            height, width = image.shape[:2]
            hands, feet = rows[np.array(HANDS)], rows[np.array(FEET)]
            people.append(
                WholePerson(
                    person=Person(
                        keypoints=openpose_joints(rows), score=found.score, hands=hands, feet=feet
                    ),
                    mask=map_in_picture(sigmoid(mask[0, ..., 0]), region, height, width),
                )
            )
        return people


def openpose_joints(landmarks: NDArray[np.floating]) -> NDArray[np.float32]:
    """OpenPose's joints [18, 3] of BlazePose's landmarks [33, 3], rows (x, y, confidence).

    The neck is the middle of the shoulders, missing where one of them is.
    """
    keypoints = np.zeros((JOINTS, 3), np.float32)
    for joint, row in ROWS.items():
        keypoints[joint] = landmarks[row]
    shoulders = keypoints[[Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER]]
    if (shoulders[:, 2] > 0).all():
        keypoints[Joint.NECK, :2] = shoulders[:, :2].mean(axis=0)
        keypoints[Joint.NECK, 2] = shoulders[:, 2].min()
    return keypoints


def _with_confidence(
    points: NDArray[np.float64], landmarks: NDArray[np.float32], size: tuple[int, ...]
) -> NDArray[np.float32]:
    """Rows (x, y, confidence) [33, 3] of points [33, 2]: the visibility of those in the picture.

    What is hidden behind the body has a place and little confidence; what lies outside the picture
    is a guess, and missing.
    """
    visibility, presence = sigmoid(landmarks[:, 3]), sigmoid(landmarks[:, 4])
    inside = ((points >= 0) & (points <= [size[1] - 1, size[0] - 1])).all(axis=1)
    known = inside & (presence >= MIN_PRESENCE)
    rows = np.column_stack([points, np.maximum(visibility, 1e-3)])
    return np.where(known[:, None], rows, 0.0).astype(np.float32)


def _distance(points: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(points - others, axis=1).mean())


class _Network:
    """A .tflite file: a float32 picture [S, S, 3] in, the first outputs as arrays out."""

    def __init__(self, path: Path, threads: int, shapes: list[tuple[int, ...]]) -> None:
        from ai_edge_litert.interpreter import Interpreter

        remedy = "download it again, BlazePose's files are pose_detection and pose_landmark_full"
        try:
            self._interpreter: Any = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{path} is no .tflite network that can be run: {remedy}.") from error
        outputs = self._interpreter.get_output_details()[: len(shapes)]
        found = [tuple(int(length) for length in each["shape"]) for each in outputs]
        if found != shapes:
            raise ValueError(
                f"{path} is another network: it gives {found}, not {shapes}; {remedy}."
            )
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._outputs: list[int] = [each["index"] for each in outputs]

    def __call__(self, picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        self._interpreter.set_tensor(self._input, picture[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]
