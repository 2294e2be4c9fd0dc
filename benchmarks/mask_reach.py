"""How well masks reach where a new garment will lie, on drawn people with true labels.

    python -m benchmarks.mask_reach --people 200 --seed 7000

Each person is drawn in one outfit and in the same one with another garment of a category, so it is
known which pixels had to change. Printed for each category and mask mode:

    missed    share of the new garment's pixels that had to change but lie outside the mask
    wasted    share of the mask that did not have to change
    other     share of the other garment that the mask covers though nothing there had to change
    face      pixels of the face inside the mask, of all people together
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from ootd_core.categories import Category, Variant
from ootd_core.datasets.paper_dolls.sample import DollSample, draw_sample
from ootd_core.evaluation.dolls import garment_labels
from ootd_core.masks.agnostic import MaskMode, agnostic_mask
from ootd_core.masks.labels import Label
from ootd_core.masks.morphology import BoolMask

OTHER: dict[Category, tuple[Label, ...]] = {
    Category.UPPER: (Label.SKIRT, Label.PANTS),
    Category.LOWER: (Label.UPPER_CLOTHES,),
    Category.DRESS: (),
}

MODES = (MaskMode.ROBUST, MaskMode.HIDE_OLD_GARMENT, MaskMode.AUTO)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """One person under one mask; shares 0 to 1, face in pixels."""

    missed: float
    wasted: float
    other: float
    face: int


def reach_of(doll: DollSample, mask: BoolMask) -> Reach:
    """Judge a mask [H, W] of a doll by what its true picture changes."""
    changed = (doll.person != doll.truth).any(axis=2) | (doll.labels != doll.truth_labels)
    new = np.isin(doll.truth_labels, garment_labels(doll))
    other = np.isin(doll.labels, OTHER[doll.category])
    return Reach(
        missed=_share(new & changed & ~mask, new),
        wasted=_share(mask & ~changed, mask),
        other=_share(other & mask & ~changed, other),
        face=int((mask & (doll.labels == Label.FACE)).sum()),
    )


def mask_of(doll: DollSample, mode: MaskMode) -> BoolMask:
    """The mask of a doll in a mode, by its true labels and joints."""
    return agnostic_mask(
        doll.labels,
        doll.keypoints,
        category=doll.category,
        variant=Variant.FULL_BODY,
        mode=mode,
        garment=doll.garment if mode is MaskMode.AUTO else None,
    ).mask


def lines_of(category: Category, mode: MaskMode, reaches: Iterable[Reach]) -> str:
    """One line of the table."""
    found = list(reaches)
    columns = [
        _spread(np.array([getattr(reach, name) for reach in found]))
        for name in ("missed", "wasted", "other")
    ]
    return f"{category:6} {mode:17} {'   '.join(columns)}   {sum(each.face for each in found):4}"


def main(
    people: Annotated[int, typer.Option(min=1, help="of each category")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="of the first person")] = 0,
    height: Annotated[int, typer.Option(min=64)] = 256,
) -> None:
    """Print the table: mean / 90th percentile / maximum."""
    typer.echo(f"{'':24} {'missed':^18}   {'wasted':^18}   {'other':^18}   face")
    for category in Category:
        dolls = [
            draw_sample(number, height=height, width=height * 3 // 4, category=category)
            for number in range(seed, seed + people)
        ]
        for mode in MODES:
            reaches = (reach_of(doll, mask_of(doll, mode)) for doll in dolls)
            typer.echo(lines_of(category, mode, reaches))


def _share(part: BoolMask, whole: BoolMask) -> float:
    return float(part.sum()) / max(int(whole.sum()), 1)


def _spread(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.3f} {np.quantile(values, 0.9):.3f} {values.max():.3f}"


if __name__ == "__main__":
    typer.run(main)
