"""The engine of one machine: this process, or one process for each of several devices.

Processes are started anew (no fork), so that each has a device of its own, and ask for as many rows
as they take at once. One that dies (killed for memory, a driver's crash) is started again, and its
rows go to others; a row in whose hands two have died has failed.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from catalogue.engine import Finished, RowState, RowTask, WorkerSettings
from catalogue.plan import WarmQueue

if TYPE_CHECKING:
    from catalogue.worker import Worker

MOST_DEATHS = 2
"""Processes that may die over one row."""
MOST_DEATHS_IN_A_ROW = 4
"""Processes that may die with no row done in between: then it is not the rows' fault."""
TICK = 0.2
"""Seconds after which `stop` is looked at again."""


class LocalEngine:
    """Carries out tasks on this machine's devices."""

    def __init__(self, settings: WorkerSettings, devices: Sequence[str] = ()) -> None:
        """devices: one process each; none or one is this process, on the settings' device."""
        self.settings = settings
        self.devices = list(devices) or [settings.device]

    def run(self, tasks: Iterator[RowTask], stop: threading.Event) -> Generator[Finished]:
        """As `Engine.run`."""
        if len(self.devices) > 1:
            yield from _Processes(self.settings, self.devices, tasks).run(stop)
            return
        queue = WarmQueue(tasks)
        if not (taken := queue.take(None, 1)):
            return
        queue.give_back(taken)
        worker = _worker(replace(self.settings, device=self.devices[0]))
        while not stop.is_set() and (taken := queue.take(None, worker.batch)):
            yield from worker.run(taken)


@dataclass(kw_only=True, eq=False)
class _Child:
    """A worker's process, and what is in its hands."""

    device: str
    process: Any
    connection: Connection
    tasks: list[RowTask] = field(default_factory=list)


class _Processes:
    """Several workers' processes and the tasks between them."""

    def __init__(
        self, settings: WorkerSettings, devices: Sequence[str], tasks: Iterator[RowTask]
    ) -> None:
        self._settings = settings
        self._queue = WarmQueue(tasks)
        self._deaths: dict[str, int] = {}
        self._deaths_in_a_row = 0
        self._suspects: list[RowTask] = []
        self._context = multiprocessing.get_context("spawn")
        self._devices = devices
        self._children: list[_Child] = []

    def run(self, stop: threading.Event) -> Generator[Finished]:
        try:
            self._children = [self._start(device) for device in self._devices]
            while self._children:
                connections = [child.connection for child in self._children]
                for connection in wait(connections, TICK):
                    child = next(c for c in self._children if c.connection is connection)
                    yield from self._hear(child, stop)
        finally:
            for child in self._children:
                child.process.kill()
                child.process.join()
                child.connection.close()
            self._children = []

    def _start(self, device: str) -> _Child:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, replace(self._settings, device=device)), daemon=True
        )
        process.start()
        theirs.close()
        return _Child(device=device, process=process, connection=ours)

    def _hear(self, child: _Child, stop: threading.Event) -> Iterator[Finished]:
        """Take what a child says: that it wants so many tasks, a finished row, or an error."""
        try:
            said = child.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(child, stop)
            return
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Finished):
            child.tasks = [each for each in child.tasks if each.key != said.task.key]
            self._deaths_in_a_row = 0
            yield said
            return
        wanted: int = said
        child.tasks = [] if stop.is_set() else self._take(child, wanted)
        try:
            child.connection.send(child.tasks)
        except OSError:
            yield from self._bury(child, stop)
            return
        if not child.tasks:
            child.process.join()
            self._forget(child)

    def _take(self, child: _Child, wanted: int) -> list[RowTask]:
        """What was in the hands of a dead process goes alone, so that no other row dies with it."""
        return [self._suspects.pop()] if self._suspects else self._queue.take(child, wanted)

    def _bury(self, child: _Child, stop: threading.Event) -> Iterator[Finished]:
        """Hand on what a dead process had in its hands, and start another one."""
        child.process.join()
        code = child.process.exitcode
        self._forget(child)
        again: list[RowTask] = []
        for task in child.tasks:
            self._deaths[task.key] = self._deaths.get(task.key, 0) + 1
            if self._deaths[task.key] < MOST_DEATHS:
                again.append(task)
                continue
            error = (
                f"{MOST_DEATHS} processes died over this row, the last with exit code {code}: is "
                "there enough memory?"
            )
            host = replace(self._settings, device=child.device).host
            yield Finished(task=task, state=RowState.FAILED, error=error, host=host)
        self._suspects += again
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row >= MOST_DEATHS_IN_A_ROW:
            raise OSError(
                f"{MOST_DEATHS_IN_A_ROW} processes died with no row done in between, the last on "
                f"{child.device} with exit code {code}: is there enough memory for the networks?"
            )
        if not stop.is_set():
            self._children.append(self._start(child.device))

    def _forget(self, child: _Child) -> None:
        child.connection.close()
        self._children = [each for each in self._children if each is not child]
        self._queue.forget(child)


def _worker(settings: WorkerSettings) -> Worker:
    from catalogue.worker import Worker  # with all that the networks need, which takes seconds

    return Worker(settings)


def _serve(connection: Connection, settings: WorkerSettings) -> None:
    """A child's whole life: ask for tasks, say what became of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent decides
    try:
        worker = _worker(settings)
        while True:
            connection.send(worker.batch)
            tasks: list[RowTask] = connection.recv()
            if not tasks:
                return
            for finished in worker.run(tasks):
                connection.send(finished)
    except EOFError:
        return  # the parent is gone
    except (ValueError, OSError, ModuleNotFoundError) as error:
        connection.send(_plain(error))


def _plain(error: Exception) -> Exception:
    """An error of the same kind with its sentence alone, which any process can read."""
    kind = next(
        kind for kind in (FileNotFoundError, OSError, ModuleNotFoundError, ValueError)
        if isinstance(error, kind)
    )  # fmt: skip
    return kind(str(error))
