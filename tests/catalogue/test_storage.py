"""Local paths and fsspec's addresses alike; what cannot be read is said in a sentence."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import pytest

from catalogue import storage
from catalogue.storage import (
    TEMPORARY,
    absolute,
    exists,
    files_below,
    filled_below,
    folder_of,
    is_within,
    join,
    lines,
    read,
    relative_to,
    remove_leftovers,
    stem_of,
    suffix_of,
    write,
)
from ootd_core.checkpoints.whole_files import write_whole


@pytest.fixture(params=["local", "memory", "file"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path)
    pytest.importorskip("fsspec")
    return f"memory://{uuid.uuid4()}" if request.param == "memory" else f"file://{tmp_path}"


def test_what_is_written_is_read(folder: str) -> None:
    address = join(folder, "a", "b.bin")
    write(address, b"one\ntwo")
    write(join(folder, "c.bin"), b"")
    assert read(address) == b"one\ntwo"
    assert [line.strip() for line in lines(address)] == [b"one", b"two"]
    assert sorted(files_below(folder)) == ["a/b.bin", "c.bin"]
    assert sorted(files_below(join(folder, "a"))) == ["b.bin"]
    write(address, b"three")
    assert read(address) == b"three"
    assert not list(files_below(join(folder, "nowhere")))


def test_what_is_not_there_is_named(folder: str) -> None:
    address = join(folder, "nothing.png")
    with pytest.raises(FileNotFoundError, match=r"There is no file at .*nothing\.png\."):
        read(address)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is a folder, not a file"):
        read(str(tmp_path))


def test_parts_of_addresses(tmp_path: Path) -> None:
    assert relative_to("s3://b/f", "p.png") == "s3://b/f/p.png"
    assert relative_to("s3://b/f", "https://h/p.png") == "https://h/p.png"
    assert relative_to("f", str(tmp_path)) == str(tmp_path)
    assert folder_of("s3://b/f/m.csv") == "s3://b/f"
    assert absolute("s3://b/../f") == "s3://b/../f"
    assert absolute(f"{tmp_path}/a/../b") == str(tmp_path / "b")
    assert absolute("b") == str(Path.cwd() / "b")
    assert stem_of("s3://b/f/p.front.png") == "p.front"
    assert suffix_of("https://h/P.PNG?size=3") == ".png"


def test_an_unknown_protocol_is_a_sentence() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(ValueError, match="nonsense://x cannot be opened"):
        read("nonsense://x")


def test_a_store_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Store:
        @staticmethod
        def _strip_protocol(address: str) -> str:
            return address

        @staticmethod
        def cat_file(path: str) -> bytes:
            asked.append(path)
            if len(asked) < 3:
                raise TimeoutError("slow\ndown")
            return b"at last"

    monkeypatch.setattr(storage, "_filesystem_of", lambda _protocol: Store)
    monkeypatch.setattr(storage, "WAITS", (0.0, 0.0))
    assert read("s3://b/p.png") == b"at last"
    asked.clear()
    monkeypatch.setattr(storage, "WAITS", (0.0,))
    with pytest.raises(OSError, match=r"s3://b/p\.png cannot be read \(slow down\)\."):
        read("s3://b/p.png")


def test_leftovers_of_killed_writers_go_when_they_are_old(tmp_path: Path) -> None:
    names = (".0123456789abcdef.part", ".0123456789abcdee.part", "r.png", "film.part", ".a.part")
    old, new, *others = (tmp_path / "results" / name for name in names)
    old.parent.mkdir()
    for path in (old, new, *others):
        path.write_bytes(b"x")
    for path in (old, *others):
        os.utime(path, (time.time() - 9000, time.time() - 9000))
    remove_leftovers(str(tmp_path))
    assert not old.exists() and new.exists()
    assert all(path.exists() for path in others), "files of the user's"


def test_what_a_writer_leaves_is_known_as_a_leftover(tmp_path: Path) -> None:
    names: list[str] = []

    def killed(temporary: Path) -> None:
        names.append(temporary.name)
        temporary.write_bytes(b"")

    write_whole(tmp_path / "r.png", killed)
    assert all(map(TEMPORARY.fullmatch, names)) and names


def test_an_empty_file_is_not_there(folder: str) -> None:
    for name, content in (("a/full.png", b"x"), ("a/empty.png", b"")):
        write(join(folder, name), content)
    assert list(filled_below(folder)) == ["a/full.png"]
    assert not list(filled_below(join(folder, "nowhere")))
    there = [exists(join(folder, "a", name)) for name in ("full.png", "empty.png", "none.png")]
    assert there == [True, False, False]


@pytest.mark.parametrize("name", ["a\0b.png", "a\ud800.png"])
def test_a_name_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be read: no file can have such a name") as raised:
        read(str(tmp_path / name))
    assert str(raised.value).isprintable()


def test_what_lies_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert is_within(str(tmp_path / "link/out"), str(tmp_path / "real"))
    assert is_within(str(tmp_path / "real"), str(tmp_path / "real/"))
    assert not is_within(str(tmp_path / "real2"), str(tmp_path / "real"))
    assert is_within("s3://b/in/out", "s3://b/in/") and not is_within("s3://b/inn", "s3://b/in")
    assert not is_within("s3://b", "b")
