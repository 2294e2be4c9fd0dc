"""What runs in Ray's actors: `Dresser`, a worker and its records, and `Desk`, which it asks.

Records go back as JSON: a row's place among the groups that went out and what became of it, or an
error that ends the run. Nothing else crosses, so that no error needs to be one that can be sent.
"""

from __future__ import annotations

import importlib
import json
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogue.engine import Finished, RowState, RowTask, WorkerSettings
from catalogue.results import Results
from catalogue.storage import is_remote

if TYPE_CHECKING:
    from catalogue.worker import Worker

MARK = "folder.id"
MOST_BEGUN = 3
"""Times that a row is begun, the first time with others, before it has failed."""
KINDS = {
    each.__name__: each
    for each in (FileNotFoundError, OSError, ModuleNotFoundError, ValueError, MemoryError)
}
"""Errors that the command line says in a sentence, as they come back from another machine."""
DEFECT = RuntimeError.__name__
"""Stands for errors of all other kinds, which end a run, too: they would come at every row."""


class Desk:
    """An actor that workers ask before each row, and that counts what they have begun."""

    def __init__(self, most_starts: int) -> None:
        """most_starts: workers that may be started with no row done in between."""
        self._most_starts = most_starts
        self._starts = self._starts_in_a_row = 0
        self._stopped = False
        self._begun: dict[str, int] = {}

    def start(self) -> str | None:
        """A worker is there and is about to load its networks; or why it is not to."""
        self._starts += 1
        self._starts_in_a_row += 1
        if self._starts_in_a_row <= self._most_starts:
            return None
        return (
            f"{self._most_starts} workers were started with no row done in between, and died: is "
            "there enough memory for the networks?"
        )

    def starts(self) -> int:
        """How many workers have been started."""
        return self._starts

    def stop(self) -> None:
        """Let no further row be begun."""
        self._stopped = True

    def begin(self, keys: Sequence[str]) -> tuple[int, int]:
        """How many of these rows may be begun, and how often the first was begun before.

        What was under way when a worker died goes alone, so that no other row dies with it.
        """
        if self._stopped:
            return 0, 0
        before = [self._begun.get(key, 0) for key in keys]
        count = 1 if any(before) else len(keys)
        for key in keys[:count]:
            self._begun[key] = self._begun.get(key, 0) + 1
        return count, before[0]

    def end(self, keys: Sequence[str]) -> None:
        """Forget rows that are done."""
        self._starts_in_a_row = 0
        for key in keys:
            self._begun.pop(key, None)


class Dresser:
    """What runs in an actor: takes groups of tasks, writes the results, returns a record each."""

    def __init__(self, settings: WorkerSettings, groups: Sequence[Any], desk: Any, mark: str):
        ray = importlib.import_module("ray")
        self._settings = settings
        self._groups = groups
        self._desk = desk
        self._ray = ray
        self._error: Exception | None = None
        fault = ray.get(desk.start.remote())
        try:
            if fault is not None:
                raise OSError(fault)
            check_machine(self._settings, mark)
            self._worker = self.make_worker(self._settings)
            self._results = Results(settings.out, settings.ending, settings.quality)
        except Exception as error:
            self._error = error

    def make_worker(self, settings: WorkerSettings) -> Worker:
        """The worker that does the work."""
        from catalogue.worker import Worker  # with all that the networks need

        return Worker(settings)

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, list[str]]]:
        """Yield the record of each row of a group as soon as it is done."""
        for group in map(int, batch["group"]):
            try:
                if self._error is not None:
                    raise self._error
                for index, finished in self._dress(group):
                    yield {"record": [record_of(group, index, finished)]}
            except self._ray.exceptions.RayError:
                raise  # of the cluster, not of the work: the rows will be tried again
            except Exception as error:
                yield {"record": [json.dumps(said_of(error))]}

    def _dress(self, group: int) -> Iterator[tuple[int, Finished]]:
        tasks: list[RowTask] = self._ray.get(self._groups[group])
        index_of = {task.key: index for index, task in enumerate(tasks)}
        todo: list[RowTask] = []
        for task in tasks:
            # A worker was killed after the result and before the record.
            if self._results.has(task.key, task.row.options.num_images_per_prompt):
                host = self._settings.host
                yield index_of[task.key], Finished(task=task, state=RowState.DONE, host=host)
            else:
                todo.append(task)
        while todo:
            taken = todo[: self._worker.batch]
            asked = self._desk.begin.remote([task.key for task in taken])
            count, before = self._ray.get(asked)
            if not count:
                return
            taken, todo = taken[:count], todo[count:]
            if before >= MOST_BEGUN:
                yield index_of[taken[0].key], given_up(taken[0], self._settings.host)
                continue
            for finished in self._worker.run(taken):
                yield index_of[finished.task.key], finished
            self._desk.end.remote([task.key for task in taken])


def mark_of(out: str) -> str:
    """What stands in a local folder of results, by which workers know that they see the same one.

    It is written once and stays. Empty for a remote folder, and while another run is writing it.
    """
    if is_remote(out):
        return ""
    path = Path(out, MARK)
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
        file.write(secrets.token_hex(16))
    return path.read_text("utf-8")


def check_machine(settings: WorkerSettings, mark: str) -> None:
    """Raises ValueError unless this machine has the same results' folder and the same weights.

    mark: of the results' folder, as `mark_of` gives it where the run was begun.
    """
    here, path = socket.gethostname(), Path(settings.out, MARK)
    if mark and not (path.is_file() and path.read_text("utf-8") == mark):
        raise ValueError(
            f"{here} does not see the folder {settings.out}: it must be shared by all machines of "
            "the cluster, or be an address such as s3://."
        )
    if here == settings.home:
        return
    from catalogue.plan import weights_stamp

    stamp = weights_stamp(
        settings.model, settings.variant, settings.lora, settings.cache, settings.pose_network
    )
    if stamp != settings.weights:
        raise ValueError(f"{here} has other weights in {settings.model}: copy the same ones there.")


def record_of(group: int, index: int, finished: Finished) -> str:
    return json.dumps(
        [group, index, finished.state, finished.seconds, finished.warnings, finished.error,
         finished.host]
    )  # fmt: skip


def finished_of(task: RowTask, said: Sequence[Any]) -> Finished:
    state, seconds, warnings, error, host = said
    return Finished(
        task=task,
        state=RowState(state),
        seconds=seconds,
        warnings=tuple(warnings),
        error=error,
        host=host,
    )


def given_up(task: RowTask, host: str) -> Finished:
    error = f"{MOST_BEGUN} workers died over this row: is there enough memory?"
    return Finished(task=task, state=RowState.FAILED, error=error, host=host)


def said_of(error: Exception) -> tuple[str, str]:
    """What a record says of an error that ends the run: its kind and its sentence."""
    for name, kind in KINDS.items():
        if isinstance(error, kind):
            return name, str(error)
    from catalogue.worker import is_out_of_memory  # with all that the networks need

    said = f"{type(error).__name__}: {error}"
    return (MemoryError.__name__ if is_out_of_memory(error) else DEFECT), said


def error_of(kind: str, sentence: str) -> Exception:
    """The error that a record speaks of."""
    return KINDS.get(kind, RuntimeError)(sentence)
