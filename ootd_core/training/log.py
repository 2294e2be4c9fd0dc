"""The log of a training: one CSV line for each logged step.

A killed run may have logged steps after its last state, and may have left its last line unfinished.
`forget_after` removes both, so that a resumed run's log is that of an uninterrupted one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from ..checkpoints.writing import write_whole


class Log:
    """A CSV file with a header; its first column is the step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Mapping[str, float]) -> None:
        """Add a line; the first one decides the columns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not self.path.exists()
        line = io.StringIO(newline="")
        writer = csv.writer(line, lineterminator="\n")
        if fresh:
            writer.writerow(row)
        writer.writerow([f"{value:.9g}" for value in row.values()])
        with self.path.open("a", newline="") as file:
            file.write(line.getvalue())

    def rows(self) -> list[dict[str, float]]:
        """Return the complete lines, by column; empty if there is no log."""
        if not self.path.is_file():
            return []
        with self.path.open(newline="") as file:
            lines = list(csv.reader(file.read().splitlines(keepends=True)))
        whole = [line for line in lines[1:] if len(line) == len(lines[0])]
        return [dict(zip(lines[0], map(float, line), strict=True)) for line in whole]

    def forget_after(self, step: int) -> None:
        """Remove the lines of later steps and an unfinished last line."""
        if not self.path.is_file():
            return
        text = self.path.read_text()
        lines = text.splitlines(keepends=True)
        kept = lines[:1] + [line for line in lines[1:] if self._is_whole(line, lines[0], step)]
        if not lines or not lines[0].endswith("\n") or len(kept) == 1:
            self.path.unlink()
        elif kept != lines:
            write_whole(self.path, lambda temporary: temporary.write_text("".join(kept)))

    @staticmethod
    def _is_whole(line: str, head: str, step: int) -> bool:
        ends = line.endswith("\n") and line.count(",") == head.count(",")
        return ends and int(line.split(",")[0]) <= step
