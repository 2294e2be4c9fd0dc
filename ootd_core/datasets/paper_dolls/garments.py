"""Cuts of garments as panels on the canonical body.

A panel belongs to one part of the body and follows it into any pose. The flat picture lays the
same panels out on the canonical body, whose arms stand away from the torso.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...categories import Category
from ...masks.labels import Label
from .body import ANKLE, CANONICAL_JOINTS, ELBOW, HIP, KNEE, SHOULDER, SIDES, WRIST, Points, Side
from .canvas import capsule
from .patterns import Pattern, random_pattern

CHEST, THIGH = (0.0, 0.325), (-0.075, 0.60)
SKIRT_FRONT = (0.0, 0.585)


@dataclass(frozen=True, kw_only=True, slots=True)
class Garment:
    """One garment: its cut and its cloth.

    sleeves: 0 none, 1 to the elbow, 2 to the wrist. legs: likewise, 1 to the knee, 2 to the ankle;
    0 for a skirt or a garment without legs. hem: height of the lower edge on the canonical body
    (body heights from the top of the picture). ease: width relative to a close fit. flare: how much
    a skirt widens per body height. neckline: depth of the neck opening in body heights.
    """

    category: Category
    pattern: Pattern
    sleeves: float = 0.0
    legs: float = 0.0
    hem: float = 0.5
    ease: float = 1.0
    flare: float = 0.0
    neckline: float = 0.03
    pointed: bool = False

    @property
    def label(self) -> Label:
        """The label map's value for this garment."""
        if self.category is Category.UPPER:
            return Label.UPPER_CLOTHES
        if self.category is Category.DRESS:
            return Label.DRESS
        return Label.PANTS if self.legs > 0 else Label.SKIRT


@dataclass(frozen=True, slots=True)
class Panel:
    """A piece of cloth: the body part that carries it and its outline [N, 2], in body heights."""

    part: str
    outline: Points


def random_garment(rng: np.random.Generator, category: Category) -> Garment:
    """Draw a cut and a cloth of the category."""
    sleeves = float(rng.choice([0.0, 0.55, 0.95, 1.92], p=[0.2, 0.3, 0.15, 0.35]))
    ease, neckline = rng.uniform(0.98, 1.16), rng.uniform(0.015, 0.065)
    pointed = bool(rng.random() < 0.35)
    if category is Category.UPPER:
        return Garment(
            category=category,
            pattern=random_pattern(rng, CHEST),
            hem=rng.uniform(0.475, 0.56),
            sleeves=sleeves,
            ease=ease,
            neckline=neckline,
            pointed=pointed,
        )
    if category is Category.DRESS:
        return Garment(
            category=category,
            pattern=random_pattern(rng, CHEST),
            hem=rng.uniform(0.64, 0.86),
            flare=rng.uniform(0.15, 0.5),
            sleeves=sleeves,
            ease=ease,
            neckline=neckline,
            pointed=pointed,
        )
    if rng.random() < 0.35:
        return Garment(
            category=category,
            pattern=random_pattern(rng, SKIRT_FRONT),
            hem=rng.uniform(0.63, 0.84),
            flare=rng.uniform(0.12, 0.45),
        )
    return Garment(
        category=category,
        pattern=random_pattern(rng, THIGH),
        legs=float(rng.choice([0.6, 0.95, 1.5, 1.95], p=[0.2, 0.2, 0.1, 0.5])),
        ease=rng.uniform(0.95, 1.25),
    )


def panels(garment: Garment) -> list[Panel]:
    """Return the panels of a garment, back to front; the sleeves come last."""
    if garment.category is Category.LOWER:
        return [*_trousers(garment)] if garment.legs > 0 else [_skirt(garment)]
    skirt = [_skirt(garment)] if garment.category is Category.DRESS else []
    return [*skirt, _bodice(garment), *_sleeves(garment)]


def _bodice(garment: Garment) -> Panel:
    ease = garment.ease
    hem = min(garment.hem, 0.5)
    right_half = [(-0.102, 0.2), (-0.092 * ease, 0.28), (-0.078 * ease, 0.4)]
    if garment.category is Category.DRESS:
        below = [(-0.076 * ease, 0.48)]
    else:
        below = [(-0.084 * ease, hem), (-0.09 * ease, max(garment.hem, hem + 0.005))]
    side = right_half + below
    if garment.pointed:
        opening = [(0.042, 0.188), (0.0, 0.188 + 1.4 * garment.neckline), (-0.042, 0.188)]
    else:
        turn = np.linspace(0, np.pi, 9)
        dip = 0.188 + garment.neckline * np.sin(turn)
        opening = list(zip(0.045 * np.cos(turn), dip, strict=True))
    mirrored = [(-x, y) for x, y in reversed(side)]
    return Panel("torso", np.array(side + mirrored + opening, np.float32))


def _skirt(garment: Garment) -> Panel:
    top = 0.465
    hem_width = 0.094 + garment.flare * (garment.hem - 0.53)
    waist = 0.074 * garment.ease
    half = [(-waist, top), (-max(waist, 0.092), 0.53), (-hem_width, garment.hem)]
    return Panel("pelvis", np.array(half + [(-x, y) for x, y in reversed(half)], np.float32))


def _trousers(garment: Garment) -> list[Panel]:
    wide = 0.062 + 0.044 * garment.ease
    half = [(-0.074, 0.465), (-0.09, 0.51), (-wide, 0.575), (-0.02, 0.59)]
    seat = Panel("pelvis", np.array(half + [(-x, y) for x, y in reversed(half)], np.float32))
    legs: list[Panel] = []
    for side in SIDES:
        chain = (HIP[side], KNEE[side], ANKLE[side])
        widths = (0.047 * garment.ease, 0.039 * garment.ease, 0.031 * garment.ease)
        legs += _tube(side, ("thigh", "shin"), chain, widths, garment.legs, root=0.3)
    return [*legs, seat]


def _sleeves(garment: Garment) -> list[Panel]:
    tubes: list[Panel] = []
    for side in SIDES:
        chain = (SHOULDER[side], ELBOW[side], WRIST[side])
        widths = (0.035 * garment.ease, 0.030 * garment.ease, 0.026 * garment.ease)
        tubes += _tube(side, ("upper_arm", "forearm"), chain, widths, garment.sleeves, root=0.0)
    return tubes


def _tube(
    side: Side,
    parts: tuple[str, str],
    chain: tuple[int, int, int],
    widths: tuple[float, float, float],
    length: float,
    *,
    root: float,
) -> list[Panel]:
    """Clothe a limb; `length` counts segments (1.5: half of the second), and the share `root` of
    the first segment is left to the panel above."""
    tubes: list[Panel] = []
    for index, part in enumerate(parts):
        share = min(length - index, 1.0)
        if share <= 0:
            break
        joint, end = CANONICAL_JOINTS[chain[index]], CANONICAL_JOINTS[chain[index + 1]]
        start = joint + (root if index == 0 else 0.0) * (end - joint)
        end_width = widths[index] + share * (widths[index + 1] - widths[index])
        outline = capsule(start, joint + share * (end - joint), widths[index], end_width)
        if share < 1.0 or index == 1:  # cut straight where the cloth ends
            outline = np.concatenate([outline[:10], outline[-1:]])
        tubes.append(Panel(f"{side}_{part}", outline))
    return tubes
