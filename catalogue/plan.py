"""What of a catalogue is to be done: under which content address, and in which order.

All pictures are read once and hashed, which tells what is done already, whatever its files are
called now. Rows of one garment follow one another, since what is made of a garment is large and
what is made of a person is small; there may be too many persons for the cache, so they come in
blocks.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from catalogue.engine import RowTask, WorkerSettings
from catalogue.manifest import ManifestRow, addresses_of
from catalogue.results import Results, content_address
from catalogue.storage import for_each, read
from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import DENOISING_PARTS, files_for, find
from ootd_core.checkpoints.integrity import file_stamp, sha256_of, weight_files
from ootd_core.checkpoints.whole_files import write_whole

PERSONS_AT_ONCE = 2000
"""Persons in a block; label map, keypoints and latents of one take some 2 MB at 1024 x 768."""
STAMPS = "weights.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a run has before it.

    todo: tasks' rows and keys in the order of work. kept: rows whose result is there, with its key.
    twins: rows that ask for the same as one of todo, by its key. unreadable: rows and why.
    """

    todo: list[tuple[ManifestRow, str]] = field(default_factory=list)
    kept: list[tuple[ManifestRow, str]] = field(default_factory=list)
    twins: dict[str, list[ManifestRow]] = field(default_factory=dict)
    unreadable: list[tuple[ManifestRow, str]] = field(default_factory=list)
    digests: dict[str, str | OSError] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows of all kinds."""
        twins = sum(map(len, self.twins.values()))
        return len(self.todo) + len(self.kept) + twins + len(self.unreadable)

    def tasks(self) -> Iterator[RowTask]:
        """The tasks one by one."""
        for row, key in self.todo:
            yield self.task(row, key)

    def task(self, row: ManifestRow, key: str) -> RowTask:
        """The task of a row whose pictures could be read."""
        digests = {each: str(self.digests[each]) for each in row.addresses}
        return RowTask(row=row, key=key, digests=digests)


def make_plan(
    rows: Sequence[ManifestRow],
    settings: WorkerSettings,
    results: Results,
    on_read: Callable[[int, int], None] | None = None,
) -> Plan:
    """Read and hash everything, and see what is there. on_read: called with (files read, all)."""
    plan = Plan(digests=digests_of(addresses_of(rows), on_read))
    there, keys = results.there(), set[str]()
    for row in in_order(rows):
        digests: dict[str, str] = {}
        faults: list[str] = []
        for address in row.addresses:
            digest = plan.digests[address]
            if isinstance(digest, OSError):
                faults.append(str(digest))
            else:
                digests[address] = digest
        if faults:
            plan.unreadable.append((row, faults[0]))
            continue
        key = content_address(
            row,
            digests,
            variant=settings.variant,
            weights=settings.weights,
            dtype=settings.dtype,
            ending=results.ending,
            quality=results.quality,
        )
        if there.issuperset(results.files(key, row.options.num_images_per_prompt)):
            plan.kept.append((row, key))
        elif key in keys:
            plan.twins.setdefault(key, []).append(row)
        else:
            keys.add(key)
            plan.todo.append((row, key))
    return plan


def digests_of(
    addresses: Sequence[str], on_read: Callable[[int, int], None] | None = None
) -> dict[str, str | OSError]:
    """SHA-256 of what lies at each address, in hex, or why it cannot be read."""

    def digest(address: str) -> str | OSError:
        try:
            return hashlib.sha256(read(address)).hexdigest()
        except OSError as error:
            return error

    return for_each(addresses, digest, on_read)


def in_order(
    rows: Iterable[ManifestRow], persons_at_once: int = PERSONS_AT_ONCE
) -> list[ManifestRow]:
    """Rows in the order of work: by blocks of persons, in a block by garments, then as they came.

    Garments and persons count in the order in which they are first named.
    """
    persons: dict[str, int] = {}
    garments: dict[tuple[str, ...], int] = {}

    def place(row: ManifestRow) -> tuple[int, int]:
        person = persons.setdefault(row.person, len(persons))
        outfit = tuple(address for address, _ in row.garments)
        return person // persons_at_once, garments.setdefault(outfit, len(garments))

    return sorted(rows, key=place)


def shard_of(rows: Sequence[ManifestRow], shard: str) -> list[ManifestRow]:
    """The i-th of n equal parts of the order of work, for `i/n`, from 1.

    Raises ValueError for what is no such share.
    """
    found = re.fullmatch(r"(\d{1,18})/(\d{1,18})", shard)
    i, n = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= i <= n:
        shown = shard if len(shard) <= 40 else f"{shard[:40]}..."
        raise ValueError(f"The shard is '{shown}', but must be i/n with i from 1 to n, like 1/8.")
    ordered = in_order(rows)
    return ordered[(i - 1) * len(ordered) // n : i * len(ordered) // n]


def weights_stamp(
    model: Path,
    variant: Variant,
    lora: Path | None,
    remember: Path | None = None,
    pose_network: str = "auto",
) -> str:
    """What the networks' files hold: 32 hex digits, the same wherever they lie.

    remember: folder for the hashes of files that have not changed since, for gigabytes take a
    while. Raises FileNotFoundError as `file_stamp`.
    """
    known = _Remembered(remember)
    parts: dict[str, str] = {}
    from tryon.perception import PersonNetworks  # with what the networks need
    from tryon.preparation import PoseNetwork

    networks = PersonNetworks(model, variant, pose_network=PoseNetwork(pose_network))
    parts["pose network"] = networks.pose_network
    denoising = (find(model, file) for file in files_for(variant, DENOISING_PARTS))
    for number, path in enumerate([*denoising, *networks.files()]):
        for each in [] if path is None else dict.fromkeys([path, *weight_files(path)]):
            parts[f"{number} {each.name}"] = known.digest(each)
    if lora is not None:
        for path in sorted(lora.glob("*.safetensors")) + sorted(lora.glob("*.json")):
            parts[f"lora {path.name}"] = known.digest(path)
    known.save()
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class _Remembered:
    """SHA-256 of files by their stamp, kept in a folder."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / STAMPS
        self._known: dict[str, str] = {}
        self._used: dict[str, str] = {}
        if self._path is not None:
            with suppress(OSError, ValueError, RecursionError, AttributeError):  # torn, or not ours
                known = json.loads(self._path.read_text("utf-8")).items()
                self._known = {stamp: each for stamp, each in known if isinstance(each, str)}

    def digest(self, path: Path) -> str:
        stamp = repr(file_stamp(path))
        digest = self._known.get(stamp) or sha256_of(path)
        self._used[stamp] = digest
        return digest

    def save(self) -> None:
        if self._path is not None and self._used.items() - self._known.items():
            text = json.dumps(self._known | self._used, indent=1)
            write_whole(self._path, lambda temporary: temporary.write_text(text, "utf-8"))


class WarmQueue:
    """Tasks for several workers: each goes on with the garment that it has warm, if it can.

    It looks a bounded way ahead, so that tasks may come lazily.
    """

    def __init__(self, tasks: Iterator[RowTask], ahead: int = 256) -> None:
        self._tasks = tasks
        self._ahead = ahead
        self._seen: deque[RowTask] = deque()
        self._warm: dict[object, tuple[str, ...]] = {}

    def take(
        self,
        worker: object,
        count: int,
        *,
        first: Collection[str] = (),
        skip: Collection[str] = (),
    ) -> list[RowTask]:
        """Up to `count` tasks for a worker; none are left for it if that is empty.

        first: keys of tasks that it takes before others. skip: of those that others are to take.
        """
        taken: list[RowTask] = []
        while len(taken) < count:
            self._look_ahead()
            index = self._best(worker, first, skip)
            if index is None:
                break
            task = self._seen[index]
            del self._seen[index]
            self._warm[worker] = _outfit(task)
            taken.append(task)
        return taken

    def give_back(self, tasks: Sequence[RowTask]) -> None:
        """Put tasks that came to nothing in front."""
        self._seen.extendleft(reversed(tasks))

    def forget(self, worker: object) -> None:
        """Let others have the garment of a worker that is gone."""
        self._warm.pop(worker, None)

    def _best(self, worker: object, first: Collection[str], skip: Collection[str]) -> int | None:
        mine = self._warm.get(worker)
        others = {outfit for each, outfit in self._warm.items() if each != worker}

        def rank(task: RowTask) -> int:
            outfit = _outfit(task)
            return (task.key in first, outfit == mine, outfit not in others, True).index(True)

        ranked = [
            (rank(task), index) for index, task in enumerate(self._seen) if task.key not in skip
        ]
        return min(ranked)[1] if ranked else None

    def _look_ahead(self) -> None:
        while len(self._seen) < self._ahead:
            task = next(self._tasks, None)
            if task is None:
                return
            self._seen.append(task)


def _outfit(task: RowTask) -> tuple[str, ...]:
    return tuple(address for address, _ in task.row.garments)
