"""What it gains to bring the original back where nothing changed, on held-out drawn people.

    python -m benchmarks.restoring --people 16

Each is dressed once by the bundled checkpoint under a try-on's own mask. Printed: PSNR over
the mask and everything that had to change, mean, for each choice of restore, each distance from
clothes, and label maps of the bundled parser or drawn ones, which are true; and how many people it
makes better or worse by 0.05 dB.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from ootd_core.datasets.paper_dolls.sample import draw_sample
from ootd_core.images.comparison import masked_psnr
from ootd_core.images.compositing import paste_back
from ootd_core.images.fitting import whole_fit
from ootd_core.images.restoring import Restore, restored_region
from ootd_core.latents import binary_mask
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from tryon import TryOn, TryOnOptions
from tryon.try_on import advance

DISTANCES = (2, 4, 8, 12, 16, 24)
FEATHER = 2.0


def main(
    people: Annotated[int, typer.Option(min=1)] = 16,
    steps: Annotated[int, typer.Option(min=1)] = 20,
) -> None:
    """Print the table."""
    tryon = TryOn.from_pretrained()
    options = TryOnOptions(num_inference_steps=steps)
    found: dict[tuple[str, Restore, int], list[float]] = {}
    for seed in range(people):
        doll = draw_sample(seed)
        request = advance(tryon.dressing(doll.person, doll.garment, doll.category, options=options))
        assert isinstance(request, TryOnRequest)
        (result,) = TryOnPipeline(tryon.networks)(request)
        label_maps = {
            "seen": (
                tryon.person_networks.labels(doll.person),
                tryon.person_networks.labels(result),
            ),
            "true": (doll.labels, doll.truth_labels),
        }
        masked = binary_mask(request.mask)
        judged = masked | (doll.person != doll.truth).any(axis=-1)
        fit = whole_fit(judged.shape, judged.shape)

        def psnr(mask: NDArray[np.bool_]) -> float:
            pasted = paste_back(doll.person, result, mask, fit, FEATHER)  # noqa: B023
            return masked_psnr(pasted, doll.truth, judged)  # noqa: B023

        plain = psnr(masked)
        found.setdefault(("", Restore.NONE, 0), []).append(plain)
        for name, maps in label_maps.items():
            for restore in (Restore.BACKGROUND, Restore.BACKGROUND_AND_SKIN):
                for distance in DISTANCES:
                    region = restored_region(*maps, restore, distance)
                    found.setdefault((name, restore, distance), []).append(psnr(masked & ~region))
    plain = np.array(found["", Restore.NONE, 0])
    typer.echo(f"none {plain.mean():.2f} dB")
    for (name, restore, distance), values in found.items():
        if name:
            gain = np.array(values) - plain
            typer.echo(
                f"{name} labels, {restore}, distance {distance}: {gain.mean():+.2f} dB, worst "
                f"{gain.min():+.2f}, better {int((gain > 0.05).sum())}, worse "
                f"{int((gain < -0.05).sum())} of {len(gain)}"
            )


if __name__ == "__main__":
    typer.run(main)
