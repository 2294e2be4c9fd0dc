"""What became of every row: JSON lines that are only ever appended.

Each run writes a file of its own below `ledger/`, so that runs side by side (shards, machines)
never write into one, and a line that a kill cut off is the last of its file; readers pass over it.
An object store appends nothing: there the lines go out in numbered pieces. `failures.jsonl` is made
from the ledger: the rows whose last line says that they failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self

from catalogue.engine import Finished, RowState
from catalogue.storage import READERS, files_below, is_remote, join, lines, read, write

FOLDER, FAILURES = "ledger", "failures.jsonl"
PIECE_LINES, PIECE_SECONDS = 500, 30.0
"""What an object store gets at once, and how long a line waits for it at most."""

DIGITS = 32
"""Of a SHA-256 in hex that are kept of it."""

TEXTS = ("id", "name", "state", "key", "time", "person")
STATES = frozenset(RowState)

Line = dict[str, Any]


def line_of(finished: Finished, files: list[str]) -> Line:
    """The ledger's line of a row, without its time.

    digests: the first digits of the inputs' SHA-256, person first; none where one was unreadable.
    """
    row, digests = finished.task.row, finished.task.digests
    line: Line = {
        "id": row.id,
        "row": row.number,
        "name": row.name,
        "state": finished.state,
        "key": finished.task.key,
        "person": row.person,
        "garments": [[address, category] for address, category in row.garments],
        "seed": row.options.seed,
        "digests": [digests[each][:DIGITS] for each in row.addresses if each in digests],
        "seconds": round(finished.seconds, 3),
        "warnings": list(finished.warnings),
        "host": finished.host,
    }
    if finished.error is not None:
        return line | {"error": finished.error}
    return line | {"files": files}


def json_line(line: Line) -> bytes:
    """A line for a file; escaped where a name is no UTF-8, so that it reads back the same."""
    try:
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(line).encode() + b"\n"


class Ledger:
    """The ledger of one run, as a context; reads those of all runs."""

    def __init__(self, out: str) -> None:
        self.out = out
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self.name = f"{stamp}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._file: IO[bytes] | None = None
        self._waiting: list[bytes] = []
        self._pieces = 0
        self._sent = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def append(self, line: Line) -> None:
        """Add a line with the time. Raises OSError where it cannot be written."""
        stamped = line | {"time": datetime.now(UTC).isoformat(timespec="microseconds")}
        encoded = json_line(stamped)
        if not is_remote(self.out):
            # Unbuffered: what is written survives this process, though not the machine.
            if self._open().write(encoded) < len(encoded):
                raise OSError(f"{self.out} is full: free some space, then run again.")
            return
        self._waiting.append(encoded)
        late = time.monotonic() - self._sent > PIECE_SECONDS
        if len(self._waiting) >= PIECE_LINES or late:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # some file systems know no fsync
                os.fsync(self._file.fileno())
        if self._waiting:
            name = f"{self.name}-{self._pieces:06}.jsonl"
            write(join(self.out, FOLDER, name), b"".join(self._waiting))
            self._waiting, self._pieces = [], self._pieces + 1
        self._sent = time.monotonic()

    def _open(self) -> IO[bytes]:
        if self._file is None:
            path = Path(self.out, FOLDER, f"{self.name}.jsonl")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        return self._file


def read_ledger(out: str) -> Iterator[Line]:
    """The lines of all runs, those of each run in their order.

    Left out are lines that are torn, or that lack what `line_of` writes.
    """
    folder = join(out, FOLDER)
    names = [name for name in sorted(files_below(folder)) if name.endswith(".jsonl")]
    for text in _texts([join(folder, name) for name in names]):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if _is_line(line):
            yield line


def _is_line(line: Any) -> bool:
    return (
        isinstance(line, dict)
        and all(isinstance(line.get(name), str) for name in TEXTS)
        and all(isinstance(line.get(name, ""), str) for name in ("error", "host"))
        and all(_are_texts(line.get(name, [])) for name in ("digests", "warnings", "files"))
        and isinstance(line.get("row"), int)
        and isinstance(garments := line.get("garments"), list)
        and all(_are_texts(each) and len(each) == 2 for each in garments)
        and line["state"] in STATES
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _texts(addresses: list[str]) -> Iterator[bytes]:
    """The lines of files; of a store several pieces are fetched at once."""
    for first in range(0, len(addresses), READERS):
        some = addresses[first : first + READERS]
        if not is_remote(some[0]):
            for address in some:
                yield from lines(address)
            continue
        with ThreadPoolExecutor(READERS) as readers:
            for content in readers.map(read, some):
                yield from content.splitlines()


def last_states(out: str) -> dict[str, tuple[str, str, str]]:
    """Of each row by its id, the latest (time, state, key)."""
    states: dict[str, tuple[str, str, str]] = {}
    for line in read_ledger(out):
        known = states.get(line["id"])
        if known is None or known[0] <= line["time"]:
            states[line["id"]] = line["time"], line["state"], line["key"]
    return states


def write_failures(out: str) -> int:
    """Write failures.jsonl anew from the ledger, and return how many rows it names."""
    times: dict[str, str] = {}
    failed: dict[str, Line] = {}
    for line in read_ledger(out):
        row, at = line["id"], line["time"]
        if at < times.get(row, ""):
            continue
        times[row] = at
        if line["state"] == RowState.FAILED:
            failed[row] = line
        else:
            failed.pop(row, None)
    ordered = sorted(failed.values(), key=lambda line: (line["row"], line["id"]))
    write(join(out, FAILURES), b"".join(map(json_line, ordered)))
    return len(ordered)
