import numpy as np
import pytest
import torch

from humanparse.postprocess import enlargement, label_map


@pytest.mark.parametrize(("length", "target"), [(4, 13), (128, 512), (119, 473), (1, 5), (7, 7)])
def test_enlargement_is_bilinear_with_aligned_corners(length: int, target: int) -> None:
    line = np.random.default_rng(0).normal(size=length)

    expected = torch.nn.functional.interpolate(
        torch.from_numpy(line)[None, None], size=target, mode="linear", align_corners=True
    )

    np.testing.assert_allclose(enlargement(length, target) @ line, expected[0, 0], atol=1e-6)


def test_scores_at_the_pictures_size_give_their_highest_class() -> None:
    scores = np.random.default_rng(1).normal(size=(5, 33, 33)).astype(np.float32)

    labels = label_map(scores, network=(33, 33), image=(33, 33))

    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, scores.argmax(axis=0))


def test_the_first_of_equal_classes_wins() -> None:
    scores = np.ones((4, 8, 8), np.float32)
    scores[0] = 0

    assert np.unique(label_map(scores, network=(32, 32), image=(40, 20))).tolist() == [1]


def test_a_region_comes_back_where_the_picture_had_it() -> None:
    scores = np.zeros((2, 101, 101), np.float32)
    scores[0] = 0.5
    scores[1, :50] = 1  # upper half of the frame

    labels = label_map(scores, network=(101, 101), image=(401, 201))

    assert labels.shape == (401, 201)
    assert np.all(labels[:196] == 1)
    assert np.all(labels[200:] == 0)
