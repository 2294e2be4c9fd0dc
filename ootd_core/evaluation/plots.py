"""Charts of the figures: bars by category, curves over a setting; one small chart for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints.writing import write_whole
from .report import Column, measured
from .scores import SetScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
CHART_SIZE = (3.6, 2.8)
"""Inches."""
DPI = 120


def bars(path: Path, groups: Mapping[str, Mapping[str, SetScores]], title: str) -> None:
    """Write a PNG with a chart for each figure: a bar per category, the groups side by side."""
    columns = charted([row for rows in groups.values() for row in rows.values()])
    figure, charts = sheet(len(columns), title)
    names = list(dict.fromkeys(name for rows in groups.values() for name in rows))
    width = 0.8 / len(groups)
    for column, chart in zip(columns, charts, strict=True):
        for number, (group, rows) in enumerate(groups.items()):
            places = [place + width * number for place in range(len(names))]
            heights = [height(rows[name], column) if name in rows else 0.0 for name in names]
            chart.bar(places, heights, width, label=group)
        middle = width * (len(groups) - 1) / 2
        chart.set_xticks([place + middle for place in range(len(names))], names)
        finish(chart, column)
    if len(groups) > 1:
        figure.legend(*charts[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    save(figure, path)


def curves(
    path: Path, setting: str, values: Sequence[float], rows: Sequence[SetScores], title: str
) -> None:
    """Write a PNG with a chart for each figure: its curve over the values of a setting."""
    columns = charted(list(rows))
    figure, charts = sheet(len(columns), title)
    for column, chart in zip(columns, charts, strict=True):
        chart.plot(values, [height(row, column) for row in rows], marker="o")
        chart.set_xlabel(setting)
        finish(chart, column)
    save(figure, path)


def charted(rows: list[SetScores]) -> list[Column]:
    """Return the columns that get a chart: all that were measured, but the number of pictures."""
    return [column for column in measured(rows) if column.key != "pictures"]


def height(row: SetScores, column: Column) -> float:
    value = getattr(row, column.key)
    return float(value) if value is not None and math.isfinite(value) else math.nan


def sheet(count: int, title: str) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its `count` charts."""
    from matplotlib.figure import Figure

    columns, rows = min(COLUMNS, count), math.ceil(count / COLUMNS)
    figure = Figure(
        figsize=(CHART_SIZE[0] * columns, CHART_SIZE[1] * rows + 0.4), layout="constrained"
    )
    figure.suptitle(title)
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(count)]


def finish(chart: Axes, column: Column) -> None:
    chart.set_title(column.meaning, fontsize="medium")
    chart.grid(axis="y", alpha=0.3)


def save(figure: Figure, path: Path) -> None:
    write_whole(path, lambda temporary: figure.savefig(temporary, format="png", dpi=DPI))
