from pathlib import Path

import pytest

from ootd_core.datasets.pairs_file import Row, UnreadableList, find_pairs_file, read_pairs


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


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\n\n", "is empty"),
        (b"alone\n", r"has 1 column \('alone'\)"),
        (b"a.jpg,b.jpg\n", r"has columns separated by ',' \('a\.jpg,b\.jpg'\)"),
        (b"a.jpg b.jpg 0 x\n", r"has 4 columns \('a\.jpg b\.jpg 0 x'\)"),
        (b"a.jpg b.jpg upper\n", "has a third column that is no number"),
        ("a.jpg b.jpg\n".encode("utf-16"), "is text in UTF-16"),
        ("a.jpg b.jpg\n".encode("utf-16-le"), "is text in UTF-16"),
        (b"\xff\xd8\xff\xe0", "is not text in UTF-8"),
    ],
)
def test_a_list_without_pairs_says_what_it_holds(
    content: bytes, found: str, tmp_path: Path
) -> None:
    path = tmp_path / "pairs.txt"
    path.write_bytes(content)
    with pytest.raises(UnreadableList, match=rf"pairs\.txt lists no pair: it {found}.*, but each"):
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
