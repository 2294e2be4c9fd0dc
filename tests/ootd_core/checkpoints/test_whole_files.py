"""Writing whole files, and what is said about a place before and after."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ootd_core.checkpoints.whole_files import (
    WriteError,
    check_overlaps,
    check_target,
    numbered,
    write_whole,
)


def write(path: Path) -> None:
    write_whole(path, lambda temporary: temporary.write_text("new"))


@pytest.fixture
def umask() -> Iterator[int]:
    mask = 0o027
    before = os.umask(mask)
    yield mask
    os.umask(before)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_umasks_permissions_and_an_old_one_keeps_its_own(
    tmp_path: Path, umask: int
) -> None:
    path = tmp_path / "a"
    write(path)
    assert permissions(path) == 0o666 & ~umask
    path.chmod(0o600)
    write(path)
    assert permissions(path) == 0o600


def test_a_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "there" / "real", tmp_path / "link"
    real.parent.mkdir()
    real.write_text("old")
    link.symlink_to(real)
    check_target(link)
    write(link)
    assert link.is_symlink() and real.read_text() == "new"
    assert [path.name for path in real.parent.iterdir()] == ["real"]
    real.unlink()
    write(link)  # it points to nothing yet
    assert link.is_symlink() and real.read_text() == "new"


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".png")
    check_target(path)
    write(path)
    assert path.read_text() == "new"


def places(folder: Path) -> dict[str, tuple[Path, str]]:
    """Places where nothing can be written, and what is to be said."""
    (folder / "file").write_text("")
    (folder / "folder.png").mkdir()
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    return {
        "parent is a file": (folder / "file" / "x.png", "file, not a folder; choose another"),
        "ancestor is a file": (folder / "file" / "a" / "x.png", "file, not a folder; choose"),
        "is a folder": (folder / "folder.png", "it is a folder; name a file in it"),
        "long name": (folder / ("a" * 300), "its name is too long"),
        "long folder": (folder / ("a" * 300) / "x.png", "its name is too long"),
        "loop": (folder / "loop", "is a link to itself"),
        "pipe": (folder / "pipe", "is no regular file"),
    }


def test_what_cannot_be_written_is_said_before_and_when_writing(tmp_path: Path) -> None:
    cases = places(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for name, (path, reason) in cases.items():
        for act in (check_target, write):
            with pytest.raises(WriteError, match=reason) as caught:
                act(path)
            text = str(caught.value)
            assert str(path) in text and text.endswith(".") and "Errno" not in text, name
    assert sorted(tmp_path.rglob("*")) == before


def test_permissions_are_asked_for(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    if os.access(locked, os.W_OK):
        pytest.skip("the superuser may write everywhere")
    read_only = tmp_path / "read only"
    read_only.write_text("old")
    read_only.chmod(0o444)
    for path in (locked / "x.png", locked / "new" / "x.png", read_only):
        for act in (check_target, write):
            with pytest.raises(WriteError, match="permission is denied"):
                act(path)
    assert read_only.read_text() == "old"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; free some space"),
        (OSError(errno.ENOSPC, "No space left on device", "/source"), "the disk is full"),
        (OSError(errno.EDQUOT, "Quota exceeded"), "your share of the disk is used up"),
        (OSError(errno.EROFS, "Read-only file system"), "the file system is read-only"),
        (Exception("Error while serializing: No space left (os error 28)"), "the disk is full"),
    ],
)
def test_a_failure_to_write_is_a_sentence_and_leaves_nothing(
    error: Exception, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.bin"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(WriteError, match=f"a.bin cannot be written: {reason}"):
        write_whole(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no picture"),
        FileNotFoundError(errno.ENOENT, "No such file", "/source"),
        PermissionError(errno.EACCES, "Permission denied", "/source"),
        OSError("the server does not answer"),
        RuntimeError("another fault"),
    ],
)
def test_other_failures_stay_what_they_are(error: Exception, tmp_path: Path) -> None:
    def fail(temporary: Path) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        write_whole(tmp_path / "a.bin", fail)
    assert caught.value is error
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = SimpleNamespace(total=10**9, free=0)
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: full)
    with pytest.raises(WriteError, match="the disk is full"):
        check_target(tmp_path / "a.png")
    with pytest.raises(WriteError, match="the disk is full"):
        # torch's own writer says nothing of the reason.
        write_whole(tmp_path / "a.png", _raise_runtime_error)
    assert not list(tmp_path.iterdir())


def _raise_runtime_error(_temporary: Path) -> None:
    raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")


def test_a_check_makes_nothing(tmp_path: Path) -> None:
    check_target(tmp_path / "new" / "folder" / "a.png")
    assert not list(tmp_path.iterdir())


def test_results_and_inputs_are_files_of_their_own(tmp_path: Path) -> None:
    person = tmp_path / "person.png"
    person.write_text("")
    (tmp_path / "hard.png").hardlink_to(person)
    (tmp_path / "soft.png").symlink_to(person)
    (tmp_path / "linked").symlink_to(tmp_path, target_is_directory=True)
    for name in ("person.png", "hard.png", "soft.png", "linked/person.png", "x/../person.png"):
        with pytest.raises(ValueError, match=r"would overwrite .*person\.png, which is read"):
            check_overlaps([tmp_path / name], [person])
    with pytest.raises(ValueError, match="are the same file"):
        check_overlaps([tmp_path / "a.png", tmp_path / "linked" / "a.png"])
    check_overlaps([tmp_path / "a.png", tmp_path / "b.png"], [person, person])


def test_a_file_system_that_ignores_case_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = [tmp_path / "A.png", tmp_path / "a.png"]
    monkeypatch.setattr("ootd_core.checkpoints.whole_files._ignores_case", lambda _folder: True)
    with pytest.raises(ValueError, match="are the same file"):
        check_overlaps(pair)
    monkeypatch.undo()
    pair[0].touch()
    if not pair[1].exists():
        pair[0].unlink()
        check_overlaps(pair)


def test_several_results_are_numbered() -> None:
    assert numbered(Path("a/b.png"), 1) == [Path("a/b.png")]
    assert numbered(Path("a/b.c.png"), 2) == [Path("a/b.c-1.png"), Path("a/b.c-2.png")]
