"""`python -m cli dataset check` and `prepare`: find out what a data set lacks, and make it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from cli.progress import Progress
from humanparse.preview import COLOURS
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.networks import choose_device
from ootd_core.checkpoints.whole_files import check_target
from ootd_core.checkpoints.writing import write_whole
from ootd_core.datasets.checker import Findings, Group, check_dataset
from ootd_core.datasets.folder import keypoints_of, label_map_of
from ootd_core.datasets.open import Layout, layout_of, list_pairs
from ootd_core.datasets.pairs_file import PAIRINGS, SPLITS, Pairing, Split
from ootd_core.datasets.photographs import Pair, Perception, perceive
from ootd_core.datasets.sample import UnusableSample
from openpose import Person, save_people
from tryon.perception import PersonNetworks

dataset_app = typer.Typer(
    help="Check a data set, or prepare your own pictures.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@dataset_app.command("check")
def check_command(
    folder: Annotated[Path, typer.Argument(help="the data set's folder")],
    layout: Annotated[
        Layout | None, typer.Option(help="of the data set; found out by default")
    ] = None,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the training")] = "512x384",
    show: Annotated[int, typer.Option(min=0, help="how many lines of each kind are printed")] = 10,
) -> None:
    """Read every file and say what is wrong.

    Exit code 1 if something is wrong, 2 if nothing can be used.
    """
    height_and_width = parse_size(size)
    found = layout or layout_of(folder)
    with Progress("pair", title="check") as bar:
        findings = check_dataset(folder, found, height_and_width, bar.to)
    typer.echo(f"{folder}: {found}, for {size}\n\n{table(findings)}")
    for trouble, sentences in findings.troubles.items():
        if sentences:
            typer.echo(f"\n{len(sentences)} {trouble}")
            typer.echo("\n".join(f"  {sentence}" for sentence in sentences[:show]))
            if len(sentences) > show:
                typer.echo(f"  and {len(sentences) - show} more")
    if findings.to_make:
        typer.echo(
            f"\n{findings.to_make} label maps and keypoints have to be made: "
            f"python -m cli dataset prepare {folder} --model MODEL"
        )
    for warning in findings.warnings:
        typer.echo(f"\nWarning: {warning}")
    if not findings.good:
        raise typer.Exit(1)
    typer.echo("\nEverything can be used.")


@dataset_app.command("prepare")
def prepare_command(
    folder: Annotated[
        Path, typer.Argument(help="folder of your own pictures, see docs/training.md")
    ],
    model: Annotated[Path, typer.Option(help="model folder with the parser and pose network")],
    size: Annotated[
        str, typer.Option(help="HEIGHTxWIDTH at which the networks see the pictures")
    ] = "512x384",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps ...")] = "auto",
) -> None:
    """Make the label maps and keypoints that a folder lacks; exit code 1 if a picture shows nobody.

    They are written into labels/ and keypoints/ beside person/. Existing files are kept.
    """
    height_and_width = parse_size(size)
    if layout_of(folder) is not Layout.FOLDER:
        raise ValueError(
            f"{folder} is of layout {layout_of(folder)}, which has its own label maps."
        )
    person_networks = PersonNetworks(model, Variant.FULL_BODY, device=choose_device(device))
    failed: list[str] = []
    unprepared = _unprepared(folder)
    for pair in unprepared[:1]:
        check_target(label_map_of(pair.person))
        check_target(keypoints_of(pair.person))
    with Progress("picture", len(unprepared), title="prepare") as bar:
        for pair in bar.over(unprepared):
            try:
                prepare(pair, person_networks, height_and_width)
            except UnusableSample as error:
                failed.append(str(error))
    for sentence in failed:
        typer.echo(sentence, err=True)
    if failed:
        raise typer.Exit(1)


def prepare(pair: Pair, perception: Perception, size: tuple[int, int]) -> None:
    """Write the label map and the keypoints that a pair lacks. Raises UnusableSample."""
    labels, keypoints = perceive(pair, perception, size)
    if pair.labels is None:
        picture = Image.fromarray(labels).convert("P")
        picture.putpalette([level for colour in COLOURS.values() for level in colour])
        write_whole(label_map_of(pair.person), lambda path: picture.save(path, "PNG"))
    if pair.keypoints is None:
        height, width = labels.shape
        people = [Person(keypoints=keypoints, score=float(np.mean(keypoints[:, 2])))]
        write_whole(
            keypoints_of(pair.person),
            lambda path: save_people(path, people, height=height, width=width),
        )


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) of "HEIGHTxWIDTH". Raises ValueError for anything else."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise ValueError(f"A size must be HEIGHTxWIDTH such as 512x384, not '{text}'.")
    return int(sides[0]), int(sides[1])


def table(findings: Findings) -> str:
    """Format the number of good pairs, and of bad ones if any, by category, split and pairing."""
    groups = findings.pairs.keys()
    lists: list[tuple[Split, Pairing]] = [
        (split, pairing)
        for split in SPLITS
        for pairing in PAIRINGS
        if any((group.split, group.pairing) == (split, pairing) for group in groups)
    ]
    lines = [" " * 8 + "".join(f"{f'{split} {pairing}':>24}" for split, pairing in lists)]
    for category in Category:
        row = [Group(split=split, pairing=pairing, category=category) for split, pairing in lists]
        if any(group in groups for group in row):
            lines.append(f"{category:8}" + "".join(f"{_cell(findings, g):>24}" for g in row))
    return "\n".join(lines)


def _cell(findings: Findings, group: Group) -> str:
    bad = findings.bad[group]
    return f"{findings.pairs[group] - bad} pairs" + (f", {bad} bad" if bad else "")


def _unprepared(folder: Path) -> list[Pair]:
    pairs: list[Pair] = []
    for split in SPLITS:
        try:
            pairs += list_pairs(folder, Layout.FOLDER, split).pairs
        except FileNotFoundError:
            continue
    return [pair for pair in pairs if pair.labels is None or pair.keypoints is None]
