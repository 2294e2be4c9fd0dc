"""OpenPose JSON in and out: the files of OpenPose itself and ComfyUI's POSE_KEYPOINT.

A frame is one picture: a list of people with `pose_keypoints_2d`, flat (x, y, confidence) of
18 (COCO) or 25 (BODY_25) points, and in ComfyUI the size of the canvas that they refer to.
POSE_KEYPOINT is a list of frames. Writers disagree on units, so a frame whose points lie around the
unit square is read as normalised, and a canvas of another size is scaled. What else is found
(COCO's 17 points, animals, text) is named and refused.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from .extremities import feet_of, foot_points, hand_points, hands_of
from .person import Person
from .skeleton import BODY_25_JOINTS, BODY_25_ROWS, JOINTS, Joint

logger = logging.getLogger(__name__)

NORMALISED_LIMIT = 2.0
"""Normalised coordinates may leave the picture a little; in pixels most joints of a frame do not
fit into two."""
OUTSIDE_LIMIT = 0.5
"""Of a side: a joint farther outside the picture is a mistake and counts as missing. Nearer ones
are guesses about a person who is cut off, and of use."""

_FRAME = "a frame is an object with a list `people`, each with `pose_keypoints_2d`"
_OTHER_POINTS = {17: " (COCO without a neck)", 33: " (MediaPipe)", 133: " (whole body)"}


class FramePerson(TypedDict):
    """One person of a frame; this package writes no faces."""

    pose_keypoints_2d: list[float]
    face_keypoints_2d: list[float]
    hand_left_keypoints_2d: list[float]
    hand_right_keypoints_2d: list[float]
    foot_keypoints_2d: list[float]


class Frame(TypedDict):
    """The people of one picture, coordinates in pixels of the canvas."""

    people: list[FramePerson]
    canvas_height: int
    canvas_width: int


def frame_of(people: Sequence[Person], *, height: int, width: int) -> Frame:
    """Describe the people of a picture of `height` x `width` as a frame of 18 points each.

    A ComfyUI POSE_KEYPOINT is a list of such frames, one for each picture.
    """
    return Frame(
        people=[
            FramePerson(
                pose_keypoints_2d=[float(value) for value in person.keypoints.ravel()],
                face_keypoints_2d=[],
                hand_left_keypoints_2d=hand_points(_hand(person, 1)),
                hand_right_keypoints_2d=hand_points(_hand(person, 0)),
                foot_keypoints_2d=foot_points(person.feet),
            )
            for person in people
        ],
        canvas_height=height,
        canvas_width=width,
    )


def people_of(frame: object, *, height: int, width: int) -> list[Person]:
    """Read a frame as people in pixels of a picture of `height` x `width`, in the frame's order.

    Points are 18 or 25 a person, in pixels of the canvas that the frame names (of the picture
    where it names none) or normalised to 0..1. People without body points are left out, and a
    joint far outside the picture counts as missing, with a warning. Raises ValueError where the
    frame is no such thing, or where all joints lie outside.
    """
    if not isinstance(frame, Mapping):
        raise ValueError(f"A frame of keypoints cannot be {_described(frame)}: {_FRAME}.")
    fields = cast("Mapping[object, object]", frame)
    people = fields.get("people")
    if people is None and "animals" in fields:
        raise ValueError(f"The keypoints are of animals, not of people: {_FRAME}.")
    if not isinstance(people, list | tuple):
        keys = ", ".join(sorted(map(str, fields))) or "nothing"
        found = f"holds {keys}" if people is None else f"has {_described(people)} as `people`"
        raise ValueError(f"The frame of keypoints {found:.120}: {_FRAME}.")
    found = [
        (points, [each(cast("Mapping[str, object]", person)) for each in (hands_of, feet_of)])
        for index, person in enumerate(cast("Sequence[object]", people))
        if (points := _points_of(person, index)) is not None
    ]
    bodies = [points for points, _ in found]
    scale = _scale_of(fields, bodies, height=height, width=width)
    for points in bodies:
        points[:, :2] *= scale
    for _, extremities in found:
        for each in extremities:
            if each is not None:
                each[..., :2] *= scale
    _drop_outliers(bodies, height=height, width=width)
    return [_to_person(points, *extremities) for points, extremities in found]


def frames_of(pose: object) -> list[object]:
    """The frames of a POSE_KEYPOINT, one a picture; a frame alone is a list of one.

    Raises ValueError for what is neither, or for an empty list.
    """
    if isinstance(pose, Mapping):
        return [cast("object", pose)]
    if not isinstance(pose, list | tuple):
        raise ValueError(f"Keypoints must be a list of frames, got {_described(pose)}: {_FRAME}.")
    frames = list(cast("Sequence[object]", pose))
    if not frames:
        raise ValueError(f"Keypoints must be a list of frames, got an empty list: {_FRAME}.")
    return frames


def load_people(path: Path, *, height: int, width: int) -> list[Person]:
    """Read a JSON file that holds a frame, or a list of one frame.

    See `people_of`. The file is UTF-8, UTF-16 or UTF-32, with or without a byte order mark. Raises
    FileNotFoundError where there is no file and ValueError where it holds something else.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a keypoint file.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no keypoint file at {path}.")
    try:
        content: object = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}).") from error
    try:
        frames = frames_of(content)
        if len(frames) > 1:
            raise ValueError(f"There must be one frame for one picture, got {len(frames)}.")
        return people_of(frames[0], height=height, width=width)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def save_people(path: Path, people: Sequence[Person], *, height: int, width: int) -> None:
    """Write a frame as a JSON file, under a temporary name first."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(frame_of(people, height=height, width=width)), "utf-8")
    temporary.replace(path)


def _points_of(person: object, index: int) -> NDArray[np.float64] | None:
    """The 18 points [18,3] of a frame's person, None where it has no body."""
    if not isinstance(person, Mapping):
        raise ValueError(f"Person {index} of the keypoints must be an object, got {person!r:.40}.")
    fields = cast("Mapping[str, object]", person)
    values = fields.get("pose_keypoints_2d", "nothing")
    if values is None or values == []:
        return None
    if not isinstance(values, list | tuple):
        raise ValueError(
            f"Person {index} of the keypoints needs a list pose_keypoints_2d, got {values!r:.40}."
        )
    numbers = cast("Sequence[object]", values)
    if len(numbers) not in (3 * JOINTS, 3 * BODY_25_JOINTS):
        count, rest = divmod(len(numbers), 3)
        points = "" if rest else f", {count} points{_OTHER_POINTS.get(count, '')}"
        raise ValueError(
            f"pose_keypoints_2d of person {index} must hold 54 numbers (x, y, confidence of 18 "
            f"points) or 75 (25 points, BODY_25), got {len(numbers)}{points}."
        )
    points = np.array([_number(value, index) for value in numbers]).reshape(-1, 3)
    if (points[:, 2] < 0).any():
        raise ValueError(
            f"pose_keypoints_2d of person {index} holds a negative confidence, "
            f"{points[:, 2].min()}."
        )
    return points[list(BODY_25_ROWS)] if len(points) == BODY_25_JOINTS else points


def _described(value: object) -> str:
    """What a wrong value is: its type and, where that says more, its beginning."""
    if isinstance(value, str | int | float):
        kind = "text" if isinstance(value, str) else "the number"
        return f"{kind} {value!r:.30}"
    if value is None:
        return "nothing"
    return "a list" if isinstance(value, list | tuple) else f"of type {type(value).__name__}"


def _number(value: object, index: int) -> float:
    if not _is_finite(value):
        raise ValueError(
            f"pose_keypoints_2d of person {index} must hold finite numbers, got {value!r:.40}."
        )
    return float(value)


def _is_finite(value: object) -> TypeGuard[int | float]:
    # JSON's true is an int to Python, and an int may be too large for a float.
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < 1e30 and math.isfinite(value)


def _scale_of(
    fields: Mapping[object, object],
    bodies: list[NDArray[np.float64]],
    *,
    height: int,
    width: int,
) -> tuple[float, float]:
    """What to multiply x and y with to get pixels of the picture."""
    canvas = [_canvas(fields, "canvas_width", width), _canvas(fields, "canvas_height", height)]
    farthest = [np.abs(points[points[:, 2] > 0, :2]).max(axis=1) for points in bodies]
    reach = np.concatenate([*farthest, np.zeros(0)])
    reach = reach[reach > 0]  # (0, 0) says nothing about units
    # The median, for one joint may be anywhere. A canvas that small is one of the unit square.
    if len(reach) and np.median(reach) <= NORMALISED_LIMIT < max(canvas):
        return float(width), float(height)
    return width / canvas[0], height / canvas[1]


def _canvas(fields: Mapping[object, object], key: str, side: int) -> float:
    """A side of the canvas; the picture's where the frame names none."""
    canvas = fields.get(key)
    if canvas is None:
        return float(side)
    if not _is_finite(canvas) or canvas <= 0:
        raise ValueError(f"{key} of the keypoints must be above 0, got {canvas!r:.40}.")
    return float(canvas)


def _drop_outliers(bodies: list[NDArray[np.float64]], *, height: int, width: int) -> None:
    """Takes from people [18,3] in pixels the joints that are far outside their picture."""
    side = np.array([width, height])
    seen = [points[points[:, 2] > 0, :2] for points in bodies]
    inside = [((each >= 0) & (each <= side)).all(axis=1) for each in seen]
    if any(len(each) for each in seen) and not any(each.any() for each in inside):
        raise ValueError(
            f"All keypoints lie outside the picture of {width}x{height} pixels: they belong to "
            "another picture, or to a canvas that they do not name."
        )
    for index, points in enumerate(bodies):
        far = (points[:, :2] < -OUTSIDE_LIMIT * side) | (points[:, :2] > (1 + OUTSIDE_LIMIT) * side)
        lost = far.any(axis=1) & (points[:, 2] > 0)
        points[lost] = 0
        if lost.any():
            names = ", ".join(Joint(row).name.lower() for row in np.flatnonzero(lost).tolist())
            logger.warning(
                "Person %d: joints far outside the picture count as missing (%s).",
                index,
                names.replace("_", " "),
            )


def _hand(person: Person, side: int) -> NDArray[np.float32] | None:
    return None if person.hands is None else person.hands[side]


def _to_person(
    points: NDArray[np.float64],
    hands: NDArray[np.float32] | None,
    feet: NDArray[np.float32] | None,
) -> Person:
    visible = points[:, 2] > 0
    keypoints = np.zeros((JOINTS, 3), dtype=np.float32)
    keypoints[visible] = points[visible]
    score = float(points[visible, 2].mean()) if visible.any() else 0.0
    return Person(keypoints=keypoints, score=score, hands=hands, feet=feet)
