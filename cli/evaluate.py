"""`python -m cli evaluate`: measures a checkpoint on held-out dolls or on a data set.

Without --data: drawn people that it was never trained on, beside a ceiling and two ablations
(`ootd_core.evaluation.dolls`). With --data: every pair of a data set, by category, paired and
unpaired. docs/evaluation.md says what the figures mean.
"""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from cli.dataset import parse_size
from cli.demo import Picture, contact_sheet
from cli.evaluate_data import DataChoice, evaluate_data
from cli.options import DtypeOption, SamplerOption, SpeedOption, StepsOption
from cli.progress import Progress
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.acceleration import choose_dtype
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT, Part, missing
from ootd_core.checkpoints.networks import DTYPES, Networks, choose_device, load_networks
from ootd_core.checkpoints.whole_files import check_target
from ootd_core.checkpoints.writing import save_json
from ootd_core.datasets.dressing import DressSettings
from ootd_core.datasets.open import Layout
from ootd_core.datasets.pairs_file import Pairing
from ootd_core.datasets.paper_dolls.sample import DollSample
from ootd_core.evaluation.dolls import measure_dolls
from ootd_core.evaluation.features import FeatureNetworks, load_feature_networks
from ootd_core.evaluation.plots import bars
from ootd_core.evaluation.report import head, not_measured, plain, table
from ootd_core.evaluation.scores import ALL
from ootd_core.images.compositing import overlay_mask
from ootd_core.images.files import save_image
from ootd_core.masks.agnostic import MaskMode
from ootd_core.requirements import require
from ootd_core.sampling import Speed, sampling_of
from tryon.perception import PersonNetworks

SHEET_LINES = 8

NetworksFolder = Annotated[
    Path | None,
    typer.Option(
        "--networks", help="folder of feature networks; missing ones are downloaded into it"
    ),
]
InceptionFile = Annotated[
    Path | None,
    typer.Option("--inception", help="weights file of the feature network of FID and KID"),
]
AlexnetFile = Annotated[
    Path | None, typer.Option("--alexnet", help="weights file of the backbone of LPIPS")
]


class PairingChoice(StrEnum):
    """What of a data set is measured: people in their own garments, in others', or both."""

    PAIRED = "paired"
    UNPAIRED = "unpaired"
    BOTH = "both"


class SplitChoice(StrEnum):
    """The split of a data set."""

    TEST = "test"
    TRAIN = "train"


def evaluate_command(
    model: Annotated[Path, typer.Option(help="model folder; the mini by default")] = (
        MINI_CHECKPOINT
    ),
    variant: Variant = Variant.FULL_BODY,
    dolls: Annotated[int, typer.Option(min=1, help="number of held-out dolls")] = 64,
    data: Annotated[Path | None, typer.Option(help="data set folder, instead of dolls")] = None,
    layout: Annotated[
        Layout | None, typer.Option(help="of the data set; found out by default")
    ] = None,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the data set's pictures")] = "512x384",
    split: SplitChoice = SplitChoice.TEST,
    pairing: PairingChoice = PairingChoice.BOTH,
    category: Annotated[
        list[Category] | None, typer.Option(help="only this category; may be repeated")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="only the first so many pairs")] = None,
    speed: SpeedOption = Speed.BEST,
    steps: StepsOption = None,
    guidance: float = 2.0,
    seed: Annotated[int, typer.Option(min=0, help="of the noise of the first pair")] = 0,
    sampler: SamplerOption = None,
    mask_mode: MaskMode = MaskMode.AUTO,
    raw: Annotated[
        bool, typer.Option("--raw", help="measure the decoder's picture without pasting it back")
    ] = False,
    ablations: Annotated[
        bool, typer.Option(help="dolls also without fusion and without a garment")
    ] = True,
    perceive: Annotated[
        bool,
        typer.Option(
            "--perceive",
            help="masks of dolls by the model's parser and pose network, as in a try-on, instead "
            "of the true labels and joints",
        ),
    ] = False,
    networks_folder: NetworksFolder = None,
    inception: InceptionFile = None,
    alexnet: AlexnetFile = None,
    per_sample: Annotated[
        bool,
        typer.Option("--per-sample", help="write the figures of every picture into the report"),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="folder for report, charts, contact sheet and pictures")
    ] = None,
    device: str = "auto",
    dtype: DtypeOption = "fp32",
) -> None:
    """Measure a checkpoint on drawn people that it was never trained on, or on a data set."""
    require("matplotlib", "torchmetrics")  # imported when the work is done
    device = choose_device(device)
    dtype = choose_dtype(dtype, device)
    sampling = sampling_of(speed, steps, sampler)
    of_dolls = data is None and layout is None
    if perceive and not of_dolls:
        raise ValueError(
            "--perceive is for held-out dolls: a data set's label maps and keypoints are its own, "
            "and where it has none they are the model's anyway. Leave it out."
        )
    if out is not None:
        check_target(out / "report.json")
    person_networks = PersonNetworks(model, variant, device=device)
    has_parser = not missing(model, variant, (Part.PARSER,))
    if perceive:  # it opens the files, which may be missing or damaged
        _ = person_networks.parser, person_networks.body_network
    features = load_feature_networks(
        folder=networks_folder, inception=inception, alexnet=alexnet, device=device
    )
    networks = load_networks(model, variant, device=device, dtype=DTYPES[dtype])
    if of_dolls:
        evaluate_dolls(
            networks,
            person_networks if perceive or has_parser else None,
            dolls,
            features,
            sampling,
            guidance,
            mask_mode,
            out,
            ablations=ablations,
            perceive=perceive,
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
            **sampling,
            guidance_scale=guidance,
            seed=seed,
            mask_mode=mask_mode,
            feather=None if raw else DressSettings().feather,
        )
        evaluate_data(
            networks, person_networks, model, choice, settings, features, out, per_sample=per_sample
        )
    if of_dolls and not has_parser:
        typer.echo(f"The garment's shape was not measured: {model} has no human parser.")
    for sentence in not_measured(features):
        typer.echo(sentence)


def evaluate_dolls(
    networks: Networks,
    person_networks: PersonNetworks | None,
    dolls: int,
    features: FeatureNetworks,
    sampling: dict[str, Any],
    guidance_scale: float,
    mask_mode: MaskMode,
    out: Path | None,
    *,
    ablations: bool,
    perceive: bool,
) -> None:
    """Measure on held-out dolls; print the table, write report.json, scores.png, sheet.png."""
    lines: list[list[Picture]] = []
    columns: list[str] = []
    with Progress("doll", dolls, title="evaluate") as bar:

        def on_doll(doll: DollSample, pictures: dict[str, NDArray[np.uint8]]) -> None:
            bar.update()
            if len(lines) < SHEET_LINES:
                made = {name: one for name, one in pictures.items() if name != "mask"}
                shown = overlay_mask(doll.person, pictures["mask"].astype(np.float32))
                columns[:] = ["person", "garment", "mask", *made, "truth"]
                lines.append([doll.person, doll.garment, shown, *made.values(), doll.truth])

        scorers = measure_dolls(
            networks,
            range(dolls),
            features,
            **sampling,
            guidance_scale=guidance_scale,
            mask_mode=mask_mode,
            ablations=ablations,
            perception=person_networks,
            perceive=perceive,
            on_doll=on_doll,
        )
    if not scorers:
        raise ValueError(f"None of the {dolls} dolls shows its garment: raise --dolls.")
    scores = {name: scorer.by_category() for name, scorer in scorers.items()}
    overall = {name: rows[ALL] for name, rows in scores.items()}
    typer.echo(table(overall))
    by_category = {name: row for name, row in scores["full"].items() if name != ALL}
    typer.echo("\n" + table(by_category, head="full, by category"))
    if out is not None:
        settings = {
            "dolls": dolls,
            **sampling,
            "guidance_scale": guidance_scale,
            "mask_mode": mask_mode,
            "perceive": perceive,
        }
        report = head(settings, features)
        report["dolls"] = {
            name: {kind: asdict(row) for kind, row in rows.items()} for name, rows in scores.items()
        }
        save_json(out / "report.json", plain(report))
        save_image(out / "sheet.png", contact_sheet(lines, tuple(columns)))
        bars(out / "scores.png", scores, f"{dolls} held-out dolls")


def pairings_of(wanted: PairingChoice, *, drawn: bool) -> tuple[Pairing, ...]:
    """Return the pairings to measure; dolls have only one."""
    if wanted is not PairingChoice.BOTH:
        return (wanted.value,)
    return ("paired",) if drawn else ("paired", "unpaired")
