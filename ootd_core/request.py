"""What a try-on needs to know: the one thing that crosses the border to the pipeline.

A request is checked when it is made, so that nothing is loaded or computed for one that cannot be
carried out. Pictures come in as they are: fitting a photograph to the networks' 3:4 and pasting the
result back is done around the pipeline.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .categories import Category
from .conditioning import guidance_bounds
from .latents import SCALE, Repaint
from .masks.morphology import validate_mask
from .sampling import (
    ALIGNED_MAX_STEPS,
    LCM_MAX_STEPS,
    TAKE_TIMESTEPS,
    NoiseLevels,
    Scheduler,
)

MAX_STEPS = 1000  # of the noise schedule that the networks were trained on
MAX_IMAGES = 1000
MAX_GUIDANCE = 100  # as ComfyUI's samplers have it


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TryOnRequest:
    """One person, one garment, and how to sample.

    Attributes:
        person: uint8 RGB [H, W, 3]; height and width are multiples of 8 (published: 1024 x 768).
        garment: uint8 RGB [h, w, 3], lying flat, of any size from 8 x 8; the more pixels, the more
            detail is seen and the slower. At the person's size it is as in training.
        mask: [H, W], what to repaint: boolean, uint8 (from 127) or in [0, 1] (from 127 / 255).
        category: the part of the body that the garment covers.
        num_inference_steps: of the scheduler, at least 1.
        guidance_scale: how strongly the garment counts: 1 to 5, default as published. At 1 and
            below there is no guidance, which takes half the time.
        guidance_start, guidance_end: shares of the sampling between which there is guidance.
        seed: of the noise, 0 to 2**64 - 1. The same on every device.
        num_images_per_prompt: pictures to make from the same person and garment.
        scheduler: see `Scheduler`.
        noise_levels: of the steps, see `NoiseLevels`.
        repaint: which latents count as masked, see `Repaint`; not the published rule by default.
        fusion: False leaves the try-on UNet alone, so that all it knows of the garment is the
            prompt. An ablation, to measure what fusion does.
        zero_garment: True shows the outfitting UNet an empty garment (zeros). An ablation too.

    Raises ValueError if a value is out of range or the pictures do not fit together.
    """

    person: NDArray[np.uint8]
    garment: NDArray[np.uint8]
    mask: NDArray[np.bool_ | np.uint8 | np.floating]
    category: Category
    num_inference_steps: int = 20
    guidance_scale: float = 2.0
    seed: int = 0
    num_images_per_prompt: int = 1
    scheduler: Scheduler = Scheduler.UNIPC
    repaint: Repaint = Repaint.TOUCHED
    fusion: bool = True
    zero_garment: bool = False
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    noise_levels: NoiseLevels = NoiseLevels.EVEN

    def __post_init__(self) -> None:
        _check_picture("person", self.person)
        _check_picture("garment", self.garment)
        height, width, _ = self.person.shape
        if height % SCALE or width % SCALE:
            raise ValueError(
                f"The person's picture is {height}x{width} (height x width), but both must be "
                f"multiples of {SCALE}: fit it to {max(SCALE, height - height % SCALE)}x"
                f"{max(SCALE, width - width % SCALE)}."
            )
        validate_mask(self.mask, height, width)
        check_sampling(
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            guidance_start=self.guidance_start,
            guidance_end=self.guidance_end,
            num_images_per_prompt=self.num_images_per_prompt,
            seed=self.seed,
            scheduler=self.scheduler,
            noise_levels=self.noise_levels,
        )


def check_sampling(
    *,
    num_inference_steps: int,
    guidance_scale: float,
    guidance_start: float,
    guidance_end: float,
    num_images_per_prompt: int,
    seed: int,
    scheduler: Scheduler,
    noise_levels: NoiseLevels,
) -> None:
    """Raises ValueError, one sentence, for a setting of the sampling that is out of range."""
    if not 1 <= num_inference_steps <= MAX_STEPS:
        raise ValueError(
            f"num_inference_steps is {num_inference_steps}, but must lie in 1 to {MAX_STEPS}."
        )
    if scheduler is Scheduler.LCM and num_inference_steps > LCM_MAX_STEPS:
        raise ValueError(
            f"num_inference_steps is {num_inference_steps}, but the lcm scheduler takes "
            f"at most {LCM_MAX_STEPS}: choose fewer steps or another scheduler."
        )
    if noise_levels is not NoiseLevels.EVEN:
        if scheduler not in TAKE_TIMESTEPS:
            raise ValueError(
                f"The noise levels {noise_levels} are for the schedulers "
                f"{' and '.join(TAKE_TIMESTEPS)}, but the scheduler is {scheduler}: choose one of "
                "these or even noise levels."
            )
        if num_inference_steps > ALIGNED_MAX_STEPS:
            raise ValueError(
                f"num_inference_steps is {num_inference_steps}, but the noise levels "
                f"{noise_levels} (--speed fast) are for few steps, at most {ALIGNED_MAX_STEPS}: "
                "take fewer, or name a sampler (--sampler), whose levels are even."
            )
    if not 1 <= num_images_per_prompt <= MAX_IMAGES:
        raise ValueError(
            f"num_images_per_prompt is {num_images_per_prompt}, but must lie in 1 to {MAX_IMAGES}."
        )
    if not 0 <= guidance_scale <= MAX_GUIDANCE:
        raise ValueError(
            f"guidance_scale is {guidance_scale}, but must lie in 0 to {MAX_GUIDANCE}."
        )
    guidance_bounds(guidance_start, guidance_end)
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed is {seed}, but must lie in 0 to 2**64 - 1.")


def _check_picture(name: str, picture: NDArray[np.uint8]) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f"The {name}'s picture must be uint8 RGB of shape (height, width, 3), not "
            f"{picture.dtype} {picture.shape}."
        )
    height, width, _ = picture.shape
    if min(height, width) < SCALE:
        raise ValueError(
            f"The {name}'s picture is {height}x{width} (height x width), but at least "
            f"{SCALE}x{SCALE} is needed: give a larger one."
        )
