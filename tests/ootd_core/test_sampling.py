"""The denoising loop on networks whose answer is known."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ootd_core.sampling import (
    ALIGNED_MAX_STEPS,
    SPEEDS,
    TAKE_TIMESTEPS,
    NoiseLevels,
    Scheduler,
    Speed,
    aligned_timesteps,
    denoise,
    draw_noise,
    is_guided,
    make_scheduler,
    sampling_of,
    set_timesteps,
)
from tests.ootd_core.small_unets import drawn

CONFIG = {  # SD1.5's
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "clip_sample": False,
}
NOISE = drawn(2, 4, 8, 6, seed=1)
PERSON = drawn(1, 4, 8, 6, seed=2)
AGNOSTIC = drawn(1, 4, 8, 6, seed=3)
GOAL = drawn(1, 4, 8, 6, seed=4)
PROMPT = drawn(1, 3, 16, seed=5)
MASK = torch.zeros(1, 1, 8, 6)
MASK[..., 2:6, 1:5] = 1


class Oracle:
    """Predicts exactly the noise between the latents and `GOAL`; notes what it was given."""

    dtype = torch.float32

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []
        self.prompts: list[Tensor] = []
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
        self.alphas = (1 - betas).cumprod(0)

    def __call__(self, inputs: Tensor, timestep: Tensor, prompt: Tensor, **_: object) -> Any:
        self.inputs.append(inputs)
        self.prompts.append(prompt)
        alpha = self.alphas[int(timestep)]
        return ((inputs[:, :4] - alpha.sqrt() * GOAL) / (1 - alpha).sqrt(),)


class Halves:
    """Predicts 1 with the garment and 3 without."""

    dtype = torch.float32

    def __call__(self, inputs: Tensor, *_: object, **__: object) -> Any:
        noise = torch.ones_like(inputs[:, :4])
        noise[NOISE.shape[0] :] = 3
        return (noise,)


class Ledger:
    """A scheduler that does no step: it returns the predicted noise, and names its noisings."""

    config = SimpleNamespace(num_train_timesteps=1000)
    init_noise_sigma = 1.0
    timesteps = torch.tensor([30, 20, 10])

    def set_timesteps(self, steps: int, device: object) -> None:
        assert steps == 3

    def scale_model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        return latents

    def step(self, predicted: Tensor, timestep: Tensor, latents: Tensor) -> SimpleNamespace:
        return SimpleNamespace(prev_sample=predicted)

    def add_noise(self, person: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return person + 100 * timesteps + noise


def run(unet: Any, scheduler: Any, **changes: Any) -> Tensor:
    settings: dict[str, Any] = {
        "num_inference_steps": 3,
        "guidance_scale": 2.0,
        "noise": NOISE,
        "agnostic": AGNOSTIC,
        "person": PERSON,
        "mask": MASK,
        "prompt": PROMPT,
    }
    return denoise(unet=unet, scheduler=scheduler, **(settings | changes))


@pytest.mark.parametrize("sampler", Scheduler)
@pytest.mark.parametrize("steps", [4, 20])
def test_every_sampler_finds_the_goal(sampler: Scheduler, steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    scheduler = make_scheduler(sampler, CONFIG)
    result = run(Oracle(), scheduler, num_inference_steps=steps, generator=generator)
    inside = MASK.expand_as(result) == 1
    error = (result - GOAL).abs()[inside].max()
    assert error < 0.15, "UniPC ends at the smallest sigma of training, 0.03, not at zero"
    assert torch.equal(result[~inside], PERSON.expand_as(result)[~inside])


@pytest.mark.parametrize("sampler", [Scheduler.DDIM, Scheduler.EULER, Scheduler.UNIPC])
def test_one_step_begins_at_pure_noise(sampler: Scheduler) -> None:
    scheduler = make_scheduler(sampler, CONFIG)
    scheduler.set_timesteps(1)
    assert scheduler.timesteps.tolist() == [999]


def test_unipc_ends_at_the_smallest_sigma() -> None:
    scheduler = make_scheduler(Scheduler.UNIPC, CONFIG)
    scheduler.set_timesteps(20)
    assert scheduler.timesteps[:2].tolist() == [999, 949]
    assert float(scheduler.sigmas[-1]) == pytest.approx(0.0291675, rel=1e-5)


def test_guidance_weighs_the_two_halves() -> None:
    everywhere = torch.ones_like(MASK)
    assert run(Halves(), Ledger(), guidance_scale=2.0, mask=everywhere).unique().tolist() == [-1]
    assert run(Halves(), Ledger(), guidance_scale=1.0, mask=everywhere).unique().tolist() == [1]


@pytest.mark.parametrize(("guidance", "batch"), [(0.99, 2), (1.0, 2), (1.01, 4), (2.5, 4)])
def test_the_unconditional_half_is_run_only_if_needed(guidance: float, batch: int) -> None:
    oracle = Oracle()
    run(oracle, Ledger(), guidance_scale=guidance)
    assert is_guided(guidance) == (batch == 4)
    assert [len(inputs) for inputs in oracle.inputs] == [batch] * 3
    assert [prompt.shape for prompt in oracle.prompts] == [(batch, 3, 16)] * 3
    first = oracle.inputs[0]
    assert torch.equal(first[:2, :4], NOISE)
    assert torch.equal(first[:, 4:], AGNOSTIC.expand(batch, -1, -1, -1))


def test_a_guidance_of_1_is_the_garments_half_alone() -> None:
    """eps = without + 1 * (with - without): nothing of the other half is left."""
    everywhere = torch.ones_like(MASK)
    both = run(Halves(), Ledger(), guidance_scale=1 + 1e-6, mask=everywhere)
    assert torch.allclose(both, run(Halves(), Ledger(), guidance_scale=1.0, mask=everywhere))


@pytest.mark.parametrize(
    ("start", "end", "guided"),
    [(0.0, 1.0, 10), (0.3, 1.0, 7), (0.0, 0.3, 3), (0.25, 0.75, 5), (0.95, 1.0, 0)],
)
def test_guidance_is_for_an_interval_of_the_sampling(start: float, end: float, guided: int) -> None:
    oracle = Oracle()
    halves: list[int] = []
    scheduler = make_scheduler(Scheduler.DDIM, CONFIG)
    run(
        oracle, scheduler, num_inference_steps=10, guidance_start=start, guidance_end=end,
        on_halves=lambda number: halves.append(number),
    )  # fmt: skip
    expected = [4 if start <= step / 10 < end else 2 for step in range(10)]
    assert [len(inputs) for inputs in oracle.inputs] == expected
    assert [len(prompt) for prompt in oracle.prompts] == expected
    assert expected.count(4) == guided
    changes = [a for a, b in zip(expected, [None, *expected], strict=False) if a != b]
    assert halves == [count // 2 for count in changes]


@pytest.mark.parametrize("sampler", [each for each in Scheduler if each is not Scheduler.LCM])
@pytest.mark.parametrize("steps", [3, 7, 20])
def test_an_interval_ends_at_the_same_noise_whoever_samples(sampler: Scheduler, steps: int) -> None:
    """Rounded timesteps shift no step of evenly spaced ones across a bound."""
    for first in range(steps):
        oracle, start = Oracle(), first / steps
        run(
            oracle, make_scheduler(sampler, CONFIG), num_inference_steps=steps,
            guidance_start=start, guidance_end=1.0,
        )  # fmt: skip
        assert [len(inputs) for inputs in oracle.inputs].count(4) == steps - first, start
        if first:
            oracle = Oracle()
            run(
                oracle, make_scheduler(sampler, CONFIG), num_inference_steps=steps,
                guidance_end=start,
            )  # fmt: skip
            assert [len(inputs) for inputs in oracle.inputs].count(4) == first, start


def test_the_person_is_noised_to_the_next_timestep_and_in_the_end_not_at_all() -> None:
    seen: list[Tensor] = []
    run(Halves(), Ledger(), mask=torch.zeros_like(MASK), on_step=lambda _i, _n, x: seen.append(x))
    assert torch.equal(seen[0], PERSON + 2000 + NOISE)
    assert torch.equal(seen[1], PERSON + 1000 + NOISE)
    assert torch.equal(seen[2], PERSON.expand_as(NOISE))


def test_steps_are_reported_from_one() -> None:
    seen: list[tuple[int, int]] = []
    run(Halves(), Ledger(), on_step=lambda step, total, _: seen.append((step, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_the_callback_cancels() -> None:
    oracle = Oracle()

    def cancel(step: int, _total: int, _latents: Tensor) -> None:
        if step == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(oracle, Ledger(), on_step=cancel)
    assert len(oracle.inputs) == 2


def test_samplers_that_draw_noise_follow_the_generator() -> None:
    def lcm(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        steps: list[Tensor] = []
        run(
            Oracle(),
            make_scheduler(Scheduler.LCM, CONFIG),
            generator=generator,
            on_step=lambda _i, _n, latents: steps.append(latents),
        )
        return steps[0]

    assert torch.equal(lcm(1), lcm(1))
    assert not torch.equal(lcm(1), lcm(2))


def test_noise_is_that_of_the_seed() -> None:
    drawn_noise = draw_noise(2, 8, 6, torch.Generator().manual_seed(42))
    with torch.random.fork_rng():
        torch.manual_seed(42)
        assert torch.equal(drawn_noise, torch.randn(2, 4, 8, 6))


@pytest.mark.parametrize("sampler", Scheduler)
def test_the_network_first_sees_the_noise_as_strong_as_in_training(sampler: Scheduler) -> None:
    """Schedulers differ in how they scale latents; what enters the UNet always has variance 1."""
    oracle = Oracle()
    generator = torch.Generator().manual_seed(0)
    run(oracle, make_scheduler(sampler, CONFIG), generator=generator)
    assert torch.allclose(oracle.inputs[0][:2, :4], NOISE, rtol=0.01, atol=1e-6)


@pytest.mark.parametrize(
    ("sampler", "timesteps"),
    [
        (Scheduler.UNIPC, [999, 749, 500, 250]),
        (Scheduler.DDIM, [999, 749, 499, 249]),
        (Scheduler.DPMPP_2M, [999, 749, 500, 250]),
        (Scheduler.EULER, [999, 749, 499, 249]),
        (Scheduler.LCM, [999, 759, 499, 259]),
    ],
)
def test_the_noise_levels_of_four_steps(sampler: Scheduler, timesteps: list[int]) -> None:
    scheduler = make_scheduler(sampler, CONFIG)
    scheduler.set_timesteps(4)
    assert [int(timestep) for timestep in scheduler.timesteps] == timesteps


@pytest.mark.parametrize("sampler", TAKE_TIMESTEPS)
def test_ten_steps_lie_where_the_paper_puts_them(sampler: Scheduler) -> None:
    """arXiv 2404.14507's timesteps for Stable Diffusion 1.5; the sigmas name one of them 125."""
    published = [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]
    scheduler = make_scheduler(sampler, CONFIG)
    set_timesteps(scheduler, 10, NoiseLevels.ALIGN_YOUR_STEPS)
    found = [int(timestep) for timestep in scheduler.timesteps]
    assert max(abs(a - b) for a, b in zip(found, published, strict=True)) <= 1
    assert float(scheduler.sigmas[1]) == pytest.approx(6.475, rel=0.01)


@pytest.mark.parametrize("steps", [1, 2, 7, 37, ALIGNED_MAX_STEPS])
def test_chosen_levels_fall_from_pure_noise(steps: int) -> None:
    timesteps = aligned_timesteps(Oracle().alphas, steps)
    assert len(timesteps) == steps and timesteps[0] == 999
    assert timesteps == sorted(set(timesteps), reverse=True)


@pytest.mark.parametrize("sampler", TAKE_TIMESTEPS)
def test_chosen_levels_are_what_is_denoised_at(sampler: Scheduler) -> None:
    oracle, even = Oracle(), Oracle()
    for network, levels in ((oracle, NoiseLevels.ALIGN_YOUR_STEPS), (even, NoiseLevels.EVEN)):
        scheduler = make_scheduler(sampler, CONFIG)
        result = run(network, scheduler, num_inference_steps=7, noise_levels=levels)
        inside = MASK.expand_as(result) == 1
        assert (result - GOAL).abs()[inside].max() < 0.05
    assert len(oracle.inputs) == len(even.inputs) == 7
    assert not torch.equal(oracle.inputs[3], even.inputs[3])


def test_a_speed_is_the_published_sampling_or_less() -> None:
    best = {"num_inference_steps": 20, "scheduler": "unipc", "noise_levels": "even"}
    assert sampling_of(Speed.BEST) == best
    steps = [SPEEDS[speed][0] for speed in (Speed.BEST, Speed.BALANCED, Speed.FAST)]
    assert steps == sorted(steps, reverse=True) and 6 <= steps[-1] <= 8
    assert sampling_of(Speed.FAST)["noise_levels"] is NoiseLevels.ALIGN_YOUR_STEPS


def test_what_is_asked_for_wins_over_the_speed() -> None:
    """Steps keep the speed's noise levels; a sampler has even ones."""
    fewer = sampling_of(Speed.FAST, 6)
    assert fewer == {**sampling_of(Speed.FAST), "num_inference_steps": 6}
    ddim = sampling_of(Speed.FAST, scheduler=Scheduler.DDIM)
    assert (ddim["scheduler"], ddim["noise_levels"]) == ("ddim", "even")
    assert ddim["num_inference_steps"] == sampling_of(Speed.FAST)["num_inference_steps"]
    for speed in Speed:
        for sampler in Scheduler:
            assert sampling_of(speed, 3, sampler)["noise_levels"] is NoiseLevels.EVEN
