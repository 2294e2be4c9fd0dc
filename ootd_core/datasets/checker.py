"""Reads a whole data set and says what is wrong with it, before a training finds out.

Each file is read once, however many lists name it. A pair is good if all of its files are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ..categories import Category
from .open import Layout, list_pairs
from .pairs_file import PAIRINGS, SPLITS, Pairing, Split, UnreadableList
from .photographs import SHAPE_TOLERANCE, Listing, Pair, check_shape, read_picture
from .sample import FileMissing, UnusableSample, WrongSize

OnPair = Callable[[int, int], None]
"""Called after each pair: with the number of pairs read, and of all pairs."""


class Trouble(StrEnum):
    """What can be wrong with a data set."""

    LIST = "lists that cannot be read"
    LISTING = "left out of the lists"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    MIS_SIZED = "mis-sized"


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Pairs that are counted together."""

    split: Split
    pairing: Pairing
    category: Category


@dataclass(kw_only=True, slots=True)
class Findings:
    """What a check found.

    pairs, bad: the number of pairs of each group, and of those with a bad file. troubles:
    sentences, each naming its file. to_make: the number of label maps and keypoints that the
    networks have to make. warnings: sentences on what can be used but is odd.
    """

    layout: Layout
    pairs: Counter[Group] = field(default_factory=Counter[Group])
    bad: Counter[Group] = field(default_factory=Counter[Group])
    troubles: dict[Trouble, list[str]]
    to_make: int = 0
    warnings: list[str] = field(default_factory=list[str])

    @property
    def good(self) -> bool:
        return not any(self.troubles.values())


def check_dataset(
    path: Path, layout: Layout, size: tuple[int, int], on_pair: OnPair | None = None
) -> Findings:
    """Read every file that the lists in a folder name.

    size: height and width of the samples; a smaller picture, or a person's picture of another
    shape, is mis-sized.
    Raises FileNotFoundError or ValueError if not a single list can be used.
    """
    if layout is Layout.DOLLS:
        raise ValueError("Paper dolls are drawn: they have no folder to check.")
    findings = Findings(layout=layout, troubles={trouble: [] for trouble in Trouble})
    listings = _listings(path, layout, findings)
    reader = _Reader(size, findings)
    total = sum(len(listing.pairs) for listing in listings.values())
    done = 0
    for (split, pairing), listing in listings.items():
        for pair in listing.pairs:
            group = Group(split=split, pairing=pairing, category=pair.category)
            findings.pairs[group] += 1
            findings.bad[group] += not reader.is_good(pair, listing)
            done += 1
            if on_pair is not None:
                on_pair(done, total)
    findings.to_make = len(reader.to_make)
    findings.warnings += _overlaps(listings, reader.digests)
    return findings


def _listings(
    path: Path, layout: Layout, findings: Findings
) -> dict[tuple[Split, Pairing], Listing]:
    """Return the listing of each split and pairing; warn of a split without a list.

    A list that is there and cannot be read is a trouble: a training would stop at it.
    """
    listings: dict[tuple[Split, Pairing], Listing] = {}
    errors: list[ValueError | FileNotFoundError] = []
    for split in SPLITS:
        for pairing in PAIRINGS:
            try:
                listing = list_pairs(path, layout, split, pairing)
            except UnreadableList as error:
                errors.append(error)
                if str(error) not in findings.troubles[Trouble.LIST]:
                    findings.troubles[Trouble.LIST].append(str(error))
                continue
            except (ValueError, FileNotFoundError) as error:
                errors.append(error)
                if pairing == "paired":
                    findings.warnings.append(f"No {split} set: {error}")
                continue
            listings[split, pairing] = listing
            listed = findings.troubles[Trouble.LISTING]
            listed += [line for line in listing.complaints if line not in listed]
    if not listings:
        raise errors[0]
    return listings


class _Reader:
    """Reads each file once and notes what is wrong with it."""

    def __init__(self, size: tuple[int, int], findings: Findings) -> None:
        self.size = size
        self.findings = findings
        self.to_make: set[tuple[Path, str]] = set()
        self.digests: dict[Path, bytes] = {}
        self._pictures: dict[Path, tuple[int, int] | None] = {}
        self._good: dict[Path, bool] = {}

    def is_good(self, pair: Pair, listing: Listing) -> bool:
        person = self._picture(pair.person, is_person=True)
        self._picture(pair.garment, is_person=False)
        self._once(pair.labels, lambda path: self._read_labels(path, listing, person))
        self._once(pair.keypoints, lambda path: self._read_keypoints(path, listing, person))
        if pair.labels is None:
            self.to_make.add((pair.person, "label map"))
        if pair.keypoints is None:
            self.to_make.add((pair.person, "keypoints"))
        files = (pair.person, pair.garment, pair.labels, pair.keypoints)
        return all(self._good[file] for file in files if file is not None)

    def _picture(self, path: Path, *, is_person: bool) -> tuple[int, int] | None:
        """Return height and width of a picture, None if it cannot be read."""
        if path not in self._pictures:
            self._pictures[path] = None
            self._once(path, lambda path: self._read_picture(path, is_person=is_person))
        return self._pictures[path]

    def _read_picture(self, path: Path, *, is_person: bool) -> None:
        height, width = read_picture(path).shape[:2]
        self._pictures[path] = height, width
        self.digests[path] = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
        wanted = f"{self.size[1]}x{self.size[0]} (width x height)"
        if height < self.size[0] and width < self.size[1]:
            raise WrongSize(f"{path} is {width}x{height} pixels, smaller than {wanted}.")
        if is_person and abs(width / height * self.size[0] / self.size[1] - 1) > SHAPE_TOLERANCE:
            raise WrongSize(f"{path} is {width}x{height} pixels, not the shape of {wanted}.")

    def _read_labels(self, path: Path, listing: Listing, person: tuple[int, int] | None) -> None:
        labels = listing.read_labels(path)
        if person is not None:
            check_shape(path, labels, *person)

    def _read_keypoints(self, path: Path, listing: Listing, person: tuple[int, int] | None) -> None:
        try:
            listing.read_keypoints(path, *(person or self.size))
        except WrongSize:
            if person is not None:  # without a picture nothing lies outside it
                raise

    def _once(self, path: Path | None, read: Callable[[Path], None]) -> None:
        """Read a file unless there is none or that was done; note whether it is good."""
        if path is None or path in self._good:
            return
        self._good[path] = True
        try:
            read(path)
        except UnusableSample as error:
            self._good[path] = False
            self.findings.troubles[_trouble(error)].append(str(error))


def _trouble(error: UnusableSample) -> Trouble:
    match error:
        case FileMissing():
            return Trouble.MISSING
        case WrongSize():
            return Trouble.MIS_SIZED
        case _:
            return Trouble.UNREADABLE


def _overlaps(
    listings: dict[tuple[Split, Pairing], Listing], digests: dict[Path, bytes]
) -> list[str]:
    """Return warnings of pictures in both the training and the test set, whatever their names."""
    warnings: list[str] = []
    for what in ("person", "garment"):
        files: dict[Split, dict[bytes, Path]] = {"train": {}, "test": {}}
        for (split, _), listing in listings.items():
            for path in (getattr(pair, what) for pair in listing.pairs):
                if path in digests:
                    files[split].setdefault(digests[path], path)
        both = files["train"].keys() & files["test"].keys()
        if both:
            one = min(both, key=lambda digest: files["train"][digest])
            warnings.append(
                f"{len(both)} {what} pictures are in both the training and the test set "
                f"({files['train'][one]} is {files['test'][one]}): "
                "figures measured on them are too good."
            )
    return warnings
