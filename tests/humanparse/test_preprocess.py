import numpy as np
import pytest

from humanparse.preprocess import network_input


def test_image_of_the_frames_size_is_only_normalised() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)

    given = network_input(image, (64, 64))

    bgr = image[..., ::-1].transpose(2, 0, 1) / 255
    mean = np.array([0.406, 0.456, 0.485]).reshape(3, 1, 1)
    std = np.array([0.225, 0.224, 0.229]).reshape(3, 1, 1)
    assert given.shape == (1, 3, 64, 64)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given[0], (bgr - mean) / std, atol=1e-5)


def test_shorter_side_is_centred_between_black_bars() -> None:
    white = np.full((101, 51, 3), 255, np.uint8)

    red = network_input(white, (101, 101))[0, 2]

    black, full = -0.485 / 0.229, (1 - 0.485) / 0.229
    np.testing.assert_allclose(red[:, :25], black, atol=1e-5)
    np.testing.assert_allclose(red[:, 25:76], full, atol=1e-5)
    np.testing.assert_allclose(red[:, 76:], black, atol=1e-5)


def test_a_ramp_stays_a_ramp() -> None:
    ramp = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[:, None, None], 80, axis=1)
    image = np.repeat(ramp, 3, axis=2)  # [120, 80, 3]

    middle = network_input(image, (60, 60))[0, 0, :, 30] * 0.225 + 0.406

    np.testing.assert_allclose(middle * 255, np.linspace(0, 238, 60), atol=1)


@pytest.mark.parametrize("size", [(2, 1), (1, 7), (3, 200), (700, 20)])
def test_any_size(size: tuple[int, int]) -> None:
    assert network_input(np.zeros((*size, 3), np.uint8), (32, 48)).shape == (1, 3, 32, 48)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="picture"):
        network_input(image, (32, 32))
