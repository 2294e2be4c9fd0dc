"""What a try-on gives, and what it tells on the way: wall time by stage, and steps."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from ootd_core.sampling import OnStep

from .options import TryOnOptions
from .preparation import Keypoints, LabelMap

STAGES = ("see the person", "load networks", "dress", "paste back")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TryOnResult:
    """What a try-on gives.

    Attributes:
        images: RGB, at the size of the person's picture; none where a mask alone was asked for.
        mask: L, at that size: what was repainted, for an outfit by any of its garments.
        warnings: sentences for the user.
        label_map: ATR labels uint8 [H, W] at that size, of the person before the last garment;
            None where a mask was given, or a person mask stood in for it.
        keypoints: [18, 3] in pixels of the person's picture (x, y, confidence); None where a mask
            was given or nobody was found.
        seconds: wall time by stage of this call.
    """

    images: list[Image.Image]
    mask: Image.Image
    warnings: tuple[str, ...]
    label_map: LabelMap | None
    keypoints: Keypoints | None
    seconds: dict[str, float]


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Generator[None]:
    """Add the wall time of what is done within to that of a stage."""
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started


class RunProgress:
    """Steps counted over all samplings of a call: one for the first garment, and one for each
    image and further garment."""

    def __init__(self, on_step: OnStep | None, options: TryOnOptions, garments: int) -> None:
        self.on_step = on_step
        self.steps = options.num_inference_steps
        self.total = self.steps * (1 + (garments - 1) * options.num_images_per_prompt)
        self.run = 0

    def next_run(self) -> OnStep | None:
        if self.on_step is None:
            return None
        on_step, before = self.on_step, self.run * self.steps
        self.run += 1
        return lambda step, _, latents: on_step(before + step, self.total, latents)
