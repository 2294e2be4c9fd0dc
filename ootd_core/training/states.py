"""Saved states of a training: folders `step-N`, each written whole.

A state is written under another name and moved when it is complete and on the disk, so that a kill
at any moment leaves the earlier states. Tensors of one kind (weights, averages, moments) share a
file, so that writing needs only the memory of one kind. A disk can still lose what it took: each
state lists its files with their sizes, and one that is damaged is named and passed over.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from ..checkpoints.integrity import damage
from ..checkpoints.whole_files import write_whole

logger = logging.getLogger(__name__)
PROGRESS = "progress.json"
UNFINISHED = ".unfinished"


class States:
    """The states in a folder, of which the `total_limit` newest are kept."""

    def __init__(self, folder: Path, *, total_limit: int = 1) -> None:
        self.folder = folder
        self.total_limit = total_limit

    def newest(self) -> Path | None:
        """Return the whole state with the highest step, None if the folder has no state.

        A later one that is damaged is logged as a warning. Raises ValueError, one sentence, if
        there are states and all of them are damaged.
        """
        states = self._all()
        found: list[str] = []
        for state in reversed(states):
            wrong = state_damage(state)
            if wrong is None:
                for text in found:
                    logger.warning("%s: the state before it is taken, %s.", text, state.name)
                return state
            found.append(f"The state {state} is damaged: its {wrong}")
        if found:
            raise ValueError(
                f"{found[0]}, and no older state is whole: put it back from a copy, or delete "
                f"{self.folder} to begin anew."
            )
        return None

    def save(
        self, step: int, progress: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]]
    ) -> Path:
        """Write the state of a step: JSON values, and a file of tensors for each kind.

        A state that is there for this step is replaced. Afterwards older ones beyond `total_limit`
        are removed, and later ones, which were damaged: the training went on from before them.
        Returns the state's folder. Raises WriteError, one sentence, if the disk is full; nothing of
        the unfinished state is left then.
        """
        place = self.folder / f"step-{step:08d}"
        unfinished = place.with_name(place.name + UNFINISHED)
        for leftover in self.folder.glob(f"step-*{UNFINISHED}"):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            sizes = {
                kind: _write(unfinished / f"{kind}.safetensors", _saver(values))
                for kind, values in tensors.items()
            }
            text = json.dumps({**progress, "step": step, "files": sizes})
            _write(unfinished / PROGRESS, lambda path: path.write_text(text, encoding="utf-8"))
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        shutil.rmtree(place, ignore_errors=True)
        os.replace(unfinished, place)
        states = self._all()
        kept = [state for state in states if _step(state) <= step][-self.total_limit :]
        for other in states:
            if other not in kept:
                shutil.rmtree(other)
        return place

    def _all(self) -> list[Path]:
        found = (
            path for path in self.folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name)
        )
        return sorted(found, key=_step)


def state_damage(state: Path) -> str | None:
    """Return the file of a state that is missing or damaged and what is wrong; None if whole."""
    progress = state / PROGRESS
    wrong = _damage(progress)
    if wrong is not None:
        return wrong
    content = read_progress(state)
    files = content.get("files")
    if not isinstance(files, dict) or "step" not in content:
        return f"{PROGRESS} is no list of its files"
    for kind, size in files.items():
        path = state / f"{kind}.safetensors"
        wrong = _damage(path)
        if wrong is None and path.stat().st_size != size:
            wrong = f"{path.name} has {path.stat().st_size:,} of {size:,} bytes"
        if wrong is not None:
            return wrong
    return None


def read_progress(state: Path) -> dict[str, Any]:
    """Return the JSON values of a whole state, with its "step"."""
    return json.loads((state / PROGRESS).read_text(encoding="utf-8"))


def read_tensors(state: Path, kind: str) -> dict[str, Tensor]:
    """Return the tensors of a kind by name, on the CPU; empty if there are none of it."""
    path = state / f"{kind}.safetensors"
    return load_file(path) if path.is_file() else {}


def _step(state: Path) -> int:
    return int(state.name.removeprefix("step-"))


def _damage(path: Path) -> str | None:
    if not path.is_file():
        return f"{path.name} is missing"
    wrong = damage(path)
    return None if wrong is None else f"{path.name} {wrong}"


def _saver(values: Mapping[str, Tensor]) -> Callable[[Path], object]:
    return lambda path: save_file(
        {key: value.detach().contiguous() for key, value in values.items()}, path
    )


def _write(path: Path, write: Callable[[Path], object]) -> int:
    """Write a file and wait until the disk has it; return its size in bytes."""
    write_whole(path, write)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return path.stat().st_size
