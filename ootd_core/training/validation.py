"""People of the test split dressed while the training goes on: pictures to look at and two figures.

The same people, garments and noise every time, through the pipeline of inference with the averaged
weights. Figures need the true picture, so only paired data and paper dolls have them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..categories import CATEGORIES
from ..checkpoints.networks import Networks
from ..datasets.dressing import DressSettings, dress
from ..datasets.sample import TryOnDataset, TryOnSample, UnusableSample
from ..datasets.usable_samples import UsableSamples
from ..images.comparison import masked_psnr, masked_ssim
from ..masks.morphology import BoolMask
from ..pipeline import TryOnPipeline

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SheetLine:
    """One line of a contact sheet: pictures uint8 RGB [H, W, 3], mask bool [H, W]."""

    person: Picture
    garment: Picture
    mask: BoolMask
    result: Picture
    truth: Picture | None


WriteSheet = Callable[[Path, list[SheetLine]], None]
"""Writes a picture file of all lines; `cli.train` has one."""


class Validation:
    """Dresses `num_images` people spread evenly over a data set."""

    def __init__(
        self,
        networks: Networks,
        dataset: TryOnDataset,
        *,
        num_images: int,
        num_inference_steps: int,
        guidance_scale: float,
        seed: int = 0,
    ) -> None:
        self.networks = networks
        self.settings = DressSettings(
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            seed=seed,
            feather=None,
        )
        self.samples = _samples_and_masks(networks, dataset, num_images, self.settings)

    def __call__(self) -> tuple[dict[str, float], list[SheetLine]]:
        """Return mean figures (psnr in dB and ssim, inside the mask) and the lines of a sheet.

        The random state of torch is left as it was.
        """
        pipeline = TryOnPipeline(self.networks)
        lines: list[SheetLine] = []
        with torch.random.fork_rng(devices=[]):
            for number, (sample, mask) in enumerate(self.samples):
                seed = self.settings.seed + number
                result = dress(pipeline, sample, mask, self.settings, seed=seed)
                lines.append(
                    SheetLine(
                        person=sample.person,
                        garment=sample.garment,
                        mask=mask,
                        result=result,
                        truth=sample.truth,
                    )
                )
        known = [(line, line.truth) for line in lines if line.truth is not None]
        if not known:
            return {}, lines
        figures = {
            "psnr": [masked_psnr(line.result, truth, line.mask) for line, truth in known],
            "ssim": [masked_ssim(line.result, truth, line.mask) for line, truth in known],
        }
        return {name: float(np.mean(values)) for name, values in figures.items()}, lines


def _samples_and_masks(
    networks: Networks, dataset: TryOnDataset, num_images: int, settings: DressSettings
) -> list[tuple[TryOnSample, BoolMask]]:
    allowed = CATEGORIES[networks.variant]
    fitting = [index for index in range(len(dataset)) if dataset.category(index) in allowed]
    chosen = np.linspace(0, len(fitting) - 1, min(num_images, len(fitting))).round().astype(int)
    found: list[tuple[TryOnSample, BoolMask]] = []
    reading = UsableSamples(dataset)
    for index in (fitting[place] for place in dict.fromkeys(chosen.tolist())):
        sample = reading.read(index)
        if sample is None:
            continue
        try:
            found.append((sample, settings.mask(sample, networks.variant)))
        except UnusableSample as error:
            reading.skip(index, str(error))
    return found
