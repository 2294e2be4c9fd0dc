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


def parse_values(text: str, name: str, *, minimum: float, maximum: float = math.inf) -> list[float]:
    """Read numbers separated by commas, and return them sorted, each once.

    name: of the values, for the error. Raises ValueError if there are none, one is not a number, or
    one is not from `minimum` to `maximum`.
    """
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError as error:
        raise ValueError(
            f"{name} must be numbers separated by commas, such as 1,1.5,2, not '{text}'."
        ) from error
    wrong = [
        value for value in values if not (math.isfinite(value) and minimum <= value <= maximum)
    ]
    if wrong:
        limit = f"{minimum:g} or more" if maximum == math.inf else f"{minimum:g} to {maximum:g}"
        raise ValueError(f"{name} must be {limit}, not {wrong[0]:g}.")
    return values


def sweep_table(setting: str, points: Sequence[Point]) -> str:
    """Format the overall figures, one line for each value."""
    return table({f"{point.value:g}": point.scores[ALL] for point in points}, head=setting)


def write_sweep(
    folder: Path, name: str, setting: str, points: Sequence[Point], head: Mapping[str, Any]
) -> None:
    """Write NAME.json and NAME.png into a folder. head: see `report.head`."""
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
