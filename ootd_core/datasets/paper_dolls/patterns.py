"""Cloth: plain, stripes, checks, dots and prints, drawn on the canonical body's plane.

A pattern is one picture that covers the canonical body; every panel of a garment, flat or worn,
samples it at the same place, so both pictures show the same cloth. A period covers 1/11 of a body
height or more: two and a half cells of an autoencoder of factor 8 at 256 x 192, so that its latents
hold the pattern as a picture and not as a code within a cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Kind = Literal["plain", "stripes", "bars", "checks", "dots", "print"]
KINDS: tuple[Kind, ...] = ("plain", "stripes", "bars", "checks", "dots", "print")
KIND_CHANCES = (0.28, 0.18, 0.12, 0.14, 0.14, 0.14)
Emblem = Literal["heart", "star", "disc", "triangle", "cross"]
EMBLEMS: tuple[Emblem, ...] = ("heart", "star", "disc", "triangle", "cross")

PERIODS = (0.09, 0.15)
EMBLEM_RADIUS = 0.46  # in periods
PIXELS = 256  # per body height; the picture spans x in [-0.5, 0.5], y in [0, 1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """What is on the cloth. `period` is in body heights; `centre` is where a print sits."""

    kind: Kind
    ground: Colour
    figure: Colour
    period: float = 0.12
    phase: float = 0.0
    emblem: Emblem = "disc"
    centre: tuple[float, float] = (0.0, 0.32)


def random_colour(rng: np.random.Generator) -> Colour:
    """Draw a garment colour: mostly saturated, sometimes grey, black or white."""
    import cv2

    if rng.random() < 0.16:
        value = int(rng.choice([40, 90, 150, 235]))
        return value, value, value
    hue, saturation = rng.uniform(0, 180), rng.uniform(120, 230)
    pixel = np.array([[[hue, saturation, rng.uniform(90, 240)]]], np.uint8)
    red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]
    return int(red), int(green), int(blue)


def _contrast(a: Colour, b: Colour) -> float:
    return float(np.abs(np.subtract(a, b)).mean())


def random_pattern(rng: np.random.Generator, centre: tuple[float, float]) -> Pattern:
    """Draw a pattern whose figure stands out from its ground."""
    ground = random_colour(rng)
    figure = random_colour(rng)
    while _contrast(ground, figure) < 60:
        figure = random_colour(rng)
    return Pattern(
        kind=KINDS[int(rng.choice(len(KINDS), p=KIND_CHANCES))],
        ground=ground,
        figure=figure,
        period=rng.uniform(*PERIODS),
        phase=rng.uniform(0.0, 1.0),
        emblem=EMBLEMS[int(rng.integers(len(EMBLEMS)))],
        centre=centre,
    )


def _wave(period: float, phase: float) -> NDArray[np.floating]:
    """Return a soft-edged 0/1 wave over PIXELS positions."""
    position = np.arange(PIXELS, dtype=np.float32) / (period * PIXELS) + phase
    height = 0.5 - np.abs(position % 1.0 - 0.5) - 0.25
    return np.clip(height * period * PIXELS / 1.5 + 0.5, 0, 1)


def _dots(period: float, phase: float) -> NDArray[np.floating]:
    axis = (np.arange(PIXELS, dtype=np.float32) / (period * PIXELS) + phase) % 1.0 - 0.5
    distance = np.sqrt(axis[None, :] ** 2 + axis[:, None] ** 2) * period * PIXELS
    return np.clip((0.3 * period * PIXELS - distance) / 1.5 + 0.5, 0, 1)


def _emblem_outline(emblem: Emblem) -> NDArray[np.float64]:
    """Return the outline [N, 2] of an emblem within the unit circle."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    if emblem == "disc":
        return np.stack([np.cos(turn), np.sin(turn)], 1) * 0.85
    if emblem == "heart":
        x = 16 * np.sin(turn) ** 3
        y = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
        return np.stack([x, -y], 1) / 16
    if emblem == "cross":
        arm, half = 1.0, 0.36
        corner = [(half, -arm), (half, -half), (arm, -half), (arm, half), (half, half), (half, arm)]
        return np.array(corner + [(-x, -y) for x, y in corner], np.float64)
    corners = 3 if emblem == "triangle" else 5
    angle = np.arange(2 * corners) * np.pi / corners - np.pi / 2
    radius = np.where(np.arange(2 * corners) % 2 == 0, 1.0, 0.5 if corners == 3 else 0.45)
    return np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]


def draw_pattern(pattern: Pattern) -> NDArray[np.uint8]:
    """Return the cloth as uint8 RGB [PIXELS, PIXELS, 3]."""
    import cv2

    ground = np.array(pattern.ground, np.float32)
    cloth = np.empty((PIXELS, PIXELS, 3), np.uint8)
    cloth[:] = ground.astype(np.uint8)
    if pattern.kind == "plain":
        return cloth
    if pattern.kind == "print":
        centre = (np.array(pattern.centre) + (0.5, 0.0)) * PIXELS
        radius = EMBLEM_RADIUS * pattern.period * PIXELS
        outline = _emblem_outline(pattern.emblem) * radius + centre
        points = np.rint(outline * 16).astype(np.int32)
        cv2.fillPoly(cloth, [points], pattern.figure, cv2.LINE_AA, 4)
        return cloth
    difference = np.array(pattern.figure, np.float32) - ground
    if pattern.kind == "dots":
        share = _dots(pattern.period, pattern.phase)
        return (ground + share[..., None] * difference).astype(np.uint8)
    wave = _wave(pattern.period, pattern.phase)
    line = (ground + wave[:, None] * difference).astype(np.uint8)
    if pattern.kind == "stripes":
        cloth[:] = line[:, None]
    elif pattern.kind == "bars":
        cloth[:] = line[None, :]
    else:  # checks: two half-strength waves crossing
        share = (wave[:, None] + wave[None, :]) / 2
        cloth = (ground + share[..., None] * difference).astype(np.uint8)
    return cloth
