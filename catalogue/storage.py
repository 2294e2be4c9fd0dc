"""Files behind addresses: a local path, or anything that fsspec opens (`s3://`, `hf://`, ...).

What is written is there whole or not at all. fsspec is imported for an address with `://` only, so
that local catalogues need nothing beside the headless requirements.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ootd_core.checkpoints.whole_files import write_whole
from ootd_core.requirements import require

Answer = TypeVar("Answer")

PUT_WHOLE = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory", "hf", "oss", "r2"}
)
"""Protocols whose store shows an object only when all of it is there; others move a file."""
READERS = 16
"""Files read at once: most of the time a store is waited for."""
TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.part")
"""Names that `write_whole` gives what is not whole yet; other files are none of ours."""
WAITS = (0.5, 2.0, 8.0)
"""Seconds before an address that did not answer is asked again."""


def is_remote(address: str) -> bool:
    return "://" in address


def join(folder: str, *names: str) -> str:
    """The address of a file below a folder."""
    if is_remote(folder):
        return "/".join([folder.rstrip("/"), *names])
    return str(Path(folder, *names))


def relative_to(folder: str, address: str) -> str:
    """An address as a file in `folder` means it: absolute ones stay as they are."""
    if is_remote(address) or Path(address).is_absolute():
        return address
    return join(folder, address)


def absolute(address: str) -> str:
    """An address with a local path made absolute and free of `..`; links are not followed.

    So a file has one address, whatever folder a command is given in, on each machine of a cluster.
    """
    return address if is_remote(address) else os.path.abspath(address)


def folder_of(address: str) -> str:
    return address.rpartition("/")[0] if is_remote(address) else str(Path(address).parent)


def stem_of(address: str) -> str:
    """The name of a file without its folder and its ending."""
    return (PurePosixPath(address) if is_remote(address) else Path(address)).stem


def suffix_of(address: str) -> str:
    """The ending of a file in small letters, with its dot."""
    path = PurePosixPath(address.partition("?")[0]) if is_remote(address) else Path(address)
    return path.suffix.lower()


def read(address: str) -> bytes:
    """The content of a file. Raises FileNotFoundError or OSError, one sentence."""
    if is_remote(address):
        files, path = _filesystem(address)
        return _patiently(address, "read", lambda: files.cat_file(path))
    path = Path(address)
    if path.is_dir():
        raise OSError(f"{address} is a folder, not a file.")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file at {address}.") from None
    except OSError as error:
        raise OSError(f"{address} cannot be read ({error.strerror}).") from error
    except ValueError:  # a NUL, half a surrogate pair
        raise OSError(f"{address!r} cannot be read: no file can have such a name.") from None


def exists(address: str) -> bool:
    """Whether there is a file that is not empty. Raises OSError where a store does not answer."""
    if not is_remote(address):
        return _is_filled(Path(address))
    files, path = _filesystem(address)
    files.invalidate_cache()

    def is_there() -> bool:
        return bool(files.exists(path)) and files.info(path).get("size") != 0

    return _patiently(address, "looked for", is_there)


@contextmanager
def as_file(address: str, content: bytes) -> Generator[Path]:
    """A local path to what was read from an address, for as long as the context lasts.

    Errors about a temporary path that are raised within speak of the address.
    """
    if not is_remote(address):
        yield Path(address)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"input{suffix_of(address)}")
        path.write_bytes(content)
        try:
            yield path
        except (ValueError, OSError) as error:
            raise type(error)(str(error).replace(str(path), address)) from error


def for_each(
    addresses: Sequence[str],
    act: Callable[[str], Answer],
    on_done: Callable[[int, int], None] | None = None,
) -> dict[str, Answer]:
    """What `act` gives for each address, several at once. on_done: gets (addresses done, all)."""
    found: dict[str, Answer] = {}
    with ThreadPoolExecutor(READERS) as readers:
        for address, answer in zip(addresses, readers.map(act, addresses), strict=True):
            found[address] = answer
            if on_done is not None:
                on_done(len(found), len(addresses))
    return found


def write(address: str, content: bytes) -> None:
    """Write a file whole. Raises WriteError for a local place, OSError for another."""
    if not is_remote(address):
        write_whole(Path(address), lambda temporary: temporary.write_bytes(content))
        return
    files, path = _filesystem(address)

    def put() -> None:
        if address.partition("://")[0] in PUT_WHOLE:
            files.pipe_file(path, content)
            return
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        files.pipe_file(f"{path}.part", content)
        files.mv(f"{path}.part", path)

    _patiently(address, "written", put)


def files_below(folder: str) -> Iterator[str]:
    """The names of all files below a folder, with `/`; none where there is no such folder."""
    if not is_remote(folder):
        for at, _, names in os.walk(folder):
            for name in names:
                yield Path(at, name).relative_to(folder).as_posix()
        return
    for name, _ in _stored_below(folder):
        yield name


def filled_below(folder: str) -> Iterator[str]:
    """As `files_below`, without empty files: what a machine that lost its power may leave."""
    if not is_remote(folder):
        yield from (name for name in files_below(folder) if _is_filled(Path(folder, name)))
        return
    for name, size in _stored_below(folder):
        if size != 0:
            yield name


def _is_filled(path: Path) -> bool:
    with suppress(OSError):  # moved since, or it may not be looked at
        return path.is_file() and path.stat().st_size > 0
    return False


def _stored_below(folder: str) -> Iterator[tuple[str, int | None]]:
    """Names and sizes of what a store has below a folder, by one listing; None: it does not say."""
    files, path = _filesystem(folder)
    files.invalidate_cache()
    root = path.rstrip("/")

    def found() -> dict[str, Any]:
        return files.find(root, detail=True) if files.exists(root) else {}

    for name, about in _patiently(folder, "listed", found).items():
        yield name.removeprefix(root).lstrip("/"), about.get("size")


def is_within(address: str, folder: str) -> bool:
    """Whether an address is a folder or lies below it; links of local ones are followed."""
    if is_remote(address) or is_remote(folder):
        return f"{address.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
    return Path(os.path.realpath(address)).is_relative_to(os.path.realpath(folder))


def lines(address: str) -> Iterator[bytes]:
    """The lines of a file; a local one is not held in memory."""
    if is_remote(address):
        yield from read(address).splitlines()
        return
    with Path(address).open("rb") as file:
        yield from file


def remove_leftovers(folder: str, older_than: float = 3600.0) -> None:
    """Remove temporary files of local writers that were killed: those of so many seconds ago."""
    if is_remote(folder):
        return
    for name in files_below(folder):
        path = Path(folder, name)
        if TEMPORARY.fullmatch(path.name) is None:
            continue
        with suppress(OSError):  # another run may have done it
            if time.time() - path.stat().st_mtime > older_than:
                path.unlink()


@cache
def _filesystem_of(protocol: str) -> Any:
    require("fsspec")
    import fsspec

    return fsspec.filesystem(protocol)


def _filesystem(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the path in it."""
    protocol = address.partition("://")[0]
    try:
        files = _filesystem_of(protocol)
    except (ImportError, ValueError) as error:
        if getattr(error, "name", None) == "fsspec":
            raise
        raise ValueError(f"{address} cannot be opened: {error}.") from error
    return files, files._strip_protocol(address)


def _patiently(address: str, done: str, act: Callable[[], Answer]) -> Answer:
    """Ask again after a while where a store does not answer."""
    for wait in (*WAITS, None):
        try:
            return act()
        except FileNotFoundError:
            raise FileNotFoundError(f"There is no file at {address}.") from None
        except (PermissionError, NotImplementedError) as error:
            raise OSError(
                f"{address} cannot be {done}: {error or 'not possible there'}."
            ) from error
        except Exception as error:  # every store has errors of its own
            if wait is None:
                reason = " ".join(str(error).split()) or type(error).__name__
                raise OSError(f"{address} cannot be {done} ({reason}).") from error
        time.sleep(wait)
    raise AssertionError("unreachable")
