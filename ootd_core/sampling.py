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

import torch
from torch import Tensor

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
        guidance_start, guidance_end: shares of the sampling, 0 to 1, between which there is
            guidance: step i of n (from 0) is guided if start <= i / n < end. arXiv 2404.07724.
        generator: noise of schedulers that draw some in each step (LCM); a CPU generator, or one
            for each sample.
        on_halves: called with 1 or 2 before the first step and whenever a step runs another number
            of halves than the one before, so that the UNet is fused with as many.
        on_step: called after every step; what it raises ends the loop.

    Returns scaled latents [samples, 4, h, w], outside the mask exactly the person's.
    """
    scheduler.set_timesteps(num_inference_steps, device=noise.device)
    timesteps: Tensor = scheduler.timesteps
    options = _step_options(scheduler, generator)
    agnostic = agnostic.expand(len(noise), -1, -1, -1)
    prompt = prompt.to(unet.dtype).expand(len(noise), -1, -1)
    latents = noise * scheduler.init_noise_sigma
    halves = 0

    for index, timestep in enumerate(timesteps):
        in_interval = guidance_start <= index / len(timesteps) < guidance_end
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
