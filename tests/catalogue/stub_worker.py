"""A worker without networks, also in other processes: what a row's name says is done."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from catalogue import local
from catalogue.engine import Finished, RowState, RowTask, WorkerSettings
from catalogue.ray_worker import Dresser

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has no SIGKILL, and TERM kills there
SERVE = local._serve  # pyright: ignore[reportPrivateUsage]


class StubWorker:
    """Stands for `Worker`."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.batch = 2
        if settings.weights == "bad":
            raise ValueError("The networks are bad.")
        if settings.weights == "too large":
            raise RuntimeError("CUDA out of memory: no room for the networks")

    def run(self, tasks: list[RowTask]) -> Iterator[Finished]:
        for task in tasks:
            name = task.row.name
            if name.startswith("kill") and (
                name.endswith("always") or not Path(self.settings.out, name).exists()
            ):
                Path(self.settings.out, name).touch()
                os.kill(os.getpid(), KILL)
            if name.startswith("slow"):
                time.sleep(0.1)
            if name == "full":
                raise OSError("The disk is full.")
            if name == "defect":
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            yield Finished(task=task, state=RowState.DONE, host=self.settings.host)


def serve(connection: Any, settings: WorkerSettings) -> None:
    """In the child: with the stub in place of the worker."""
    local._worker = StubWorker  # type: ignore[assignment]  # pyright: ignore[reportPrivateUsage]
    SERVE(connection, settings)


class StubDresser(Dresser):
    """In an actor of Ray: with the stub in place of the worker, and records that get lost."""

    def make_worker(self, settings: WorkerSettings) -> Any:
        return StubWorker(settings)

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, list[str]]]:
        for group in map(int, batch["group"]):
            tasks = self._ray.get(self._groups[group])
            for said in super().__call__({"group": [group]}):
                (record,) = said["record"]
                head, index, *_ = json.loads(record)
                if head != group:  # an error
                    yield said
                    continue
                name = tasks[index].row.name
                written = Path(self._settings.out, self._results.files(tasks[index].key, 1)[0])
                if name == "lost written" and not written.exists():
                    written.parent.mkdir(parents=True, exist_ok=True)
                    written.touch()
                    continue
                if name == "lost once" and not Path(self._settings.out, name).exists():
                    Path(self._settings.out, name).touch()
                    continue
                yield said
