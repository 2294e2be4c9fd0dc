"""A sample is encoded for training as inference encodes it."""

import numpy as np
import torch
from torch import Tensor

from ootd_core.categories import Category
from ootd_core.images.tensors import to_tensor
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from ootd_core.training.latents import TryOnLatents, blank_latents, encode_pictures
from tests.ootd_core.small_networks import small_networks

RANDOM = np.random.default_rng(0)
PERSON, GARMENT, TRUTH = RANDOM.integers(0, 256, (3, 64, 48, 3), dtype=np.uint8)
MASK = np.zeros((64, 48), np.bool_)
MASK[19:50, 13:40] = True


def encoded() -> TryOnLatents:
    return encode_pictures(
        small_networks(),
        person=PERSON,
        garment=GARMENT,
        truth=TRUTH,
        mask=MASK,
        category=Category.LOWER,
    )


def mode(picture: np.ndarray) -> Tensor:
    """What the VAE says of a picture, unscaled."""
    with torch.no_grad():
        return small_networks().vae.encode(to_tensor(picture), return_dict=False)[0].mode()[0]


def test_only_the_target_is_scaled_and_it_is_the_truth_inside_the_mask_alone() -> None:
    latents = encoded()
    target = np.where(MASK[..., None], TRUTH, PERSON)
    hidden = np.where(MASK[..., None], np.uint8(127), PERSON)
    assert torch.allclose(latents.garment, mode(GARMENT), atol=1e-5)
    assert torch.allclose(latents.agnostic, mode(hidden), atol=1e-5)
    assert torch.allclose(latents.target, 0.18215 * mode(target), atol=1e-5)


def test_training_and_inference_agree() -> None:
    latents = encoded()
    pipeline = TryOnPipeline(small_networks())
    request = TryOnRequest(person=PERSON, garment=GARMENT, mask=MASK, category=Category.LOWER)
    person = pipeline.encode_person(request)
    assert torch.allclose(latents.agnostic, person.agnostic[0], atol=1e-5)
    assert torch.allclose(latents.prompt, pipeline.encode_prompt(request)[0], atol=1e-6)
    unchanged = encode_pictures(
        small_networks(), person=PERSON, garment=GARMENT, truth=PERSON, mask=MASK,
        category=Category.LOWER,
    )  # fmt: skip
    assert torch.allclose(unchanged.target, person.original[0], atol=1e-5)


def test_a_blank_has_the_shapes_of_a_sample() -> None:
    blank, latents = blank_latents(small_networks(), 64, 48), encoded()
    for name in ("garment", "agnostic", "target", "prompt"):
        value = getattr(blank, name)
        assert value.shape == getattr(latents, name).shape and not value.any(), name
