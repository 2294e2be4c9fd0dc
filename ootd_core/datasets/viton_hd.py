"""VITON-HD: half-body photographs in upper garments, with LIP label maps and OpenPose JSON.

    {train,test}_pairs.txt, and test_pairs_unpaired.txt in some copies
    {train,test}/image/NAME.jpg                            the person
    {train,test}/cloth/NAME.jpg                            the garment of the same name is worn
    {train,test}/image-parse-v3/NAME.png                   label map
    {train,test}/openpose_json/NAME_keypoints.json         keypoints

Other folders (cloth-mask, agnostic-v3.2, agnostic-mask, image-densepose, ...) are not needed:
masks are drawn by the code of inference. In copies of the data set folder names may have other
capitals, `_` for `-`, and no version, and pictures another ending than the lists say.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

from ..categories import Category
from .file_names import FileNames
from .keypoints import read_openpose
from .label_maps import VITON_HD_TO_ATR, read_label_map
from .pairs_file import Pairing, PairsFile, Split, find_pairs_file, read_pairs
from .photographs import Listing, Pair

FOLDERS = {
    "image": ("image", "images"),
    "cloth": ("cloth", "clothes"),
    "labels": ("image-parse-v3", "image-parse"),
    "keypoints": ("openpose-json", "openpose"),
}
"""Each folder's names, the usual one first."""


def is_viton_hd(root: Path) -> bool:
    """Tell whether a folder is laid out like VITON-HD."""
    return any(
        _find(root / split, "image") and _find(root / split, "cloth") for split in ("train", "test")
    )


def list_viton_hd(
    root: Path, split: Split, pairing: Pairing, categories: Collection[Category] | None = None
) -> Listing:
    """List the pairs of a split. Raises ValueError or FileNotFoundError with one sentence.

    Paired, a person wears the garment of the same name, whatever a list's second column says:
    in the published test_pairs.txt that column is the unpaired order.
    """
    if categories is not None and Category.UPPER not in categories:
        raise ValueError(f"VITON-HD has garments of category '{Category.UPPER}' only.")
    found = find_pairs_file(root, split, pairing)
    if found is None:
        raise FileNotFoundError(
            f"There is no list of pairs at {root / f'{split}_pairs.txt'} "
            f"(nor {split}_pairs_{pairing}.txt)."
        )
    listed = read_pairs(found)
    folder = root / split
    image, cloth, labels, keypoints = (FileNames(_folder(folder, what)) for what in FOLDERS)
    pairs: dict[tuple[str, str], Pair] = {}
    for person, garment in _combinations(listed, pairing):
        stem = Path(person).stem
        worn = Path(garment).stem == stem
        pairs[person, garment] = Pair(
            name=stem if pairing == "paired" else f"{stem}+{Path(garment).stem}",
            category=Category.UPPER,
            person=image.picture(person),
            garment=cloth.picture(garment),
            labels=labels.place(f"{stem}.png"),
            keypoints=keypoints.place(f"{stem}_keypoints.json"),
            worn=worn,
        )
    return Listing(
        pairs=tuple(pairs.values()),
        read_labels=partial(read_label_map, table=VITON_HD_TO_ATR),
        read_keypoints=read_openpose,
        complaints=listed.complaints,
    )


def _combinations(listed: PairsFile, pairing: Pairing) -> list[tuple[str, str]]:
    if pairing == "paired":
        return [(row.person, row.person) for row in listed.rows]
    others = [(row.person, row.garment) for row in listed.rows if row.person != row.garment]
    if not others:
        raise ValueError(
            f"{listed.path} has no unpaired pair: everybody is with their own garment."
        )
    return others


def _folder(folder: Path, what: str) -> Path:
    return _find(folder, what) or folder / FOLDERS[what][0]


def _find(folder: Path, what: str) -> Path | None:
    """Return the subfolder that has one of the names, the earlier name first."""
    present = {_plain(each.name): each for each in sorted(folder.glob("*/"))}
    return next((present[_plain(n)] for n in FOLDERS[what] if _plain(n) in present), None)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
