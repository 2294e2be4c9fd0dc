"""Dress Code: full-body photographs in upper garments, lower garments and dresses.

    {train_pairs,test_pairs_paired,test_pairs_unpaired}.txt    in the root: with a third column,
                          0 upper, 1 lower, 2 dress; in a category's folder: two columns
    {upper_body,lower_body,dresses}/images/NAME_0.jpg          the person
    {upper_body,lower_body,dresses}/images/NAME_1.jpg          the garment
    {upper_body,lower_body,dresses}/label_maps/NAME_4.png      ATR label map
    {upper_body,lower_body,dresses}/keypoints/NAME_2.json      18 x 4 in a frame of 384x512

A category's own list is preferred: a copy may hold fewer categories than the root's lists name.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

from ..categories import Category
from .file_names import FileNames
from .keypoints import read_dress_code
from .label_maps import ATR, read_label_map
from .pairs_file import Pairing, Split, UnreadableList, find_pairs_file, read_pairs
from .photographs import Listing, Pair

FOLDERS = {
    Category.UPPER: "upper_body",
    Category.LOWER: "lower_body",
    Category.DRESS: "dresses",
}
"""In the order of the third column's numbers."""


def is_dress_code(root: Path) -> bool:
    """Tell whether a folder is laid out like Dress Code."""
    return any((root / folder / "images").is_dir() for folder in FOLDERS.values())


def list_dress_code(
    root: Path, split: Split, pairing: Pairing, categories: Collection[Category] | None = None
) -> Listing:
    """List the pairs of a split, of the categories asked for or of all that are there.

    Raises ValueError or FileNotFoundError with one sentence.
    """
    present = [one for one, folder in FOLDERS.items() if (root / folder).is_dir()]
    absent = [one for one in categories or () if one not in present]
    if absent:
        folders = ", ".join(str(root / FOLDERS[one]) for one in absent)
        raise FileNotFoundError(f"There is no folder {folders}.")
    pairs: list[Pair] = []
    complaints: dict[str, None] = {}
    for category in present if categories is None else [c for c in present if c in categories]:
        folder = root / FOLDERS[category]
        files = _Folders(folder)
        own = find_pairs_file(folder, split, pairing)
        found = own or find_pairs_file(root, split, pairing)
        if found is None:
            raise FileNotFoundError(
                f"There is no list of pairs at {folder / f'{split}_pairs.txt'} "
                f"(nor {split}_pairs_{pairing}.txt, nor either in {root})."
            )
        listed = read_pairs(found)
        complaints |= dict.fromkeys(listed.complaints)
        for row in listed.rows:
            number = list(FOLDERS).index(category)
            if own or row.label == number:
                pairs.append(files.pair(category, row.person, row.garment, pairing))
            elif row.label is None or row.label >= len(FOLDERS):
                what = "nothing" if row.label is None else row.label
                complaints[
                    f"{found} has {what} in the third column for {row.person}, where a root's "
                    "list needs 0 (upper), 1 (lower) or 2 (dress)."
                ] = None
    if complaints and not pairs:
        raise UnreadableList(next(iter(complaints)))
    if pairing == "unpaired":
        pairs = [pair for pair in pairs if not pair.worn]
    if not pairs:
        raise ValueError(
            f"The lists in {root} have no {pairing} {split} pairs of these categories."
        )
    return Listing(
        pairs=tuple(pairs),
        read_labels=partial(read_label_map, table=ATR),
        read_keypoints=read_dress_code,
        complaints=tuple(complaints),
    )


class _Folders:
    """The files of a category."""

    def __init__(self, folder: Path) -> None:
        self.images = FileNames(folder / "images")
        self.labels = FileNames(folder / "label_maps")
        self.keypoints = FileNames(folder / "keypoints")

    def pair(self, category: Category, person: str, garment: str, pairing: Pairing) -> Pair:
        stem, garment_stem = (Path(name).stem.rpartition("_")[0] for name in (person, garment))
        name = f"{category}-{stem}"
        return Pair(
            name=name if pairing == "paired" else f"{name}+{garment_stem}",
            category=category,
            person=self.images.picture(person),
            garment=self.images.picture(garment),
            labels=self.labels.place(f"{stem}_4.png"),
            keypoints=self.keypoints.place(f"{stem}_2.json"),
            worn=stem == garment_stem,
        )
