"""The checker on trees with one defect of each kind."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ootd_core.categories import Category
from ootd_core.datasets.checker import Findings, Group, Trouble, check_dataset
from ootd_core.datasets.open import Layout
from tests.ootd_core.datasets.trees import (
    SIZE,
    doll,
    save_indices,
    save_jpeg,
    save_openpose,
    write_dress_code,
    write_folder,
    write_viton_hd,
)

TRAIN = Group(split="train", pairing="paired", category=Category.UPPER)
TEST = Group(split="test", pairing="paired", category=Category.UPPER)
UNPAIRED = Group(split="test", pairing="unpaired", category=Category.UPPER)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_viton_hd(tmp_path)


def check(tree: Path, layout: Layout = Layout.VITON_HD) -> Findings:
    return check_dataset(tree, layout, SIZE)


def the_trouble(findings: Findings) -> tuple[Trouble, str]:
    (found,) = [(kind, text) for kind, texts in findings.troubles.items() for text in texts]
    return found


def test_a_whole_set_is_good_and_counted(tree: Path) -> None:
    seen: list[tuple[int, int]] = []
    findings = check_dataset(tree, Layout.VITON_HD, SIZE, lambda *done: seen.append(done))
    assert findings.good and not findings.warnings and not findings.to_make
    assert findings.pairs == {TRAIN: 3, TEST: 2, UNPAIRED: 2}
    assert findings.bad.total() == 0
    assert seen == [(number, 7) for number in range(1, 8)]


def test_dress_code_is_counted_by_category(tmp_path: Path) -> None:
    findings = check(write_dress_code(tmp_path), Layout.DRESS_CODE)
    assert findings.good and not findings.warnings
    assert {(g.split, g.pairing) for g in findings.pairs} == {
        ("train", "paired"), ("test", "paired"), ("test", "unpaired"),
    }  # fmt: skip
    assert set(findings.pairs.values()) == {2} and len(findings.pairs) == 9


def test_a_missing_label_map(tree: Path) -> None:
    (tree / "train/image-parse-v3/00001_00.png").unlink()
    findings = check(tree)
    kind, text = the_trouble(findings)
    assert kind is Trouble.MISSING and "image-parse-v3/00001_00.png" in text
    assert findings.bad[TRAIN] == 1 and not findings.good


def test_a_file_of_several_lists_is_named_once(tree: Path) -> None:
    (tree / "test/image-parse-v3/00003_00.png").unlink()
    findings = check(tree)
    assert the_trouble(findings)[0] is Trouble.MISSING
    assert (findings.bad[TEST], findings.bad[UNPAIRED]) == (1, 1)


def test_a_truncated_picture_is_named_once_and_counted_in_every_list(tree: Path) -> None:
    path = tree / "test/cloth/00003_00.jpg"
    path.write_bytes(path.read_bytes()[:400])
    findings = check(tree)
    kind, text = the_trouble(findings)
    assert kind is Trouble.UNREADABLE and "cloth/00003_00.jpg" in text
    assert (findings.bad[TRAIN], findings.bad[TEST], findings.bad[UNPAIRED]) == (0, 1, 1)


def test_a_label_map_of_another_shape(tree: Path) -> None:
    save_indices(tree / "train/image-parse-v3/00000_00.png", np.zeros((96, 128), np.uint8))
    kind, text = the_trouble(check(tree))
    assert kind is Trouble.MIS_SIZED and "128x96" in text and "(96x128)" in text


def test_a_picture_that_is_too_small_or_of_another_shape(tree: Path) -> None:
    small = doll(0, Category.UPPER, (64, 48)).garment
    save_jpeg(tree / "train/cloth/00000_00.jpg", small)
    kind, text = the_trouble(check(tree))
    assert kind is Trouble.MIS_SIZED and "48x64 pixels, smaller than 96x128" in text
    square = np.zeros((128, 128, 3), np.uint8)
    save_jpeg(tree / "train/cloth/00000_00.jpg", square)  # garments are padded at inference too
    assert check(tree).good
    save_jpeg(tree / "train/image/00000_00.jpg", square)
    sized = check(tree).troubles[Trouble.MIS_SIZED]
    assert any("image/00000_00.jpg is 128x128 pixels, not the shape" in text for text in sized)
    assert any("image-parse-v3" in text for text in sized)


def test_keypoints_without_a_person(tree: Path) -> None:
    save_openpose(tree / "train/openpose_json/00002_00_keypoints.json", [])
    kind, text = the_trouble(check(tree))
    assert kind is Trouble.UNREADABLE and "00002_00_keypoints.json holds no person" in text


def test_keypoints_of_a_larger_picture(tree: Path) -> None:
    large = doll(2, Category.UPPER, (512, 384)).keypoints
    save_openpose(tree / "train/openpose_json/00002_00_keypoints.json", [large])
    kind, text = the_trouble(check(tree))
    assert kind is Trouble.MIS_SIZED and "outside its picture of 96x128" in text


def test_every_defect_of_a_sample_is_named(tree: Path) -> None:
    for name in ("image/00000_00.jpg", "image-parse-v3/00000_00.png", "cloth/00000_00.jpg"):
        (tree / "train" / name).unlink()
    findings = check(tree)
    assert len(findings.troubles[Trouble.MISSING]) == 3
    assert findings.bad[TRAIN] == 1


def test_lines_that_are_empty_or_repeated(tree: Path) -> None:
    path = tree / "train_pairs.txt"
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([first, "", *others, first]) + "\n\n")
    findings = check(tree)
    assert [text.split(":")[-1] for text in findings.troubles[Trouble.LISTING]] == [
        "2 is empty instead of a person and a garment.", "5 repeats line 1.",
    ]  # fmt: skip
    assert findings.pairs[TRAIN] == 3 and findings.bad[TRAIN] == 0 and not findings.good


def test_pictures_of_both_splits_are_warned_of_whatever_their_names(tree: Path) -> None:
    (tree / "test/cloth/00004_00.jpg").write_bytes((tree / "train/cloth/00001_00.jpg").read_bytes())
    findings = check(tree)
    (warning,) = findings.warnings
    assert warning.startswith("1 garment pictures") and findings.good
    assert "cloth/00001_00.jpg" in warning and "cloth/00004_00.jpg" in warning


def test_a_split_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    tree = write_viton_hd(tmp_path, lists=["test_pairs.txt"])
    findings = check(tree)
    assert findings.good and findings.pairs == {TEST: 2, UNPAIRED: 2}
    (warning,) = findings.warnings
    assert warning.startswith("No train set: ") and "train_pairs.txt" in warning


@pytest.mark.parametrize("content", [b"", b"a.jpg,b.jpg\n", "a b\n".encode("utf-16"), b"a b 0 x\n"])
def test_a_list_that_is_there_and_cannot_be_read_is_a_trouble(content: bytes, tree: Path) -> None:
    (tree / "train_pairs.txt").write_bytes(content)
    findings = check(tree)
    kind, text = the_trouble(findings)
    assert kind is Trouble.LIST and "train_pairs.txt lists no pair" in text
    assert findings.pairs == {TEST: 2, UNPAIRED: 2} and not findings.warnings


def test_a_root_list_without_categories_is_a_trouble(tmp_path: Path) -> None:
    tree = write_dress_code(tmp_path, own_lists=False)
    path = tree / "train_pairs.txt"
    path.write_text("\n".join(line.rpartition(" ")[0] for line in path.read_text().splitlines()))
    kind, text = the_trouble(check(tree, Layout.DRESS_CODE))
    assert kind is Trouble.LIST and "has nothing in the third column for 000000_0.jpg" in text


def test_pictures_with_other_endings_and_capitals_are_found(tree: Path) -> None:
    cloth, image = tree / "train/cloth/00000_00.jpg", tree / "test/image/00003_00.jpg"
    Image.open(cloth).save(cloth.with_suffix(".png"))
    cloth.unlink()
    image.rename(image.with_name("00003_00.JPG"))
    labels = tree / "test/image-parse-v3/00003_00.png"
    labels.rename(labels.with_suffix(".PNG"))
    other = tree / "test/image/00004_00.jpg"
    other.rename(other.with_suffix(".jpeg"))
    findings = check(tree)
    assert findings.good and findings.pairs == {TRAIN: 3, TEST: 2, UNPAIRED: 2}


def test_what_a_folder_leaves_to_the_networks_is_counted(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", people=2, categories=[Category.UPPER], seen=False)
    write_folder(tmp_path / "test", people=1, categories=[Category.UPPER], first=2)
    findings = check(tmp_path, Layout.FOLDER)
    assert findings.good and findings.to_make == 4


def test_without_any_list_it_is_refused(tree: Path) -> None:
    for path in tree.glob("*.txt"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"train_pairs\.txt"):
        check(tree)
    with pytest.raises(ValueError, match="no folder to check"):
        check(tree, Layout.DOLLS)
