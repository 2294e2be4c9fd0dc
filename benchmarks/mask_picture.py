"""The picture of docs/masks.md: how mode `auto` goes from a flat garment to a mask.

    python -m benchmarks.mask_picture --out docs/masks.png

A line for each of three drawn people: the flat garment's outline with the levels measured in it,
the same levels on the person's joints, the mask (pink for the old garment, blue for what only the
new one needs), and the person in the new garment, which the mask has not seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ootd_core.categories import Category, Variant
from ootd_core.datasets.paper_dolls.sample import DollSample, draw_sample
from ootd_core.images.compositing import overlay_mask
from ootd_core.images.files import save_image
from ootd_core.masks.agnostic import MaskMode, agnostic_mask
from ootd_core.masks.garment_on_body import Trunk
from ootd_core.masks.garment_outline import garment_outline
from ootd_core.masks.garment_shape import ANKLES, KNEES, GarmentShape, garment_shape
from ootd_core.masks.limbs import BONES, Skeleton

Picture = NDArray[np.uint8]
DOLLS = ((37, Category.DRESS), (7, Category.LOWER), (50, Category.UPPER))
"""Seeds of people whose new garment is longer or wider than the old one."""
HEIGHT, WIDTH = 320, 240
LEVELS = (("shoulders", 0.0), ("hips", 1.0), ("knees", KNEES), ("ankles", ANKLES))
COLUMNS = ("flat garment", "on the joints", "mask", "not seen: the truth")
LINE, HEM, GROUND = (40, 150, 90), (220, 60, 30), (248, 248, 248)
GAP, TITLE = 6, 18


def main(
    out: Annotated[Path, typer.Option(help="PNG to write")] = Path("docs/masks.png"),
) -> None:
    """Draw the picture."""
    save_image(out, construction([draw_sample(s, height=HEIGHT, width=WIDTH, category=c)
                                  for s, c in DOLLS]))  # fmt: skip
    typer.echo(out)


def construction(dolls: list[DollSample]) -> Picture:
    """A line for each doll and a column for each of COLUMNS, uint8 RGB [H, W, 3]."""
    width = GAP + len(COLUMNS) * (WIDTH + GAP)
    sheet = Image.new("RGB", (width, TITLE + len(dolls) * (HEIGHT + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(COLUMNS):
        x = GAP + column * (WIDTH + GAP)
        draw.text((x + 2, 2), title, fill="black", font=ImageFont.load_default(12))
        for line, doll in enumerate(dolls):
            picture = Image.fromarray(_stages(doll)[column])
            sheet.paste(picture, (x, TITLE + line * (HEIGHT + GAP)))
    return np.asarray(sheet)


def _stages(doll: DollSample) -> tuple[Picture, ...]:
    outline = garment_outline(doll.garment)
    shape = garment_shape(outline, doll.category)
    made = agnostic_mask(
        doll.labels,
        doll.keypoints,
        category=doll.category,
        variant=Variant.FULL_BODY,
        mode=MaskMode.AUTO,
        garment=doll.garment,
    )
    masked = overlay_mask(doll.person, made.mask.astype(np.float32), made.new_garment)
    return _measured(outline, shape), _laid(doll, shape), masked, doll.truth


def _measured(outline: NDArray[np.bool_], shape: GarmentShape) -> Picture:
    """The outline with its levels, and its half widths as ticks."""
    zoom = min(0.82 * WIDTH / outline.shape[1], 0.9 * HEIGHT / outline.shape[0])
    size = (round(outline.shape[1] * zoom), round(outline.shape[0] * zoom))
    small = cv2.resize(outline.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    left, top = (WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2
    canvas = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
    canvas[top : top + size[1], left : left + size[0]][small] = (196, 204, 216)
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    span = shape.levels[-1] - shape.top

    def row(level: float) -> float:
        return top + size[1] * (level - shape.top) / span

    for name, level in LEVELS:
        if shape.top - 0.05 <= level <= shape.hem:
            _level_line(draw, [(8, row(level)), (WIDTH - 8, row(level))], name, LINE)
    end = row(float(shape.levels[-1])) - 1
    _level_line(draw, [(8, end), (WIDTH - 8, end)], f"hem {shape.hem:.2f}", HEM)
    torso = size[1] / span
    for level in np.linspace(shape.top + 0.15, float(shape.levels[-1]) - 0.05, 7):
        half = float(np.interp(level, shape.levels, shape.half_widths)) * torso
        y = row(float(level))
        draw.line([(WIDTH / 2 - half, y), (WIDTH / 2 + half, y)], fill=(120, 130, 150))
    return np.asarray(picture)


def _laid(doll: DollSample, shape: GarmentShape) -> Picture:
    """The person with joints, levels and hem."""
    skeleton = Skeleton.of(doll.keypoints, HEIGHT, WIDTH)
    trunk = Trunk.of(skeleton, doll.category)
    assert trunk is not None, "a doll's shoulders are in its picture"
    picture = Image.fromarray((0.5 * doll.person + 0.5 * 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for start, end in BONES:
        if skeleton.known[start] and skeleton.known[end]:
            bone = [tuple(skeleton.points[start]), tuple(skeleton.points[end])]
            draw.line(bone, fill=(90, 90, 100), width=2)

    def across(level: float) -> list[tuple[float, float]]:
        middle, direction = trunk.at(level)
        half = float(np.interp(level, shape.levels, shape.half_widths)) * trunk.torso
        ends = (middle - half * direction, middle + half * direction)
        return [(float(x), float(y)) for x, y in ends]

    for name, level in LEVELS:
        _level_line(draw, across(level), name, LINE)
    for level in np.linspace(shape.top, shape.hem, 24):
        for point in across(float(level)):
            draw.point(point, fill=(30, 120, 255))
            draw.ellipse([point[0] - 1, point[1] - 1, point[0] + 1, point[1] + 1], (30, 120, 255))
    _level_line(draw, across(shape.hem), "hem", HEM)
    return np.asarray(picture)


def _level_line(
    draw: ImageDraw.ImageDraw,
    ends: list[tuple[float, float]],
    name: str,
    colour: tuple[int, int, int],
) -> None:
    draw.line(ends, fill=colour, width=2)
    draw.text((4, ends[0][1] - 13), name, fill=colour, font=ImageFont.load_default(10))


if __name__ == "__main__":
    typer.run(main)
