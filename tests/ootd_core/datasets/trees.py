"""Tiny made-up data sets in the published layouts: drawn people in files such as photographs have.

Each writer returns the root. People wear the garment of their pair, so that person and truth are
one picture, as in the real sets. Seeds are held-out ones; samples of `train` come first.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ootd_core.categories import Category
from ootd_core.datasets.paper_dolls.sample import DollSample, draw_sample
from ootd_core.masks.labels import Label

SIZE = (128, 96)
VITON_HD_FOLDERS = {
    "image": "image",
    "cloth": "cloth",
    "labels": "image-parse-v3",
    "keypoints": "openpose_json",
}
DRESS_CODE_FOLDERS = {
    Category.UPPER: "upper_body",
    Category.LOWER: "lower_body",
    Category.DRESS: "dresses",
}
ATR_TO_LIP = {
    Label.BACKGROUND: 0, Label.HAT: 1, Label.HAIR: 2, Label.BAG: 3, Label.SUNGLASSES: 4,
    Label.UPPER_CLOTHES: 5, Label.DRESS: 6, Label.PANTS: 9, Label.NECK: 10, Label.SCARF: 11,
    Label.SKIRT: 12, Label.FACE: 13, Label.LEFT_ARM: 14, Label.RIGHT_ARM: 15, Label.LEFT_LEG: 16,
    Label.RIGHT_LEG: 17, Label.LEFT_SHOE: 18, Label.RIGHT_SHOE: 19,
}  # fmt: skip


@cache
def doll(number: int, category: Category, size: tuple[int, int] = SIZE) -> DollSample:
    """Draw the doll behind file `number` of a category."""
    return draw_sample(100 + number, height=size[0], width=size[1], category=category)


def write_viton_hd(
    root: Path,
    *,
    train: int = 3,
    test: int = 2,
    size: tuple[int, int] = SIZE,
    folders: Mapping[str, str] = VITON_HD_FOLDERS,
    lists: Sequence[str] = ("train_pairs.txt", "test_pairs.txt"),
    body_25: bool = False,
) -> Path:
    """Write VITON-HD; the second column of every list of test pairs is an unpaired order."""
    numbers = {"train": range(train), "test": range(train, train + test)}
    for split, members in numbers.items():
        for number in members:
            drawn, stem = doll(number, Category.UPPER, size), f"{number:05}_00"
            places = {what: root / split / name for what, name in folders.items()}
            save_jpeg(places["image"] / f"{stem}.jpg", drawn.truth)
            save_jpeg(places["cloth"] / f"{stem}.jpg", drawn.garment)
            lip = np.vectorize(ATR_TO_LIP.__getitem__, otypes=[np.uint8])(drawn.truth_labels)
            save_indices(places["labels"] / f"{stem}.png", lip)
            points = as_body_25(drawn.keypoints) if body_25 else drawn.keypoints
            save_openpose(places["keypoints"] / f"{stem}_keypoints.json", [points])
    for name in lists:
        members = [f"{number:05}_00.jpg" for number in numbers[name.split("_")[0]]]
        others = members[1:] + members[:1] if name.startswith("test") else members
        save_pairs(root / name, zip(members, others, strict=True))
    return root


def write_dress_code(
    root: Path,
    *,
    train: int = 2,
    test: int = 2,
    size: tuple[int, int] = SIZE,
    root_lists: bool = True,
    own_lists: bool = True,
    categories: Sequence[Category] = tuple(Category),
) -> Path:
    """Write Dress Code with its lists in the root (three columns), in the folders (two), or both.

    Lists name all categories, files are written for `categories`.
    """
    names: dict[str, list[tuple[str, str, str]]] = {}
    for label, (category, name) in enumerate(DRESS_CODE_FOLDERS.items()):
        folder = root / name
        for number in range(train + test):
            stem = f"{1000 * label + number:06}"
            if category in categories:
                drawn = doll(number, category, size)
                save_jpeg(folder / "images" / f"{stem}_0.jpg", drawn.truth)
                save_jpeg(folder / "images" / f"{stem}_1.jpg", drawn.garment)
                save_indices(folder / "label_maps" / f"{stem}_4.png", drawn.truth_labels)
                save_dress_code_keypoints(folder / "keypoints" / f"{stem}_2.json", drawn)
            first, last = (0, train) if number < train else (train, train + test)
            other = f"{1000 * label + (number + 1 if number + 1 < last else first):06}"
            for listed, garment in (
                ("train_pairs.txt" if number < train else "test_pairs_paired.txt", stem),
                ("" if number < train else "test_pairs_unpaired.txt", other),
            ):
                line = (f"{stem}_0.jpg", f"{garment}_1.jpg", str(label))
                names.setdefault(listed, []).append(line)
    for listed, lines in names.items():
        if listed and root_lists:
            save_pairs(root / listed, lines)
        for label, (category, name) in enumerate(DRESS_CODE_FOLDERS.items()):
            if listed and own_lists and category in categories:
                save_pairs(root / name / listed, [one[:2] for one in lines if one[2] == str(label)])
    return root


def write_folder(
    root: Path,
    *,
    people: int = 2,
    categories: Sequence[Category] = tuple(Category),
    seen: bool = True,
    size: tuple[int, int] = SIZE,
    first: int = 0,
) -> Path:
    """Write a folder of one's own (or one split of it), with what there is to be seen if `seen`."""
    for category in categories:
        for number in range(first, first + people):
            drawn, folder = doll(number, category, size), root / category
            save_jpeg(folder / "person" / f"{number}.jpg", drawn.truth)
            save_jpeg(folder / "garment" / f"{number}.jpg", drawn.garment)
            if seen:
                save_indices(folder / "labels" / f"{number}.png", drawn.truth_labels)
                save_openpose(folder / "keypoints" / f"{number}.json", [drawn.keypoints])
    return root


def save_jpeg(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=95)


def save_indices(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write a palette PNG whose colours say nothing about its indices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(labels).convert("P")
    picture.putpalette([255 - level for level in range(256) for _ in range(3)])
    picture.save(path)


def save_openpose(path: Path, people: Sequence[NDArray[np.floating]], **fields: object) -> None:
    """Write OpenPose JSON as OpenPose does; `fields` are added to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bodies = [{"person_id": [-1], "pose_keypoints_2d": one.ravel().tolist()} for one in people]
    path.write_text(json.dumps({"version": 1.3, "people": bodies, **fields}))


def save_dress_code_keypoints(path: Path, drawn: DollSample) -> None:
    """Write 18 x 4 in a frame of 384x512, -1 where a joint is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = drawn.truth.shape[:2]
    rows = [
        [x * 384 / width, y * 512 / height, confidence, number] if confidence > 0 else [-1.0] * 4
        for number, (x, y, confidence) in enumerate(drawn.keypoints.tolist())
    ]
    path.write_text(json.dumps({"keypoints": rows}))


def save_pairs(path: Path, lines: Iterable[Sequence[str]]) -> None:
    path.write_text("".join(" ".join(line) + "\n" for line in lines))


def as_body_25(keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """[18,3] -> [25,3] with the middle of the hips in row 8 and feet nobody asks for."""
    middle, feet = (keypoints[8:9] + keypoints[11:12]) / 2, np.full((6, 3), 7.0)
    return np.concatenate([keypoints[:8], middle, keypoints[8:], feet]).astype(np.float32)


class DrawnPerception:
    """Sees the first doll of a category, and remembers what it was shown."""

    def __init__(self, category: Category, *, nobody: bool = False) -> None:
        self.doll = doll(0, category)
        self.nobody = nobody
        self.shown: list[tuple[int, ...]] = []

    def labels(self, person: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self.shown.append(person.shape)
        return self.doll.truth_labels

    def keypoints(self, person: NDArray[np.uint8]) -> NDArray[np.floating] | None:
        self.shown.append(person.shape)
        return None if self.nobody else self.doll.keypoints.astype(np.float64)

    def stamp(self) -> str:
        return str(self.doll.category)
