"""Where BlazePose's two files are: one pair on a machine serves every model folder.

They belong to no variant and to no checkpoint, so they may lie in a model folder, beside it (then
all folders of models/ootdiffusion share them), or in ./checkpoints, where `download` puts them
unless it is told another place. Standard library only.
"""

from __future__ import annotations

from pathlib import Path

from ..requirements import pack_command
from .catalogue import BLAZEPOSE, BLAZEPOSE_FOLDER, MINI_CHECKPOINT
from .integrity import damage

USUAL_FOLDER = Path("checkpoints")


def find_blazepose(*folders: Path) -> tuple[Path, Path] | None:
    """The detector and the landmark network in or beside one of these folders, or in ./checkpoints.

    None where no place has both.
    """
    beside = (place for folder in folders for place in (folder, folder.absolute().parent))
    for place in (*beside, USUAL_FOLDER):
        detector, landmarks = (place / file.path for file in BLAZEPOSE.files)
        if detector.is_file() and landmarks.is_file():
            return detector, landmarks
    return None


def locate_blazepose(*folders: Path) -> tuple[Path, Path]:
    """As `find_blazepose`, but whole files or an error.

    Raises FileNotFoundError or ValueError, one sentence with the command that helps.
    """
    found = find_blazepose(*folders)
    if found is None:
        places = " or ".join(str(place) for place in (*folders, USUAL_FOLDER.absolute()))
        raise FileNotFoundError(
            f"There is no {BLAZEPOSE.files[0].path} with {Path(BLAZEPOSE.files[1].path).name} in "
            f"{places}: `{blazepose_command(*folders[:1])}` gets both."
        )
    for path in found:
        wrong = damage(path)
        if wrong is not None:
            command = blazepose_command(path.parent.parent)
            raise ValueError(f"{path.name} in {path.parent} {wrong}: `{command}` replaces it.")
    return found


def blazepose_command(folder: Path = USUAL_FOLDER) -> str:
    """The command line that puts BlazePose's files into a model folder, never into the bundled one.

    It is complete: a shell runs it as printed, in any folder.
    """
    if folder.resolve() == MINI_CHECKPOINT:
        folder = USUAL_FOLDER
    return pack_command("download", "--part", BLAZEPOSE_FOLDER, "--to", str(folder.absolute()))
