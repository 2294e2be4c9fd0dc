"""`python -m cli evaluate --data`: figures on a data set, paired and unpaired, by category."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer

from cli.demo import Picture, contact_sheet
from cli.progress import Progress
from ootd_core.categories import Category
from ootd_core.checkpoints.networks import Networks
from ootd_core.checkpoints.writing import save_json
from ootd_core.datasets.dressing import DressSettings
from ootd_core.datasets.open import Layout, open_dataset
from ootd_core.datasets.pairs_file import Pairing, Split
from ootd_core.datasets.photographs import Perception
from ootd_core.datasets.sample import TryOnDataset
from ootd_core.evaluation.features import FeatureNetworks
from ootd_core.evaluation.measurement import Measurement, measure
from ootd_core.evaluation.plots import bars
from ootd_core.evaluation.report import head, plain, table
from ootd_core.evaluation.try_ons import DressedSample, KeptPictures, Unusable, made_by
from ootd_core.images.compositing import overlay_mask
from ootd_core.images.files import save_image

SHEET_LINES = 8
SHOWN_REASONS = 3
"""Unusable samples that are printed; the report has all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataChoice:
    """What of a data set is measured. categories: none is all. limit: of pairs, None is all."""

    path: Path | None
    layout: Layout | None
    size: tuple[int, int]
    split: Split
    pairings: tuple[Pairing, ...]
    categories: tuple[Category, ...]
    limit: int | None

    def open(self, pairing: Pairing, perception: Perception) -> TryOnDataset:
        """Open one pairing. perception: makes missing label maps. Raises as `open_dataset`."""
        return open_dataset(
            self.path,
            self.layout,
            self.split,
            self.size,
            pairing,
            self.categories or None,
            perception=perception,
        )


def evaluate_data(
    networks: Networks,
    perception: Perception,
    model: Path,
    choice: DataChoice,
    settings: DressSettings,
    features: FeatureNetworks,
    out: Path | None,
    *,
    per_sample: bool,
) -> None:
    """Measure on a data set: print tables, write report.json, scores.png and a sheet per pairing.

    model: the folder that `networks` come from. Pictures are kept below out/pictures, and used
    again by a run with the same settings.
    """
    sets = {pairing: choice.open(pairing, perception) for pairing in choice.pairings}
    report = head({**asdict(settings), **asdict(choice), "model": model}, features)
    results: dict[str, Measurement] = {}
    for pairing, dataset in sets.items():
        where = choice.path.resolve() if choice.path else None
        source = {**asdict(choice), "path": where, "pairings": pairing, "limit": None}
        origin = made_by(settings, model, networks, dataset, plain(source))
        kept = KeptPictures(out / "pictures", origin) if out else None
        result, sheet = measure_with_sheet(
            networks, dataset, settings, features, kept, choice.limit, title=pairing
        )
        results[pairing] = result
        typer.echo(table(result.scores, head=pairing))
        print_unusable(result.unusable)
        report[pairing] = to_report(result, per_sample=per_sample)
        if out is not None:
            save_image(out / f"sheet-{pairing}.png", sheet)
            save_json(out / "report.json", plain(report))
            groups = {name: one.scores for name, one in results.items()}
            bars(out / "scores.png", groups, f"{model.name} on {choice.path or choice.layout}")


def measure_with_sheet(
    networks: Networks,
    dataset: TryOnDataset,
    settings: DressSettings,
    features: FeatureNetworks,
    kept: KeptPictures | None,
    limit: int | None,
    *,
    title: str,
) -> tuple[Measurement, Picture]:
    """Measure with a progress bar; also return a contact sheet of the first usable samples."""
    lines: list[list[Picture]] = []
    total = min(limit or len(dataset), len(dataset))
    with Progress("pair", total, title=title) as bar:

        def on_sample(result: DressedSample | Unusable) -> None:
            bar.update()
            if isinstance(result, DressedSample) and len(lines) < SHEET_LINES:
                sample = result.sample
                shown = overlay_mask(sample.person, result.mask.astype(np.float32))
                truth = [sample.truth] if sample.truth is not None else []
                lines.append([sample.person, sample.garment, shown, result.picture, *truth])

        result = measure(
            networks, dataset, settings, features, kept=kept, limit=limit, on_sample=on_sample
        )
    columns = ("person", "garment", "mask", "try-on", "truth")
    return result, contact_sheet(lines, columns[: len(lines[0])])


def print_unusable(unusable: tuple[Unusable, ...]) -> None:
    """Print on standard error how many samples were left out, and why the first ones were."""
    if unusable:
        typer.echo(f"{len(unusable)} samples could not be used and are left out:", err=True)
    for one in unusable[:SHOWN_REASONS]:
        typer.echo(f"  {one.reason}", err=True)


def to_report(result: Measurement, *, per_sample: bool) -> dict[str, Any]:
    """Return a pairing's part of the report."""
    part: dict[str, Any] = {
        "scores": {kind: asdict(row) for kind, row in result.scores.items()},
        "unusable": [asdict(one) for one in result.unusable],
        "pictures_reused": result.kept,
    }
    if per_sample:
        part["samples"] = [asdict(one) for one in result.samples]
    return part
