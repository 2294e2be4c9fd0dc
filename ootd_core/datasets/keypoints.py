"""Body joints of data sets as [18, 3] in pixels of their picture, from the two formats in use.

Read here and not by `openpose`, because the two packages do not import each other; of the format
only one person of one picture is needed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..masks.limbs import JOINTS
from .sample import FileMissing, UnusableSample, WrongSize

BODY_25 = 25
BODY_25_MIDDLE_OF_HIPS = 8
"""BODY_25 is OpenPose-18 with this row put in, and six of the feet behind it."""
NORMALISED_LIMIT = 2.0  # no person in pixels fits into two; normalised ones may stick out a little
OUTSIDE_LIMIT = 0.1  # of a side; joints farther outside are missing or, if they are many,
OUTSIDE_SHARE = 0.25  # of the known ones, were written for a larger picture

DRESS_CODE_HEIGHT, DRESS_CODE_WIDTH = 512, 384


def read_openpose(path: Path, height: int, width: int) -> NDArray[np.float32]:
    """Read OpenPose JSON: float32 [18, 3] (x, y, confidence) of the largest person.

    height, width: the picture's. Points are 18 or 25, in pixels of the canvas that the file names,
    of the picture where it names none, or of the unit square.
    Raises UnusableSample, naming the file, where it is missing, holds something else or nobody.
    """
    content = _read_json(path)
    frames: list[Any] = content if isinstance(content, list) else [content]
    try:
        (frame,) = frames
        points = max(map(_body, frame["people"]), key=_area, default=None)
        named = {"canvas_width": width, "canvas_height": height}
        sides = [own if frame.get(key) is None else frame[key] for key, own in named.items()]
        canvas = np.array(sides, np.float64)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnusableSample(
            f"{path} is not OpenPose JSON: it needs people with pose_keypoints_2d of 18 or 25 "
            f"points (x, y, confidence) each."
        ) from error
    if points is None or not (points[:, 2] > 0).any():
        raise UnusableSample(f"{path} holds no person.")
    reach = np.abs(points[points[:, 2] > 0, :2]).max(axis=1)
    # The median, for one joint may be anywhere. A canvas that small is one of the unit square.
    if np.median(reach) <= NORMALISED_LIMIT < canvas.max():
        canvas = np.ones(2)
    return _in_pixels(points, canvas, path, height, width)


def read_dress_code(path: Path, height: int, width: int) -> NDArray[np.float32]:
    """Read Dress Code's keypoints: 18 rows (x, y, confidence, number) in a frame of 384x512.

    A joint with a negative coordinate, or at (0, 0), is missing. Returns float32 [18, 3] in pixels
    of a picture of `height` x `width`. Raises UnusableSample as `read_openpose` does.
    """
    content = _read_json(path)
    try:
        points = np.array(content["keypoints"], np.float64).reshape(len(JOINTS), 4)[:, :3]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UnusableSample(
            f"{path} does not hold keypoints of {len(JOINTS)} rows with 4 numbers."
        ) from error
    known = (points[:, :2] >= 0).all(axis=1) & (points[:, :2] > 0).any(axis=1)
    # Some files give each joint they know the confidence 0 or -1: where it is says that it is.
    points[:, 2] = np.where(known, np.where(points[:, 2] > 0, points[:, 2], 1.0), 0.0)
    if not known.any():
        raise UnusableSample(f"{path} holds no person.")
    return _in_pixels(points, np.array([DRESS_CODE_WIDTH, DRESS_CODE_HEIGHT]), path, height, width)


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise FileMissing(f"There is no keypoint file at {path}.")
    try:
        return json.loads(path.read_bytes())  # with or without a byte order mark
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableSample(f"{path} is not JSON ({error}).") from error


def _body(person: dict[str, list[float]]) -> NDArray[np.float64]:
    """Return the points [18, 3] of one person of a frame. Raises ValueError for another number."""
    points = np.array(person["pose_keypoints_2d"], np.float64).reshape(-1, 3)
    if len(points) == BODY_25:
        points = np.delete(points, BODY_25_MIDDLE_OF_HIPS, axis=0)[: len(JOINTS)]
    if len(points) not in (0, len(JOINTS)):
        raise ValueError(f"{len(points)} points")
    return points if len(points) else np.zeros((len(JOINTS), 3))


def _area(points: NDArray[np.float64]) -> float:
    known = points[points[:, 2] > 0, :2]
    return float(np.ptp(known, axis=0).prod()) if len(known) else 0.0


def _in_pixels(
    points: NDArray[np.float64], frame: NDArray[np.float64], path: Path, height: int, width: int
) -> NDArray[np.float32]:
    """Scale points [18, 3] from their frame (width, height) to the picture; unknown rows are 0."""
    known = points[:, 2] > 0
    if not np.isfinite(points[known]).all() or (frame <= 0).any():
        raise UnusableSample(f"{path} holds numbers that cannot be used.")
    side = np.array([width, height])
    places = points[known, :2] * (side / frame)
    slack = OUTSIDE_LIMIT * side
    outside = np.any((places < -slack) | (places > side + slack), axis=1)
    if outside.mean() > OUTSIDE_SHARE:
        x, y = places[np.abs(places / side - 0.5).max(axis=1).argmax()].round().astype(int)
        raise WrongSize(
            f"{path} has a joint at ({x}, {y}), outside its picture of {width}x{height} pixels: "
            "it was written for another size."
        )
    scaled = np.zeros((len(JOINTS), 3), np.float32)
    scaled[known] = np.where(outside[:, None], 0, np.hstack([places, points[known, 2:]]))
    return scaled
