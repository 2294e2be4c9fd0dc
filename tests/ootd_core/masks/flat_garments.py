"""Flat garments drawn by hand: tests can say how wide and long they are."""

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
RED: Colour = (190, 40, 60)
CENTRE, TOP = 192, 60  # of a picture of 512x384


def ground(colour: Colour = WHITE, *, fade: float = 0.0, noise: float = 0.0) -> NDArray[np.uint8]:
    """uint8 [512, 384, 3]; `fade`: levels by which the right and lower side are darker."""
    y, x = np.mgrid[0:512, 0:384]
    level = np.array(colour, np.float64) - fade * (x / 384 + y / 512)[..., None] / 2
    level += np.random.default_rng(0).normal(0, noise, (512, 384, 1))
    return np.clip(level, 0, 255).astype(np.uint8)


def fill(picture: NDArray[np.uint8], points: list[tuple[float, float]], colour: Colour) -> None:
    cv2.fillPoly(picture, [np.array(points, np.int32)], colour)


def top(
    on: NDArray[np.uint8] | None = None,
    *,
    length: int = 200,
    waist: int = 100,
    chest: int = 118,
    hem: int = 118,
    sleeve: int = 0,
    colour: Colour = RED,
) -> NDArray[np.uint8]:
    """A shirt or, if long, a dress whose waist is at 130 below its top. sleeve: its length along an
    arm that stands out by 45 degrees; widths and lengths in pixels."""
    picture = ground() if on is None else on.copy()
    shoulder = TOP + 12
    right = [
        (CENTRE + 30, TOP), (CENTRE + chest / 2, shoulder), (CENTRE + chest / 2, TOP + 60),
        (CENTRE + waist / 2, TOP + 130), (CENTRE + hem / 2, TOP + length),
    ]  # fmt: skip
    left = [(2 * CENTRE - x, y) for x, y in reversed(right)]
    neck = [(CENTRE - 20, TOP + 20), (CENTRE + 20, TOP + 20)]
    fill(picture, [*right, *left, *neck], colour)
    if sleeve:
        along = sleeve / 2**0.5
        for side in (-1, 1):
            x = CENTRE + side * (chest / 2 - 14)
            start, end = (x, shoulder + 14), (x + side * along, shoulder + 14 + along)
            points = np.array([start, end], np.int32)
            cv2.polylines(picture, [points], False, colour, 30)
    return picture


def trousers(*, length: int = 330, waist: int = 104, colour: Colour = RED) -> NDArray[np.uint8]:
    picture = ground()
    low = TOP + length
    outer = [(CENTRE - waist / 2, TOP), (CENTRE + waist / 2, TOP)]
    seat = min(TOP + 110, low - 20)
    fill(
        picture,
        [
            *outer,
            (CENTRE + 62, seat),
            (CENTRE + 60, low),
            (CENTRE + 14, low),
            (CENTRE, seat),
            (CENTRE - 14, low),
            (CENTRE - 60, low),
            (CENTRE - 62, seat),
        ],
        colour,
    )
    return picture


def skirt(*, length: int = 180, waist: int = 90, hem: int = 200) -> NDArray[np.uint8]:
    picture = ground()
    corners = [(waist / 2, TOP), (hem / 2, TOP + length)]
    right = [(CENTRE + x, y) for x, y in corners]
    fill(picture, [*right, *[(2 * CENTRE - x, y) for x, y in reversed(right)]], RED)
    return picture
