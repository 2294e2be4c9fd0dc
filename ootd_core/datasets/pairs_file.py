"""Lists of pairs: text files with a person, a garment and perhaps a category number per line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "test"]
Pairing = Literal["paired", "unpaired"]
"""Paired: everybody in their own garment. Unpaired: in somebody else's."""

SPLITS: tuple[Split, ...] = ("train", "test")
PAIRINGS: tuple[Pairing, ...] = ("paired", "unpaired")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line: names of files, and the third column's number where there is one."""

    person: str
    garment: str
    label: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PairsFile:
    """Rows in the file's order, each once, and a sentence for each line that was left out."""

    path: Path
    rows: tuple[Row, ...]
    complaints: tuple[str, ...]


def read_pairs(path: Path) -> PairsFile:
    """Read lines of two or three columns, separated by blanks; empty lines at the end do not count.

    Raises ValueError for a file that is not text or holds no pair.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file.") from error
    rows: dict[Row, int] = {}
    complaints: list[str] = []
    for number, line in enumerate(lines, start=1):
        row = _row(line)
        if row is None:
            what = f"'{line.strip()}'" if line.strip() else "empty"
            complaints.append(f"{path}:{number} is {what} instead of a person and a garment.")
        elif row in rows:
            complaints.append(f"{path}:{number} repeats line {rows[row]}.")
        else:
            rows[row] = number
    if not rows:
        raise ValueError(f"{path} lists no pair of a person and a garment.")
    return PairsFile(path=path, rows=tuple(rows), complaints=tuple(complaints))


def find_pairs_file(folder: Path, split: Split, pairing: Pairing) -> Path | None:
    """Return the list of a split in `folder` by its usual names; None if there is none.

    A plain list (`test_pairs.txt`) serves either pairing where no list is named for it.
    """
    named = folder / f"{split}_pairs_{pairing}.txt"
    plain = folder / f"{split}_pairs.txt"
    return next((path for path in (named, plain) if path.is_file()), None)


def _row(line: str) -> Row | None:
    columns = line.split()
    if len(columns) not in (2, 3) or not all(column.isdecimal() for column in columns[2:]):
        return None
    label = int(columns[2]) if len(columns) == 3 else None
    return Row(person=columns[0], garment=columns[1], label=label)
