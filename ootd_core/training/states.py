"""Saved states of a training: folders `step-N` of which every one is whole.

A state is written under another name and moved when it is complete, so that a kill at any moment
leaves the earlier states. Tensors of one kind (weights, averages, moments) share a file, so that
writing needs only the memory of one kind.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

PROGRESS = "progress.json"
UNFINISHED = ".unfinished"


class States:
    """The states in a folder, of which the `total_limit` newest are kept."""

    def __init__(self, folder: Path, *, total_limit: int = 1) -> None:
        self.folder = folder
        self.total_limit = total_limit

    def newest(self) -> Path | None:
        """Return the folder of the state with the highest step, None if there is none."""
        states = self._all()
        return states[-1] if states else None

    def save(
        self, step: int, progress: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]]
    ) -> Path:
        """Write the state of a step: JSON values, and a file of tensors for each kind.

        A state that is there for this step is replaced. Older ones beyond `total_limit` are removed
        afterwards. Returns the state's folder.
        """
        place = self.folder / f"step-{step:08d}"
        unfinished = place.with_name(place.name + UNFINISHED)
        for leftover in (place, *self.folder.glob(f"step-*{UNFINISHED}")):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for kind, values in tensors.items():
            whole = {key: value.detach().contiguous() for key, value in values.items()}
            save_file(whole, unfinished / f"{kind}.safetensors")
        (unfinished / PROGRESS).write_text(json.dumps({**progress, "step": step}))
        os.replace(unfinished, place)
        for old in self._all()[: -self.total_limit]:
            shutil.rmtree(old)
        return place

    def _all(self) -> list[Path]:
        found = (
            path for path in self.folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name)
        )
        return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def read_progress(state: Path) -> dict[str, Any]:
    """Return the JSON values of a state, with its "step"."""
    return json.loads((state / PROGRESS).read_text())


def read_tensors(state: Path, kind: str) -> dict[str, Tensor]:
    """Return the tensors of a kind by name, on the CPU; empty if there are none of it."""
    path = state / f"{kind}.safetensors"
    return load_file(path) if path.is_file() else {}
