"""A folder of one's own: its layout, and what is seen where no file says it."""

from pathlib import Path

import numpy as np
import pytest

from ootd_core.categories import Category
from ootd_core.datasets.open import Layout, layout_of, list_pairs, open_dataset
from ootd_core.datasets.photographs import perceive
from ootd_core.datasets.sample import UnusableSample
from ootd_core.masks.labels import Label
from tests.ootd_core.datasets.trees import SIZE, DrawnPerception, doll, save_jpeg, write_folder


def test_a_sample_is_what_the_files_say(tmp_path: Path) -> None:
    dataset = open_dataset(write_folder(tmp_path), size=SIZE)
    assert layout_of(tmp_path) is Layout.FOLDER
    assert [dataset.name(index) for index in range(len(dataset))] == [
        "upper-0", "upper-1", "lower-0", "lower-1", "dress-0", "dress-1",
    ]  # fmt: skip
    drawn, sample = doll(1, Category.LOWER), dataset[3]
    assert sample.category is Category.LOWER
    assert np.array_equal(sample.labels, drawn.truth_labels)
    assert np.allclose(sample.keypoints, drawn.keypoints, atol=1e-3)


def test_unpaired_is_the_next_ones_garment(tmp_path: Path) -> None:
    write_folder(tmp_path, people=3, categories=[Category.UPPER])
    dataset = open_dataset(tmp_path, size=SIZE, pairing="unpaired")
    assert [dataset.name(i) for i in range(3)] == ["upper-0+1", "upper-1+2", "upper-2+0"]
    assert np.array_equal(dataset[2].garment, open_dataset(tmp_path, size=SIZE)[0].garment)
    assert dataset[0].truth is None


def test_one_pair_has_nobody_to_swap_with(tmp_path: Path) -> None:
    write_folder(tmp_path, people=1, categories=[Category.UPPER])
    with pytest.raises(FileNotFoundError, match="no unpaired pictures"):
        open_dataset(tmp_path, pairing="unpaired")


def test_splits_are_folders_and_without_them_all_is_for_training(tmp_path: Path) -> None:
    split, plain = tmp_path / "split", tmp_path / "plain"
    write_folder(split / "train", people=3, categories=[Category.UPPER])
    write_folder(split / "test", people=1, categories=[Category.UPPER], first=3)
    assert len(open_dataset(split, split="train")) == 3
    assert open_dataset(split, split="test").name(0) == "upper-3"
    write_folder(plain, people=2)
    assert len(open_dataset(plain)) == 6
    with pytest.raises(FileNotFoundError, match="has no test set"):
        open_dataset(plain, split="test")


def test_what_has_no_partner_is_complained_of(tmp_path: Path) -> None:
    write_folder(tmp_path, categories=[Category.UPPER])
    (tmp_path / "upper/garment/1.jpg").rename(tmp_path / "upper/garment/2.jpg")
    save_jpeg(tmp_path / "upper/person/0.png", doll(0, Category.UPPER).person)
    listing = list_pairs(tmp_path, Layout.FOLDER, "train")
    assert [pair.name for pair in listing.pairs] == ["upper-0"]
    said = "\n".join(listing.complaints)
    assert "person/1 has no garment" in said and "garment/2 has no person" in said
    assert "0.png has the same name as 0.jpg" in said


def test_what_is_missing_is_seen_at_the_samples_size(tmp_path: Path) -> None:
    write_folder(tmp_path, people=1, categories=[Category.UPPER], seen=False)
    seeing = DrawnPerception(Category.UPPER)
    sample = open_dataset(tmp_path, size=SIZE, perception=seeing)[0]
    assert seeing.shown == [(*SIZE, 3)] * 2
    assert np.array_equal(sample.labels, seeing.doll.truth_labels)
    assert sample.keypoints.dtype == np.float32
    assert np.allclose(sample.keypoints, seeing.doll.keypoints)


def test_files_go_before_what_is_seen(tmp_path: Path) -> None:
    write_folder(tmp_path, people=1, categories=[Category.UPPER])
    seeing = DrawnPerception(Category.UPPER)
    assert open_dataset(tmp_path, size=SIZE, perception=seeing)[0].labels.any()
    assert seeing.shown == []


def test_without_files_and_without_eyes_it_does_not_open(tmp_path: Path) -> None:
    write_folder(tmp_path, seen=False)
    with pytest.raises(ValueError, match=r"0\.jpg and 5 more .* dataset prepare"):
        open_dataset(tmp_path)


def test_nobody_seen_is_an_unusable_sample(tmp_path: Path) -> None:
    write_folder(tmp_path, people=1, categories=[Category.UPPER], seen=False)
    seeing = DrawnPerception(Category.UPPER, nobody=True)
    with pytest.raises(UnusableSample, match=r"No person was found in .*0\.jpg"):
        open_dataset(tmp_path, size=SIZE, perception=seeing)[0]


def test_what_is_perceived_comes_back_to_the_pictures_own_size(tmp_path: Path) -> None:
    """The picture is twice as fine as the canvas, and has a strip of wall on its right."""
    write_folder(tmp_path, people=1, categories=[Category.UPPER], seen=False)
    large = doll(0, Category.UPPER, (256, 192)).truth
    wall = np.full((256, 64, 3), 200, np.uint8)
    save_jpeg(tmp_path / "upper/person/0.jpg", np.concatenate([large, wall], axis=1))
    (pair,) = list_pairs(tmp_path, Layout.FOLDER, "train").pairs
    seeing = DrawnPerception(Category.UPPER)
    labels, keypoints = perceive(pair, seeing, SIZE)
    scale, top = 256 / 96, (128 - 96) / 2  # the canvas is wider than 3:4 pictures need
    assert labels.shape == (256, 256)
    nose = seeing.doll.keypoints[0]
    x, y = (nose[:2] + 0.5 - (0, top)) * scale - 0.5
    assert np.allclose(keypoints[0], (x, y, 1), atol=1e-3)
    assert (keypoints[seeing.doll.keypoints[:, 2] == 0] == 0).all()
    assert labels[round(float(y)), round(float(x))] == Label.FACE
