"""IMAGE and MASK to pictures and back, and the rule of batches; no ComfyUI needed."""

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
import torch

from tests.nodes.without_comfyui import node_module


@pytest.fixture(scope="module")
def pictures() -> Generator[Any]:
    with node_module("pictures") as module:
        yield module


def test_levels_are_rounded_and_clipped(pictures: Any) -> None:
    levels = torch.arange(256).reshape(1, 16, 16, 1).expand(-1, -1, -1, 3).float()
    for offset in (-0.4, 0.0, 0.4):
        (picture,) = pictures.to_pictures((levels + offset) / 255)
        assert picture.dtype == np.uint8 and np.array_equal(picture, levels[0].numpy())
    beyond = torch.tensor([-0.5, 0.5, 1.5]).reshape(1, 1, 1, 3)
    assert pictures.to_pictures(beyond)[0].tolist() == [[[0, 128, 255]]]
    again = pictures.to_image(pictures.to_pictures(levels / 255))
    assert torch.allclose(again, levels / 255, atol=1e-7) and again.dtype == torch.float32


def test_transparency_lies_on_white_and_grey_has_three_channels(pictures: Any) -> None:
    image = torch.tensor([0.2, 0.4, 0.6, 0.25]).reshape(1, 1, 1, 4)
    assert pictures.opaque(image).flatten().tolist() == pytest.approx([0.8, 0.85, 0.9])
    grey = torch.tensor([0.3]).reshape(1, 1, 1, 1)
    assert pictures.opaque(grey).flatten().tolist() == pytest.approx([0.3] * 3)


def test_masks_of_every_shape(pictures: Any) -> None:
    mask = torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0))
    for given in (mask, mask[:, None]):
        found = pictures.to_masks(given)
        assert [each.shape for each in found] == [(4, 3)] * 2
        assert np.array_equal(np.stack(found), mask.numpy())
    assert np.array_equal(pictures.to_masks(mask[1])[0], mask[1].numpy())
    back = pictures.to_mask([np.eye(3, dtype=bool), np.zeros((3, 3), bool)])
    assert back.shape == (2, 3, 3) and back.dtype == torch.float32 and back[0].trace() == 3


def test_batches_of_one_repeat_equal_ones_pair_up_and_nothing_else(pictures: Any) -> None:
    assert pictures.common_batch(person=1, garment=4, mask=1) == 4
    assert pictures.common_batch(person=3, garment=3) == 3 and pictures.common_batch(a=1) == 1
    with pytest.raises(ValueError, match="garment is a batch of 4 and person a batch of 2"):
        pictures.common_batch(person=2, garment=4)
    assert pictures.repeated("a", 3) == ["a"] * 3 and pictures.repeated("abc", 3) == list("abc")
