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
EXPECTED = (
    "each line must hold the file names of a person and a garment and, if need be, a category "
    "number, separated by blanks, as UTF-8 text"
)


class UnreadableList(ValueError):  # noqa: N818 - it is the list that is wrong
    """A list that is there and yields no pair; the message says what was found and expected."""


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

    Raises UnreadableList for a file that is not UTF-8 text or holds no pair.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, _encoding(content)) from error
    if "\0" in text:
        raise _unreadable(path, _encoding(content))
    lines = text.rstrip().splitlines()
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
        raise _unreadable(path, _columns(lines))
    return PairsFile(path=path, rows=tuple(rows), complaints=tuple(complaints))


def find_pairs_file(folder: Path, split: Split, pairing: Pairing) -> Path | None:
    """Return the list of a split in `folder` by its usual names; None if there is none.

    A plain list (`test_pairs.txt`) serves either pairing where no list is named for it.
    """
    named = folder / f"{split}_pairs_{pairing}.txt"
    plain = folder / f"{split}_pairs.txt"
    return next((path for path in (named, plain) if path.is_file()), None)


def _unreadable(path: Path, found: str) -> UnreadableList:
    return UnreadableList(f"{path} lists no pair: it {found}, but {EXPECTED}.")


def _encoding(content: bytes) -> str:
    """What a file is that is no UTF-8 text."""
    half = len(content[:200]) // 2
    zeros = max(content[:200:2].count(0), content[1:200:2].count(0))
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or zeros > half // 2:
        return "is text in UTF-16 (saved as 'Unicode')"
    return "is not text in UTF-8"


def _columns(lines: list[str]) -> str:
    """What the lines of a list without a pair hold."""
    first = next((line.strip() for line in lines if line.strip()), None)
    if first is None:
        return "is empty"
    shown = f"'{first[:60]}'"
    columns = len(first.split())
    mark = next((mark for mark in ",;|" if mark in first), None)
    if columns == 1 and mark is not None:
        return f"has columns separated by '{mark}' ({shown})"
    if columns == 3:
        return f"has a third column that is no number ({shown})"
    return f"has {columns} column{'s' if columns > 1 else ''} ({shown})"


def _row(line: str) -> Row | None:
    columns = line.split()
    if len(columns) not in (2, 3) or not all(column.isdecimal() for column in columns[2:]):
        return None
    label = int(columns[2]) if len(columns) == 3 else None
    return Row(person=columns[0], garment=columns[1], label=label)
