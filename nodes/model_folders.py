"""Where checkpoints lie: models/ootdiffusion, every place that extra_model_paths.yaml names for
`ootdiffusion`, and the small one that comes with this pack.

A place may hold the published layout itself (a folder `ootd` in it) or one folder for each
checkpoint; `checkpoints/ootd` inside either is found as well. What lacks files is found, too, so
that it can be said which.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import folder_paths

from ..ootd_core.categories import Variant
from ..ootd_core.checkpoints.blazepose import find_blazepose, locate_blazepose
from ..ootd_core.checkpoints.catalogue import (
    CLIP_FOLDER,
    DENOISING_PARTS,
    FILES,
    MINI_CHECKPOINT,
    Part,
    download_command,
    find,
    missing,
    step_folder,
)
from ..ootd_core.checkpoints.integrity import file_stamp
from ..ootd_core.checkpoints.locating import check_complete

FOLDER = "ootdiffusion"
MINI = "mini (built in)"
BLAZEPOSE = "blazepose"
"""In Detect Body Pose, the network for photographs, which belongs to no checkpoint."""


def register() -> None:
    """Make models/ootdiffusion known beside what extra_model_paths.yaml added before."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


def names() -> list[str]:
    """The checkpoints to choose from: complete ones, the built-in one, those that lack files."""
    complete = {name: _is_complete(folder) for name, folder in _found().items()}
    return [
        *(name for name, whole in complete.items() if whole),
        MINI,
        *(name for name, whole in complete.items() if not whole),
    ]


def pose_networks() -> list[str]:
    """Whose pose network there is to choose: those of `names`, then BlazePose where it is there."""
    return [*names(), *([BLAZEPOSE] if find_blazepose(*_places()) else [])]


def blazepose_files() -> tuple[Path, Path]:
    """BlazePose's detector and landmark network.

    Raises FileNotFoundError or ValueError, one sentence with the command that gets them.
    """
    return locate_blazepose(*_places())


def folder_of(name: str) -> Path:
    """The folder of a checkpoint in the published layout.

    Raises FileNotFoundError that says what there is, and where it was looked for.
    """
    if name == MINI:
        return MINI_CHECKPOINT
    found = _found()
    if name not in found:
        places = " or ".join(str(place) for place in _places())
        raise FileNotFoundError(
            f"checkpoint is {name!r:.60}, but must be one of: {', '.join(names())}; it was looked "
            f"for in {places}, and `{download_command(_places()[0], Variant.FULL_BODY)}` (or "
            "--variant hd) gets a published one."
        )
    return found[name]


def check_files(
    name: str | None, variant: Variant | None = None, parts: Collection[Part] = DENOISING_PARTS
) -> None:
    """Look, before anything is loaded, whether a checkpoint's files are all there.

    name: None where it is not known yet. variant: None for parts that serve both.

    Raises FileNotFoundError, one sentence with the first file that is missing.
    """
    if name is None:
        return
    folder = folder_of(name)
    present = [each for each in Variant if step_folder(folder, each) is not None]
    try:
        check_complete(folder, variant or (*present, Variant.FULL_BODY)[0], parts)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"The checkpoint '{name}' is incomplete: {error}") from error


def has_files(name: str, parts: Collection[Part]) -> bool:
    """Whether a checkpoint has all files of these parts; see `check_files`."""
    try:
        check_files(name, parts=parts)
    except FileNotFoundError:
        return False
    return True


def stamp(name: str | None) -> str:
    """What changes when a file of a checkpoint, or of BlazePose, is added, replaced or removed."""
    if name == BLAZEPOSE:
        return repr([file_stamp(path) for path in find_blazepose(*_places()) or ()])
    if name is None or (name != MINI and name not in _found()):
        return ""
    folder = folder_of(name)
    return repr([file_stamp(path) for file in FILES if (path := find(folder, file)) is not None])


def _is_complete(folder: Path) -> bool:
    return any(not missing(folder, variant, DENOISING_PARTS) for variant in Variant)


def _places() -> list[Path]:
    return [Path(place) for place in folder_paths.get_folder_paths(FOLDER)]


def _found() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place in _places():
        children = sorted(place.iterdir()) if place.is_dir() else []
        for folder in (place, *children):
            for layout in (folder, folder / "checkpoints"):
                if (layout / "ootd").is_dir() or (layout / CLIP_FOLDER).is_dir():
                    found.setdefault(folder.name, layout)
    return found
