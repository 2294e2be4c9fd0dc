"""Dress Code trees: lists in the root and in the folders, ATR maps, joints of a 384x512 frame."""

import json
from pathlib import Path

import numpy as np
import pytest

from ootd_core.categories import Category
from ootd_core.datasets.dress_code import FOLDERS
from ootd_core.datasets.open import Layout, layout_of, list_pairs, open_dataset
from ootd_core.datasets.sample import TryOnDataset
from tests.ootd_core.datasets.trees import SIZE, doll, save_pairs, write_dress_code


def names(dataset: TryOnDataset) -> list[str]:
    return [dataset.name(index) for index in range(len(dataset))]


@pytest.mark.parametrize(("in_root", "in_folders"), [(True, True), (True, False), (False, True)])
def test_lists_may_lie_in_the_root_or_in_the_folders(
    in_root: bool, in_folders: bool, tmp_path: Path
) -> None:
    tree = write_dress_code(tmp_path, root_lists=in_root, own_lists=in_folders)
    assert layout_of(tree) is Layout.DRESS_CODE
    assert names(open_dataset(tree, split="train")) == [
        "upper-000000", "upper-000001", "lower-001000", "lower-001001",
        "dress-002000", "dress-002001",
    ]  # fmt: skip
    unpaired = open_dataset(tree, split="test", pairing="unpaired", categories=[Category.LOWER])
    assert names(unpaired) == ["lower-001002+001003", "lower-001003+001002"]


@pytest.mark.parametrize("category", Category)
def test_a_sample_is_what_the_files_say(category: Category, tmp_path: Path) -> None:
    dataset = open_dataset(write_dress_code(tmp_path), size=SIZE, categories=[category])
    drawn, sample = doll(1, category), dataset[1]
    assert sample.category is dataset.category(1) is category
    assert np.array_equal(sample.labels, drawn.truth_labels)
    assert np.allclose(sample.keypoints, drawn.keypoints, atol=1e-3)
    assert sample.truth is not None and np.array_equal(sample.truth, sample.person)
    assert np.abs(sample.garment.astype(int) - drawn.garment).mean() < 4


def test_joints_are_scaled_from_their_frame_to_the_picture(tmp_path: Path) -> None:
    tree = write_dress_code(tmp_path, categories=[Category.UPPER])
    path = tree / "upper_body/keypoints/000000_2.json"
    rows = [[-1.0, -1.0, -1.0, -1.0]] * 18
    rows[1], rows[2], rows[3] = [192, 256, 0.5, 0], [96, 128, 0, 1], [0, 0, 0.9, 2]
    path.write_text(json.dumps({"keypoints": rows}))
    keypoints = open_dataset(tree, size=SIZE)[0].keypoints
    assert keypoints[1].tolist() == [48, 64, 0.5]
    assert keypoints[2].tolist() == [24, 32, 1]  # known by where it is, whatever its confidence
    assert (keypoints[[0, *range(3, 18)]] == 0).all()


def test_label_maps_may_be_coarser_than_their_pictures(tmp_path: Path) -> None:
    tree = write_dress_code(tmp_path, categories=[Category.UPPER], size=(64, 48))
    fine = write_dress_code(tmp_path / "fine", categories=[Category.UPPER])
    for picture in (fine / "upper_body/images").iterdir():
        picture.replace(tree / "upper_body/images" / picture.name)
    sample = open_dataset(tree, size=SIZE)[0]
    coarse = doll(0, Category.UPPER, (64, 48)).truth_labels
    assert np.array_equal(sample.labels[1::2, 1::2], coarse)
    assert np.allclose(sample.keypoints, doll(0, Category.UPPER).keypoints, atol=0.05)


def test_a_copy_may_hold_fewer_categories_than_the_roots_lists(tmp_path: Path) -> None:
    tree = write_dress_code(tmp_path, own_lists=False, categories=[Category.DRESS])
    assert names(open_dataset(tree)) == ["dress-002000", "dress-002001"]
    with pytest.raises(FileNotFoundError, match="lower_body"):
        open_dataset(tree, categories=[Category.LOWER, Category.DRESS])


def test_lines_of_no_category_are_complained_of(tmp_path: Path) -> None:
    tree = write_dress_code(tmp_path, own_lists=False)
    good = ("000000_0.jpg", "000000_1.jpg", "0")
    save_pairs(tree / "train_pairs.txt", [good, ("000001_0.jpg", "000001_1.jpg", "7")])
    listing = list_pairs(tree, Layout.DRESS_CODE, "train")
    assert [pair.name for pair in listing.pairs] == ["upper-000000"]
    (complaint,) = listing.complaints
    assert "has 7 in the third column for 000001_0.jpg" in complaint
    save_pairs(tree / "train_pairs.txt", [good[:2]])
    with pytest.raises(ValueError, match="has nothing in the third column"):
        open_dataset(tree)


def test_the_third_column_counts_the_folders() -> None:
    assert list(FOLDERS) == [Category.UPPER, Category.LOWER, Category.DRESS]
