"""Curves of a training: a PNG, and TensorBoard if it is installed."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.writing import write_whole

logger = logging.getLogger(__name__)
WINDOW = 50
"""Logged steps in the rolling mean: the loss of one batch says little."""


def rolling_mean(values: Sequence[float], window: int = WINDOW) -> NDArray[np.float64]:
    """Return the mean of each value and of up to `window` - 1 before it."""
    total = np.cumsum([0.0, *values])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - window, 0)
    return (total[ends] - total[begins]) / (ends - begins)


def draw_curves(
    path: Path, rows: Sequence[Mapping[str, float]], checks: Sequence[Mapping[str, float]]
) -> None:
    """Write a PNG: loss and error with their rolling means; below, the PSNR of the validations.

    rows: of the log, each with "step", "loss" and perhaps "error". checks: of the validations, each
    with "step" and "psnr"; none leaves their panel out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(8, 6 if checks else 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2 if checks else 1, 1, squeeze=False)[:, 0]
    steps = [row["step"] for row in rows]
    for name, colour in (("loss", "tab:blue"), ("error", "tab:orange")):
        values = [row[name] for row in rows if name in row]
        if len(values) == len(steps):
            panels[0].plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            panels[0].plot(steps, rolling_mean(values), color=colour, label=f"{name}, rolling mean")
    panels[0].set(xlabel="step", yscale="log")
    panels[0].legend()
    if checks:
        panels[1].plot(
            [check["step"] for check in checks], [check["psnr"] for check in checks], marker="o"
        )
        panels[1].set(xlabel="step", ylabel="PSNR inside the mask, dB")
    write_whole(path, lambda temporary: figure.savefig(temporary, format="png", dpi=100))


class TensorBoard:
    """Writes figures for TensorBoard; logs a warning and does nothing if it is not installed."""

    def __init__(self, folder: Path) -> None:
        self._writer: Any = None
        if importlib.util.find_spec("tensorboard") is None:
            logger.warning("TensorBoard is not installed: there are curves as CSV and PNG only.")
            return
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def add(self, group: str, step: int, figures: Mapping[str, float]) -> None:
        """Add figures of a step, shown as `group`/name."""
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
