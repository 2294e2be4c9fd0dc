"""Files that are written whole or not at all, and what can be said about a place beforehand.

A file is written under a temporary name beside its place and moved there when it is complete, so
that an interrupted run leaves the file of before or none, never half of one. Otherwise it is the
file that `open(path, "w")` would have made: links are followed, and the umask or the permissions of
the older file hold. Standard library only.
"""

import errno
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

MIN_FREE = 2**20
"""Bytes that a disk must have left to be written to."""

# Errors of writing alone: whatever file they name, it is the new one.
_NO_SPACE = {
    errno.ENOSPC: "the disk is full; free some space or choose another place",
    errno.EDQUOT: "your share of the disk is used up; free some space or choose another place",
    errno.EFBIG: "the file system takes no file of this size; choose another place",
    errno.EROFS: "the file system is read-only; choose another place",
}
_REASONS = _NO_SPACE | {
    errno.EACCES: "permission is denied; choose another place or change the permissions",
    errno.EPERM: "permission is denied; choose another place or change the permissions",
    errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
    errno.ENOTDIR: "a part of its path is a file, not a folder; choose another place",
    errno.EEXIST: "a part of its path is a file, not a folder; choose another place",
    errno.EISDIR: "it is a folder; name a file in it",
}


class WriteError(OSError):
    """A file cannot be written. The message is one sentence: which one, why, and what to do."""


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary path beside `path`, then moves the result to `path`.

    Missing folders are made; behind a link, what it points to is replaced. If `write` fails,
    nothing is left behind and an older file stays as it was. Raises WriteError where the place
    does not allow it (no permission, full disk, a folder of that name), or what `write` raises.
    """
    target = _behind_links(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _new_file(target.parent)
    except OSError as error:
        raise _write_error(path, error) from error
    try:
        mode = (target if target.exists() else temporary).stat().st_mode
        write(temporary)
        temporary.chmod(mode)
        temporary.replace(target)
    except Exception as error:
        reason = _failed_writing(error, temporary, target)
        if reason is None:
            raise
        raise _write_error(path, reason) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_target(path: Path) -> None:
    """Raises WriteError where a file could not be written to `path`, before there is one.

    Looks at what is there already, at the names, and at the nearest folder that exists, in which
    a file is made and removed. Creates no folders.
    """
    target = _behind_links(path)
    folder, names = _existing_folder(target)
    if not os.path.isdir(folder):
        raise WriteError(
            f"{path} cannot be written: {folder} is a file, not a folder; choose another place."
        )
    try:
        for place in (target, *(folder / name for name in names)):
            with suppress(FileNotFoundError):
                os.lstat(place)  # knows how long a name may be
        _new_file(folder).unlink()
        disk = shutil.disk_usage(folder)
    except OSError as error:
        raise _write_error(path, error) from error
    if disk.total > 0 and disk.free < MIN_FREE:
        raise _write_error(path, OSError(errno.ENOSPC, ""))


def check_overlaps(outputs: Sequence[Path], inputs: Sequence[Path] = ()) -> None:
    """Raises ValueError if two outputs are one file, or an output is a file that is read.

    Links and hard links are followed, and a file system that ignores case is asked.
    """
    read = {_identity(path): path for path in inputs}
    written: dict[object, Path] = {}
    for path in outputs:
        identity = _identity(path)
        if identity in read:
            raise ValueError(
                f"{path} would overwrite {read[identity]}, which is read: choose another name."
            )
        if identity in written:
            raise ValueError(
                f"{path} and {written[identity]} are the same file: give each result its own name."
            )
        written[identity] = path


def numbered(path: Path, count: int) -> list[Path]:
    """The files of `count` results: `path` for one; for several, -1, -2 ... before the ending."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(1, count + 1)]


def _behind_links(path: Path) -> Path:
    """Where `path` is written to. Raises WriteError for what can be no file of ours."""
    target = Path(os.path.realpath(path))
    if os.path.isdir(target):  # unlike pathlib's, no error for a name that is too long
        raise _write_error(path, OSError(errno.EISDIR, ""))
    if os.path.islink(target):
        raise WriteError(f"{path} cannot be written: it is a link to itself; choose another name.")
    if os.path.exists(target):
        if not os.path.isfile(target):
            raise WriteError(f"{path} cannot be written: it is no regular file; choose another.")
        if not os.access(target, os.W_OK):
            raise _write_error(path, OSError(errno.EACCES, ""))
    return target


def _existing_folder(path: Path) -> tuple[Path, list[str]]:
    """The nearest thing above `path` that exists, and the names from there to `path`."""
    folder, names = path.parent, [path.name]
    while not os.path.exists(folder):
        folder, names = folder.parent, [folder.name, *names]
    return folder, names


def _new_file(folder: Path) -> Path:
    """An empty file in `folder` with the permissions of any new file."""
    # Named without the target's name, which may be as long as a name can be.
    path = folder / f".{secrets.token_hex(8)}.part"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return path


def _failed_writing(error: Exception, temporary: Path, target: Path) -> OSError | None:
    """The operating system's reason if `error` is a failure to write; None if it is another."""
    if isinstance(error, OSError):
        ours = error.filename is None or str(error.filename) in {str(temporary), str(target)}
        return error if error.errno in _NO_SPACE or (error.errno in _REASONS and ours) else None
    # Writers in Rust and C++ (safetensors, torch) raise errors of their own.
    named = re.search(r"\(os error (\d+)\)", str(error))
    if named is not None and int(named[1]) in _REASONS:
        return OSError(int(named[1]), "")
    if isinstance(error, RuntimeError) and shutil.disk_usage(temporary.parent).free < MIN_FREE:
        return OSError(errno.ENOSPC, "")
    return None


def _write_error(path: Path, error: OSError) -> WriteError:
    fallback = f"{error.strerror or error}; choose another place"
    refused = WriteError(f"{path} cannot be written: {_REASONS.get(error.errno or 0, fallback)}.")
    refused.errno = error.errno
    return refused


def _identity(path: Path) -> object:
    """Equal for two paths of one file, whether it is there already or not."""
    target = Path(os.path.realpath(path))
    if os.path.exists(target):
        status = target.stat()
        return status.st_dev, status.st_ino
    folder, names = _existing_folder(target)
    if _ignores_case(folder):
        names = [unicodedata.normalize("NFC", name).casefold() for name in names]
    return _identity(folder), *names


def _ignores_case(folder: Path) -> bool:
    """Whether the file system of an existing folder takes `a` and `A` for one name."""
    for each in (folder, *folder.parents):
        swapped = each.with_name(each.name.swapcase()) if each.name else each
        if swapped != each:
            return swapped.exists() and swapped.samefile(each)
    return False
