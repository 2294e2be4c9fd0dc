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
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from .integrity import damage, is_safetensors, read_shapes, weight_files

__all__ = ["UNREADABLE", "read_json", "read_shapes", "read_state_dict", "read_tensor"]

UNREADABLE = (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, IndexError, KeyError)
"""What torch.load raises for a damaged or refused file, depending on its format and on where."""


def read_state_dict(path: Path, *, remedy: str = "download it again") -> dict[str, Tensor]:
    """The tensors of a .safetensors, .bin or .pth file, or of all files of an index, by name.

    They are on the CPU, as stored.

    Tensors may share memory with the file: copy what outlives it. remedy: ends the sentence of an
    error. Raises FileNotFoundError if there is no such file, ValueError if it is cut off, is
    something else or holds more than tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path.name} in {path.parent}: {remedy}.")
    wrong = damage(path)
    if wrong is not None:
        raise ValueError(f"{path.name} in {path.parent} {wrong}: {remedy}.")
    state: dict[str, Tensor] = {}
    for file in weight_files(path):
        state |= _read_file(file, remedy)
    return state


def read_tensor(path: Path, name: str) -> Tensor | None:
    """One tensor of weights as `read_state_dict` reads them, without the others if possible."""
    if not is_safetensors(path):
        return read_state_dict(path).get(name)
    for file in weight_files(path):
        with safe_open(file, framework="pt") as opened:
            if name in opened.keys():  # noqa: SIM118
                return opened.get_tensor(name)
    return None


def _read_file(path: Path, remedy: str) -> dict[str, Tensor]:
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
