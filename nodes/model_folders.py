"""Where checkpoints lie: models/ootdiffusion, every place that extra_model_paths.yaml names for
`ootdiffusion`, and the small one that comes with this pack.

A place may hold the published layout itself (a folder `ootd` in it) or one folder for each
checkpoint; `checkpoints/ootd` inside either is found as well.
"""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ..ootd_core.categories import Variant
from ..ootd_core.checkpoints.catalogue import download_command

FOLDER = "ootdiffusion"
MINI = "mini (built in)"
_MINI_FOLDER = Path(__file__).resolve().parent.parent / "demo" / "checkpoints"


def register() -> None:
    """Make models/ootdiffusion known beside what extra_model_paths.yaml added before."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


def names() -> list[str]:
    """The checkpoints to choose from, the built-in one last."""
    return [*_found(), MINI]


def folder_of(name: str) -> Path:
    """The folder of a checkpoint in the published layout.

    Raises FileNotFoundError that says where it was looked for.
    """
    if name == MINI:
        return _MINI_FOLDER
    found = _found()
    if name not in found:
        places = " or ".join(str(place) for place in _places())
        raise FileNotFoundError(
            f"There is no checkpoint '{name}' in {places}: choose another one, or get a published "
            f"one with `{download_command(_places()[0], Variant.FULL_BODY)}` (or --variant hd)."
        )
    return found[name]


def _places() -> list[Path]:
    return [Path(place) for place in folder_paths.get_folder_paths(FOLDER)]


def _found() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place in _places():
        children = sorted(place.iterdir()) if place.is_dir() else []
        for folder in (place, *children):
            for layout in (folder, folder / "checkpoints"):
                if (layout / "ootd").is_dir():
                    found.setdefault(folder.name, layout)
    return found
