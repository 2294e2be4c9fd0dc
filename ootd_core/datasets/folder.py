"""A plain folder of your own photographs.

    {upper,lower,dress}/person/NAME.jpg          the person
    {upper,lower,dress}/garment/NAME.jpg         the garment that this person wears, lying flat
    {upper,lower,dress}/labels/NAME.png          optional: ATR label map, one index a pixel
    {upper,lower,dress}/keypoints/NAME.json      optional: OpenPose JSON

All of it below train/ and test/; without these two folders everything is for training. Pictures may
be PNG, JPEG, WebP or BMP. Unpaired, everybody gets the garment of the next person in the category.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

from ..categories import Category
from .file_names import ENDINGS, FileNames
from .keypoints import read_openpose
from .label_maps import ATR, read_label_map
from .pairs_file import SPLITS, Pairing, Split
from .photographs import Listing, Pair


def is_folder(root: Path) -> bool:
    """Tell whether a folder is laid out as described above."""
    return any(
        (base / category / "person").is_dir()
        for base in (root, *(root / split for split in SPLITS))
        for category in Category
    )


def list_folder(
    root: Path, split: Split, pairing: Pairing, categories: Collection[Category] | None = None
) -> Listing:
    """List the pairs of a split, sorted by category and name.

    A person without a garment, or a garment without a person, is left out with a complaint.
    Raises ValueError or FileNotFoundError with one sentence.
    """
    base = root / split
    if not any((root / each).is_dir() for each in SPLITS):
        base = root
        if split == "test":
            raise FileNotFoundError(
                f"{root} has no test set: put some of its pictures below {root / 'test'} "
                f"and the others below {root / 'train'}."
            )
    pairs: list[Pair] = []
    complaints: list[str] = []
    for category in Category:
        if categories is None or category in categories:
            pairs += _pairs(base / category, category, pairing, complaints)
    if not pairs:
        raise FileNotFoundError(
            f"There are no {pairing} pictures in {base}: put them into its folders "
            f"{', '.join(categories or Category)}, as person/NAME.jpg and garment/NAME.jpg."
        )
    return Listing(
        pairs=tuple(pairs),
        read_labels=partial(read_label_map, table=ATR),
        read_keypoints=read_openpose,
        complaints=tuple(complaints),
    )


def label_map_of(person: Path) -> Path:
    """Return where the label map of a person's picture is, or would be."""
    return person.parents[1] / "labels" / f"{person.stem}.png"


def keypoints_of(person: Path) -> Path:
    """Return where the keypoints of a person's picture are, or would be."""
    return person.parents[1] / "keypoints" / f"{person.stem}.json"


def _pairs(folder: Path, category: Category, pairing: Pairing, complaints: list[str]) -> list[Pair]:
    people = _pictures(folder / "person", complaints)
    garments = _pictures(folder / "garment", complaints)
    for name in sorted(people.keys() ^ garments.keys()):
        have, lack = ("person", "garment") if name in people else ("garment", "person")
        complaints.append(f"{folder / have / name} has no {lack} picture of the same name.")
    names = sorted(people.keys() & garments.keys())
    others = names[1:] + names[:1] if pairing == "unpaired" else names
    labels, keypoints = FileNames(folder / "labels"), FileNames(folder / "keypoints")
    return [
        Pair(
            name=f"{category}-{name}" if name == other else f"{category}-{name}+{other}",
            category=category,
            person=people[name],
            garment=garments[other],
            labels=labels.find(label_map_of(people[name]).name),
            keypoints=keypoints.find(keypoints_of(people[name]).name),
            worn=name == other,
        )
        for name, other in zip(names, others, strict=True)
        if pairing == "paired" or name != other  # one pair alone has nobody to swap with
    ]


def _pictures(folder: Path, complaints: list[str]) -> dict[str, Path]:
    """Return the pictures of a folder by name without ending; of two of one name the first."""
    pictures: dict[str, Path] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() not in ENDINGS:
            continue
        first = pictures.setdefault(path.stem, path)
        if first is not path:
            complaints.append(f"{path} has the same name as {first.name} and is left out.")
    return pictures
