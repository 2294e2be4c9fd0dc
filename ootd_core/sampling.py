"""The schedulers and the denoising loop.

One step: the try-on UNet predicts the noise (twice where there is guidance: with the garment and
without), the scheduler steps, and everything outside the mask is put back from the person, noised
to the level that the latents have reached. The loop is told the fused UNet; it knows nothing of
garments. Latents stay float32 throughout, whatever the UNet computes in.
"""

import inspect
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .conditioning import guidance_bounds

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

OnStep = Callable[[int, int, Tensor], None]
"""Called after every step with (step from 1, total, latents [B, 4, h, w]); may raise to cancel."""


class Scheduler(StrEnum):
    """UniPC is the published default. LCM is only worth its few steps with weights made for it."""

    UNIPC = "unipc"
    DDIM = "ddim"
    DPMPP_2M = "dpmpp_2m"
    EULER = "euler"
    LCM = "lcm"


class NoiseLevels(StrEnum):
    """How the noise levels of the steps are spaced: evenly over the timesteps of training, as each
    scheduler does by itself, or where few steps of Stable Diffusion 1.5 lose least (Align Your
    Steps, arXiv 2404.14507)."""

    EVEN = "even"
    ALIGN_YOUR_STEPS = "align_your_steps"


# The sigmas of ten steps, from the paper's published table.
ALIGN_YOUR_STEPS = (
    14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029,
)  # fmt: skip
TAKE_TIMESTEPS = (Scheduler.DPMPP_2M, Scheduler.EULER)  # those whose levels can be chosen
ALIGNED_MAX_STEPS = 100  # more would be less than a timestep of training apart


class Speed(StrEnum):
    """How a try-on is sampled, by name. BEST: as published."""

    BEST = "best"
    BALANCED = "balanced"
    FAST = "fast"


SPEEDS: dict[Speed, tuple[int, Scheduler, NoiseLevels]] = {
    Speed.BEST: (20, Scheduler.UNIPC, NoiseLevels.EVEN),
    Speed.BALANCED: (10, Scheduler.UNIPC, NoiseLevels.EVEN),
    Speed.FAST: (7, Scheduler.DPMPP_2M, NoiseLevels.ALIGN_YOUR_STEPS),
}
LCM_MAX_STEPS = 50  # LCM picks its steps among this many

# diffusers' class, and what is set beside the checkpoint's noise schedule. UniPC ended at the
# smallest sigma of training when the published pictures were made; diffusers now ends at zero,
# which moves the latents by 0.3 %. "trailing" lets few steps begin at pure noise all the same.
SCHEDULERS: dict[Scheduler, tuple[str, dict[str, Any]]] = {
    Scheduler.UNIPC: (
        "UniPCMultistepScheduler",
        {"timestep_spacing": "linspace", "final_sigmas_type": "sigma_min"},
    ),
    Scheduler.DDIM: ("DDIMScheduler", {"timestep_spacing": "trailing"}),
    Scheduler.DPMPP_2M: ("DPMSolverMultistepScheduler", {"timestep_spacing": "linspace"}),
    Scheduler.EULER: ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
    Scheduler.LCM: ("LCMScheduler", {"original_inference_steps": LCM_MAX_STEPS}),
}


def make_scheduler(scheduler: Scheduler, config: Mapping[str, Any]) -> Any:
    """A new diffusers scheduler with the noise schedule of a checkpoint's scheduler_config.json."""
    import diffusers

    name, settings = SCHEDULERS[scheduler]
    return getattr(diffusers, name).from_config(dict(config), **settings)


def sampling_of(
    speed: Speed, num_inference_steps: int | None = None, scheduler: Scheduler | None = None
) -> dict[str, Any]:
    """The fields of a `TryOnRequest` or `TryOnOptions` that a speed stands for.

    A number of steps takes the place of the speed's. A scheduler takes the place of the speed's,
    with evenly spaced noise levels.
    """
    steps, usual, levels = SPEEDS[speed]
    return {
        "num_inference_steps": steps if num_inference_steps is None else num_inference_steps,
        "scheduler": scheduler or usual,
        "noise_levels": levels if scheduler is None else NoiseLevels.EVEN,
    }


def set_timesteps(
    scheduler: Any,
    num_inference_steps: int,
    noise_levels: NoiseLevels = NoiseLevels.EVEN,
    device: torch.device | str | None = None,
) -> None:
    """Tell a scheduler how many steps there are, and where they are to lie."""
    if noise_levels is NoiseLevels.EVEN:
        scheduler.set_timesteps(num_inference_steps, device=device)
    else:
        timesteps = aligned_timesteps(scheduler.alphas_cumprod, num_inference_steps)
        scheduler.set_timesteps(timesteps=timesteps, device=device)


def aligned_timesteps(alphas_cumprod: Tensor, num_inference_steps: int) -> list[int]:
    """Timesteps of the Align Your Steps levels, log-linearly interpolated to any number of steps.

    alphas_cumprod: [timesteps of training], the noise schedule; the nearest timestep is taken. The
    last level is left out, since schedulers end without noise there.
    """
    trained = (((1 - alphas_cumprod) / alphas_cumprod) ** 0.5).log().numpy()
    places = np.linspace(0, len(ALIGN_YOUR_STEPS) - 1, num_inference_steps + 1)[:-1]
    wanted = np.interp(places, range(len(ALIGN_YOUR_STEPS)), np.log(ALIGN_YOUR_STEPS))
    return [int(np.abs(trained - level).argmin()) for level in wanted]


def draw_noise(samples: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Initial noise float32 [samples, 4, height, width] in latents, from a CPU generator.

    Drawn on the CPU, so that a seed means the same picture on every device.
    """
    return torch.randn((samples, 4, height, width), generator=generator)


def is_guided(guidance_scale: float) -> bool:
    """Classifier-free guidance is on above a scale of 1.

    At 1 the unconditional half cancels out; below, it is left out. Only the garment's half is run.
    """
    return guidance_scale > 1


@torch.inference_mode()
def denoise(
    *,
    unet: "UNet2DConditionModel",
    scheduler: Any,
    num_inference_steps: int,
    guidance_scale: float,
    noise: Tensor,
    agnostic: Tensor,
    person: Tensor,
    mask: Tensor,
    prompt: Tensor,
    noise_levels: NoiseLevels = NoiseLevels.EVEN,
    guidance_start: float = 0.0,
    guidance_end: float = 1.0,
    generator: torch.Generator | list[torch.Generator] | None = None,
    on_halves: Callable[[int], None] | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Denoises the masked part of the person.

    Args:
        unet: the try-on UNet, fused with a garment. A guided step runs it on a batch of [garment,
            unconditional], each `samples` long, another on the garment's half alone.
        scheduler: from `make_scheduler`; its timesteps are set here.
        guidance_scale: s of eps = uncond + s * (garment - uncond).
        noise: initial noise [samples, 4, h, w], also the noise of the repainted person.
        agnostic: unscaled latents of the agnostic person [1 or samples, 4, h, w].
        person: scaled latents of the person [1 or samples, 4, h, w].
        mask: [1 or samples, 1, h, w], 1 where to repaint.
        prompt: [1 or samples, tokens, channels].
        noise_levels: of the steps; other than EVEN only for schedulers of TAKE_TIMESTEPS.
        guidance_start, guidance_end: shares of the sampling, 0 to 1, between which there is
            guidance, see `guidance_bounds`. Steps outside run the garment's half alone.
        generator: noise of schedulers that draw some in each step (LCM); a CPU generator, or one
            for each sample.
        on_halves: called with 1 or 2 before the first step and whenever a step runs another number
            of halves than the one before, so that the UNet is fused with as many.
        on_step: called after every step; what it raises ends the loop.

    Returns scaled latents [samples, 4, h, w], outside the mask exactly the person's.
    """
    set_timesteps(scheduler, num_inference_steps, noise_levels, noise.device)
    timesteps: Tensor = scheduler.timesteps
    options = _step_options(scheduler, generator)
    agnostic = agnostic.expand(len(noise), -1, -1, -1)
    prompt = prompt.to(unet.dtype).expand(len(noise), -1, -1)
    latents = noise * scheduler.init_noise_sigma
    begin, end = guidance_bounds(guidance_start, guidance_end)
    last_timestep = scheduler.config.num_train_timesteps - 1
    halves = 0

    for index, timestep in enumerate(timesteps):
        in_interval = begin <= 1 - float(timestep) / last_timestep < end
        before, halves = halves, 2 if is_guided(guidance_scale) and in_interval else 1
        if on_halves is not None and halves != before:
            on_halves(halves)
        noisy = scheduler.scale_model_input(latents, timestep)
        inputs = torch.cat([noisy, agnostic], dim=1).repeat(halves, 1, 1, 1).to(unet.dtype)
        states = prompt.repeat(halves, 1, 1)
        predicted = unet(inputs, timestep, states, return_dict=False)[0].float()
        if halves == 2:
            with_garment, without = predicted.chunk(2)
            predicted = without + guidance_scale * (with_garment - without)
        latents = scheduler.step(predicted, timestep, latents, **options).prev_sample

        kept = person
        if index + 1 < len(timesteps):
            kept = scheduler.add_noise(person, noise, timesteps[index + 1 : index + 2])
        latents = (1 - mask) * kept + mask * latents
        if on_step is not None:
            on_step(index + 1, len(timesteps), latents)
    return latents


def _step_options(
    scheduler: Any, generator: torch.Generator | list[torch.Generator] | None
) -> dict[str, Any]:
    """diffusers' schedulers disagree on whether `step` takes a generator."""
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    return {"generator": generator} if takes_generator else {}
