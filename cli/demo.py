"""`python -m cli demo`: the mini checkpoint dresses the bundled people; one picture to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from cli.places import DEMO_RESULT, MINI_MODEL, SAMPLES
from cli.studio import DressOptions, Picture, Studio
from cli.tryon import choose_device, save_picture
from ootd_core.categories import Category, Variant
from ootd_core.images.files import load_image
from ootd_core.masks.agnostic import MaskMode
from ootd_core.masks.morphology import SoftMask

COLUMNS = ("person", "garment", "mask", "try-on", "truth")
GAP, TITLE = 8, 24
MASK_COLOUR = (255, 0, 80)


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSample:
    """Pictures of one line of the contact sheet, from NAME-category-*.png."""

    name: str
    category: Category
    person: Picture
    garment: Picture
    truth: Picture


def demo_command(
    out: Annotated[Path, typer.Option(help="where the contact sheet goes")] = DEMO_RESULT,
    steps: Annotated[int, typer.Option(min=1)] = 20,
    guidance: float = 2.0,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Dress the bundled drawn people and write a contact sheet."""
    studio = Studio(MINI_MODEL, Variant.FULL_BODY, device=choose_device(device))
    # Whole limbs are hidden, so that a longer garment than the old one has room.
    options = DressOptions(
        steps=steps, guidance=guidance, seed=seed, mask_mode=MaskMode.HIDE_OLD_GARMENT
    )
    lines: list[list[Picture]] = []
    for sample in tqdm(load_samples(SAMPLES), unit="person", disable=None):
        dressed = studio.dress(sample.person, sample.garment, sample.category, options)
        shown = overlay(sample.person, dressed.mask)
        lines.append([sample.person, sample.garment, shown, dressed.pictures[0], sample.truth])
    save_picture(out, contact_sheet(lines))
    for stage, seconds in studio.stopwatch.seconds.items():
        typer.echo(f"{stage:>16}: {seconds:6.1f} s")
    typer.echo(f"{len(lines)} people dressed; the contact sheet is {out.resolve()}")


def load_samples(folder: Path) -> list[DemoSample]:
    """Read the bundled samples in order of their names. Raises FileNotFoundError if none are."""
    samples: list[DemoSample] = []
    for path in sorted(folder.glob("*-person.png")):
        stem = path.name.removesuffix("-person.png")
        name, category = stem.rsplit("-", 1)
        samples.append(
            DemoSample(
                name=name,
                category=Category(category),
                person=load_image(path),
                garment=load_image(folder / f"{stem}-garment.png"),
                truth=load_image(folder / f"{stem}-truth.png"),
            )
        )
    if not samples:
        raise FileNotFoundError(f"There are no demo pictures in {folder}: clone the project again.")
    return samples


def overlay(picture: Picture, mask: SoftMask) -> Picture:
    """Return the picture with the mask [H,W] shown half transparent."""
    share = 0.5 * mask[..., None]
    return np.round((1 - share) * picture + share * np.array(MASK_COLOUR)).astype(np.uint8)


def contact_sheet(lines: list[list[Picture]], columns: tuple[str, ...] = COLUMNS) -> Picture:
    """Lay pictures of one size out in lines under column titles: uint8 [H,W,3]."""
    height, width = lines[0][0].shape[:2]
    sheet = Image.new(
        "RGB",
        (GAP + len(columns) * (width + GAP), TITLE + len(lines) * (height + GAP)),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(columns):
        x = GAP + column * (width + GAP)
        draw.text((x + 4, 3), title, fill="black", font=ImageFont.load_default(16))
        for line, pictures in enumerate(lines):
            sheet.paste(Image.fromarray(pictures[column]), (x, TITLE + line * (height + GAP)))
    return np.asarray(sheet)
