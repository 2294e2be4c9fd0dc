"""How well a model folder's parser and pose network see drawn people that no training saw.

`python -m cli sight` prints the figures. Labels: intersection over union of all dolls' pixels
together. Joints: the share that was found of those inside the picture (clothes and hair may lie
over them, as over a real person's), and the median distance of the found ones. A joint that lies
farther off than FARTHEST_FOUND of the picture's height is not found.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ootd_core.datasets.paper_dolls.sample import draw_sample
from ootd_core.masks.labels import Label
from openpose.skeleton import JOINTS, Joint
from tryon.perception import PersonNetworks

HEIGHT, WIDTH = 256, 192
FARTHEST_FOUND = 1 / 25


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seen:
    """What was seen of a drawn person, and what is there.

    labels, true_labels: uint8 [H, W]. keypoints, true_keypoints: float32 [18, 3], confidence 0 is
    missing; keypoints is None where nobody was found.
    """

    labels: NDArray[np.uint8]
    true_labels: NDArray[np.uint8]
    keypoints: NDArray[np.float32] | None
    true_keypoints: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class JointSight:
    """there: joints inside the picture; found: the share of them; error: median, in pixels."""

    there: int
    found: float
    error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """The figures of some people: joints and labels that occur among them.

    error: median distance, in pixels, of all found joints together.
    """

    joints: dict[Joint, JointSight]
    error: float
    overlaps: dict[Label, float]


def look(networks: PersonNetworks, seeds: Iterable[int]) -> list[Seen]:
    """Look at the dolls of these seeds."""
    seen: list[Seen] = []
    for seed in seeds:
        doll = draw_sample(seed, height=HEIGHT, width=WIDTH)
        seen.append(
            Seen(
                labels=networks.labels(doll.person),
                true_labels=doll.labels,
                keypoints=networks.keypoints(doll.person),
                true_keypoints=doll.keypoints,
            )
        )
    return seen


def sight(seen: list[Seen]) -> Sight:
    """Return the figures over all these people. Raises ValueError where there is nobody."""
    if not seen:
        raise ValueError("Nobody was looked at: give at least one person.")
    errors, found = joint_errors(seen)
    error = float(np.median(errors[found])) if found.any() else float("inf")
    return Sight(joints=joint_sight(seen), error=error, overlaps=overlaps(seen))


def overlaps(seen: list[Seen]) -> dict[Label, float]:
    """Return the intersection over union of each label that is there or was seen."""
    labels = np.concatenate([each.labels.ravel() for each in seen])
    truth = np.concatenate([each.true_labels.ravel() for each in seen])
    figures: dict[Label, float] = {}
    for label in Label:
        here, there = labels == label, truth == label
        union = np.count_nonzero(here | there)
        if union:
            figures[label] = np.count_nonzero(here & there) / union
    return figures


def joint_errors(seen: list[Seen]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the distances [N, 18] from the true joints, in pixels, and which ones are found."""
    missing = np.zeros((JOINTS, 3), np.float32)
    truth = np.stack([each.true_keypoints for each in seen])
    points = np.stack([missing if each.keypoints is None else each.keypoints for each in seen])
    heights = np.array([each.true_labels.shape[0] for each in seen])
    errors = np.linalg.norm(points[..., :2] - truth[..., :2], axis=-1)
    known = (truth[..., 2] > 0) & (points[..., 2] > 0)
    return errors, known & (errors <= FARTHEST_FOUND * heights[:, None])


def joint_sight(seen: list[Seen]) -> dict[Joint, JointSight]:
    """Return the figures of each joint that is inside a picture."""
    errors, found = joint_errors(seen)
    there = np.stack([each.true_keypoints[:, 2] > 0 for each in seen])
    figures: dict[Joint, JointSight] = {}
    for joint in Joint:
        number, right = there[:, joint].sum(), found[:, joint]
        if number:
            error = float(np.median(errors[:, joint][right])) if right.any() else float("inf")
            figures[joint] = JointSight(
                there=int(number), found=float(right.sum() / number), error=error
            )
    return figures


def table(figures: Sight) -> str:
    """Return the figures as text, a line for each joint and each label."""
    lines = ["joint             there   found   error, px"]
    for joint, one in figures.joints.items():
        name = joint.name.lower().replace("_", " ")
        lines.append(f"{name:16} {one.there:6} {one.found:7.3f} {one.error:11.2f}")
    lines.append(f"{'all':32}{figures.error:11.2f}")
    lines += ["", "label               IoU"]
    for label, overlap in figures.overlaps.items():
        lines.append(f"{label.name.lower().replace('_', ' '):16} {overlap:6.3f}")
    return "\n".join(lines)
