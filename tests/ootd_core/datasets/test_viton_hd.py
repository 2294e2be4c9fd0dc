"""VITON-HD trees: both pairings, every name in use, and what a sample holds."""

from pathlib import Path

import numpy as np
import pytest

from ootd_core.categories import Category
from ootd_core.datasets.open import Layout, layout_of, list_pairs, open_dataset
from ootd_core.datasets.sample import UnusableSample, WrongSize
from ootd_core.masks.labels import Label
from tests.ootd_core.datasets.trees import (
    SIZE,
    VITON_HD_FOLDERS,
    doll,
    save_indices,
    save_openpose,
    save_pairs,
    write_viton_hd,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_viton_hd(tmp_path / "viton")


def test_a_sample_is_what_the_files_say(tree: Path) -> None:
    dataset = open_dataset(tree, split="train", size=SIZE)
    assert [dataset.name(i) for i in range(len(dataset))] == ["00000_00", "00001_00", "00002_00"]
    drawn, sample = doll(1, Category.UPPER), dataset[1]
    assert (sample.name, sample.category) == ("00001_00", Category.UPPER)
    assert dataset.category(1) is Category.UPPER
    assert np.array_equal(sample.labels, drawn.truth_labels)
    assert Label.NECK in sample.labels and Label.UPPER_CLOTHES in sample.labels
    assert np.allclose(sample.keypoints, drawn.keypoints, atol=1e-3)
    assert sample.keypoints.dtype == np.float32
    for picture, true in ((sample.person, drawn.truth), (sample.garment, drawn.garment)):
        assert np.abs(picture.astype(int) - true).mean() < 4  # JPEG
    assert sample.truth is not None and np.array_equal(sample.truth, sample.person)


def test_another_size_moves_everything_together(tree: Path) -> None:
    small, large = (open_dataset(tree, size=size)[0] for size in (SIZE, (256, 192)))
    assert large.person.shape == large.garment.shape == (256, 192, 3)
    assert np.array_equal(large.labels[::2, ::2], small.labels)
    known = small.keypoints[:, 2] > 0
    moved = 2 * (small.keypoints[known, :2] + 0.5) - 0.5
    assert np.allclose(large.keypoints[known, :2], moved, atol=1e-3)
    assert (large.keypoints[~known] == 0).all()


def test_unpaired_is_the_second_column_and_has_no_truth(tree: Path) -> None:
    dataset = open_dataset(tree, split="test", size=SIZE, pairing="unpaired")
    assert [dataset.name(i) for i in range(2)] == ["00003_00+00004_00", "00004_00+00003_00"]
    sample = dataset[0]
    paired = [open_dataset(tree, split="test", size=SIZE)[i] for i in range(2)]
    assert sample.truth is None
    assert np.array_equal(sample.person, paired[0].person)
    assert np.array_equal(sample.garment, paired[1].garment)


def test_a_list_named_unpaired_is_preferred_for_that(tree: Path) -> None:
    save_pairs(tree / "test_pairs_unpaired.txt", [("00004_00.jpg", "00003_00.jpg")])
    assert len(open_dataset(tree, split="test", pairing="unpaired")) == 1
    assert len(open_dataset(tree, split="test", pairing="paired")) == 2


def test_a_list_that_pairs_everybody_with_the_own_garment_has_nothing_unpaired(tree: Path) -> None:
    with pytest.raises(ValueError, match=r"train_pairs\.txt has no unpaired pair"):
        open_dataset(tree, split="train", pairing="unpaired")


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("labels", "image_parse_v3"),
        ("labels", "image-parse"),
        ("labels", "Image-Parse-V3"),
        ("keypoints", "openpose-json"),
        ("cloth", "clothes"),
        ("image", "images"),
    ],
)
def test_folders_go_by_other_names(what: str, name: str, tmp_path: Path) -> None:
    folders = {**VITON_HD_FOLDERS, what: name}
    tree = write_viton_hd(tmp_path, train=1, test=1, folders=folders)
    assert layout_of(tree) is Layout.VITON_HD
    assert open_dataset(tree, split="test", size=SIZE)[0].labels.any()


def test_folders_that_masks_are_not_taken_from_do_no_harm(tree: Path) -> None:
    before = open_dataset(tree, size=SIZE)[0]
    for name in ("agnostic", "agnostic-v3.2", "agnostic-mask", "cloth_mask", "cloth-mask",
                 "image-densepose", "openpose_img", "image-parse-agnostic-v3.2"):  # fmt: skip
        (tree / "train" / name).mkdir()
        (tree / "train" / name / "00000_00.jpg").write_bytes(b"not read")
    assert np.array_equal(open_dataset(tree, size=SIZE)[0].labels, before.labels)


def test_body_25_is_read_as_18(tmp_path: Path) -> None:
    tree = write_viton_hd(tmp_path, train=1, test=1, body_25=True)
    sample = open_dataset(tree, size=SIZE)[0]
    assert np.allclose(sample.keypoints, doll(0, Category.UPPER).keypoints, atol=1e-3)


def test_of_several_people_the_largest_counts(tree: Path) -> None:
    own = doll(0, Category.UPPER).keypoints
    small = own * np.array([0.2, 0.2, 1.0])
    save_openpose(tree / "train/openpose_json/00000_00_keypoints.json", [small, own])
    sample = open_dataset(tree, size=SIZE)[0]
    assert np.allclose(sample.keypoints, own, atol=1e-3)


def test_there_are_upper_garments_only(tree: Path) -> None:
    with pytest.raises(ValueError, match="'upper' only"):
        open_dataset(tree, categories=[Category.DRESS])


def test_a_split_without_a_list_is_named(tmp_path: Path) -> None:
    tree = write_viton_hd(tmp_path, lists=["test_pairs.txt"])
    with pytest.raises(FileNotFoundError, match=r"train_pairs\.txt"):
        open_dataset(tree, split="train")


def test_pictures_of_another_shape_are_shown_whole(tree: Path) -> None:
    """A canvas twice as wide as the pictures: white beside them, labels and joints moved along."""
    narrow, wide = open_dataset(tree, size=SIZE)[0], open_dataset(tree, size=(128, 192))[0]
    assert np.array_equal(wide.labels[:, 48:144], narrow.labels)
    assert (wide.labels[:, :48] == Label.BACKGROUND).all()
    assert np.array_equal(wide.person[:, 48:144], narrow.person)
    assert (wide.person[:, 144:] == 255).all()
    known = narrow.keypoints[:, 2] > 0
    assert np.allclose(wide.keypoints[known, 0], narrow.keypoints[known, 0] + 48)


def test_a_label_map_of_another_picture_is_unusable(tree: Path) -> None:
    save_indices(tree / "train/image-parse-v3/00000_00.png", np.zeros((96, 128), np.uint8))
    with pytest.raises(WrongSize, match=r"00000_00\.png is 128x96 pixels"):
        open_dataset(tree, size=SIZE)[0]


def test_listing_touches_no_sample(tree: Path) -> None:
    for file in (tree / "train").rglob("*.*"):
        file.unlink()
    listing = list_pairs(tree, Layout.VITON_HD, "train")
    assert [pair.name for pair in listing.pairs] == ["00000_00", "00001_00", "00002_00"]
    with pytest.raises(UnusableSample, match=r"00000_00\.jpg"):
        open_dataset(tree, Layout.VITON_HD, size=SIZE)[0]
