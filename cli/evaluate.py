"""`python -m cli evaluate`: a checkpoint in true measure, on held-out dolls or on a data set.

Without --data: drawn people it was never trained on, beside a ceiling and two ablations
(`ootd_core.evaluation.dolls`). With --data: every pair of a data set, by category, paired and
unpaired. docs/evaluation.md says what the figures mean.
"""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from tqdm import tqdm

from cli.dataset import parse_size
from cli.demo import contact_sheet, overlay
from cli.evaluate_data import DataChoice, evaluate_data
from cli.places import MINI_MODEL
from cli.studio import Picture, Studio
from cli.tryon import choose_device, save_picture
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.networks import DTYPES, Networks, load_networks
from ootd_core.checkpoints.writing import save_json
from ootd_core.datasets.open import Layout
from ootd_core.datasets.pairs_file import Pairing
from ootd_core.datasets.paper_dolls.sample import DollSample
from ootd_core.evaluation.dolls import measure_dolls
from ootd_core.evaluation.features import FeatureNetworks, load_feature_networks
from ootd_core.evaluation.plots import bars
from ootd_core.evaluation.report import head, not_measured, plain, table
from ootd_core.evaluation.scores import ALL
from ootd_core.evaluation.try_ons import DressSettings
from ootd_core.masks.agnostic import MaskMode
from ootd_core.sampling import Scheduler

SHEET_LINES = 8

NetworksFolder = Annotated[
    Path | None,
    typer.Option(
        "--networks", help="folder of feature networks; what it lacks is downloaded into it"
    ),
]
InceptionFile = Annotated[
    Path | None, typer.Option("--inception", help="weights of FID's and KID's feature network")
]
AlexnetFile = Annotated[Path | None, typer.Option("--alexnet", help="weights of LPIPS's backbone")]


class Pairings(StrEnum):
    """What of a data set is measured: persons in their own garments, in others', or both."""

    PAIRED = "paired"
    UNPAIRED = "unpaired"
    BOTH = "both"


class Halves(StrEnum):
    """A data set's split."""

    TEST = "test"
    TRAIN = "train"


def evaluate_command(
    model: Annotated[Path, typer.Option(help="model folder; the mini by default")] = MINI_MODEL,
    variant: Variant = Variant.FULL_BODY,
    dolls: Annotated[int, typer.Option(min=1, help="held-out dolls, from seed 0")] = 64,
    data: Annotated[Path | None, typer.Option(help="data set folder, instead of dolls")] = None,
    layout: Annotated[Layout | None, typer.Option(help="of the data set; told by itself")] = None,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the data set's pictures")] = "512x384",
    split: Halves = Halves.TEST,
    pairing: Pairings = Pairings.BOTH,
    category: Annotated[
        list[Category] | None, typer.Option(help="only this one; give it twice for two")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="only so many pairs")] = None,
    steps: Annotated[int, typer.Option(min=1)] = 20,
    guidance: float = 2.0,
    seed: Annotated[int, typer.Option(min=0, help="of a data set's first pair")] = 0,
    sampler: Scheduler = Scheduler.UNIPC,
    mask_mode: MaskMode = MaskMode.ROBUST,
    raw: Annotated[
        bool, typer.Option("--raw", help="measure the denoiser's picture, not pasted back")
    ] = False,
    ablations: Annotated[bool, typer.Option(help="also without fusion, without garment")] = True,
    networks_folder: NetworksFolder = None,
    inception: InceptionFile = None,
    alexnet: AlexnetFile = None,
    per_sample: Annotated[
        bool, typer.Option("--per-sample", help="list every picture's figures in the report")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="folder for the report, plot, sheet and pictures")
    ] = None,
    device: str = "auto",
    dtype: Annotated[str, typer.Option(help="fp32, fp16 or bf16")] = "fp32",
) -> None:
    """Measure a checkpoint, on drawn people it was never trained on or on a data set."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype is '{dtype}', but must be one of {', '.join(DTYPES)}.")
    device = choose_device(device)
    features = load_feature_networks(
        folder=networks_folder, inception=inception, alexnet=alexnet, device=device
    )
    networks = load_networks(model, variant, device=device, dtype=DTYPES[dtype])
    if data is None and layout is None:
        evaluate_dolls(
            networks, dolls, features, steps, guidance, mask_mode, out, ablations=ablations
        )
    else:
        choice = DataChoice(
            path=data,
            layout=layout,
            size=parse_size(size),
            split=split.value,
            pairings=pairings_of(pairing, drawn=layout is Layout.DOLLS),
            categories=tuple(category or ()),
            limit=limit,
        )
        settings = DressSettings(
            steps=steps,
            guidance=guidance,
            seed=seed,
            sampler=sampler,
            mask_mode=mask_mode,
            feather=None if raw else DressSettings().feather,
        )
        studio = Studio(model, variant, device=device)
        evaluate_data(networks, studio, choice, settings, features, out, per_sample=per_sample)
    for sentence in not_measured(features):
        typer.echo(sentence)


def evaluate_dolls(
    networks: Networks,
    dolls: int,
    features: FeatureNetworks,
    steps: int,
    guidance: float,
    mask_mode: MaskMode,
    out: Path | None,
    *,
    ablations: bool,
) -> None:
    """Measure on held-out dolls; print the table, write report.json, scores.png, sheet.png."""
    lines: list[list[Picture]] = []
    columns: list[str] = []
    with tqdm(total=dolls, unit="doll", disable=None) as bar:

        def on_doll(doll: DollSample, pictures: dict[str, NDArray[np.uint8]]) -> None:
            bar.update()
            if len(lines) < SHEET_LINES:
                made = {name: one for name, one in pictures.items() if name != "mask"}
                shown = overlay(doll.person, pictures["mask"].astype(np.float32))
                columns[:] = ["person", "garment", "mask", *made, "truth"]
                lines.append([doll.person, doll.garment, shown, *made.values(), doll.truth])

        scorers = measure_dolls(
            networks,
            range(dolls),
            features,
            steps=steps,
            guidance=guidance,
            mask_mode=mask_mode,
            ablations=ablations,
            on_doll=on_doll,
        )
    if not scorers:
        raise ValueError(f"None of the {dolls} dolls shows its garment: take more.")
    scores = {name: scorer.by_category() for name, scorer in scorers.items()}
    overall = {name: rows[ALL] for name, rows in scores.items()}
    typer.echo(table(overall))
    by_category = {name: row for name, row in scores["full"].items() if name != ALL}
    typer.echo("\n" + table(by_category, head="full, by category"))
    if out is not None:
        settings = {"dolls": dolls, "steps": steps, "guidance": guidance, "mask_mode": mask_mode}
        report = head(settings, features)
        report["dolls"] = {
            name: {kind: asdict(row) for kind, row in rows.items()} for name, rows in scores.items()
        }
        save_json(out / "report.json", plain(report))
        save_picture(out / "sheet.png", contact_sheet(lines, tuple(columns)))
        bars(out / "scores.png", scores, f"{dolls} held-out dolls")


def pairings_of(wanted: Pairings, *, drawn: bool) -> tuple[Pairing, ...]:
    """Return the pairings to measure; drawn people have only one."""
    if wanted is not Pairings.BOTH:
        return (wanted.value,)
    return ("paired",) if drawn else ("paired", "unpaired")
