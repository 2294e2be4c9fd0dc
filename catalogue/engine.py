"""The one interface between a run and what carries it out: tasks in, finished rows out.

An engine may be this process, a process for each GPU, a cluster or a number of servers. It is given
tasks lazily, in an order that keeps garments warm, and gives every task that it took back exactly
once, in any order, when its result is written or it has failed. It keeps nothing of its own
between runs: results by content address and the ledger are the truth.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from catalogue.manifest import ManifestRow
from ootd_core.categories import Variant


class RowState(StrEnum):
    """What became of a row; kept: its result was there already."""

    DONE = "done"
    KEPT = "kept"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class RowTask:
    """A row that is to be done.

    key: its content address, under which `Results` writes it. digests: SHA-256 of what lies at each
    of the row's addresses, in hex: a file that has changed since must not be taken.
    """

    row: ManifestRow
    key: str
    digests: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """What became of a task.

    seconds: of work, its share where several went together. error: one sentence, of a failed row.
    host: which machine, and which of its devices.
    """

    task: RowTask
    state: RowState
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    error: str | None = None
    host: str = ""


class Engine(Protocol):
    """Carries out tasks."""

    def run(self, tasks: Iterator[RowTask], stop: threading.Event) -> Generator[Finished]:
        """Yield what became of each task taken from `tasks`.

        Once `stop` is set no further task is taken, and those that run are finished. Closing the
        generator ends what runs at once. Raises OSError, one sentence, where no result can be
        written any more (a full disk): the tasks that are still out then count as not begun.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """What a worker needs beside its tasks; it can be sent to another process or machine.

    Attributes:
        model, variant, dtype ("fp32", "fp16", "bf16"), lora: which networks.
        compiles, offloads: as `TryOn.compile` and `TryOn.enable_model_cpu_offload`.
        pose_network: what finds people, by the name of a `PoseNetwork`.
        weights: their stamp, from `plan.weights_stamp`.
        device: of this worker.
        threads: of torch on a CPU; None leaves it to torch. Pictures may differ in rounding between
            two numbers of threads, not between engines.
        home: the machine that planned the run.
        batch: rows in one forward; None finds it from the free memory.
        out: address of the folder of results. ending, quality: of the pictures.
        cache: folder of what is kept for other workers and runs; None keeps it in memory alone.
        cache_memory, cache_disk: bounds in bytes.
    """

    model: Path
    variant: Variant
    weights: str
    out: str
    dtype: str = "fp32"
    compiles: bool = False
    offloads: bool = False
    lora: Path | None = None
    pose_network: str = "auto"
    device: str = "cpu"
    threads: int | None = None
    home: str = field(default_factory=socket.gethostname)
    batch: int | None = 1
    ending: str = ".png"
    quality: int | None = None
    cache: Path | None = None
    cache_memory: int = 2 * 2**30
    cache_disk: int = 10 * 2**30

    @property
    def host(self) -> str:
        """This machine and the worker's device, for the ledger."""
        return f"{socket.gethostname()} {self.device}"
