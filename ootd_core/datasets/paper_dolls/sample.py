"""One sample: a person, a garment, and the true picture of that person in that garment."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...categories import Category
from .body import random_build, random_pose
from .garments import Garment, random_garment
from .patterns import Colour
from .picture import DollPerson, Hair, draw_background, draw_garment, draw_person

CATEGORIES = tuple(Category)
SKINS: tuple[Colour, ...] = (
    (246, 214, 190), (231, 190, 160), (214, 166, 130), (180, 128, 94), (138, 92, 66), (96, 64, 48),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (40, 30, 28),
    (90, 58, 36),
    (190, 150, 90),
    (150, 62, 40),
    (170, 170, 170),
)
STYLES: tuple[Hair, ...] = ("none", "short", "bob", "long")


@dataclass(frozen=True, kw_only=True, slots=True)
class DollSample:
    """A drawn person, a garment, and everything known about them.

    person, garment, truth: uint8 RGB [H, W, 3]. labels, truth_labels: uint8 [H, W], the label maps
    of person and truth. keypoints: float32 [18, 3], rows (x, y, confidence), confidence 0 outside
    the picture.
    """

    seed: int
    category: Category
    person: NDArray[np.uint8]
    garment: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    truth_labels: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    kind: str


def category_of(seed: int) -> Category:
    """Return the category that `draw_sample` chooses for a seed, without drawing."""
    return _category(np.random.default_rng(seed))


def draw_sample(
    seed: int, *, height: int = 256, width: int = 192, category: Category | None = None
) -> DollSample:
    """Draw the sample of a seed (any non-negative integer); the same seed is the same sample.

    Without a category the seed chooses one.
    """
    rng = np.random.default_rng(seed)
    chosen = _category(rng)
    category = category or chosen
    person = random_person(rng, category)
    if category is Category.DRESS and rng.random() < 0.7:
        outfit = (random_garment(rng, Category.DRESS),)
    else:
        outfit = (random_garment(rng, Category.LOWER), random_garment(rng, Category.UPPER))
    garment = random_garment(rng, category)
    before = draw_person(person, outfit, height=height, width=width)
    after = draw_person(person, changed(outfit, garment), height=height, width=width)
    return DollSample(
        seed=seed,
        category=category,
        person=before.image,
        garment=draw_garment(garment, height=height, width=width),
        truth=after.image,
        labels=before.labels,
        truth_labels=after.labels,
        keypoints=before.keypoints,
        kind=garment.pattern.kind,
    )


def draw_nobody(seed: int, *, height: int, width: int) -> NDArray[np.uint8]:
    """Draw a picture uint8 [H, W, 3] without a person: an empty wall or a flat garment."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.5:
        return draw_background((_pastel(rng), _pastel(rng)), height, width)
    category = _category(rng)
    return draw_garment(random_garment(rng, category), height=height, width=width)


def changed(outfit: tuple[Garment, ...], garment: Garment) -> tuple[Garment, ...]:
    """Return the outfit with the garment of that category exchanged; a dress replaces all."""
    if garment.category is Category.DRESS:
        return (garment,)
    return tuple(garment if worn.category is garment.category else worn for worn in outfit)


def random_person(rng: np.random.Generator, category: Category) -> DollPerson:
    """Draw a person: build, pose, looks, background and framing."""
    shade = rng.uniform(0.9, 1.05)
    skin = SKINS[int(rng.integers(len(SKINS)))]
    person = DollPerson(
        build=random_build(rng),
        pose=random_pose(rng),
        skin=_rgb(tuple(min(255.0, shade * value) for value in skin)),
        hair_colour=HAIRS[int(rng.integers(len(HAIRS)))],
        hair=STYLES[int(rng.choice(4, p=[0.1, 0.4, 0.25, 0.25]))],
        shoes=_rgb(rng.uniform(30, 200, 3)),
        background=(_pastel(rng), _pastel(rng)),
    )
    if category is Category.UPPER and rng.random() < 0.4:  # a half-body picture
        scale, top = rng.uniform(1.2, 1.6), rng.uniform(-0.02, 0.05)
    else:
        scale = rng.uniform(0.86, 0.98)
        top = rng.uniform(0.0, 0.97 - 0.97 * scale) if scale < 0.97 else 0.0
    sideways = rng.uniform(-0.035, 0.035) + (rng.choice([-0.14, 0.14]) * (rng.random() < 0.07))
    return replace(person, scale=scale, offset=(0.375 + sideways, top))


def _category(rng: np.random.Generator) -> Category:
    return CATEGORIES[int(rng.integers(3))]


def _rgb(values: Iterable[float]) -> Colour:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def _pastel(rng: np.random.Generator) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.25), rng.uniform(0.7, 1))
    return _rgb((255 * red, 255 * green, 255 * blue))
