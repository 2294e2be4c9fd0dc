"""One training at a time in a folder: the operating system holds the lock, and drops it after a
crash.

The file says who holds it. It stays when the training ends: what counts is the lock, not the file.
Several processes of one training share a folder, so only the first of them asks.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from pathlib import Path
from typing import IO

logger = logging.getLogger(__name__)
LOCK = "lock.json"
_FIRST_BYTE = 1 << 20
"""Of the locked byte on Windows, far behind what is written: a locked byte cannot be read there."""


class FolderLock:
    """The right to train in a folder, which is made if need be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take it. Raises ValueError, one sentence, if another training has it.

        Where a file system knows no locks, a warning is logged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        file = (self.folder / LOCK).open("a+", encoding="utf-8")
        try:
            _lock(file)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            holder = _holder(file.read())
            file.close()
            raise ValueError(
                f"Another training{holder} is at work in {self.folder}: wait for it, stop it, or "
                "train in another folder."
            ) from error
        except OSError as error:
            logger.warning("%s cannot be locked (%s): run no second training in it.",
                           self.folder, error)  # fmt: skip
        file.truncate(0)
        file.write(json.dumps({"process": os.getpid(), "host": socket.gethostname()}))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give it back; without effect if it was not taken."""
        if self._file is not None:
            self._file.close()
            self._file = None


def check_free(folder: Path) -> None:
    """Raises ValueError, one sentence, if a training is at work in a folder."""
    if (folder / LOCK).is_file():
        lock = FolderLock(folder)
        lock.acquire()
        lock.release()


def _holder(text: str) -> str:
    try:
        content = json.loads(text)
        return f" (process {content['process']} on {content['host']})"
    except (ValueError, TypeError, KeyError):
        return ""


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        file.seek(_FIRST_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
