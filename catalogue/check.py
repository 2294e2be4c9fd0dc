"""A catalogue read before it is dressed: what cannot be used, how much there is, what it will take.

Every picture is decoded once. Time and space are measured by dressing the first good row, which is
thrown away.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from catalogue.engine import RowState, RowTask, WorkerSettings
from catalogue.manifest import Manifest, ManifestRow, RowFault, addresses_of
from catalogue.storage import as_file, files_below, for_each, read, suffix_of
from catalogue.worker import Worker
from ootd_core.images.files import load_image

JSON, ARRAY = ".json", ".npy"


@dataclass(kw_only=True, slots=True)
class Review:
    """What a check found.

    faults: in the order of rows. duplicates: rows that ask for the same as an earlier one, whatever
    their files are called, with the number of that one. rows, persons, garments, runs (samplings):
    counts. seconds, bytes: of one row, None where none was dressed.
    """

    faults: list[RowFault] = field(default_factory=list)
    duplicates: list[tuple[int, int]] = field(default_factory=list)
    rows: int = 0
    persons: int = 0
    garments: int = 0
    runs: int = 0
    seconds: float | None = None
    bytes: int | None = None


def review(
    manifest: Manifest, on_read: Callable[[int, int], None] | None = None
) -> tuple[Review, list[ManifestRow]]:
    """Read everything that a manifest names; return what was found and the rows that are good."""
    found = Review(faults=list(manifest.faults), rows=len(manifest.rows) + len(manifest.faults))
    contents = for_each(addresses_of(manifest.rows), _look, on_read)
    seen: dict[object, int] = {}
    good: list[ManifestRow] = []
    for row in manifest.rows:
        sentences = [text for each in row.addresses if (text := contents[each].fault) is not None]
        if sentences:
            found.faults.append(RowFault(row.number, sentences[0]))
            continue
        kinds = tuple(category for _, category in row.garments)
        asked = (*(contents[each].digest for each in row.addresses), kinds, row.options)
        if asked in seen:
            found.duplicates.append((row.number, seen[asked]))
            continue
        seen[asked] = row.number
        good.append(row)
    found.faults.sort(key=lambda fault: fault.number or 0)
    found.persons = len({contents[row.person].digest for row in good})
    found.garments = len({contents[each].digest for row in good for each, _ in row.garments})
    found.runs = sum(runs_of(row) for row in good)
    return found, good


def runs_of(row: ManifestRow) -> int:
    """Samplings of a row: one for each picture of the first garment, and of each further one."""
    return row.options.num_images_per_prompt * len(row.garments)


def estimate(rows: Sequence[ManifestRow], settings: WorkerSettings, found: Review) -> None:
    """Dress the first good row twice, into a folder that is thrown away, and time the second.

    Raises ValueError, FileNotFoundError or OSError if the networks cannot be used, or ValueError
    if that row cannot be dressed.
    """
    row = rows[0]
    digests = {each: hashlib.sha256(read(each)).hexdigest() for each in row.addresses}
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(replace(settings, out=folder, cache=None, batch=1))
        for key in ("first", "second"):  # the first also loads the networks
            started = time.perf_counter()
            (finished,) = worker.run([RowTask(row=row, key=key, digests=digests)])
            found.seconds = time.perf_counter() - started
            if finished.state is RowState.FAILED:
                raise ValueError(f"Row {row.number}: {finished.error}")
        sizes = [Path(folder, name).stat().st_size for name in files_below(folder)]
        found.bytes = sum(sizes) // 2


@dataclass(frozen=True, slots=True)
class _Content:
    digest: str | None
    fault: str | None


def _look(address: str) -> _Content:
    """Decode a picture (a mask's array, a JSON); what is wrong with it is said of its address."""
    try:
        content = read(address)
    except OSError as error:
        return _Content(None, str(error))
    digest = hashlib.sha256(content).hexdigest()
    suffix = suffix_of(address)
    try:
        if suffix == JSON:
            return _Content(digest, None)
        if suffix == ARRAY:
            np.load(io.BytesIO(content), allow_pickle=False)
        else:
            with as_file(address, content) as path:
                load_image(path)
    except (ValueError, OSError, EOFError) as error:
        return _Content(digest, str(error))
    return _Content(digest, None)
