"""OpenPose JSON in and out: the files of OpenPose itself and ComfyUI's POSE_KEYPOINT.

A frame is one picture: a list of people with `pose_keypoints_2d`, flat (x, y, confidence) of
18 (COCO) or 25 (BODY_25) points, and in ComfyUI the size of the canvas that they refer to.
POSE_KEYPOINT is a list of frames. Writers disagree on units, so a frame whose points all lie
around the unit square is read as normalised, and a canvas of another size is scaled.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from .person import Person
from .skeleton import BODY_25_JOINTS, BODY_25_ROWS, JOINTS

NORMALISED_LIMIT = 2.0
"""Normalised coordinates may leave the picture a little; in pixels a whole frame of people
does not fit into two."""


class FramePerson(TypedDict):
    """One person of a frame; this package writes no faces and hands."""

    pose_keypoints_2d: list[float]
    face_keypoints_2d: list[float]
    hand_left_keypoints_2d: list[float]
    hand_right_keypoints_2d: list[float]


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
                hand_left_keypoints_2d=[],
                hand_right_keypoints_2d=[],
            )
            for person in people
        ],
        canvas_height=height,
        canvas_width=width,
    )


def people_of(frame: object, *, height: int, width: int) -> list[Person]:
    """Read a frame as people in pixels of a picture of `height` x `width`, in the frame's order.

    Points are 18 or 25 a person, in pixels of the canvas that the frame names (of the picture
    where it names none) or normalised to 0..1. People without body points are left out. Raises
    ValueError where the frame is no such thing.
    """
    if not isinstance(frame, Mapping):
        raise ValueError(f"An OpenPose frame must be an object, got {type(frame).__name__}.")
    fields = cast("Mapping[str, object]", frame)
    people = fields.get("people")
    if not isinstance(people, list):
        raise ValueError(f"An OpenPose frame needs a list `people`, got keys {sorted(fields)}.")
    bodies = [
        points
        for index, person in enumerate(cast("list[object]", people))
        if (points := _points_of(person, index)) is not None
    ]
    scale = _scale_of(fields, bodies, height=height, width=width)
    return [_to_person(points, scale) for points in bodies]


def load_people(path: Path, *, height: int, width: int) -> list[Person]:
    """Read a JSON file that holds a frame, or a list of one frame; see `people_of`.

    Raises FileNotFoundError where there is no file and ValueError where it holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no keypoint file at {path}.")
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from error
    if isinstance(content, list):
        frames = cast("list[object]", content)
        if len(frames) != 1:
            raise ValueError(f"{path} must hold one frame for one picture, got {len(frames)}.")
        content = frames[0]
    try:
        return people_of(content, height=height, width=width)
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
        raise ValueError(f"Person {index} of the frame must be an object, got {person!r:.40}.")
    fields = cast("Mapping[str, object]", person)
    values = fields.get("pose_keypoints_2d", "nothing")
    if values is None or values == []:
        return None
    if not isinstance(values, list):
        raise ValueError(
            f"Person {index} of the frame needs a list pose_keypoints_2d, got {values!r:.40}."
        )
    numbers = cast("list[object]", values)
    if len(numbers) not in (3 * JOINTS, 3 * BODY_25_JOINTS):
        raise ValueError(
            f"pose_keypoints_2d of person {index} must hold 54 numbers (18 points) or 75 "
            f"(25 points), got {len(numbers)}."
        )
    points = np.array([_number(value, index) for value in numbers]).reshape(-1, 3)
    if (points[:, 2] < 0).any():
        raise ValueError(
            f"pose_keypoints_2d of person {index} holds a negative confidence, "
            f"{points[:, 2].min()}."
        )
    return points[list(BODY_25_ROWS)] if len(points) == BODY_25_JOINTS else points


def _number(value: object, index: int) -> float:
    if not _is_finite(value):
        raise ValueError(
            f"pose_keypoints_2d of person {index} must hold finite numbers, got {value!r:.40}."
        )
    return float(value)


def _is_finite(value: object) -> TypeGuard[int | float]:
    # JSON's true is an int to Python.
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _scale_of(
    fields: Mapping[str, object],
    bodies: list[NDArray[np.float64]],
    *,
    height: int,
    width: int,
) -> tuple[float, float]:
    """What to multiply x and y with to get pixels of the picture."""
    found = [points[points[:, 2] > 0, :2] for points in bodies]
    farthest = max((float(np.abs(points).max(initial=0)) for points in found), default=0.0)
    if 0 < farthest <= NORMALISED_LIMIT:
        return float(width), float(height)
    sides: list[float] = []
    for key, side in (("canvas_width", width), ("canvas_height", height)):
        canvas = fields.get(key, side)
        if not _is_finite(canvas) or canvas <= 0:
            raise ValueError(f"{key} of an OpenPose frame must be above 0, got {canvas!r:.40}.")
        sides.append(side / canvas)
    return sides[0], sides[1]


def _to_person(points: NDArray[np.float64], scale: tuple[float, float]) -> Person:
    visible = points[:, 2] > 0
    keypoints = np.zeros((JOINTS, 3), dtype=np.float32)
    keypoints[visible] = points[visible] * (*scale, 1.0)
    score = float(points[visible, 2].mean()) if visible.any() else 0.0
    return Person(keypoints=keypoints, score=score)
