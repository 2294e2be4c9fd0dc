"""What was loaded from files, kept as long as the files stay as they are, and what was made of
pictures, kept for when the same picture comes again.

ComfyUI forgets a node's output as soon as a prompt does without the node; a loader that reads
gigabytes keeps the last few by itself, told apart by path, time of change, size and options.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..ootd_core.checkpoints.integrity import file_stamp

Value = TypeVar("Value")


class FileCache(Generic[Value]):
    """The `kept` values asked for last."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, files: Iterable[Path], options: Hashable, load: Callable[[], Value]) -> Value:
        """The value loaded from `files` (which exist) with `options`; loads it where need be."""
        key = (tuple(file_stamp(file) for file in files), options)
        if key not in self._values:
            while len(self._values) >= self.kept:  # first, so that both are never there at once
                self._values.popitem(last=False)
            self._values[key] = load()
        self._values.move_to_end(key)
        return self._values[key]


class PictureCache(Generic[Value]):
    """The `kept` values made last of a picture and files, found by the picture's content."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def get(
        self, made_of: tuple[NDArray[np.uint8], *tuple[Path, ...]], make: Callable[[], Value]
    ) -> Value:
        """The value made of a picture [H, W, 3] with these files; makes it where need be."""
        picture, *files = made_of
        content = hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
        key = (picture.shape, content, *(file_stamp(file) for file in files))
        if key not in self._values:
            self._values[key] = make()
            while len(self._values) > self.kept:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]
