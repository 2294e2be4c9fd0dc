"""Reading one weights file: its tensors or, from its header, their shapes.

Safetensors, and where that is what was published, .bin or .pth; nothing is unpickled but tensors.
Errors are one sentence that names file, folder and what to do. Needs torch and safetensors only, so
both hosts use it.
"""

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .integrity import damage, read_header

UNREADABLE = (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, IndexError, KeyError)
"""What torch.load raises for a damaged or refused file, depending on its format and on where."""


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of a safetensors file's tensors by name, from its header alone; the file is whole."""
    header = read_header(path)
    return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}


def read_state_dict(path: Path, *, remedy: str = "download it again") -> dict[str, Tensor]:
    """The tensors of a .safetensors, .bin or .pth file by name, on the CPU, as stored.

    Tensors may share memory with the file: copy what outlives it. remedy: ends the sentence of an
    error. Raises FileNotFoundError if there is no such file, ValueError if it is cut off, is
    something else or holds more than tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path.name} in {path.parent}: {remedy}.")
    wrong = damage(path)
    if wrong is not None:
        raise ValueError(f"{path.name} in {path.parent} {wrong}: {remedy}.")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(
                f"{path.name} in {path.parent} is damaged ({error}): {remedy}."
            ) from error
    try:
        state = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None
        )
    except UNREADABLE as error:
        raise ValueError(
            f"{path.name} in {path.parent} is damaged or holds more than tensors "
            f"({type(error).__name__}): {remedy}."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path.name} in {path.parent} is not a table of tensors: {remedy}.")
    return state


def read_json(path: Path, *, remedy: str = "download it again") -> dict[str, Any]:
    """A JSON object from a file. Raises FileNotFoundError or ValueError like `read_state_dict`."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path.name} in {path.parent}: {remedy}.")
    wrong = damage(path)
    if wrong is not None:
        raise ValueError(f"{path.name} in {path.parent} {wrong}: {remedy}.")
    return json.loads(path.read_text(encoding="utf-8"))
