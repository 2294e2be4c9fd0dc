"""One setting over several values: a table, a JSON file and a plot, as in the paper's ablations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..checkpoints.writing import save_json
from .plots import curves
from .report import plain, table
from .scores import ALL, SetScores


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """The scores, by category and over all, at one value of the setting."""

    value: float
    scores: dict[str, SetScores]


def parse_values(text: str, name: str, *, least: float, most: float = math.inf) -> list[float]:
    """Read numbers between commas, in rising order, each once.

    Raises ValueError if there are none, one is no number, or one lies outside least to most.
    """
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError as error:
        raise ValueError(
            f"{name} must be numbers with commas between them, such as 1,1.5,2, not '{text}'."
        ) from error
    wrong = [value for value in values if not (math.isfinite(value) and least <= value <= most)]
    if wrong:
        limit = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
        raise ValueError(f"{name} must be {limit}, not {wrong[0]:g}.")
    return values


def sweep_table(setting: str, points: Sequence[Point]) -> str:
    """Format the overall figures, a line a value."""
    return table({f"{point.value:g}": point.scores[ALL] for point in points}, head=setting)


def write_sweep(
    folder: Path, name: str, setting: str, points: Sequence[Point], head: Mapping[str, Any]
) -> None:
    """Write NAME.json and NAME.png into a folder. head: how the figures came about."""
    content = [
        {setting: point.value, **{kind: asdict(one) for kind, one in point.scores.items()}}
        for point in points
    ]
    save_json(folder / f"{name}.json", plain({**head, "points": content}))
    curves(
        folder / f"{name}.png",
        setting,
        [point.value for point in points],
        [point.scores[ALL] for point in points],
        name,
    )
