from pathlib import Path

import pytest

from ootd_core.datasets.pairs_file import Row, find_pairs_file, read_pairs


def test_two_or_three_columns(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("\ufeffa.jpg b.jpg\nc.jpg\td.jpg   2\r\n\n\n", encoding="utf-8")
    found = read_pairs(path)
    assert found.rows == (
        Row(person="a.jpg", garment="b.jpg", label=None),
        Row(person="c.jpg", garment="d.jpg", label=2),
    )
    assert found.complaints == ()


def test_each_line_that_is_left_out_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("a b\n\nalone\na b\na b upper\na b 1 2\nc d\n")
    found = read_pairs(path)
    assert [row.person for row in found.rows] == ["a", "c"]
    lines = [complaint.removeprefix(str(path)) for complaint in found.complaints]
    assert [line.split(" ")[0] for line in lines] == [":2", ":3", ":4", ":5", ":6"]
    assert "is empty" in lines[0] and "repeats line 1" in lines[2]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"alone\n"])
def test_a_list_without_pairs_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"pairs\.txt lists no pair"):
        read_pairs(path)


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match="not a text file"):
        read_pairs(path)


def test_a_list_named_for_a_pairing_goes_before_a_plain_one(tmp_path: Path) -> None:
    assert find_pairs_file(tmp_path, "test", "paired") is None
    plain, named = tmp_path / "test_pairs.txt", tmp_path / "test_pairs_unpaired.txt"
    plain.touch()
    assert find_pairs_file(tmp_path, "test", "unpaired") == plain
    named.touch()
    assert find_pairs_file(tmp_path, "test", "unpaired") == named
    assert find_pairs_file(tmp_path, "test", "paired") == plain
    assert find_pairs_file(tmp_path, "train", "paired") is None
