"""`dataset check` and `dataset prepare` as a user meets them: what is said, and the exit codes."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.__main__ import main
from cli.dataset import parse_size
from ootd_core.categories import Category
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.datasets.open import open_dataset
from ootd_core.masks.labels import Label
from tests.ootd_core.datasets.trees import (
    doll,
    save_jpeg,
    write_dress_code,
    write_folder,
    write_viton_hd,
)

LARGE = (256, 192)  # what the mini checkpoint's parser and pose network were trained at


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["cli", "dataset", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def check(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    return run(monkeypatch, "check", *arguments, "--size", "128x96")


def test_a_good_set_is_counted_by_category_and_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_dress_code(tmp_path)
    assert check(monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "dress-code" in said and "Everything can be used." in said
    head, *rows = said.splitlines()[2:6]
    assert head.split() == ["train", "paired", "test", "paired", "test", "unpaired"]
    assert [row.split() for row in rows] == [
        [category, "2", "pairs", "2", "pairs", "2", "pairs"] for category in Category
    ]


def test_defects_are_named_up_to_a_number_with_their_total(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tree = write_viton_hd(tmp_path)
    for path in (tree / "train/image-parse-v3").iterdir():
        path.unlink()
    (tree / "test/image/00003_00.jpg").write_bytes(b"\xff\xd8\xff")
    assert check(monkeypatch, tree, "--show", "2") == 1
    said = capsys.readouterr().out
    assert "0 pairs, 3 bad" in said and "1 pairs, 1 bad" in said
    assert "3 missing\n" in said and "  and 1 more" in said and said.count("image-parse-v3") == 2
    assert "1 unreadable\n" in said and "00003_00.jpg" in said
    assert "Everything can be used." not in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "no folder at"),
        (["."], "is not laid out like a known data set"),
        ([".", "--layout", "viton-hd"], "train_pairs.txt"),
        ([".", "--layout", "dolls"], "no folder to check"),
        ([".", "--size", "512"], "HEIGHTxWIDTH such as 512x384"),
    ],
)
def test_a_folder_that_cannot_be_used_is_exit_code_2(
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "check", *arguments) == 2
    said = capsys.readouterr()
    assert sentence in said.err and said.err.count("Error") == 1 and not said.out


def test_what_is_missing_is_made_once_and_fits_the_picture(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_folder(tmp_path, people=2, categories=[Category.UPPER], seen=False, size=LARGE)
    options = (tmp_path, "--model", MINI_CHECKPOINT, "--size", "256x192", "--device", "cpu")
    assert run(monkeypatch, "check", tmp_path, "--size", "256x192") == 0
    assert "4 label maps and keypoints have to be made: python -m cli dataset prepare" in (
        capsys.readouterr().out
    )
    assert run(monkeypatch, "prepare", *options) == 0
    dataset = open_dataset(tmp_path, size=LARGE)
    for number in range(2):
        drawn, sample = doll(number, Category.UPPER, LARGE), dataset[number]
        clothes = drawn.truth_labels == Label.UPPER_CLOTHES
        seen = sample.labels == Label.UPPER_CLOTHES
        overlap = (clothes & seen).sum() / (clothes | seen).sum()
        assert overlap > 0.7, f"IoU of upper clothes {overlap:.2f}"
        both = (drawn.keypoints[:, 2] > 0) & (sample.keypoints[:, 2] > 0)
        away = np.linalg.norm((drawn.keypoints - sample.keypoints)[both, :2], axis=1)
        assert both.sum() >= 8 and np.median(away) < 6, f"median {np.median(away):.1f} pixels"
    made = tmp_path / "upper/labels/0.png"
    assert Image.open(made).mode == "P"
    before = made.stat().st_mtime_ns
    made.with_name("1.png").unlink()
    assert run(monkeypatch, "prepare", *options) == 0
    assert made.stat().st_mtime_ns == before and made.with_name("1.png").is_file()


def test_a_picture_without_a_person_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_folder(tmp_path, people=1, categories=[Category.UPPER], seen=False, size=LARGE)
    save_jpeg(tmp_path / "upper/person/0.jpg", np.full((*LARGE, 3), 200, np.uint8))
    options = ("--model", MINI_CHECKPOINT, "--size", "256x192", "--device", "cpu")
    assert run(monkeypatch, "prepare", tmp_path, *options) == 1
    assert "No person was found in" in capsys.readouterr().err
    assert not (tmp_path / "upper/labels").exists()


def test_published_sets_bring_their_own_label_maps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_viton_hd(tmp_path, train=1, test=1)
    assert run(monkeypatch, "prepare", tmp_path, "--model", MINI_CHECKPOINT) == 2
    assert "of layout viton-hd, which has its own label maps" in capsys.readouterr().err


def test_a_size_is_height_by_width() -> None:
    assert parse_size("512x384") == parse_size("512X384") == (512, 384)
    for text in ("512", "512x", "x384", "0x8", "8x-8", "8x8x8", "ax8"):
        with pytest.raises(ValueError, match="HEIGHTxWIDTH such as 512x384"):
            parse_size(text)
