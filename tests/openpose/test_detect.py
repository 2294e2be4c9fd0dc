"""Image to people at any size; the network's part is played by drawn maps where people matter."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from openpose.detect import detect_people, network_input
from openpose.geometry import PoseGeometry
from openpose.network import BodyChannels, BodyNetwork
from tests.openpose.drawn_maps import STANDING, draw_maps

TINY = BodyChannels(
    trunk=(2, 2, 2, 2), squeeze=2, features=2, stage=2, first_stage=2, later_stages=2
)


class DrawnNetwork(BodyNetwork):
    """Answers every image with the maps of people drawn for a 512-high picture."""

    def __init__(self, people: list[NDArray[np.float64]], *, height: int, width: int) -> None:
        super().__init__(channels=TINY)
        geometry = PoseGeometry.of_image(height=height, width=width)
        self.maps = tuple(torch.from_numpy(maps)[None] for maps in draw_maps(people, geometry))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        affinity, heatmap = self.maps
        assert image.shape[-2:] == (affinity.shape[-2] * 8, affinity.shape[-1] * 8)
        return affinity, heatmap


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.0, 3.0])
def test_keypoints_are_in_the_images_pixels(scale: float) -> None:
    height, width = round(512 * scale), round(384 * scale)
    network = DrawnNetwork([STANDING], height=height, width=width)
    (person,) = detect_people(network, np.zeros((height, width, 3), np.uint8))
    off = np.hypot(*(person.keypoints[:, :2] - ((STANDING + 0.5) * scale - 0.5)).T)
    assert off.max() < 3 * max(scale, 0.5)


def test_everybody_is_found() -> None:
    people = [STANDING * 0.4 + (0, 100), STANDING * 0.8 + (190, 60)]
    image = np.zeros((512, 512, 3), np.uint8)
    found = detect_people(DrawnNetwork(people, height=512, width=512), image)
    assert len(found) == 2
    left, right = sorted(found, key=lambda person: person.box[0])
    assert left.box[2] < right.box[0]


def test_nobody_is_an_empty_list() -> None:
    network = DrawnNetwork([], height=512, width=384)
    assert detect_people(network, np.zeros((512, 384, 3), np.uint8)) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (300, 5), (37, 1200), (123, 457)])
def test_any_size_runs(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert isinstance(detect_people(BodyNetwork(channels=TINY), image), list)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_what_is_no_image_is_refused(image: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="must be uint8 of shape"):
        detect_people(BodyNetwork(channels=TINY), image)


def test_results_that_are_not_finite_are_refused() -> None:
    network = DrawnNetwork([STANDING], height=512, width=384)
    network.maps[1][0, 3, 4, 5] = torch.nan
    with pytest.raises(ValueError, match=r"NaN or infinity in torch\.float32"):
        detect_people(network, np.zeros((512, 384, 3), np.uint8))


def test_geometry_of_the_usual_picture() -> None:
    geometry = PoseGeometry.of_image(height=512, width=384)
    assert geometry == PoseGeometry.of_image(height=1024, width=768)
    assert (geometry.height, geometry.width) == (512, 384)
    assert (geometry.input_height, geometry.input_width) == (184, 138)
    assert (geometry.padded_height, geometry.padded_width) == (184, 144)


def test_wide_pictures_stay_bounded() -> None:
    geometry = PoseGeometry.of_image(height=100, width=10_000)
    assert geometry.width == 1536
    assert geometry.padded_width == 552


def test_network_input_is_bgr_and_padded_with_grey() -> None:
    image = np.zeros((512, 384, 3), np.uint8)
    image[..., 0] = 255
    inputs = network_input(image, PoseGeometry.of_image(height=512, width=384))
    assert inputs.shape == (3, 184, 144)
    assert (inputs[:2, :, :138] == -0.5).all()
    assert (inputs[2, :, :138] == 255 / 256 - 0.5).all()
    assert (inputs[:, :, 138:] == 0).all()


def test_the_same_joints_in_a_picture_twice_as_large() -> None:
    """The maps are the same, so pixel centres correspond: (x + 1/2) doubles."""
    small, large = (
        detect_people(
            DrawnNetwork([STANDING], height=height, width=width),
            np.zeros((height, width, 3), np.uint8),
        )[0].keypoints
        for height, width in ((512, 384), (1024, 768))
    )
    np.testing.assert_allclose(large[:, :2], 2 * small[:, :2] + 0.5, atol=1e-4)
    np.testing.assert_array_equal(large[:, 2], small[:, 2])
