"""What was loaded from files and made of pictures, found again while files and pictures stay.

Models stay ComfyUI's to keep and to free: what is shared is found as long as somebody else (a
node's cached output) holds it, and networks without an output of their own go when ComfyUI unloads.
"""

from __future__ import annotations

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

import comfy.model_management
import comfy.model_patcher
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..ootd_core.checkpoints.integrity import file_stamp

Value = TypeVar("Value")


class SharedModels:
    """What a loader gave, found as long as all of it is alive. Keeps nothing alive itself."""

    def __init__(self) -> None:
        self._found: dict[Hashable, tuple[weakref.ref[Any], ...]] = {}

    def get(
        self, files: Iterable[Path], options: Hashable, load: Callable[[], tuple[Any, ...]]
    ) -> tuple[Any, ...]:
        """What was loaded from `files` (which exist) with `options`; loads it where need be."""
        key = (tuple(file_stamp(file) for file in files), options)
        self._found = {
            each: references
            for each, references in self._found.items()
            if all(reference() is not None for reference in references)
        }
        if key in self._found:
            values = tuple(reference() for reference in self._found[key])
            if all(value is not None for value in values):
                return values
        values = load()
        self._found[key] = tuple(weakref.ref(value) for value in values)
        return values


class UnloadableNetwork(comfy.model_patcher.ModelPatcher, Generic[Value]):
    """A network that is loaded from its files when asked for, and let go when ComfyUI unloads it.

    For networks that serve several nodes and are no node's output: with this ComfyUI counts their
    memory, takes it where another model needs it, and "free memory" frees all of it.
    """

    def __init__(self, files: Iterable[Path], load: Callable[[], Value]) -> None:
        """files: what is loaded; their sizes stand for the network's. load: loads it, on
        ComfyUI's device."""
        management = comfy.model_management
        super().__init__(
            nn.Module(),
            load_device=management.get_torch_device(),
            offload_device=torch.device("cpu"),
            size=sum(file.stat().st_size for file in files),
        )
        self._load = load
        self._network: Value | None = None

    def network(self) -> Value:
        """The network, on its device."""
        comfy.model_management.load_models_gpu([self])
        if self._network is None:
            self._network = self._load()
            self.model.model_loaded_weight_memory = self.size
        return self._network

    def partially_unload(self, *_inputs: Any, **_named: Any) -> int:
        """Nothing: it goes as a whole."""
        return 0

    def detach(self, unpatch_all: bool = True) -> Any:
        if unpatch_all:  # else ComfyUI only takes it from its list, to put it on top again
            self._network = None
        return super().detach(unpatch_all)


class FileCache(Generic[Value]):
    """The value asked for last, found by its files."""

    def __init__(self) -> None:
        self._key: Hashable = None
        self._value: Value | None = None

    def get(self, files: Iterable[Path], make: Callable[[], Value]) -> Value:
        """The value made of `files` (which exist); makes it where need be."""
        key = tuple(file_stamp(file) for file in files)
        if self._value is None or key != self._key:
            self._value = None  # first, so that both are never there at once
            self._key, self._value = key, make()
        return self._value


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
