"""How far a long command is: a bar on a terminal, and a line now and then where there is none.

In a log file or under a scheduler a bar is noise and silence looks like a crash. There a line is
written every half minute, by a thread of its own, so that it comes however long a step takes.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

INTERVAL = 30.0
"""Seconds from one line to the next; a shorter command writes none."""
Item = TypeVar("Item")


class Progress:
    """Counts `unit`s done, as a context; on standard error."""

    def __init__(
        self,
        unit: str,
        total: int | None = None,
        *,
        title: str = "",
        silent: bool = False,
        interval: float = INTERVAL,
    ) -> None:
        """total: None is not known yet. silent: shows nothing. interval: seconds between lines."""
        self.unit = unit
        self.total = total
        self.title = title
        self.done = 0
        self._note = ""
        self._interval = interval
        self._shows_bar = not silent and sys.stderr.isatty()
        self._shows_lines = not silent and not sys.stderr.isatty()
        self._bar: Any = None
        self._lines = 0
        self._started = self._counted_from = time.monotonic()
        self._first = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, done: int, total: int) -> None:
        """Say how many there are and how many of them an earlier run has done."""
        self.done = self._first = done
        self.total = total
        self._counted_from = time.monotonic()
        if self._bar is not None:
            self._bar.reset(total)
            self._bar.initial = self._bar.n = done
            self._bar.refresh()

    def update(self, count: int = 1, note: str = "") -> None:
        """Count some more. note: what to say of the last one."""
        self.to(self.done + count, note=note)

    def to(self, done: int, total: int | None = None, note: str = "") -> None:
        """Set how many are done and, if it is known by now, of how many."""
        if self._bar is not None:
            if total is not None:
                self._bar.total = total
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self.done)
        self.done, self.total, self._note = done, total or self.total, note or self._note

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items and count each when the next one is asked for."""
        for item in items:
            yield item
            self.update()

    def line(self) -> str:
        """Return what is known now, such as `train: 12 of 400 steps in 0:01:02, 0:33:00 left`."""
        head = f"{self.title}: " if self.title else ""
        spent = time.monotonic() - self._started
        if self.total is None and not self.done:
            return f"{head}getting ready, {clock(spent)}"
        many = f"{self.done:,}" if self.total is None else f"{self.done:,} of {self.total:,}"
        text = f"{head}{many} {self.unit}s in {clock(spent)}"
        new = self.done - self._first
        if self.total is not None and new and self.done < self.total:
            left = (time.monotonic() - self._counted_from) / new * (self.total - self.done)
            text += f", {clock(left)} left"
        return f"{text}, {self._note}" if self._note else text

    def __enter__(self) -> Self:
        if self._shows_bar:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.total,
                desc=self.title or None,
                unit="B" if self.unit == "byte" else self.unit,
                unit_scale=self.unit == "byte",
            )
        elif self._shows_lines:
            self._thread = threading.Thread(target=self._write_lines, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._bar is not None:
            self._bar.close()
        if self._thread is not None:
            self._thread.join()
            if self._lines:  # whoever has read that it began reads where it ended
                self._write()

    def _write_lines(self) -> None:
        while not self._ended.wait(self._interval):
            self._lines += 1
            self._write()

    def _write(self) -> None:
        print(self.line(), file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
