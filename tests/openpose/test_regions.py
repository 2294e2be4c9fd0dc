"""The arithmetic around BlazePose's networks, on tensors made by hand."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from openpose.regions import (
    ANCHORS,
    DETECTOR_SIZE,
    LANDMARK_SIZE,
    Region,
    anchors,
    cut_out,
    detections,
    letterbox,
    map_in_picture,
    overlap,
    points_in_picture,
)


def answer(
    *people: tuple[float, float, float], picture: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """The detector's answer for people (x, y of the hips and length, in pixels of the picture).

    Each is reported by the three anchors nearest to it, with scores that fall. The box of 40 by 40
    lies around the hips, the circle's point straight above them.
    """
    _, to_picture = letterbox(np.zeros((*picture, 3), np.uint8))
    scale = to_picture[0, 0] / DETECTOR_SIZE
    boxes = np.zeros((ANCHORS, 12), np.float32)
    logits = np.full(ANCHORS, -50.0, np.float32)
    centres = anchors() @ to_picture[:, :2].T + to_picture[:, 2]
    for number, (x, y, length) in enumerate(people):
        nearest = np.argsort(np.hypot(*(centres - (x, y)).T), kind="stable")[:3]
        for rank, anchor in enumerate(nearest):
            offset = (np.array([x, y]) - centres[anchor]) / scale
            boxes[anchor] = [
                *offset, 40 / scale, 40 / scale,
                *offset, *(offset - (0, length / scale)), *[0.0] * 4,
            ]  # fmt: skip
            logits[anchor] = 4.0 - rank - number
    return boxes, logits, to_picture


def test_anchors_are_the_cells_centres_row_by_row() -> None:
    found = anchors()
    assert found.shape == (ANCHORS, 2)
    np.testing.assert_allclose(found[[0, 1, 2]], [[4 / 224, 4 / 224]] * 2 + [[12 / 224, 4 / 224]])
    first_of_stride_16, first_of_stride_32 = 28 * 28 * 2, 28 * 28 * 2 + 14 * 14 * 2
    np.testing.assert_allclose(found[first_of_stride_16], [8 / 224, 8 / 224])
    np.testing.assert_allclose(found[first_of_stride_32 + 5], [16 / 224, 16 / 224])
    np.testing.assert_allclose(found[first_of_stride_32 + 6], [48 / 224, 16 / 224])
    np.testing.assert_allclose(found[-1], [208 / 224, 208 / 224])


@pytest.mark.parametrize("size", [(512, 384), (300, 900), (224, 224), (60, 40), (3, 2000)])
def test_the_letterbox_keeps_the_shape_and_tells_the_way_back(size: tuple[int, int]) -> None:
    height, width = size
    image = np.full((height, width, 3), 255, np.uint8)
    square, to_picture = letterbox(image)
    assert square.shape == (DETECTOR_SIZE, DETECTOR_SIZE, 3) and square.dtype == np.float32
    white = square[..., 0] == 1
    assert (square[~white] == -1).all()
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    corners = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]]) / DETECTOR_SIZE
    back = corners @ to_picture[:, :2].T + to_picture[:, 2]
    np.testing.assert_allclose(back, [[0, 0], [width, height]], atol=1e-6)
    assert max(len(rows), len(columns)) == DETECTOR_SIZE


def test_a_person_is_found_where_they_are() -> None:
    boxes, logits, to_picture = answer((300, 400, 250), picture=(800, 600))
    (found,) = detections(boxes, logits, to_picture)
    np.testing.assert_allclose(found.hips, [300, 400], atol=1e-3)
    np.testing.assert_allclose(found.circle, [300, 150], atol=1e-3)
    np.testing.assert_allclose(found.box, [280, 380, 320, 420], atol=1e-3)
    assert found.score == pytest.approx(1 / (1 + np.exp(-4.0)))


def test_two_people_are_two_and_the_surest_comes_first() -> None:
    boxes, logits, to_picture = answer((150, 300, 200), (450, 320, 220), picture=(600, 600))
    found = detections(boxes, logits, to_picture)
    assert [round(each.hips[0]) for each in found] == [150, 450]
    assert found[0].score > found[1].score


def test_boxes_of_one_person_are_averaged_by_their_scores() -> None:
    boxes, logits, to_picture = answer((300, 300, 200), picture=(600, 600))
    first, second = np.argsort(-logits)[:2]
    boxes[second, 4] += 10  # the middle of the hips, as the less sure of the first two sees it
    (found,) = detections(boxes, logits, to_picture)
    scores = 1 / (1 + np.exp(-logits[[first, second, np.argsort(-logits)[2]]]))
    moved = 10 * (600 / DETECTOR_SIZE) * scores[1] / scores.sum()
    assert found.hips[0] == pytest.approx(300 + moved, abs=1e-3)


def test_what_is_not_sure_is_nobody() -> None:
    boxes, _, to_picture = answer((300, 300, 200), picture=(600, 600))
    assert detections(boxes, np.full(ANCHORS, -0.1, np.float32), to_picture) == []


def test_scores_far_out_overflow_nothing() -> None:
    boxes, logits, to_picture = answer((300, 300, 200), picture=(600, 600))
    with np.errstate(over="raise"):
        found = detections(boxes, logits * 1e6, to_picture)
    assert len(found) == 1


def test_another_networks_answer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"boxes \[2254, 12\].*another network"):
        detections(np.zeros((2016, 16)), np.zeros(2016), np.eye(3)[:2])


def test_overlap_is_the_shared_part_of_the_union() -> None:
    box = np.array([[0.0, 0.0], [2.0, 2.0]])
    others = np.array([[[0, 0], [2, 2]], [[1, 0], [3, 2]], [[5, 5], [6, 6]], [[2, 0], [2, 0]]])
    np.testing.assert_allclose(overlap(box, others.astype(float)), [1, 1 / 3, 0, 0])


def test_the_region_stands_the_body_upright() -> None:
    upright = Region.around(np.array([100.0, 200.0]), np.array([100.0, 120.0]))
    assert upright.side == pytest.approx(200) and upright.angle == pytest.approx(0)
    lying = Region.around(np.array([100.0, 200.0]), np.array([180.0, 200.0]))
    assert lying.angle == pytest.approx(np.pi / 2)
    # The head, at the circle's point, is in the middle above the centre of either region.
    middle, above = (LANDMARK_SIZE - 1) / 2, (LANDMARK_SIZE - 1) / 2 - LANDMARK_SIZE / 2.5
    for region, head in ((upright, (100, 120)), (lying, (180, 200))):
        points = np.array([[middle, middle], [middle, above]])
        back = points_in_picture(points, region) + 0.5  # centres of pixels
        np.testing.assert_allclose(back, [(100, 200), head], atol=1e-6)


@pytest.mark.parametrize("side", [150.0, 900.0])
@pytest.mark.parametrize("turned", [0.0, 0.6, -2.0])
def test_what_is_cut_out_goes_back_to_its_place(turned: float, side: float) -> None:
    """A blob in the picture: found in the cut-out, brought back within a pixel of the region."""
    image = np.zeros((640, 480, 3), np.uint8)
    blob = (250, 340)
    cv2.circle(image, blob, 12, (255, 255, 255), -1)
    region = Region(centre=(240.0, 330.0), side=side, angle=turned)
    cut = cut_out(image, region)
    assert cut.shape == (LANDMARK_SIZE, LANDMARK_SIZE, 3)
    assert cut.min() >= 0 and cut.max() == pytest.approx(1, abs=0.05)
    ys, xs = np.nonzero(cut[..., 0] > 0.5)
    (found,) = points_in_picture(np.array([[xs.mean(), ys.mean()]]), region)
    assert np.hypot(*(found - blob)) < side / LANDMARK_SIZE
    mask = map_in_picture(cut[..., 0], region, 640, 480)
    assert mask.shape == (640, 480)
    truth = image[..., 0] > 0
    assert (truth & (mask > 0.5)).sum() / (truth | (mask > 0.5)).sum() > 0.8


def test_outside_the_picture_is_black_and_outside_the_region_nothing() -> None:
    image = np.full((100, 100, 3), 255, np.uint8)
    region = Region(centre=(0.0, 0.0), side=100.0, angle=0.0)
    cut = cut_out(image, region)
    assert cut[:120, :120].max() == 0 and cut[140:, 140:].min() == 1
    mask = map_in_picture(np.ones((LANDMARK_SIZE, LANDMARK_SIZE)), region, 100, 100)
    assert mask[:49, :49].min() == 1 and mask[51:].max() == 0 and mask[:, 51:].max() == 0
