"""Other people in a label map: the pieces beside the person, against a piece-by-piece reference."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ootd_core.masks.agnostic import one_person
from ootd_core.masks.limbs import Skeleton
from ootd_core.masks.morphology import grow_mask, pieces_of
from tests.ootd_core.masks.drawn_person import keypoints, label_map


def piece_by_piece(labels: NDArray[np.uint8], skeleton: Skeleton) -> NDArray[np.uint8]:
    """The same rule with a pass over the picture for each piece."""
    pieces, sizes = pieces_of(grow_mask(labels > 0, max(round(3 * skeleton.scale), 1)))
    if len(sizes) < 2:
        return labels
    height, width = labels.shape
    x, y = skeleton.points[skeleton.known].astype(np.int64).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    at_joints: list[int] = pieces[y[inside], x[inside]].tolist()
    own = set(at_joints) - {0} or {int(sizes.argmax()) + 1}
    columns = np.any(np.isin(pieces, list(own)), axis=0)
    for piece in range(1, len(sizes) + 1):
        of_piece = np.any(np.equal(pieces, piece), axis=0)
        if columns[of_piece].mean() >= 0.5:
            own.add(piece)
    return np.where(np.isin(pieces, list(own)), labels, 0).astype(np.uint8)


@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    share=st.sampled_from([0.0, 0.002, 0.01, 0.03, 0.1]),
    joints=st.integers(0, 18),
)
@settings(max_examples=150)
def test_all_pieces_at_once_are_each_piece_alone(
    seed: int, height: int, width: int, share: float, joints: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((height, width)) < share) * rng.integers(1, 18, (height, width))
    labels = labels.astype(np.uint8)
    for _ in range(int(rng.integers(4))):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        labels[top : top + 30, left : left + 12] = 4
    points = rng.random((18, 3)) * (width, height, 1)
    points[joints:] = 0
    skeleton = Skeleton.of(points, height, width)
    assert np.array_equal(one_person(labels, skeleton), piece_by_piece(labels, skeleton))


def test_a_large_map_with_many_specks_is_quick() -> None:
    labels = np.zeros((2000, 1500), np.uint8)
    labels[: 512 * 3, : 384 * 3] = label_map(3)
    rows, columns = np.mgrid[20:2000:40, 20:1500:40].reshape(2, -1)
    labels[rows, columns] = np.where(labels[rows, columns], labels[rows, columns], 4)
    skeleton = Skeleton.of(keypoints(3), 2000, 1500)
    start = time.process_time()
    kept = one_person(labels, skeleton)
    assert time.process_time() - start < 1.0  # a pass for each of the 1,300 specks took seconds
    assert kept[:, -100:].any() == 0 and (kept == labels)[:1536, 300:900].mean() == pytest.approx(1)
