"""The engine of a Ray cluster: Ray Data's `map_batches` with a pool of actors, one for each GPU.

Ray only carries rows to workers and short records back. What is done is known from the results, not
from Ray: a worker writes each one itself, a row that comes again after a kill is found written, and
a row whose record was lost is looked for before it is tried again, alone and a few times at most.
Rows go out in small groups and each record is a block of its own, so that no kill costs more than
the row under way.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from catalogue.engine import Finished, RowState, RowTask, WorkerSettings
from catalogue.ray_worker import (
    MOST_BEGUN,
    Desk,
    Dresser,
    error_of,
    finished_of,
    given_up,
    mark_of,
)
from catalogue.results import Results
from catalogue.storage import is_remote
from ootd_core.checkpoints.acceleration import AUTO
from ootd_core.requirements import require

logger = logging.getLogger(__name__)

WINDOW = 10_000
"""Rows that Ray has at once; the networks are loaded again for the next ones."""
GROUP, GROUPS_EACH = 16, 4
"""Rows that go to a worker together at most, and groups for each worker where there are few."""
MOST_STARTS = 4
"""Workers that may be started anew with no row done in between: then it is not the rows' fault."""
TICK, LONG_WAIT, REACHED_WITHIN = 0.2, 120.0, 10.0
"""Seconds after which `stop` is looked at again, it is said that no worker has begun, and a cluster
that does not answer is not there."""
STORE_BYTES = 128 * 2**20
"""Of shared memory for a cluster that is started here: tasks and records are small."""


def workers_range(text: str) -> tuple[int, int]:
    """The least and the most workers, of `8` or `2-8`. Raises ValueError for anything else."""
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= least <= most:
        raise ValueError(
            f"--workers is '{text}', but must be a number from 1, or a least and a most like 2-8."
        )
    return least, most


def _ray() -> Any:
    """Ray, which takes a second to import, and whose types are of no use."""
    importlib.import_module("ray.data")
    return importlib.import_module("ray")


@dataclass(kw_only=True)
class RayEngine:
    """Carries out tasks on a Ray cluster.

    Attributes:
        settings: of the workers; their device "cpu", "cuda" (each has one) or "auto": what the
            cluster has.
        address: of the cluster as `ray.init` takes it; None starts one on this machine, unless the
            environment names one in RAY_ADDRESS.
        workers: the least and the most; None is one for each GPU, or for each CPU but one.
        dresser: what runs in the actors.
    """

    settings: WorkerSettings
    address: str | None = None
    workers: tuple[int, int] | None = None
    dresser: type[Dresser] = Dresser
    _alone: list[RowTask] = field(default_factory=list, init=False)
    _lost: dict[str, int] = field(default_factory=dict, init=False)

    def run(self, tasks: Iterator[RowTask], stop: threading.Event) -> Generator[Finished]:
        """As `Engine.run`. Until it ends, what is printed goes to standard error.

        Raises ModuleNotFoundError without ray, ConnectionError if there is no cluster at the
        address.
        """
        require("ray")
        first = list(islice(tasks, 1))
        if not first:
            return
        with self._cluster() as settings:
            mark = mark_of(settings.out)
            least, most = self._pool(settings)
            while not stop.is_set():
                window = [*first, *islice(tasks, WINDOW - len(first))]
                groups = [[task] for task in self._alone] + in_groups(window, most)
                self._alone, first = [], []
                if not groups:
                    return
                pool = min(least, len(groups)), min(most, len(groups))
                yield from self._carry_out(groups, settings, pool, mark, stop)

    def _carry_out(
        self,
        groups: Sequence[list[RowTask]],
        settings: WorkerSettings,
        pool: tuple[int, int],
        mark: str,
        stop: threading.Event,
    ) -> Iterator[Finished]:
        """Yield what became of the tasks of groups; those of lost records are put aside."""
        out = {(g, i): task for g, group in enumerate(groups) for i, task in enumerate(group)}
        with closing(self._records(groups, settings, pool, mark, stop)) as records:
            for record in records:
                place, *said = json.loads(record)
                if isinstance(place, str):
                    raise error_of(place, *said)
                task = out.pop((place, said[0]), None)
                if task is not None:  # a record may come twice, after a kill
                    self._lost.pop(task.key, None)
                    yield finished_of(task, said[1:])
        results = Results(self.settings.out, self.settings.ending, self.settings.quality)
        for task in out.values():
            self._lost[task.key] = self._lost.get(task.key, 0) + 1
            if results.has(task.key, task.row.options.num_images_per_prompt):
                yield Finished(task=task, state=RowState.DONE)
            elif self._lost[task.key] >= MOST_BEGUN and not stop.is_set():
                yield given_up(task, "")
            else:
                self._alone.append(task)

    def _records(
        self,
        groups: Sequence[list[RowTask]],
        settings: WorkerSettings,
        pool: tuple[int, int],
        mark: str,
        stop: threading.Event,
    ) -> Generator[str]:
        """Yield what actors return, while `stop` and dying workers are looked after."""
        ray = _ray()
        least, most = pool
        desk = ray.remote(Desk).options(num_cpus=0, **_here(ray)).remote(most + MOST_STARTS)
        cpus, gpus = _share(settings)
        # Objects are sent once and asked for by number: a row of Ray's data is only that.
        references = [ray.put(group) for group in groups]
        dataset = ray.data.from_items(
            [{"group": number} for number in range(len(groups))], override_num_blocks=len(groups)
        ).map_batches(
            self.dresser,
            batch_size=1,
            fn_constructor_args=(settings, references, desk, mark),
            # A second group waits at each actor; without it the pool would not grow.
            compute=ray.data.ActorPoolStrategy(
                min_size=least, max_size=most, max_tasks_in_flight_per_actor=2
            ),
            num_cpus=cpus,
            num_gpus=gpus,
        )
        batches = dataset.iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy")
        reading = iter(batches)
        with _looked_after(desk, stop, (cpus, gpus)):
            try:
                for batch in reading:
                    yield from map(str, batch["record"])
            except Exception as error:
                raise _said_by_ray(error) from error
            finally:
                reading.close()

    def _pool(self, settings: WorkerSettings) -> tuple[int, int]:
        """The least and the most workers."""
        if self.workers is not None:
            return self.workers
        there, (cpus, gpus) = _ray().cluster_resources(), _share(settings)
        spare = int(there.get("CPU", 1)) // cpus - 1
        return 1, max(1, int(there.get("GPU", 0)) if gpus else spare)

    @contextmanager
    def _cluster(self) -> Generator[WorkerSettings]:
        """The settings for workers of a cluster, which is left, or ended if it was started here."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        # What outlives the connection must not look for another cluster of its own accord.
        os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
        ray = _ray()
        address = self.address or os.environ.get("RAY_ADDRESS") or "local"
        options: dict[str, Any] = {}
        if address == "local":
            options["include_dashboard"] = False
            options["object_store_memory"] = STORE_BYTES
            if self.workers is not None:  # with a CPU to spare, for which Ray's own tasks may wait
                options["num_cpus"] = self.workers[1] * _share(self.settings)[0] + 1
        _check_reachable(address)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise ConnectionError(f"There is no Ray cluster at {address} ({reason}).") from error
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in handlers.items():  # Ray sets its own
                    signal.signal(number, handler)
        _quieten(ray)
        try:
            self._warn_of_other_machines(ray)
            device = self.settings.device
            if device == AUTO:
                device = "cuda" if ray.cluster_resources().get("GPU", 0) else "cpu"
            # When a worker dies Ray prints that, where a caller may want its own lines alone.
            with redirect_stdout(sys.stderr):
                yield replace(self.settings, device=device)
        finally:
            ray.shutdown()

    def _warn_of_other_machines(self, ray: Any) -> None:
        others = {node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
        others -= {socket.gethostname()}
        if others and not is_remote(self.settings.out):
            logger.warning(
                "--out %s is a path of this machine: %d others must have the same folder there, "
                "or take an address such as s3://.", self.settings.out, len(others),
            )  # fmt: skip


def in_groups(tasks: Sequence[RowTask], workers: int) -> list[list[RowTask]]:
    """Tasks in their order, in groups of at most `GROUP`."""
    size = max(1, min(GROUP, len(tasks) // (GROUPS_EACH * workers)))
    return [list(tasks[first : first + size]) for first in range(0, len(tasks), size)]


@contextmanager
def _looked_after(desk: Any, stop: threading.Event, needs: tuple[int, int]) -> Generator[None]:
    """Pass `stop` on to the workers, and say so if none begins for a while."""
    over, started = threading.Event(), time.monotonic()
    ray = _ray()

    def look() -> None:
        with suppress(ray.exceptions.RayError):  # the rows will tell
            while not over.wait(TICK):
                if stop.is_set():
                    desk.stop.remote()
                    return
                if time.monotonic() - started > LONG_WAIT:
                    break
            if not over.is_set() and not ray.get(desk.starts.remote(), timeout=LONG_WAIT):
                there = ray.cluster_resources()
                logger.warning(
                    "No worker has begun yet: each needs %d CPUs and %d GPUs, and the cluster has "
                    "%d and %d, which others may be using.",
                    *needs, there.get("CPU", 0), there.get("GPU", 0),
                )  # fmt: skip
            while not over.wait(TICK):
                if stop.is_set():
                    desk.stop.remote()
                    return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _check_reachable(address: str) -> None:
    """Raises ConnectionError if nobody listens there: Ray itself would try for many minutes."""
    host, _, port = address.partition("://")[2 if "://" in address else 0].rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"There is no Ray cluster at {address} ({error}).") from error


def _quieten(ray: Any) -> None:
    """Let Ray Data keep its log to its files, and tell it how to treat rows."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 1  # each record is a block, and comes when it is there
    context.max_errored_blocks = -1  # what a block takes with it is looked for afterwards
    for handler in logging.getLogger("ray.data").handlers:
        if type(handler) is logging.StreamHandler or not hasattr(handler, "baseFilename"):
            handler.setLevel(logging.CRITICAL)


def _here(ray: Any) -> dict[str, Any]:
    """Options that keep an actor on this machine, where it lives as long as the command."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=True)}


def _share(settings: WorkerSettings) -> tuple[int, int]:
    """CPUs and GPUs of one worker."""
    return settings.threads or 1, int(settings.device not in ("cpu", AUTO))


def _said_by_ray(error: BaseException) -> BaseException:
    """An error of Ray's own as one sentence; others are defects and stay as they are."""
    if not type(error).__module__.startswith("ray."):
        return error
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    reason = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return OSError(f"Ray has given up ({reason.strip()}): run again, what is done is kept.")
