from pathlib import Path

import pytest

from ootd_core.categories import Category
from ootd_core.datasets.open import Layout, layout_of, open_dataset
from tests.ootd_core.datasets.trees import save_pairs, write_viton_hd


def test_without_a_folder_it_is_paper_dolls() -> None:
    dataset = open_dataset(None, size=(64, 48), limit=2)
    assert dataset[1].person.shape == (64, 48, 3)
    with pytest.raises(ValueError, match="'viton-hd' needs a folder"):
        open_dataset(None, Layout.VITON_HD)


def test_a_limit_takes_the_first(tmp_path: Path) -> None:
    tree = write_viton_hd(tmp_path)
    dataset = open_dataset(tree, limit=2)
    assert [dataset.name(index) for index in range(len(dataset))] == ["00000_00", "00001_00"]
    with pytest.raises(ValueError, match="limit must be at least 1 sample, got 0"):
        open_dataset(tree, limit=0)


@pytest.mark.parametrize("size", [(100, 75), (0, 0), (512, 380)])
def test_a_size_that_latents_do_not_have_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]} .* multiples of 8"):
        open_dataset(None, size=size)


def test_a_folder_that_is_none_of_these_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder at"):
        layout_of(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no folder at"):
        open_dataset(tmp_path / "nowhere", Layout.DRESS_CODE)
    with pytest.raises(ValueError, match="expected one of viton-hd, dress-code, folder"):
        layout_of(tmp_path)
    write_viton_hd(tmp_path / "unpacked" / "here")
    with pytest.raises(ValueError, match=r"did you mean .*unpacked.here\?"):
        layout_of(tmp_path / "unpacked")


def test_what_a_list_leaves_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tree = write_viton_hd(tmp_path)
    good = ("00000_00.jpg", "00000_00.jpg")
    save_pairs(tree / "train_pairs.txt", [good, ("alone.jpg",), good, good, good, good])
    assert len(open_dataset(tree)) == 1
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    assert "train_pairs.txt:2 is 'alone.jpg'" in said[0]
    assert "train_pairs.txt:3 repeats line 1" in said[1]
    assert "2 more like this" in said[3]


def test_a_category_need_not_be_told(tmp_path: Path) -> None:
    dataset = open_dataset(write_viton_hd(tmp_path), categories=list(Category))
    assert {dataset.category(index) for index in range(len(dataset))} == {Category.UPPER}
