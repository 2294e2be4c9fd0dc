"""The photograph of docs/masks.md: masks of an astronaut with nothing but BlazePose.

    python -m benchmarks.astronaut_masks --blazepose checkpoints --out docs/astronaut_masks.jpg

The photograph shows Eileen Collins (NASA, public domain); scikit-image brings it. `python -m cli
download --part blazepose --to checkpoints` gets BlazePose.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ootd_core.categories import Category
from ootd_core.images.compositing import overlay_mask
from ootd_core.images.files import save_image
from tryon import TryOn
from tryon.preparation import PoseNetwork

SIDE, GAP, TITLE, QUALITY = 256, 6, 18, 85


def main(
    blazepose: Annotated[Path, typer.Option(help="folder that BlazePose was downloaded to")],
    out: Annotated[Path, typer.Option(help="picture to write")] = Path("docs/astronaut_masks.jpg"),
) -> None:
    """Draw the picture."""
    from skimage.data import astronaut

    tryon = TryOn.from_pretrained(blazepose, pose_network=PoseNetwork.BLAZEPOSE, only_masks=True)
    save_image(out, masks_of(tryon, np.asarray(astronaut(), np.uint8)), quality=QUALITY)
    typer.echo(out)


def masks_of(tryon: TryOn, photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A square photograph [H, W, 3] and its mask for each category, side by side [h, w, 3]."""
    shown = {"photograph": photograph}
    for category in Category:
        mask = np.asarray(tryon.mask(photograph, category).mask, np.float32) / np.float32(255)
        shown[category.value] = overlay_mask(photograph, mask)
    sheet = Image.new("RGB", (GAP + len(shown) * (SIDE + GAP), TITLE + SIDE + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (title, picture) in enumerate(shown.items()):
        x = GAP + column * (SIDE + GAP)
        draw.text((x + 2, 2), title, fill="black", font=ImageFont.load_default(12))
        sheet.paste(
            Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (x, TITLE)
        )
    return np.asarray(sheet, np.uint8)


if __name__ == "__main__":
    typer.run(main)
