"""A worker without networks, also in other processes: what a row's name says is done."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from catalogue import local
from catalogue.engine import Finished, RowState, RowTask, WorkerSettings

SERVE = local._serve  # pyright: ignore[reportPrivateUsage]


class StubWorker:
    """Stands for `Worker`."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.batch = 2
        if settings.weights == "bad":
            raise ValueError("The networks are bad.")

    def run(self, tasks: list[RowTask]) -> Iterator[Finished]:
        for task in tasks:
            name = task.row.name
            if name.startswith("kill") and (
                name.endswith("always") or not Path(self.settings.out, name).exists()
            ):
                Path(self.settings.out, name).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "full":
                raise OSError("The disk is full.")
            yield Finished(task=task, state=RowState.DONE, host=self.settings.host)


def serve(connection: Any, settings: WorkerSettings) -> None:
    """In the child: with the stub in place of the worker."""
    local._worker = StubWorker  # type: ignore[assignment]  # pyright: ignore[reportPrivateUsage]
    SERVE(connection, settings)
