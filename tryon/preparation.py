"""Who looks for people, which of them is meant, how pictures come to 3:4, what an own mask means.

The command line, `TryOn` and the ComfyUI nodes meet the same pictures: several people, any shape, a
painted mask or an unpainted one. What is done about it is decided here and nowhere else. People are
keypoints [18, 3] (x, y, confidence; 0 is missing), label maps uint8 [H, W] in ATR labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# ComfyUI imports the whole pack as one package, everybody else from the repository's root.
if __package__ == "tryon":
    from ootd_core.images import fitting
    from ootd_core.masks import agnostic, limbs, morphology
else:
    from ..ootd_core.images import fitting
    from ..ootd_core.masks import agnostic, limbs, morphology

Keypoints = NDArray[np.floating]
LabelMap = NDArray[np.uint8]

LOOK_HEIGHT = 512
"""The parser's and the mask's lengths were chosen for pictures of this height."""
WHOLE_TOLERANCE = 0.03
"""A picture whose shape differs from the canvas's by less is shown whole."""

HEAD_ROOM, FOOT_ROOM, SIDE_ROOM = 0.18, 0.08, 0.15
"""How far a body reaches beyond its joints, in shares of their box."""


class FitChoice(StrEnum):
    """How a person's picture is brought to 3:4; auto crops only what is not 3:4 already."""

    AUTO = "auto"
    PAD = "pad"
    CROP = "crop"


class PoseNetwork(StrEnum):
    """Which network finds people.

    openpose: the model folder's own, OpenPose's body network in the published layout. mini: the
    bundled one, for drawn dolls. blazepose: for photographs, with hands, feet and a person mask.
    auto: the folder's own, or BlazePose where the folder lacks pose network or parser and BlazePose
    is there.
    """

    AUTO = "auto"
    OPENPOSE = "openpose"
    BLAZEPOSE = "blazepose"
    MINI = "mini"


def choose_networks(
    wanted: PoseNetwork, *, has_parser: bool, has_pose: bool, has_blazepose: bool, is_mini: bool
) -> tuple[PoseNetwork, bool]:
    """Choose what looks at a person: the pose network, and whether a human parser does as well.

    Args:
        wanted: a pose network by name, or auto.
        has_parser, has_pose: whether the model folder has the part.
        has_blazepose: whether BlazePose was downloaded.
        is_mini: whether the folder is the bundled one, whose parser knows drawn dolls only.

    Beside BlazePose, which gives a person mask, a parser is used where there is one for
    photographs. Beside the others it is needed: where it is missing, that is said when it loads.
    """
    if wanted is PoseNetwork.AUTO:
        is_whole = has_parser and has_pose
        found = has_blazepose and not is_whole
        wanted = PoseNetwork.BLAZEPOSE if found else PoseNetwork.OPENPOSE
    return wanted, wanted is not PoseNetwork.BLAZEPOSE or (has_parser and not is_mini)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenPerson:
    """The person that is meant. keypoints: [18, 3], None where nobody was found. bystanders: those
    of the other people. warnings: sentences for the user."""

    keypoints: Keypoints | None = None
    bystanders: tuple[Keypoints, ...] = ()
    warnings: tuple[str, ...] = ()


def choose_person(
    people: Sequence[Keypoints], size: fitting.Size, *, person_index: int = 0
) -> ChosenPerson:
    """Choose the person that is meant among those of a picture.

    Args:
        people: keypoints [18, 3] each, in pixels of the picture, in any order.
        size: height and width of the picture.
        person_index: 0 is the most prominent person, 1 the next; see `prominence`.

    Raises ValueError if there are people, but not as many as `person_index` asks for.
    """
    ranked = rank_people(people, size)
    if person_index < 0 or (ranked and person_index >= len(ranked)):
        raise ValueError(
            f"person_index is {person_index}, but {_counted(len(ranked))} found in the picture: "
            f"choose 0 to {max(len(ranked) - 1, 0)}; 0 is the most prominent person."
        )
    if not ranked:
        return ChosenPerson()
    if len(ranked) == 1:
        return ChosenPerson(keypoints=ranked[0])
    where = [_side_of(person, size[1]) for person in ranked]
    others = ", ".join(f"{i} ({where[i]})" for i in range(len(ranked)) if i != person_index)
    warning = (
        f"There are {len(ranked)} people in the picture: the one {where[person_index]} is dressed "
        f"(person_index {person_index}). The others are person_index {others}."
    )
    return ChosenPerson(
        keypoints=ranked[person_index],
        bystanders=tuple(each for i, each in enumerate(ranked) if i != person_index),
        warnings=(warning,),
    )


def fitted_person(person: ChosenPerson, fit: fitting.Fit) -> ChosenPerson:
    """A person chosen in a picture, on the canvas; bystanders who are not on it are left out."""
    limits = (fit.width, fit.height)
    bystanders = [fitting.fit_points(each, fit) for each in person.bystanders]

    def is_seen(keypoints: Keypoints) -> bool:
        points = keypoints[keypoints[:, 2] > 0, :2]
        return bool(((points >= 0) & (points <= limits)).all(axis=1).any())

    return ChosenPerson(
        keypoints=None if person.keypoints is None else fitting.fit_points(person.keypoints, fit),
        bystanders=tuple(each for each in bystanders if is_seen(each)),
        warnings=person.warnings,
    )


def rank_people(people: Sequence[Keypoints], size: fitting.Size) -> list[Keypoints]:
    """Sort people by `prominence`, the most prominent first; those without a joint are left out."""
    visible = [person for person in people if (person[:, 2] > 0).any()]
    return sorted(visible, key=lambda person: prominence(person, size), reverse=True)


def prominence(keypoints: Keypoints, size: fitting.Size) -> float:
    """How much a person is the subject of a picture of `size` (height, width): 0 to 1.

    The squared diagonal of the joints' box over that of the picture, times the share of joints
    found, times a factor that falls from 1 in the centre to 1/2 in a corner. The diagonal, not the
    area: a person seen from the side is not a small one.
    """
    height, width = size
    left, top, right, bottom = _joints_box(keypoints)
    picture = height**2 + width**2
    extent = min(1.0, ((right - left) ** 2 + (bottom - top) ** 2) / picture)
    completeness = float((keypoints[:, 2] > 0).mean())
    offset = np.hypot((left + right - width) / 2, (top + bottom - height) / 2)
    centrality = 1 - 0.5 * min(1.0, float(offset) / (0.5 * picture**0.5))
    return extent * completeness * centrality


def choose_fit(
    size: fitting.Size,
    canvas: fitting.Size,
    *,
    choice: FitChoice = FitChoice.AUTO,
    box: morphology.Box | None = None,
) -> fitting.Fit:
    """Say how a picture of `size` comes onto the networks' canvas.

    Args:
        box: where the person is, from `person_box`; None where nothing tells.

    Raises ValueError for "crop" without a box.
    """
    if choice is FitChoice.CROP and box is None:
        raise ValueError(
            "Nothing says where the person is: give a mask, a label map or keypoints, or choose "
            "fit 'pad'."
        )
    if box is None or not crops(size, canvas, choice):
        return fitting.whole_fit(size, canvas)
    return fitting.crop_fit(size, canvas, box=box)


def crops(size: fitting.Size, canvas: fitting.Size, choice: FitChoice) -> bool:
    """Whether a picture is to be cropped to the person, once it is known where that is."""
    return choice is FitChoice.CROP or (choice is FitChoice.AUTO and not has_shape(size, canvas))


def has_shape(size: fitting.Size, canvas: fitting.Size) -> bool:
    """Whether a picture has the canvas's shape already, but for `WHOLE_TOLERANCE`."""
    return abs(size[1] / size[0] * canvas[0] / canvas[1] - 1) < WHOLE_TOLERANCE


def person_box(
    size: fitting.Size,
    *,
    label_map: LabelMap | None = None,
    person: ChosenPerson | None = None,
    mask: morphology.SoftMask | None = None,
) -> morphology.Box | None:
    """Where the person is, in pixels of the picture; None where nothing tells.

    The label map (or a person mask, as 0 and 1) tells best: the box holds the pieces of it that
    belong to the person chosen, or to the largest one. Keypoints alone give a box with room for
    head and feet. The mask is of a part of the person, so alone it tells the columns only, and the
    rows are all of the picture's; beside the others it has to lie in the box.
    """
    person = person or ChosenPerson()
    keypoints, box = person.keypoints, None
    if label_map is not None:
        skeleton = limbs.Skeleton.of(keypoints, *fitting.size_of(label_map))
        own = np.where(agnostic.theirs(label_map, skeleton, person.bystanders), 0, label_map)
        box = morphology.foreground_box(agnostic.one_person(own, skeleton) > 0)
    if box is None and keypoints is not None and (keypoints[:, 2] > 0).any():
        left, top, right, bottom = _joints_box(keypoints)
        tall, wide = bottom - top, right - left
        box = (
            max(left - SIDE_ROOM * wide, 0.0),
            max(top - HEAD_ROOM * tall, 0.0),
            min(right + SIDE_ROOM * wide, size[1]),
            min(bottom + FOOT_ROOM * tall, size[0]),
        )
    painted = None if mask is None else morphology.foreground_box(mask >= morphology.MASK_THRESHOLD)
    if painted is None:
        return box
    if box is None:
        return painted[0], 0.0, painted[2], float(size[0])
    return (
        min(box[0], painted[0]),
        min(box[1], painted[1]),
        max(box[2], painted[2]),
        max(box[3], painted[3]),
    )


def own_mask(mask: NDArray[Any] | None, size: fitting.Size) -> morphology.SoftMask | None:
    """A mask that somebody painted for a picture of `size` (height, width), float32 in [0, 1].

    None, and a mask that is black throughout, whatever its size, mean that none was painted. A mask
    of another size and the picture's shape is scaled.

    Raises ValueError as `validate_mask` does, or for a mask of another shape.
    """
    if mask is None or not mask.size or not np.any(mask):
        return None
    if mask.ndim == 2 and mask.shape != size:
        if not has_shape(fitting.size_of(mask), size):
            raise ValueError(
                f"The mask is {mask.shape[0]}x{mask.shape[1]} (height x width), but its picture is "
                f"{size[0]}x{size[1]}: give a mask of the picture's size, or at least of its shape."
            )
        mask = morphology.validate_mask(mask, *mask.shape)
        mask = _resized(mask, size, Image.Resampling.BILINEAR)
    return morphology.validate_mask(mask, *size)


def looked_at(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture [H, W, 3] as the parser sees it: `LOOK_HEIGHT` high, in its own shape."""
    height, width = fitting.size_of(picture)
    size = (LOOK_HEIGHT, max(1, round(width * LOOK_HEIGHT / height)))
    return _resized(picture, size, Image.Resampling.LANCZOS)


def seen_as(label_map: LabelMap, size: fitting.Size) -> LabelMap:
    """A label map brought to a picture's size by nearest pixel."""
    return _resized(label_map, size, Image.Resampling.NEAREST)


def _resized(array: NDArray[Any], size: fitting.Size, resampling: Image.Resampling) -> NDArray[Any]:
    if fitting.size_of(array) == size:
        return array
    return np.asarray(Image.fromarray(array).resize((size[1], size[0]), resampling))


def _joints_box(keypoints: Keypoints) -> morphology.Box:
    points = keypoints[keypoints[:, 2] > 0, :2]
    left, top = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    return left, top, right, bottom


def _side_of(keypoints: Keypoints, width: int) -> str:
    left, _, right, _ = _joints_box(keypoints)
    third = (left + right) / 2 / width * 3
    return "on the left" if third < 1 else "on the right" if third > 2 else "in the middle"


def _counted(people: int) -> str:
    return "1 person was" if people == 1 else f"{people} people were"
