"""Local paths and fsspec's addresses alike; what cannot be read is said in a sentence."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import pytest

from catalogue import storage
from catalogue.storage import (
    absolute,
    files_below,
    folder_of,
    join,
    lines,
    read,
    relative_to,
    remove_leftovers,
    stem_of,
    suffix_of,
    write,
)


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
    old, new, result = (tmp_path / "results" / name for name in (".a.part", ".b.part", "r.png"))
    result.parent.mkdir()
    for path in (old, new, result):
        path.write_bytes(b"x")
    for path in (old, result):
        os.utime(path, (time.time() - 9000, time.time() - 9000))
    remove_leftovers(str(tmp_path))
    assert not old.exists() and new.exists() and result.exists()
