"""Where in a picture BlazePose looks: anchors, boxes and turned squares, and the way back.

The detector sees the whole picture in a square of 224 pixels and answers with offsets from 2,254
fixed points, the anchors. Each person found becomes a square region, turned so that the body stands
upright in it; the second network sees that. All of it is arithmetic on arrays, free of networks.
Source: Bazarevsky et al., arXiv 2006.10204, and the published graphs of MediaPipe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DETECTOR_SIZE = 224
LANDMARK_SIZE = 256
ANCHORS = 2254
ANCHORS_PER_CELL = ((8, 2), (16, 2), (32, 6))
"""Stride of a grid in pixels of the detector, and how many anchors each of its cells has."""
MIN_SCORE = 0.5
SAME_PERSON_OVERLAP = 0.3
"""Boxes that share more of their union than this are of one person."""
REGION_SCALE = 2.5
"""The region's side over the distance from the hips' middle to the circle around the body."""
SHRINK_BEFORE = 2.0
"""Pictures with more pixels than this for one of the region are made smaller by area first, for a
turned square is sampled at points and would miss what lies between."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Detection:
    """One person as the detector sees it, in pixels of the picture.

    box: left, top, right, bottom of the head. hips: the middle of the hips (x, y). circle: a point
    (x, y) on the circle around the body, in the direction of the head. score: 0 to 1.
    """

    box: NDArray[np.float64]
    hips: NDArray[np.float64]
    circle: NDArray[np.float64]
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """A turned square of the picture.

    centre: (x, y) and side in pixels of the picture; angle: radians by which its upright stands
    clockwise of the picture's.
    """

    centre: tuple[float, float]
    side: float
    angle: float

    @classmethod
    def around(cls, hips: NDArray[np.floating], circle: NDArray[np.floating]) -> Region:
        """The square in which `circle` lies straight above `hips` (x, y each)."""
        along = np.asarray(circle, np.float64) - np.asarray(hips, np.float64)
        return cls(
            centre=(float(hips[0]), float(hips[1])),
            side=max(REGION_SCALE * float(np.hypot(*along)), 1.0),
            angle=float(np.arctan2(along[0], -along[1])),
        )

    def to_picture(self, size: int = LANDMARK_SIZE) -> NDArray[np.float64]:
        """The affine map [2, 3] from the region in `size` pixels to the picture, as OpenCV's."""
        scale = self.side / size
        cosine, sine = np.cos(self.angle) * scale, np.sin(self.angle) * scale
        turn = np.array([[cosine, -sine], [sine, cosine]])
        # Edges meet, not the centres of the outermost pixels.
        middle = np.full(2, (size - 1) / 2)
        return np.column_stack([turn, np.array(self.centre) - 0.5 - turn @ middle])


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of logits, which are cut to -100 to 100."""
    return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -100, 100)))


def anchors() -> NDArray[np.float64]:
    """The detector's anchors [2254, 2] (x, y), 0 to 1: cell centres, row by row, grid by grid."""
    grids: list[NDArray[np.float64]] = []
    for stride, count in ANCHORS_PER_CELL:
        cells = DETECTOR_SIZE // stride
        centres = (np.arange(cells) + 0.5) / cells
        ys, xs = np.meshgrid(centres, centres, indexing="ij")
        grids.append(np.repeat(np.stack([xs, ys], axis=-1).reshape(-1, 2), count, axis=0))
    return np.concatenate(grids)


def letterbox(image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The detector's input [224, 224, 3] in [-1, 1] of a picture [H, W, 3], centred on black.

    Also returns the affine map [2, 3] from the detector's unit square to the picture's pixels.
    """
    import cv2

    height, width = image.shape[:2]
    longer = max(height, width)
    small = (
        max(1, round(width * DETECTOR_SIZE / longer)),
        max(1, round(height * DETECTOR_SIZE / longer)),
    )
    shrinks = longer > DETECTOR_SIZE
    scaled = cv2.resize(image, small, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    left, top = (DETECTOR_SIZE - small[0]) // 2, (DETECTOR_SIZE - small[1]) // 2
    square = np.full((DETECTOR_SIZE, DETECTOR_SIZE, 3), -1.0, np.float32)
    square[top : top + small[1], left : left + small[0]] = scaled / np.float32(127.5) - 1.0
    scale = np.array([width / small[0], height / small[1]])
    return square, np.column_stack([np.diag(scale * DETECTOR_SIZE), -scale * [left, top]])


def detections(
    boxes: NDArray[np.floating], logits: NDArray[np.floating], to_picture: NDArray[np.floating]
) -> list[Detection]:
    """The people in the detector's answer, the surest first.

    Args:
        boxes: [2254, 12] in pixels of the detector, relative to the anchors: the middle and the
            size of a box, then four points (x, y).
        logits: [2254] scores.
        to_picture: the affine map [2, 3] of `letterbox`.

    Boxes of one person are averaged by their scores. Raises ValueError for other shapes.
    """
    if boxes.shape != (ANCHORS, 12) or logits.shape != (ANCHORS,):
        raise ValueError(
            f"The detector gives boxes [{ANCHORS}, 12] and scores [{ANCHORS}], not "
            f"{list(boxes.shape)} and {list(logits.shape)}: its file is another network."
        )
    scores = sigmoid(logits)
    chosen = np.flatnonzero(scores >= MIN_SCORE)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    scores = scores[chosen]
    values = boxes[chosen].astype(np.float64) / DETECTOR_SIZE
    centres = anchors()[chosen]
    middle, half = centres + values[:, :2], values[:, 2:4] / 2
    # Corners of the box and the first two of the points, [N, 4, 2].
    points = np.stack(
        [middle - half, middle + half, centres + values[:, 4:6], centres + values[:, 6:8]], axis=1
    )
    points = points @ to_picture[:, :2].T + to_picture[:, 2]
    found: list[Detection] = []
    left = np.ones(len(chosen), dtype=bool)
    for best in range(len(chosen)):
        if not left[best]:
            continue
        same = left & (overlap(points[best, :2], points[:, :2]) > SAME_PERSON_OVERLAP)
        same[best] = True
        left &= ~same
        mean = np.average(points[same], axis=0, weights=scores[same])
        found.append(
            Detection(
                box=mean[:2].reshape(4), hips=mean[2], circle=mean[3], score=float(scores[best])
            )
        )
    return found


def overlap(box: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of a box [2, 2] (two corners) with each of boxes [N, 2, 2]: [N]."""
    sides = np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    areas = np.prod(boxes[:, 1] - boxes[:, 0], axis=1) + np.prod(box[1] - box[0])
    return np.asarray(shared / np.maximum(areas - shared, 1e-9), np.float64)


def cut_out(image: NDArray[np.uint8], region: Region) -> NDArray[np.float32]:
    """The second network's input [256, 256, 3] in [0, 1]: a region of a picture [H, W, 3].

    What lies outside the picture is black.
    """
    import cv2

    to_picture = region.to_picture()
    shrink = region.side / LANDMARK_SIZE / SHRINK_BEFORE
    if shrink > 1:
        size = [max(1, round(length / shrink)) for length in image.shape[1::-1]]
        scale = np.array(size) / image.shape[1::-1]
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        to_picture = scale[:, None] * to_picture
        to_picture[:, 2] += (scale - 1) / 2  # pixel centres meet
    cut = cv2.warpAffine(
        image,
        to_picture,
        (LANDMARK_SIZE, LANDMARK_SIZE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return np.asarray(cut / np.float32(255.0), np.float32)


def points_in_picture(points: NDArray[np.floating], region: Region) -> NDArray[np.float64]:
    """Points [N, 2] in pixels of the region's 256 brought to the picture's pixels."""
    to_picture = region.to_picture()
    return points @ to_picture[:, :2].T + to_picture[:, 2]


def map_in_picture(
    values: NDArray[np.floating], region: Region, height: int, width: int
) -> NDArray[np.float32]:
    """A map [256, 256] of the region brought to a picture [height, width]; 0 outside the region."""
    import cv2

    return np.asarray(
        cv2.warpAffine(
            values.astype(np.float32),
            region.to_picture(),
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        ),
        np.float32,
    )
