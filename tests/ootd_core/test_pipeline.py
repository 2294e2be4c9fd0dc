"""The whole try-on on small random networks: what each setting of a request changes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ootd_core import pipeline as pipeline_module
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.networks import Networks, load_networks
from ootd_core.images.tensors import to_tensor
from ootd_core.latents import Repaint
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from ootd_core.sampling import Scheduler
from tests.ootd_core.small_networks import FOLDER, small_networks

RANDOM = np.random.default_rng(0)
PERSON = RANDOM.integers(0, 256, (64, 48, 3), dtype=np.uint8)
GARMENT = RANDOM.integers(0, 256, (64, 48, 3), dtype=np.uint8)
OTHER_GARMENT = 255 - GARMENT
MASK = np.zeros((64, 48), np.bool_)
MASK[16:48, 16:40] = True


def request(**changes: Any) -> TryOnRequest:
    settings: dict[str, Any] = {
        "person": PERSON,
        "garment": GARMENT,
        "mask": MASK,
        "category": Category.UPPER,
        "num_inference_steps": 2,
    }
    return TryOnRequest(**(settings | changes))


def dress(**changes: Any) -> np.ndarray:
    return TryOnPipeline(small_networks())(request(**changes))


def test_a_seed_means_a_picture() -> None:
    picture = dress(seed=1)
    assert picture.shape == (1, 64, 48, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, dress(seed=1))
    assert not np.array_equal(picture, dress(seed=2))


def test_every_choice_counts() -> None:
    plain = dress()
    for changes in (
        {"garment": OTHER_GARMENT},
        {"category": Category.DRESS},
        {"guidance_scale": 4.0},
        {"num_inference_steps": 3},
        {"scheduler": Scheduler.DDIM},
        {"mask": ~MASK},
        {"fusion": False},
        {"zero_garment": True},
    ):
        assert not np.array_equal(plain, dress(**changes)), changes


def test_a_mask_of_numbers_equals_its_boolean_form() -> None:
    assert np.array_equal(dress(), dress(mask=np.where(MASK, 0.5, 0.4)))
    assert np.array_equal(dress(), dress(mask=np.where(MASK, 200, 90).astype(np.uint8)))


def test_what_a_mask_touches_is_repainted() -> None:
    rules, small = (Repaint.TOUCHED, Repaint.CORNER), np.zeros_like(MASK)
    small[17:23, 17:23] = True  # no latent's first pixel
    touched, corner = (dress(mask=small, repaint=repaint) for repaint in rules)
    seeds = [dress(mask=small, repaint=repaint, seed=9) for repaint in rules]
    assert not np.array_equal(touched, seeds[0])
    assert np.array_equal(corner, seeds[1]), "nothing was repainted"
    first, second = (dress(repaint=repaint) for repaint in rules)
    assert np.array_equal(first, second), "a mask of whole latents is the same by both rules"


def test_samples_read_the_garment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    original = pipeline_module.record

    def counted(unet: Any, latents: Tensor, prompt: Tensor) -> list[Tensor]:
        batches.append(len(latents))
        assert latents[0].abs().max() > 0
        assert not latents[1:].any(), "the unconditional half comes second"
        return original(unet, latents, prompt)

    monkeypatch.setattr(pipeline_module, "record", counted)
    three = dress(num_images_per_prompt=3, seed=5)
    assert batches == [2], "the garment and the unconditional one"
    assert three.shape == (3, 64, 48, 3)
    assert not np.array_equal(three[0], three[1])
    one = dress(num_images_per_prompt=1, seed=5)
    assert np.abs(three[0].astype(int) - one[0].astype(int)).max() <= 1

    batches.clear()
    dress(guidance_scale=0.5)
    assert batches == [1]
    dress(fusion=False)
    assert batches == [1], "without fusion nothing is recorded"


def test_an_empty_garment_leaves_nothing_to_guide() -> None:
    weak, strong = (
        dress(zero_garment=True, guidance_scale=1.0),
        dress(zero_garment=True, guidance_scale=5.0),
    )
    assert np.abs(weak.astype(int) - strong.astype(int)).max() <= 1


@pytest.mark.parametrize("size", [(96, 32), (61, 43), (8, 8)])
def test_garments_of_any_size(size: tuple[int, int]) -> None:
    garment = RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8)
    assert dress(garment=garment).shape == (1, 64, 48, 3)


@pytest.mark.parametrize("sampler", Scheduler)
def test_every_sampler(sampler: Scheduler) -> None:
    assert np.array_equal(dress(scheduler=sampler), dress(scheduler=sampler))


def test_half_body() -> None:
    half = TryOnPipeline(replace(small_networks(), variant=Variant.HALF_BODY))
    assert not np.array_equal(half(request()), dress())
    with pytest.raises(ValueError, match="not 'dress'"):
        half(request(category=Category.DRESS))


@pytest.mark.parametrize(("dtype", "levels"), [(torch.float16, 4), (torch.bfloat16, 24)])
def test_half_precision(dtype: torch.dtype, levels: int) -> None:
    networks: Networks = load_networks(FOLDER, Variant.FULL_BODY, dtype=dtype)
    seen: list[Tensor] = []
    picture = TryOnPipeline(networks)(request(), lambda _i, _n, latents: seen.append(latents))
    assert all(latents.isfinite().all() for latents in seen)
    assert np.abs(picture.astype(int) - dress().astype(int)).mean() <= levels


def test_cancelling_leaves_the_networks_as_they_were() -> None:
    networks = small_networks()
    before = list(networks.tryon_unet.attn_processors.values())
    steps: list[int] = []

    def cancel(step: int, _total: int, _latents: Tensor) -> None:
        steps.append(step)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        TryOnPipeline(networks)(request(num_inference_steps=5), cancel)
    assert steps == [1]
    after = list(networks.tryon_unet.attn_processors.values())
    assert all(now is then for now, then in zip(after, before, strict=True))
    assert dress().shape == (1, 64, 48, 3)


def test_every_touched_latent_is_repainted_unless_told_otherwise() -> None:
    small = np.zeros_like(MASK)
    small[17:23, 17:23] = True
    assert np.array_equal(dress(mask=small), dress(mask=small, repaint=Repaint.TOUCHED))


def test_the_noise_is_that_of_the_seed_and_the_person_is_scaled() -> None:
    pipeline = TryOnPipeline(small_networks())
    asked = request(seed=7)
    person = pipeline.encode_person(asked)
    vae = small_networks().vae
    unscaled = vae.encode(to_tensor(PERSON), return_dict=False)[0].mode()
    assert torch.allclose(person.original, 0.18215 * unscaled, atol=1e-6)
    hidden = np.where(MASK[..., None], np.uint8(127), PERSON)
    agnostic = vae.encode(to_tensor(hidden), return_dict=False)[0].mode()
    assert torch.allclose(person.agnostic, agnostic, atol=1e-6)
    prompt = pipeline.encode_prompt(asked)
    garment = pipeline.read_garment(asked, prompt)
    noise = torch.randn((1, 4, 8, 6), generator=torch.Generator().manual_seed(7))
    by_seed, by_noise = (
        pipeline.denoise(asked, prompt, garment, person, noise=given) for given in (None, noise)
    )
    assert torch.equal(by_seed, by_noise)
