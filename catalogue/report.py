"""A contact sheet of what a catalogue came to: a page that opens from disk, made from the ledger.

The page itself is small. The rows lie beside it in files that it loads when they are scrolled to or
searched, the pictures as thumbnails named after what they show, so that each is made once, whatever
was added since. Texts are data there, never markup.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from catalogue.engine import RowState
from catalogue.ledger import DIGITS, Line, read_ledger
from catalogue.results import Results
from catalogue.storage import READERS, as_file, files_below, is_remote, join, read, write
from ootd_core.images.files import load_image

FOLDER, PAGE = "report", "index.html"
TEMPLATE = Path(__file__).with_name("report.html")
THUMBNAIL = (192, 256)
"""Width and height at most: twice what the page shows, for sharp screens."""
QUALITY = 80
CHUNK = 500
"""Rows in a file, some 200 KB."""
MESSAGES = 50
"""Warnings and errors that can be chosen, the most frequent ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What was written: the page's address, rows, thumbnails made now, pictures that lack one."""

    page: str
    rows: int
    made: int
    lacking: int


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture to show: its thumbnail's name, where it lies, the first digits of its hash."""

    name: str
    address: str
    digest: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """A line of the ledger and its pictures."""

    line: Line
    person: _Picture
    garments: tuple[_Picture, ...]
    mask: _Picture | None
    results: tuple[_Picture, ...]

    @property
    def pictures(self) -> list[_Picture]:
        """All of them."""
        mask = [] if self.mask is None else [self.mask]
        return [self.person, *self.garments, *mask, *self.results]


def write_report(
    out: str, to: str | None = None, on_made: Callable[[int, int], None] | None = None
) -> Report:
    """Write the contact sheet of all rows in the ledger of `out`.

    to: its folder; None is `report` in `out`. on_made: gets (thumbnails looked at, all). Raises
    FileNotFoundError if there is no ledger, WriteError or OSError where nothing can be written.
    """
    folder = to or join(out, FOLDER)
    lines = _latest(out)
    if not lines:
        raise FileNotFoundError(f"There is no ledger in {out}: name the --out of a batch.")
    rows = _with_pictures(lines, out)
    pictures = {each.name: each for row in rows for each in row.pictures}
    there = {PurePosixPath(name).stem for name in files_below(join(folder, "thumbnails"))}
    todo = [each for name, each in pictures.items() if name not in there]
    made: set[str] = set()
    with ThreadPoolExecutor(READERS) as makers:
        tasks = makers.map(lambda picture: _make(picture, folder), todo)
        for number, (picture, is_made) in enumerate(zip(todo, tasks, strict=True), 1):
            if is_made:
                made.add(picture.name)
            if on_made is not None:
                on_made(number, len(todo))
    shown = there | made
    for first in range(0, len(rows), CHUNK):
        data = [_data(row, shown) for row in rows[first : first + CHUNK]]
        text = f"addRows({first // CHUNK}, {json.dumps(data, separators=(',', ':'))})\n"
        write(join(folder, "data", f"{first // CHUNK:05}.js"), text.encode())
    page = join(folder, PAGE)
    write(page, _page(rows, out, _base(out, to)).encode())
    lacking = len(pictures.keys() - shown)
    return Report(page=page, rows=len(rows), made=len(made), lacking=lacking)


def _latest(out: str) -> list[Line]:
    """The newest line of each row in the manifest's order.

    A row whose result was there already has the warnings and seconds of the line that made it. A
    row whose pictures or settings were changed in the manifest shows what they are now.
    """
    newest: dict[str, Line] = {}
    made: dict[str, Line] = {}
    for line in read_ledger(out):
        known = newest.get(line["id"])
        if known is None or known["time"] <= line["time"]:
            newest[line["id"]] = line
        if line["state"] == RowState.DONE:
            made[line["key"]] = line
    for id_, line in newest.items():
        if line["state"] == RowState.KEPT and (origin := made.get(line["key"])) is not None:
            taken = {name: origin.get(name) for name in ("warnings", "seconds", "host")}
            newest[id_] = line | taken
    now: dict[tuple[int, str], Line] = {}
    for line in sorted(newest.values(), key=lambda line: line["time"]):
        now[line["row"], line["name"]] = line
    return sorted(now.values(), key=lambda line: (line["row"], line["id"]))


def _with_pictures(lines: Sequence[Line], out: str) -> list[_Row]:
    """Lines and their pictures; inputs are named by content, which is hashed if it is not known."""
    unknown = {each for line in lines if not line.get("digests") for each in _inputs(line)}
    with ThreadPoolExecutor(READERS) as readers:
        hashed = dict(zip(unknown, readers.map(_digest, unknown), strict=True))
    results = Results(out)
    masks = {f"masks/{name}" for name in files_below(join(out, "masks"))}  # servers give none
    rows: list[_Row] = []
    for line in lines:
        addresses = _inputs(line)
        known = line.get("digests") or [hashed[each] for each in addresses]
        person, *garments = (
            _Picture(digest, address, digest)
            for address, digest in zip(addresses, known, strict=False)
        )
        key, files = line.get("key"), line.get("files", [])
        mask = results.mask_file(key) if key and files else ""
        rows.append(
            _Row(
                line=line,
                person=person,
                garments=tuple(garments),
                mask=_Picture(f"{key}-mask", _below(out, mask)) if mask in masks else None,
                results=tuple(
                    _Picture(PurePosixPath(file).stem, _below(out, file)) for file in files
                ),
            )
        )
    return rows


def _inputs(line: Line) -> list[str]:
    return [line["person"], *(address for address, _ in line["garments"])]


def _below(out: str, file: str) -> str:
    return join(out, *file.split("/"))


def _digest(address: str) -> str:
    """Digits of the hash of what lies there; of its address if that cannot be read."""
    try:
        content = read(address)
    except OSError:
        content = address.encode(errors="surrogatepass")
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def _make(picture: _Picture, folder: str) -> bool:
    """Write a thumbnail; False if the picture is not there, is none, or is another one by now."""
    try:
        content = read(picture.address)
        if not hashlib.sha256(content).hexdigest().startswith(picture.digest):
            return False
        with as_file(picture.address, content) as path:
            image = Image.fromarray(load_image(path))
    except (ValueError, OSError):
        return False
    image.thumbnail(THUMBNAIL)
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=QUALITY)
    write(join(folder, *_thumbnail(picture.name)), encoded.getvalue())
    return True


def _thumbnail(name: str) -> tuple[str, str, str]:
    return "thumbnails", name[:2], f"{name}.jpg"


def _data(row: _Row, shown: set[str]) -> list[Any]:
    """A row as the page reads it; a picture without a thumbnail has an empty name."""

    def names(pictures: Iterable[_Picture]) -> list[str]:
        return [each.name if each.name in shown else "" for each in pictures]

    line, key = row.line, row.line.get("key") or ""
    thumbnails = [
        *names([row.person]), names(row.garments), *names([row.mask] if row.mask else []),
        *([] if row.mask else [""]), names(row.results),
    ]  # fmt: skip
    return [
        line.get("row", 0), line.get("name", ""), line["state"], line.get("seed"),
        line.get("seconds"), line.get("time", ""), line.get("warnings") or [],
        line.get("error") or "", line.get("host", ""), key, [line["person"]], line["garments"],
        Results("").mask_file(key) if row.mask else "", line.get("files", []), thumbnails,
    ]  # fmt: skip


def _page(rows: Sequence[_Row], out: str, base: str | None) -> str:
    made = datetime.now(UTC).isoformat(timespec="seconds")
    states = Counter(row.line["state"] for row in rows)
    warnings = Counter(text for row in rows for text in set(row.line.get("warnings") or []))
    errors = Counter(row.line["error"] for row in rows if row.line.get("error"))
    counts = {state.value: states[state] for state in RowState}
    head = {
        "out": out,
        "made": made,
        "version": hashlib.sha256(made.encode()).hexdigest()[:8],
        "total": len(rows),
        "chunk": CHUNK,
        "chunks": -(-len(rows) // CHUNK),
        "base": base,
        "counts": counts | {"warned": sum(bool(row.line.get("warnings")) for row in rows)},
        "messages": {
            "warnings": warnings.most_common(MESSAGES),
            "errors": errors.most_common(MESSAGES),
        },
    }
    text = json.dumps(head).replace("<", "\\u003c")  # no text of a row ends the script
    return TEMPLATE.read_text("utf-8").replace("{{HEAD}}", text)


def _base(out: str, to: str | None) -> str | None:
    """What stands before the name of a result in a link of the page; None where none can lead."""
    if to is None:
        return "../"
    if is_remote(out):
        return f"{out.rstrip('/')}/" if out.startswith(("http://", "https://")) else None
    return f"{Path(out).resolve().as_uri()}/"
