"""The whole try-on on small random networks: what each setting of a request changes."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ootd_core import pipeline as pipeline_module
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.checkpoints.networks import Networks, load_networks
from ootd_core.images.tensors import to_tensor
from ootd_core.latents import Repaint
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from ootd_core.sampling import NoiseLevels, Scheduler
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
        {"guidance_start": 0.5},
        {"guidance_end": 0.5},
        {"num_inference_steps": 3},
        {"scheduler": Scheduler.DDIM},
        {"scheduler": Scheduler.EULER, "noise_levels": NoiseLevels.ALIGN_YOUR_STEPS},
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
        dress(zero_garment=True, guidance_scale=1.5),
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


def test_a_guidance_of_1_equals_the_limit_of_two_halves() -> None:
    one, two = (latents_of([request(guidance_scale=scale)]) for scale in (1.0, 1 + 1e-6))
    assert (one - two).abs().max() < 1e-4
    assert not torch.allclose(one, latents_of([request(guidance_scale=1.5)]), atol=1e-3)


@pytest.mark.parametrize("changes", [{"guidance_end": 0.5}, {"guidance_start": 0.5}])
def test_outside_of_the_interval_the_garment_counts_unguided(changes: dict[str, float]) -> None:
    """Of two steps one is guided: the first as with guidance, or as without."""

    def steps(**settings: float) -> list[Tensor]:
        seen: list[Tensor] = []
        latents_of([request(**settings)], lambda _step, _total, latents: seen.append(latents))
        return seen

    guided = steps(guidance_scale=3.0, **changes)
    full, alone = steps(guidance_scale=3.0), steps(guidance_scale=1.0)
    first = full if "guidance_end" in changes else alone
    assert torch.allclose(guided[0], first[0], atol=1e-5)
    assert not torch.allclose(guided[1], full[1], atol=1e-4)
    assert not torch.allclose(guided[1], alone[1], atol=1e-4)


def latents_of(requests: list[TryOnRequest], on_step: Any = None) -> Tensor:
    pipeline = TryOnPipeline(small_networks())
    with torch.inference_mode():
        encoded = [pipeline.encode(each) for each in requests]
        return pipeline.denoise_batch(encoded, on_step=on_step)


def several(count: int = 4, **changes: Any) -> list[TryOnRequest]:
    """Persons, garments, masks, categories and seeds that are all different."""
    return [
        request(
            person=np.roll(PERSON, 5 * i, axis=0),
            garment=np.roll(GARMENT, 7 * i, axis=1),
            mask=np.roll(MASK, 3 * i, axis=1),
            category=tuple(Category)[i % 3],
            seed=10 * i,
            **changes,
        )
        for i in range(count)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance_scale": 1.0},
        {"guidance_end": 0.5},
        {"num_images_per_prompt": 2},
        {"fusion": False},
        {"scheduler": Scheduler.LCM, "num_images_per_prompt": 2},
    ],
    ids=str,
)
def test_a_batch_equals_one_by_one(changes: dict[str, Any]) -> None:
    requests = several(**changes)
    together = latents_of(requests)
    alone = torch.cat([latents_of([each]) for each in requests])
    assert together.shape == alone.shape
    assert (together - alone).abs().max() < 1e-5 * alone.abs().max()
    pictures = TryOnPipeline(small_networks()).batch(requests)
    samples = requests[0].num_images_per_prompt
    for picture, each in zip(pictures, requests, strict=True):
        assert picture.shape == (samples, 64, 48, 3)
        single = TryOnPipeline(small_networks())(each)
        assert np.abs(picture.astype(int) - single).max() <= 1


@pytest.mark.slow
def test_eight_pairs_of_the_mini_in_one_forward() -> None:
    random = np.random.default_rng(3)
    networks = load_networks(MINI_CHECKPOINT, Variant.FULL_BODY)
    pipeline = TryOnPipeline(networks)
    pictures = random.integers(0, 256, (8, 2, 128, 96, 3), dtype=np.uint8)
    mask = np.zeros((128, 96), np.bool_)
    mask[32:96, 24:72] = True
    requests = [
        request(person=person, garment=garment, mask=mask, seed=i, category=tuple(Category)[i % 3])
        for i, (person, garment) in enumerate(pictures)
    ]
    with torch.inference_mode():
        encoded = [pipeline.encode(each) for each in requests]
        together = pipeline.denoise_batch(encoded)
        alone = torch.cat([pipeline.denoise_batch([each]) for each in encoded])
    assert (together - alone).abs().max() < 1e-5 * alone.abs().max()


def test_a_shared_garment_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    original = pipeline_module.record

    def counted(unet: Any, latents: Tensor, prompt: Tensor) -> list[Tensor]:
        reads.append(len(latents))
        return original(unet, latents, prompt)

    requests = [request(person=np.roll(PERSON, i, axis=0), seed=i) for i in range(3)]
    alone = [TryOnPipeline(small_networks())(each) for each in requests]
    monkeypatch.setattr(pipeline_module, "record", counted)
    pipeline = TryOnPipeline(small_networks())
    for picture, single in zip(pipeline.batch(requests), alone, strict=True):
        assert np.abs(picture.astype(int) - single).max() <= 1
    assert reads == [2]
    pipeline.batch([request(), request(category=Category.DRESS), request(garment=OTHER_GARMENT)])
    assert reads == [2, 2, 2, 2], "another category is another prompt, another picture another read"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_inference_steps": 3}, "one has 2 and another 3"),
        ({"guidance_scale": 3.0}, "one has 2.0 and another 3.0"),
        ({"person": PERSON[:32], "mask": MASK[:32]}, "one has (64, 48, 3) and another (32, 48, 3)"),
        ({"scheduler": Scheduler.DDIM}, "one has unipc and another ddim"),
    ],
)
def test_unlike_requests_are_no_batch(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        TryOnPipeline(small_networks()).batch([request(), request(**changes)])
