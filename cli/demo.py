"""`python -m cli demo`: the mini checkpoint dresses the bundled people; one picture to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cli.options import SpeedOption, StepsOption
from cli.progress import Progress
from ootd_core.categories import Category
from ootd_core.checkpoints.acceleration import AUTO, choose_dtype
from ootd_core.checkpoints.catalogue import DEMO_SAMPLES
from ootd_core.checkpoints.networks import DTYPES, choose_device
from ootd_core.images.compositing import overlay_mask
from ootd_core.images.files import check_targets, load_image, save_image
from ootd_core.sampling import Speed, sampling_of
from tryon import TryOn, TryOnOptions

Picture = NDArray[np.uint8]
DEMO_RESULT = Path("output") / "demo.png"
COLUMNS = ("person", "garment", "mask", "try-on", "truth")
GAP, TITLE = 8, 24


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
    speed: SpeedOption = Speed.FAST,
    steps: StepsOption = None,
    guidance: float = 2.0,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Dress the bundled drawn people and write a contact sheet."""
    check_targets([out])
    device = choose_device(device)
    tryon = TryOn.from_pretrained().to(device, DTYPES[choose_dtype(AUTO, device)])
    options = TryOnOptions(**sampling_of(speed, steps), guidance_scale=guidance, seed=seed)
    lines: list[list[Picture]] = []
    seconds: dict[str, float] = {}
    samples = load_samples(DEMO_SAMPLES)
    with Progress("picture", len(samples), title="demo") as bar:
        for sample in bar.over(samples):
            result = tryon(sample.person, sample.garment, sample.category, options=options)
            hidden = np.asarray(result.mask, np.float32) / np.float32(255)
            masked = overlay_mask(sample.person, hidden)
            dressed = np.asarray(result.images[0])
            lines.append([sample.person, sample.garment, masked, dressed, sample.truth])
            for stage, spent in result.seconds.items():
                seconds[stage] = seconds.get(stage, 0.0) + spent
    save_image(out, contact_sheet(lines))
    for stage, spent in seconds.items():
        typer.echo(f"{stage:>16}: {spent:6.1f} s")
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
