"""Which latents are scaled, what counts as masked, and pictures to tensors and back."""

import numpy as np
import pytest
import torch

from ootd_core.images.tensors import to_tensor
from ootd_core.latents import (
    Repaint,
    agnostic_image,
    binary_mask,
    decode,
    encode,
    encode_scaled,
    latent_mask,
    shrink_to_latents,
)
from tests.ootd_core.small_networks import small_networks

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)


@torch.no_grad()
def test_only_the_person_is_scaled() -> None:
    vae = small_networks().vae
    image = to_tensor(PICTURE)
    unscaled = encode(vae, image)
    assert unscaled.shape == (1, 4, 4, 3)
    assert torch.equal(encode_scaled(vae, image), unscaled * 0.18215)
    assert torch.equal(unscaled, encode(vae, image)), "the mode, nothing drawn"
    decoded = decode(vae, unscaled * 0.18215)
    assert decoded.shape == image.shape
    expected = vae.decode(unscaled, return_dict=False)[0]  # pyright: ignore[reportArgumentType]
    assert torch.allclose(decoded, expected, atol=1e-5)


def test_a_mask_counts_from_127_of_255() -> None:
    levels = np.array([[0, 126, 127, 128, 255]], np.float32) / 255
    assert binary_mask(levels).tolist() == [[False, False, True, True, True]]
    assert binary_mask(levels.astype(np.float64)).tolist() == binary_mask(levels).tolist()
    assert binary_mask((levels * 255).astype(np.uint8)).tolist() == binary_mask(levels).tolist()
    assert binary_mask(levels > 0).tolist() == [[False, True, True, True, True]]


def test_the_mask_is_filled_with_grey() -> None:
    mask = np.zeros((32, 24), np.bool_)
    mask[4:9, 3:20] = True
    agnostic = agnostic_image(PICTURE, mask)
    assert agnostic.dtype == np.uint8
    assert (agnostic[mask] == 127).all()
    assert np.array_equal(agnostic[~mask], PICTURE[~mask])


@pytest.mark.parametrize(
    ("repaint", "expected"),
    [(Repaint.TOUCHED, [[0, 0, 0, 0], [0, 0, 1, 2]]), (Repaint.CORNER, [[0, 0, 1, 2]])],
)
def test_latents_are_repainted_by_their_pixels(repaint: Repaint, expected: list[list[int]]) -> None:
    mask = np.zeros((32, 24), np.bool_)
    mask[8, 16] = True
    mask[7, 7] = True  # the last pixel of a latent
    latents = latent_mask(mask, repaint)
    assert latents.shape == (1, 1, 4, 3)
    assert latents.nonzero().tolist() == expected
    assert latents.unique().tolist() == [0, 1], "wholly or not at all"


@pytest.mark.parametrize(
    ("size", "expected"), [((32, 24), (32, 24)), ((39, 25), (32, 24)), ((8, 15), (8, 8))]
)
def test_garments_shrink_to_whole_latents(size: tuple[int, int], expected: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 90, np.uint8)
    shrunk = shrink_to_latents(picture)
    assert shrunk.shape == (*expected, 3)
    assert (shrunk == 90).all()
