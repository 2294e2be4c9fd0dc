"""Held-out people dressed while the training goes on: pictures to look at and two figures.

The same people, garments and noise every time, through the pipeline of inference with the averaged
weights. Figures need the true picture, so they come from paired data and from paper dolls alone.
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
from ..datasets.sample import TryOnDataset, TryOnSample, UnusableSample
from ..datasets.usable_samples import Skipping
from ..evaluation.metrics import masked_psnr, masked_ssim
from ..evaluation.try_ons import DressSettings, dress, mask_of
from ..masks.morphology import BoolMask
from ..pipeline import TryOnPipeline

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SheetLine:
    """One line of a contact sheet: pictures uint8 [H,W,3]; mask bool [H,W]; truth may be None."""

    person: Picture
    garment: Picture
    mask: BoolMask
    result: Picture
    truth: Picture | None


WriteSheet = Callable[[Path, list[SheetLine]], None]
"""Writes a picture file of all lines; the command line has one."""


class Validation:
    """Dresses `samples` people spread evenly over a data set."""

    def __init__(
        self,
        networks: Networks,
        dataset: TryOnDataset,
        *,
        samples: int,
        steps: int,
        guidance: float,
        seed: int = 0,
    ) -> None:
        self.networks = networks
        self.settings = DressSettings(steps=steps, guidance=guidance, seed=seed, feather=None)
        self.hidden = _hidden(networks, dataset, samples, self.settings)

    def __call__(self) -> tuple[dict[str, float], list[SheetLine]]:
        """Return mean figures (psnr in dB and ssim, inside the mask) and the lines of a sheet.

        The random state of torch is left as it was.
        """
        pipeline = TryOnPipeline(self.networks)
        lines: list[SheetLine] = []
        with torch.random.fork_rng(devices=[]):
            for number, (sample, mask) in enumerate(self.hidden):
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


def _hidden(
    networks: Networks, dataset: TryOnDataset, samples: int, settings: DressSettings
) -> list[tuple[TryOnSample, BoolMask]]:
    allowed = CATEGORIES[networks.variant]
    fitting = [index for index in range(len(dataset)) if dataset.category(index) in allowed]
    chosen = np.linspace(0, len(fitting) - 1, min(samples, len(fitting))).round().astype(int)
    found: list[tuple[TryOnSample, BoolMask]] = []
    reading = Skipping(dataset)
    for index in (fitting[place] for place in dict.fromkeys(chosen.tolist())):
        sample = reading.read(index)
        if sample is None:
            continue
        try:
            found.append((sample, mask_of(sample, networks.variant, settings)))
        except UnusableSample as error:
            reading.skip(index, str(error))
    return found
