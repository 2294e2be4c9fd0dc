"""Pictures to tensors and back, value by value."""

import numpy as np
import pytest
import torch

from ootd_core.images.tensors import to_images, to_tensor


def test_levels_channels_and_axes() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 11
    tensor = to_tensor(picture)
    assert tensor.shape == (1, 3, 2, 4) and tensor.dtype == torch.float32
    for (row, column, channel), level in np.ndenumerate(picture):
        assert tensor[0, channel, row, column].item() == pytest.approx(level / 127.5 - 1, abs=1e-6)
    assert np.array_equal(to_images(tensor)[0], picture)


def test_every_level_returns_and_what_lies_between_is_rounded() -> None:
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert np.array_equal(to_images(to_tensor(levels))[0], levels)
    shifted = to_tensor(levels) + torch.tensor([-0.4, 0.4, 0.0])[None, :, None, None] * 2 / 255
    assert np.array_equal(to_images(shifted)[0], levels)
    beyond = torch.tensor([-1.5, 0.0, 1.5]).reshape(1, 3, 1, 1)
    assert to_images(beyond).tolist() == [[[[0, 128, 255]]]]
