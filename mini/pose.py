"""Training of the pose network: ideal maps of a person's joints, for every stage.

Heatmaps hold a Gaussian at each joint, affinity maps a unit vector along each limb; every stage
has to predict the same maps (intermediate supervision). Source: Cao et al., arXiv 1611.08050,
section 2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openpose.geometry import PoseGeometry
from openpose.network import STRIDE, BodyNetwork
from openpose.skeleton import AFFINITY_MAPS, HEATMAPS, JOINTS, LIMBS

JOINT_SPREAD = 1.0
"""Standard deviation of a joint's Gaussian, in map pixels; the decoding finds its middle to a third
of a picture's pixel of 256."""
LIMB_HALF_WIDTH = 1.0
"""In map pixels."""
FULL_WEIGHT = 5.0
"""Weight of the error where a map is full; where it is empty it is 1. A forearm fills five of 414
map pixels, and lies elsewhere in every picture: all weighed alike, next to nothing is the best
guess."""
PoseBatch = tuple[Tensor, Tensor, Tensor]
"""Network inputs [B, 3, h, w], affinity maps [B, 38, h/8, w/8], heatmaps [B, 19, h/8, w/8]."""


def target_maps(
    keypoints: NDArray[np.float32], geometry: PoseGeometry
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return affinity maps [38, h, w] and heatmaps [19, h, w] (the last is the background's).

    keypoints: [18, 3], rows (x, y, confidence) in pixels of the geometry's picture; joints of
    confidence 0 leave no trace.
    """
    rows, columns = geometry.padded_height // STRIDE, geometry.padded_width // STRIDE
    ys, xs = np.mgrid[:rows, :columns].astype(np.float32)
    scale = np.float32(geometry.input_height / geometry.height / STRIDE)
    points = (keypoints[:, :2] + 0.5) * scale - 0.5
    known = keypoints[:, 2] > 0
    squared = (xs - points[:, :1, None]) ** 2 + (ys - points[:, 1:, None]) ** 2
    joints = np.exp(-squared / (2 * JOINT_SPREAD**2)) * known[:, None, None]
    heatmap = np.empty((HEATMAPS, rows, columns), np.float32)
    heatmap[:JOINTS] = joints
    heatmap[JOINTS] = 1 - joints.max(0)
    affinity = np.zeros((AFFINITY_MAPS, rows, columns), np.float32)
    for limb in LIMBS:
        if not (known[limb.start] and known[limb.end]):
            continue
        start, end = points[limb.start], points[limb.end]
        length = max(float(np.hypot(*(end - start))), 1e-3)
        unit = (end - start) / length
        along = (xs - start[0]) * unit[0] + (ys - start[1]) * unit[1]
        across = np.abs((xs - start[0]) * unit[1] - (ys - start[1]) * unit[0])
        near = (along >= -0.5) & (along <= length + 0.5) & (across <= LIMB_HALF_WIDTH)
        affinity[limb.channel : limb.channel + 2, near] = unit[:, None]
    return affinity, heatmap


def map_weights(affinity: Tensor, heatmap: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much the error of each value of ideal maps counts, 1 to FULL_WEIGHT.

    affinity: [B, 38, h, w]; both components of a limb's vector weigh alike. heatmap: [B, 19, h, w];
    the background's map, full almost everywhere, weighs 1.
    """
    limbs = affinity.unflatten(1, (-1, 2)).norm(dim=2).repeat_interleave(2, dim=1)
    joints = heatmap.clone()
    joints[:, JOINTS] = 0
    return 1 + (FULL_WEIGHT - 1) * limbs, 1 + (FULL_WEIGHT - 1) * joints


class PoseTask:
    """Weighted squared error of all stages' maps. draw: returns the batch of a step."""

    def __init__(self, network: BodyNetwork, draw: Callable[[int], PoseBatch]) -> None:
        self.network = network
        self.draw = draw
        self.modules: dict[str, nn.Module] = {"pose": network}

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the summed error of a step's stages and the last stage's share of it."""
        images, affinity, heatmap = self.draw(step)
        limb_weight, joint_weight = map_weights(affinity, heatmap)
        errors = [
            (limb_weight * (limbs - affinity).square()).mean()
            + (joint_weight * (joints - heatmap).square()).mean()
            for limbs, joints in self.network.forward_stages(images)
        ]
        # Maps are nearly empty, so their mean error is tiny: bring it to the order of 1.
        return 100 * torch.stack(errors).sum(), {"last_stage": 100 * errors[-1].item()}
