"""What was computed once, in memory and on disk, each within its bound.

An entry is a few named tensors under a kind and a key that stands for everything it was made from.
On disk it is a safetensors file, which other workers and later runs read; what was used longest ago
goes first. Workers that want the same entry at once wait for the first of them, so that even they
make it once.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ootd_core.checkpoints.whole_files import write_whole

logger = logging.getLogger(__name__)

Entry = dict[str, Tensor]
LARGEST_SHARE = 4
"""What takes more than this part of a bound is not kept within it."""
READ_ERRORS = SafetensorError, OSError, LookupError, ValueError, TypeError, RuntimeError
"""Of a file that is torn, or whose tensors are not those of its kind."""
LOOKED_AT = 16
"""The folder is looked through again when this part of the bound was written since."""


class Cache:
    """Entries by kind and key."""

    def __init__(self, folder: Path | None, *, memory: int, disk: int) -> None:
        """folder: None keeps entries in memory alone. memory, disk: bounds in bytes."""
        self.folder = folder
        self.memory = memory
        self.disk = disk
        self.made: dict[str, int] = {}
        """How often an entry of each kind was made here."""
        self._entries: OrderedDict[tuple[str, str], Entry] = OrderedDict()
        self._bytes = 0
        self._written = disk  # so that the folder is looked through at the first writing

    def once(
        self,
        kind: str,
        key: str,
        make: Callable[[], Entry],
        read: Callable[[Entry], object] = len,
    ) -> Entry:
        """The entry of a key, made if it is nowhere; on the CPU, and not to be changed.

        read: takes out of an entry all that is used of it; a file with which it fails is damaged.
        """
        found = self._entries.get((kind, key))
        if found is not None:
            self._entries.move_to_end((kind, key))
            return found
        entry = self._read(kind, key, read)
        if entry is None:
            with self._alone(kind, key):
                # Another worker may have made it in the meantime.
                entry = self._read(kind, key, read)
                if entry is None:
                    entry = {
                        name: value.detach().to("cpu", copy=True).contiguous()
                        for name, value in make().items()
                    }
                    self.made[kind] = self.made.get(kind, 0) + 1
                    self._write(kind, key, entry)
        self._keep(kind, key, entry)
        return entry

    def _keep(self, kind: str, key: str, entry: Entry) -> None:
        size = _size(entry)
        if size > self.memory // LARGEST_SHARE:
            return
        self._entries[kind, key] = entry
        self._bytes += size
        while self._bytes > self.memory:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= _size(oldest)

    def _path(self, kind: str, key: str) -> Path | None:
        return None if self.folder is None else self.folder / kind / f"{key}.safetensors"

    def _read(self, kind: str, key: str, read: Callable[[Entry], object]) -> Entry | None:
        path = self._path(kind, key)
        if path is None or not path.is_file():
            return None
        try:
            entry = load_file(path)
            read(entry)
        except READ_ERRORS as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            logger.warning("%s is damaged (%s) and is made again.", path, reason)
            return None
        with suppress(OSError):
            os.utime(path)
        return entry

    def _write(self, kind: str, key: str, entry: Entry) -> None:
        path, size = self._path(kind, key), _size(entry)
        if path is None or size > self.disk // LARGEST_SHARE:
            return
        try:
            write_whole(path, lambda temporary: save_file(entry, temporary))
        except OSError as error:
            logger.warning("Nothing more is kept on disk: %s", error)
            self.folder = None
            return
        self._written += size
        if self._written > self.disk // LOOKED_AT:
            self._written = 0
            self._clear_oldest()

    def _clear_oldest(self) -> None:
        """Remove what was used longest ago until a part of the bound is free."""
        files: list[tuple[float, int, Path]] = []
        assert self.folder is not None
        for path in self.folder.glob("*/*.safetensors"):
            with suppress(OSError):  # another worker clears, too
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.disk - self.disk // LOOKED_AT:
                return
            with suppress(OSError):
                path.unlink()
            total -= size

    @contextmanager
    def _alone(self, kind: str, key: str) -> Generator[None]:
        """Hold the right to make entries like this one, of which 256 kinds of keys are told apart.

        Where files cannot be locked (Windows, some network drives) two workers may both make it.
        """
        if self.folder is None:
            yield
            return
        try:
            import fcntl

            path = self.folder / "locks" / f"{kind}-{key[:2]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab")
            fcntl.flock(file, fcntl.LOCK_EX)
        except (ImportError, OSError):
            yield
            return
        with file:
            yield


def _size(entry: Entry) -> int:
    return sum(value.nbytes for value in entry.values())


def key_of(*parts: Any) -> str:
    """A key that stands for arrays, tensors, texts, numbers, and lists and dataclasses of them."""
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, Tensor):
            part = part.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        if isinstance(part, np.ndarray):
            array = np.ascontiguousarray(cast("np.ndarray[Any, Any]", part))
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(array.view(np.uint8).data if array.ndim else array.tobytes())
        elif isinstance(part, list | tuple):
            members = cast("Sequence[Any]", part)
            digest.update(f"[{len(members)}".encode())
            for each in members:
                add(each)
        elif is_dataclass(part):
            digest.update(type(part).__name__.encode())
            for each in fields(part):
                digest.update(each.name.encode())
                add(getattr(part, each.name))
        else:
            text = repr(part).encode()
            digest.update(f"{len(text)}:".encode() + text)

    for part in parts:
        add(part)
    return digest.hexdigest()[:40]
