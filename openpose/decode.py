"""From the network's maps to people: peaks become joints, affinity maps say which belong together.

Peaks of the smoothed heatmaps are candidates. A pair of candidates is a possible limb when the
affinity maps point along the line between them; the best pairs of every limb are taken greedily,
and limbs that share a joint grow into people. Tables keep the published layout (candidates and
subset), so that they can be compared with other implementations number by number.
Source: Cao et al., arXiv 1611.08050, sections 2.3 and 2.4.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .geometry import PoseGeometry
from .network import STRIDE
from .person import Person
from .skeleton import AFFINITY_MAPS, FOUNDING_LIMBS, HEATMAPS, JOINTS, LIMBS, Limb

PEAK_THRESHOLD = 0.1
AFFINITY_THRESHOLD = 0.05
ALIGNED_SHARE = 0.8
"""Share of a limb's samples that must exceed the affinity threshold."""
SAMPLES = 10
SMOOTHING_SIGMA = 3.0
SMOOTHING_RADIUS = 12
"""The gaussian is cut at four sigmas."""
MAX_PEAKS = 128
"""Peaks kept for each joint: a constant map (an untrained network's) is a peak everywhere, and
pairs grow with the square."""
MIN_PARTS = 4
MIN_SCORE_PER_PART = 0.4

SCORE, PARTS = JOINTS, JOINTS + 1
"""The last two columns of a subset row."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodedMaps:
    """Joint candidates of a picture and the people made of them.

    candidates: float64 [N,4], rows (x, y, heatmap value, row number), sorted by joint.
    subset: float64 [P,20], a row a person: for each of 18 joints the row number of its
    candidate or -1, then the summed evidence and the number of joints found.
    """

    candidates: NDArray[np.float64]
    subset: NDArray[np.float64]

    def people(self) -> list[Person]:
        """The rows of `subset` as people in pixels of the picture, in the same order.

        All joints of a person come from its own row; confidences are cut at 1.
        """
        people: list[Person] = []
        for row in self.subset:
            keypoints = np.zeros((JOINTS, 3), dtype=np.float32)
            found = row[:JOINTS] >= 0
            keypoints[found] = self.candidates[row[:JOINTS][found].astype(int), :3]
            keypoints[:, 2] = np.minimum(keypoints[:, 2], 1.0)
            people.append(Person(keypoints=keypoints, score=float(row[SCORE] / row[PARTS])))
        return people


def decode_maps(
    affinity: NDArray[np.float32], heatmap: NDArray[np.float32], geometry: PoseGeometry
) -> DecodedMaps:
    """Find the people in the network's maps.

    affinity [38,h,w] and heatmap [19,h,w] for the padded input of `geometry`, whose picture the
    coordinates belong to. People need at least four joints and an evidence of 0.4 per joint;
    without people `subset` has no row. Raises ValueError where the maps' size is not that of
    the geometry.
    """
    maps_size = (geometry.padded_height // STRIDE, geometry.padded_width // STRIDE)
    if affinity.shape != (AFFINITY_MAPS, *maps_size) or heatmap.shape != (HEATMAPS, *maps_size):
        raise ValueError(
            f"Maps of {maps_size[0]}x{maps_size[1]} were expected, 38 affinity maps and 19 "
            f"heatmaps, got {affinity.shape} and {heatmap.shape}."
        )
    by_joint = [_peaks(enlarge_map(channel, geometry)) for channel in heatmap[:JOINTS]]
    numbers = np.cumsum([0, *(len(peaks) for peaks in by_joint)])
    peaks = np.concatenate(by_joint)
    candidates = np.column_stack([peaks, np.arange(len(peaks), dtype=np.float64)])

    rows: list[NDArray[np.float64]] = []
    for index, limb in enumerate(LIMBS):
        starts, ends = by_joint[limb.start], by_joint[limb.end]
        if len(starts) == 0 or len(ends) == 0:
            continue
        field = np.stack(
            [enlarge_map(affinity[limb.channel + axis], geometry) for axis in (0, 1)], axis=-1
        )
        for start, end, score in _connect(starts, ends, field, picture_height=geometry.height):
            _grow(
                rows,
                candidates,
                limb,
                start=int(numbers[limb.start]) + start,
                end=int(numbers[limb.end]) + end,
                score=score,
                may_found=index < FOUNDING_LIMBS,
            )
    subset = np.array(rows, dtype=np.float64).reshape(-1, JOINTS + 2)
    enough = (subset[:, PARTS] >= MIN_PARTS) & (
        subset[:, SCORE] / subset[:, PARTS] >= MIN_SCORE_PER_PART
    )
    return DecodedMaps(candidates=candidates, subset=subset[enough])


def enlarge_map(channel: NDArray[np.float32], geometry: PoseGeometry) -> NDArray[np.float32]:
    """Enlarge one map [h,w] to the picture [H,W]: to the padded input, cropped, to the picture.

    Both steps interpolate with Lanczos kernels, as the published decoding does; one step would
    move peaks.
    """
    import cv2

    padded_size = (geometry.padded_width, geometry.padded_height)
    padded = cv2.resize(channel, padded_size, interpolation=cv2.INTER_LANCZOS4)
    cropped = padded[: geometry.input_height, : geometry.input_width]
    picture_size = (geometry.width, geometry.height)
    enlarged = cv2.resize(cropped, picture_size, interpolation=cv2.INTER_LANCZOS4)
    return np.asarray(enlarged, dtype=np.float32)


def _peaks(heatmap: NDArray[np.float32]) -> NDArray[np.float64]:
    """Local maxima [N,3] of a smoothed heatmap [H,W]: x, y and the value before smoothing."""
    import cv2

    # Smoothed in double precision: single precision makes neighbours equal, and every point of
    # a plateau would be a peak.
    smooth = cv2.GaussianBlur(
        heatmap.astype(np.float64),
        ksize=(2 * SMOOTHING_RADIUS + 1, 2 * SMOOTHING_RADIUS + 1),
        sigmaX=SMOOTHING_SIGMA,
        borderType=cv2.BORDER_REFLECT,
    )
    height, width = smooth.shape
    ys, xs = np.divmod(np.flatnonzero(smooth > PEAK_THRESHOLD), width)
    value = smooth[ys, xs]
    is_peak = np.ones(len(value), dtype=bool)
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        # Clipping compares a point at the border with itself: nothing outside is higher.
        around = smooth[np.clip(ys + dy, 0, height - 1), np.clip(xs + dx, 0, width - 1)]
        is_peak &= value >= around
    ys, xs, value = ys[is_peak], xs[is_peak], value[is_peak]
    if len(value) > MAX_PEAKS:
        highest = np.sort(np.argsort(-value, kind="stable")[:MAX_PEAKS])
        ys, xs = ys[highest], xs[highest]
    return np.column_stack([xs, ys, heatmap[ys, xs]]).astype(np.float64)


def _connect(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    field: NDArray[np.float32],
    *,
    picture_height: int,
) -> list[tuple[int, int, float]]:
    """Pair start peaks [A,3] with end peaks [B,3] along the vector field [H,W,2].

    Returns (row of starts, row of ends, score), best first, each peak in one pair at most.
    """
    span = ends[None, :, :2] - starts[:, None, :2]  # [A,B,2]
    length = np.maximum(np.hypot(span[..., 0], span[..., 1]), 1e-3)
    points = np.linspace(
        np.broadcast_to(starts[:, None, :2], span.shape),
        np.broadcast_to(ends[None, :, :2], span.shape),
        SAMPLES,
        axis=-2,
    )  # [A,B,10,2]
    pixels = np.rint(points).astype(np.intp)
    sampled = field[pixels[..., 1], pixels[..., 0]].astype(np.float64)
    along = (sampled * (span / length[..., None])[:, :, None, :]).sum(axis=-1)  # [A,B,10]
    # A limb longer than half the picture's height is unlikely and loses score.
    score = along.mean(axis=-1) + np.minimum(0.5 * picture_height / length - 1, 0)
    aligned = (along > AFFINITY_THRESHOLD).sum(axis=-1) > ALIGNED_SHARE * SAMPLES
    pairs = np.argwhere(aligned & (score > 0))
    order = np.argsort(-score[pairs[:, 0], pairs[:, 1]], kind="stable")

    connections: list[tuple[int, int, float]] = []
    free_starts, free_ends = set(range(len(starts))), set(range(len(ends)))
    for start, end in pairs[order].tolist():
        if start in free_starts and end in free_ends:
            free_starts.remove(start)
            free_ends.remove(end)
            connections.append((start, end, float(score[start, end])))
    return connections


def _grow(
    rows: list[NDArray[np.float64]],
    candidates: NDArray[np.float64],
    limb: Limb,
    *,
    start: int,
    end: int,
    score: float,
    may_found: bool,
) -> None:
    """Add a connection of two candidates to the people in `rows` (in place).

    It extends the person who has one of its ends, joins two people who have one end each and
    no joint in common, or founds a new person.
    """
    owners = [
        index for index, row in enumerate(rows) if row[limb.start] == start or row[limb.end] == end
    ]
    if not owners:
        if may_found:
            row = np.full(JOINTS + 2, -1.0)
            row[limb.start], row[limb.end] = start, end
            row[SCORE] = candidates[[start, end], 2].sum() + score
            row[PARTS] = 2
            rows.append(row)
        return

    row = rows[owners[0]]
    if len(owners) > 1:
        other = rows[owners[1]]
        has_common_joint = ((row[:JOINTS] >= 0) & (other[:JOINTS] >= 0)).any()
        if not has_common_joint:
            row[:JOINTS] = np.maximum(row[:JOINTS], other[:JOINTS])
            row[SCORE] += other[SCORE] + score
            row[PARTS] += other[PARTS]
            del rows[owners[1]]
            return
    elif row[limb.end] == end:
        return
    # Two people who share a joint stay two; the first takes the end, even from itself.
    row[limb.end] = end
    row[SCORE] += candidates[end, 2] + score
    row[PARTS] += 1
