"""The rows of a catalogue: CSV, JSONL or Parquet, or all pictures of two folders.

Columns: person, garment, category; optional mask, keypoints, seed, options (a JSON object of
`TryOnOptions`' fields) and name. Several garments in a row are an outfit: lists, or in CSV parted
by `|`. Addresses are local paths, relative to the manifest's folder, or what fsspec opens; rows
have absolute ones, by which they are known again and found from any folder. The whole manifest is
read before anything is done, and every fault of it is named with its row.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, cast

from catalogue.storage import (
    absolute,
    files_below,
    folder_of,
    join,
    read,
    relative_to,
    stem_of,
    suffix_of,
)
from ootd_core.categories import Category, Variant, as_category, check_category
from ootd_core.requirements import require
from tryon.options import TryOnOptions

COLUMNS = ("person", "garment", "category", "mask", "keypoints", "seed", "options", "name")
NEEDED = COLUMNS[:3]
ONE_LINE = ("person", "garment", "category", "mask", "keypoints", "name")
"""Columns whose values have no line breaks: one comes of a quotation mark that is not closed."""
CSV_HEADER = "its first line must name the columns, parted by commas"
OUTFIT = "|"
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".gif"})
"""Endings of what is taken for a picture in a folder."""
SHOWN_FAULTS = 5


class Pairing(StrEnum):
    """How two folders make rows: picture by picture in the order of names, or all with all."""

    ZIP = "zip"
    PRODUCT = "product"


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One person and what they put on.

    Attributes:
        number: in the manifest, from 1, without the header.
        person, mask, keypoints: addresses; mask and keypoints may be None.
        garments: (address, category), put on one after the other.
        options: of this row.
        name: what people call it; need not be unique.
    """

    number: int
    person: str
    garments: tuple[tuple[str, Category], ...]
    options: TryOnOptions
    name: str
    mask: str | None = None
    keypoints: str | None = None

    @property
    def addresses(self) -> list[str]:
        """Everything that is read for it."""
        more = [each for each in (self.mask, self.keypoints) if each is not None]
        return [self.person, *(address for address, _ in self.garments), *more]

    @cached_property
    def id(self) -> str:
        """What the manifest says of it, but not where: 16 hex digits."""
        said = [self.person, self.garments, self.mask, self.keypoints, self.name]
        text = json.dumps([*said, asdict(self.options)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that cannot be used. number: None is the manifest as a whole."""

    number: int | None
    sentence: str

    def __str__(self) -> str:
        said = self.sentence if self.number is None else f"Row {self.number}: {self.sentence}"
        return said.encode(errors="backslashreplace").decode()  # a file's name may be no UTF-8


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The rows of a catalogue and the faults of those that cannot be used."""

    rows: list[ManifestRow]
    faults: list[RowFault]

    def checked(self) -> list[ManifestRow]:
        """The rows. Raises ValueError, one sentence naming the first faults, if there is any."""
        if not self.faults:
            return self.rows
        shown = " ".join(map(str, self.faults[:SHOWN_FAULTS]))
        more = len(self.faults) - SHOWN_FAULTS
        rest = f" And {more} more: `batch check` names them all." if more > 0 else ""
        faults = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        raise ValueError(f"The manifest has {faults}. {shown}{rest}")


def read_manifest(address: str, defaults: TryOnOptions, variant: Variant) -> Manifest:
    """Read a manifest by its ending: .csv, .jsonl or .parquet.

    defaults: the options of rows that name none. Raises FileNotFoundError, OSError or ValueError
    for a file that is none; faults of single rows are in the result.
    """
    readers = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
    reader = readers.get(suffix_of(address))
    if reader is None:
        raise ValueError(f"{address} must end in {', '.join(readers)}: save the manifest as one.")
    content = read(address)
    return _parsed(reader(content, address), folder_of(absolute(address)), defaults, variant)


def pair_folders(
    persons: str,
    garments: str,
    category: Category | str,
    pairing: Pairing,
    defaults: TryOnOptions,
    variant: Variant,
) -> Manifest:
    """Make rows of the pictures of two folders, in the order of their names.

    Raises ValueError for a folder without pictures, or for two of unequal numbers that are to go
    picture by picture.
    """
    kind = as_category(category)
    check_category(variant, kind)
    defaults.check_outfit([kind])
    people, clothes = (_pictures(folder) for folder in (persons, garments))
    if pairing is Pairing.ZIP and len(people) != len(clothes):
        raise ValueError(
            f"{persons} has {len(people)} pictures and {garments} {len(clothes)}: to go picture by "
            "picture (--pairs zip) there must be as many, or take --pairs product."
        )
    pairs = (
        zip(people, clothes, strict=True)
        if pairing is Pairing.ZIP
        else ((person, garment) for garment in clothes for person in people)
    )
    rows = [
        ManifestRow(
            number=number,
            person=person,
            garments=((garment, kind),),
            options=defaults,
            name=f"{stem_of(person)}-{stem_of(garment)}",
        )
        for number, (person, garment) in enumerate(pairs, 1)
    ]
    return Manifest(rows=rows, faults=[])


def _pictures(folder: str) -> list[str]:
    names = sorted(name for name in files_below(folder) if suffix_of(name) in PICTURES)
    if not names:
        raise ValueError(f"There are no pictures in {folder}: name a folder that has some.")
    return [join(absolute(folder), name) for name in names]


Fields = Mapping[str, Any]


def _parsed(
    lines: Iterable[tuple[int, Fields | RowFault]],
    folder: str,
    defaults: TryOnOptions,
    variant: Variant,
) -> Manifest:
    rows: list[ManifestRow] = []
    faults: list[RowFault] = []
    known: dict[str, str] = {}  # an address stands in thousands of rows, and is kept once
    options_of = _OptionsReader(defaults)
    for number, fields in lines:
        if isinstance(fields, RowFault):
            faults.append(fields)
            continue
        try:
            row = _row(number, fields, folder, options_of, known)
            categories = [category for _, category in row.garments]
            for category in categories:
                check_category(variant, category)
            row.options.check_outfit(categories)
        except RecursionError:  # of what could just be read as JSON
            faults.append(RowFault(number, "has lists in lists too many times over."))
        except ValueError as error:
            faults.append(RowFault(number, str(error)))
        else:
            rows.append(row)
    if not rows and not faults:
        faults.append(RowFault(None, "The manifest has no rows."))
    return Manifest(rows=rows, faults=faults)


def _row(
    number: int, fields: Fields, folder: str, options_of: _OptionsReader, known: dict[str, str]
) -> ManifestRow:
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    unknown = [str(name) for name in given if name not in COLUMNS]
    if unknown:
        raise ValueError(
            f"there is no column {', '.join(unknown)}; there are {', '.join(COLUMNS)}."
        )
    missing = [name for name in NEEDED if given.get(name) in (None, [])]
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing.")

    def address(name: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{name} is {value!r}, but must be a path or an address.")
        found = relative_to(folder, value.strip())
        return known.setdefault(found, found)

    clothes = [address("garment", each) for each in _several(given["garment"])]
    categories = [as_category(str(each).strip()) for each in _several(given["category"])]
    if len(clothes) != len(categories):
        raise ValueError(
            f"there are {len(clothes)} garments and {len(categories)} categories: give one "
            "category for each garment."
        )
    person = address("person", given["person"])
    optional = {name: address(name, given[name]) for name in ("mask", "keypoints") if name in given}
    stems = "-".join(map(stem_of, [person, *clothes]))
    return ManifestRow(
        number=number,
        person=person,
        garments=tuple(zip(clothes, categories, strict=True)),
        options=options_of(given.get("options"), given.get("seed")),
        name=str(given.get("name", stems)),
        **optional,
    )


def _several(value: object) -> list[object]:
    if isinstance(value, str):
        return [*value.split(OUTFIT)]
    return list(cast("Sequence[object]", value)) if isinstance(value, list | tuple) else [value]


class _OptionsReader:
    """Options of rows; equal ones are one object."""

    def __init__(self, defaults: TryOnOptions) -> None:
        self.defaults = defaults
        self._known: dict[str, TryOnOptions] = {}

    def __call__(self, options: object, seed: object) -> TryOnOptions:
        if options is None and seed is None:
            return self.defaults
        key = repr((options, seed))
        if key not in self._known:
            self._known[key] = self._read(options, seed)
        return self._known[key]

    def _read(self, options: object, seed: object) -> TryOnOptions:
        if isinstance(options, str):
            try:
                options = json.loads(options, object_pairs_hook=_each_once)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"options is no JSON ({error}).") from None
        if options is not None and not isinstance(options, dict):
            raise ValueError('options must be a JSON object such as {"guidance_scale": 2.5}.')
        settings = cast("dict[str, Any]", dict(options or {}))
        settings = {name: value for name, value in settings.items() if value is not None}
        if seed is not None:
            settings["seed"] = _whole_number(seed)
        unknown = settings.keys() - asdict(self.defaults).keys()
        if unknown:
            names = ", ".join(asdict(self.defaults))
            raise ValueError(f"there is no option {', '.join(sorted(unknown))}; there are {names}.")
        return replace(self.defaults, **settings)


def _whole_number(seed: object) -> object:
    """A seed as CSV and Parquet have it; what is none is left for `TryOnOptions` to refuse."""
    if isinstance(seed, str) and seed.strip().isdecimal():
        return int(seed)
    return int(seed) if isinstance(seed, float) and seed.is_integer() else seed


def _text(content: bytes, address: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{address} is not UTF-8 ({error.reason}): save it as UTF-8.") from None


def _csv(content: bytes, address: str) -> Iterator[tuple[int, Fields | RowFault]]:
    reader = csv.DictReader(io.StringIO(_text(content, address), newline=""), strict=True)
    number, line = 0, 1
    try:
        _check_columns(reader.fieldnames or (), address, CSV_HEADER)
        line = reader.line_num + 1
        for number, fields in enumerate(reader, 1):
            broken = [name for name in ONE_LINE if {*"\r\n"} & {*(fields.get(name) or "").strip()}]
            if None in fields:
                yield number, RowFault(number, "has more fields than there are columns.")
            elif broken:
                said = f"{', '.join(broken)} goes over several lines, from line {line} on"
                yield number, RowFault(number, f"{said}: close the quotation mark.")
            else:
                yield number, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{address} cannot be read as CSV from line {line} on ({error}): look there for a "
            "quotation mark too many or too few."
        ) from None


def _check_columns(names: Sequence[str], address: str, advice: str) -> None:
    """Raises ValueError where columns are missing, with advice, or stand there twice."""
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise ValueError(f"{address} has no column {', '.join(missing)}: {advice}.")
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise ValueError(f"{address} has the column {', '.join(twice)} twice: leave one of them.")


def _json_lines(content: bytes, address: str) -> Iterator[tuple[int, Fields | RowFault]]:
    # Not splitlines: a text in JSON may hold other line ends, such as U+2028.
    lines = [line for line in _text(content, address).split("\n") if line.strip()]
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line, object_pairs_hook=_each_once)
        except (ValueError, RecursionError) as error:
            yield number, RowFault(number, f"is no JSON that can be used ({error}).")
            continue
        if isinstance(fields, dict):
            yield number, cast("Fields", fields)
        else:
            yield number, RowFault(number, "is no JSON object.")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"{', '.join(twice)} stands there twice")
    return dict(pairs)


def _parquet(content: bytes, address: str) -> Iterator[tuple[int, Fields | RowFault]]:
    require("pyarrow")
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{address} is no Parquet file ({error}): write it anew.") from None
    _check_columns(file.schema_arrow.names, address, "save it with all of them")
    number = 0
    try:
        for batch in file.iter_batches():
            for fields in batch.to_pylist():
                number += 1
                yield number, fields
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(
            f"{address} is damaged after row {number} ({error}): write it anew."
        ) from None


def addresses_of(rows: Iterable[ManifestRow]) -> list[str]:
    """Everything that rows read, each once."""
    return list(dict.fromkeys(address for row in rows for address in row.addresses))
