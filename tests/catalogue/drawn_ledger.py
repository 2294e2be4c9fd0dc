"""Ledgers of many rows without a run: for reports, which read nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from catalogue.engine import Finished, RowState, RowTask
from catalogue.ledger import Ledger, line_of
from catalogue.manifest import ManifestRow
from catalogue.results import Results
from tests.catalogue.drawn_catalogue import rows_of, small_catalogue

WARNING, ERROR = "The left wrist was not found.", "The mask covers nothing."


def many_rows(folder: Path, count: int, persons: int = 20, garments: int = 10) -> list[ManifestRow]:
    """Rows of a small catalogue again and again, each with a seed and a name of its own."""
    rows = rows_of(small_catalogue(folder, persons, garments))
    return [
        replace(
            rows[n % len(rows)],
            number=n + 1,
            name=f"look-{n + 1:05}",
            options=replace(rows[0].options, seed=n),
        )
        for n in range(count)
    ]


def write_ledger(
    out: Path, rows: Iterable[ManifestRow], pictures: frozenset[int] | None = None
) -> None:
    """Enter rows as done; every 7th with a warning, every 50th failed, every 90th kept.

    pictures: numbers of the rows whose result is there; None: all.
    """
    results, digests = Results(str(out)), dict[str, str]()
    with Ledger(str(out)) as ledger:
        for row in rows:
            for each in row.addresses:
                if each not in digests:
                    digests[each] = hashlib.sha256(Path(each).read_bytes()).hexdigest()
            key = hashlib.sha256(row.id.encode()).hexdigest()[:32]
            failed = row.number % 50 == 0
            state = RowState.KEPT if row.number % 90 == 0 else RowState.DONE
            finished = Finished(
                task=RowTask(row=row, key=key, digests={a: digests[a] for a in row.addresses}),
                state=RowState.FAILED if failed else state,
                seconds=row.number / 1000,
                warnings=(WARNING,) if row.number % 7 == 0 else (),
                error=ERROR if failed else None,
                host="drawn cpu",
            )
            ledger.append(line_of(finished, results.files(key, 1)))
            if not failed and (pictures is None or row.number in pictures):
                picture = Image.open(row.person)
                results.write(key, [picture], picture.convert("L"))
