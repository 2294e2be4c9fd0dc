"""Heatmaps and affinity maps as a perfect network would predict them, for drawn people."""

import numpy as np
from numpy.typing import NDArray

from openpose.geometry import PoseGeometry
from openpose.network import STRIDE
from openpose.skeleton import AFFINITY_MAPS, HEATMAPS, JOINTS, LIMBS

GEOMETRY = PoseGeometry.of_picture(height=512, width=384)

STANDING = np.array(
    [
        (192, 80), (192, 130), (150, 132), (135, 195), (128, 255), (234, 132), (249, 195),
        (256, 255), (168, 260), (165, 350), (163, 440), (216, 260), (219, 350), (221, 440),
        (182, 70), (202, 70), (170, 78), (214, 78),
    ],
    dtype=np.float64,
)  # fmt: skip
"""A person facing the camera in a 512x384 picture: [18,2], x and y."""


def draw_maps(
    people: list[NDArray[np.float64]], geometry: PoseGeometry = GEOMETRY
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Affinity maps [38,h,w] and heatmaps [19,h,w]; people [18,2] in pixels, NaN for missing."""
    rows, columns = geometry.padded_height // STRIDE, geometry.padded_width // STRIDE
    to_map = geometry.input_height / geometry.height / STRIDE
    ys, xs = np.mgrid[:rows, :columns].astype(np.float64)
    affinity = np.zeros((AFFINITY_MAPS, rows, columns), dtype=np.float32)
    heatmap = np.zeros((HEATMAPS, rows, columns), dtype=np.float32)
    for person in people:
        points = (person + 0.5) * to_map - 0.5
        for joint in range(JOINTS):
            if np.isfinite(points[joint]).all():
                distance = (xs - points[joint, 0]) ** 2 + (ys - points[joint, 1]) ** 2
                heatmap[joint] = np.maximum(heatmap[joint], np.exp(-distance / 1.5))
        for limb in LIMBS:
            start, end = points[limb.start], points[limb.end]
            if not np.isfinite([start, end]).all():
                continue
            length = np.hypot(*(end - start))
            unit = (end - start) / length
            along = (xs - start[0]) * unit[0] + (ys - start[1]) * unit[1]
            across = np.abs((xs - start[0]) * unit[1] - (ys - start[1]) * unit[0])
            inside = (along >= -1) & (along <= length + 1) & (across <= 1)
            affinity[limb.channel : limb.channel + 2, inside] = unit[:, None]
    return affinity, heatmap


def without(person: NDArray[np.float64], *joints: int) -> NDArray[np.float64]:
    """A copy whose `joints` are missing."""
    copy = person.copy()
    copy[list(joints)] = np.nan
    return copy
