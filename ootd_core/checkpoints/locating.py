"""Where every part of a model lies in a folder of the published layout, checked without loading.

The half of checkpoint loading that needs neither diffusers nor transformers: the command line, the
doctor and the ComfyUI nodes share it. `verification` says what is looked at.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..categories import Variant
from .catalogue import (
    CLIP_FOLDER,
    DENOISING_PARTS,
    UNET_FOLDERS,
    Part,
    WeightFile,
    download_command,
    expected_path,
    files_for,
    find,
    missing,
    step_folder,
    stranger_for,
)
from .integrity import MERGES, damage, tokenizer_damage, weight_files
from .reading import read_state_dict
from .verification import fault_of


@dataclass(frozen=True, kw_only=True, slots=True)
class PartFiles:
    """One network on disk.

    weights: a file, or the index of several. remedy: what to do if a file proves bad, as the end of
    a sentence.
    """

    part: Part
    config: Path
    weights: Path
    remedy: str

    @property
    def files(self) -> list[Path]:
        """All files, for their stamps: config, weights and, of an index, what it names."""
        return list(dict.fromkeys([self.config, self.weights, *weight_files(self.weights)]))

    def read_state_dict(self) -> dict[str, Tensor]:
        """Its tensors by name; errors as in `weight_files.read_state_dict`."""
        return read_state_dict(self.weights, remedy=self.remedy)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointPaths:
    """Every part of one variant. tokenizer is a folder; image_processor and scheduler are JSON."""

    folder: Path
    variant: Variant
    vae: PartFiles
    text_encoder: PartFiles
    tokenizer: Path
    image_encoder: PartFiles
    image_processor: Path
    outfitting_unet: PartFiles
    tryon_unet: PartFiles
    scheduler: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessorPaths:
    """The networks that read a person's picture: two parsers (ONNX) and the pose network."""

    parser_atr: Path
    parser_lip: Path
    pose: Path


def locate(folder: Path, variant: Variant, unets: PartFiles | None = None) -> CheckpointPaths:
    """The paths of every part that a try-on needs, from a folder in the published layout.

    unets: files of both UNets from elsewhere; the folder then needs none. The checkpoint with the
    highest step is taken, and safetensors where both formats are there. Raises FileNotFoundError,
    one sentence with the command that helps, if the folder or a part of it is missing. Does not
    look into the files: `verify` does.
    """
    check_complete(folder, variant, DENOISING_PARTS - (set(UNET_FOLDERS) if unets else set()))
    clip = folder / CLIP_FOLDER
    return CheckpointPaths(
        folder=folder,
        variant=variant,
        vae=part_files(folder, variant, Part.VAE),
        text_encoder=part_files(folder, variant, Part.TEXT_ENCODER),
        tokenizer=folder / "ootd" / "tokenizer",
        image_encoder=part_files(folder, variant, Part.IMAGE_ENCODER),
        image_processor=clip / "preprocessor_config.json",
        outfitting_unet=unets or part_files(folder, variant, Part.OUTFITTING_UNET),
        tryon_unet=unets or part_files(folder, variant, Part.TRYON_UNET),
        scheduler=folder / "ootd" / "scheduler" / "scheduler_config.json",
    )


def locate_preprocessors(folder: Path) -> PreprocessorPaths:
    """The parsers and the pose network of a model folder; they serve both variants.

    Raises FileNotFoundError if the folder or one of them is missing, ValueError if one is cut off
    or is something else.
    """
    parts = (Part.PARSER, Part.POSE)
    present = [variant for variant in Variant if step_folder(folder, variant) is not None]
    variant = (*present, Variant.HALF_BODY)[0]
    check_complete(folder, variant, parts)
    for part in parts:
        check_part(folder, variant, part)
    atr, lip, pose = (_found(find(folder, file)) for file in files_for(variant, parts))
    return PreprocessorPaths(parser_atr=atr, parser_lip=lip, pose=pose)


def check_complete(folder: Path, variant: Variant, parts: Collection[Part]) -> None:
    """Raises FileNotFoundError, one sentence, unless a folder holds all required files of parts."""
    command = f"`{download_command(folder, variant)}`"
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no model folder {folder}: {command} makes it.")
    absent = missing(folder, variant, parts)
    if not absent:
        return
    if (folder / "checkpoints" / "ootd").is_dir():
        raise FileNotFoundError(
            f"{folder} holds the model in its folder checkpoints: name {folder / 'checkpoints'}."
        )
    if not any(find(folder, file) for file in files_for(variant)):
        raise FileNotFoundError(
            f"{folder} holds no file of the model in the published layout: {command} gets it."
        )
    unets = [file for file in absent if file.part in UNET_FOLDERS]
    if unets == absent and len(unets) == 2 * len(UNET_FOLDERS):
        raise FileNotFoundError(
            f"{folder} lacks ootd/ootd_{variant}, the UNets of variant {variant}: "
            f"{command} gets them."
        )
    first = expected_path(folder, absent[0])
    stranger = stranger_for(folder, absent[0])
    if stranger is not None:
        raise FileNotFoundError(
            f"{folder} lacks {first.relative_to(folder).as_posix()}, but {stranger.name} lies in "
            f"its place: if that is it, rename it to {_names_for(absent[0], stranger)}, or "
            f"{command} gets what is missing."
        )
    more = f" and {len(absent) - 1} more of its files" if len(absent) > 1 else ""
    raise FileNotFoundError(
        f"{folder} lacks {first.relative_to(folder).as_posix()}{more}: {command} gets what is "
        "missing."
    )


def verify(paths: CheckpointPaths) -> None:
    """Looks into every file: whole; the part that its place says; the two variants not one network.

    As `doctor` does. Reads headers, and the tokenizer: costs a tenth of a second. Raises
    ValueError, one sentence that names file, folder and command.
    """
    for part in Part:
        if part in DENOISING_PARTS:
            check_part(paths.folder, paths.variant, part)


def check_part(folder: Path, variant: Variant, part: Part) -> None:
    """Raises ValueError, one sentence with the command that helps, if a part's files are unfit."""
    fault = fault_of(folder, variant, part)
    if fault is not None:
        raise ValueError(f"{fault}: {_remedy(folder, variant)}.")


def check_whole(path: Path, remedy: str) -> None:
    """Raises ValueError, one sentence that ends in `remedy`, if a file is damaged."""
    wrong = damage(path)
    if wrong is not None:
        raise ValueError(f"{path.name} in {path.parent} {wrong}: {remedy}.")


def check_tokenizer(folder: Path, remedy: str) -> None:
    """Raises FileNotFoundError or ValueError unless a folder holds a whole byte-pair tokenizer."""
    for name in ("vocab.json", MERGES):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"There is no {name} in {folder}: {remedy}.")
    for path in sorted(folder.glob("*.json")):
        check_whole(path, remedy)
    found = tokenizer_damage(folder)
    if found is not None:
        path, wrong = found
        raise ValueError(f"{path.name} in {path.parent} {wrong}: {remedy}.")


def part_files(folder: Path, variant: Variant, part: Part) -> PartFiles:
    """Config and weights of one network; both are there, see `check_complete`."""
    config, weights = (
        _found(find(folder, file))
        for file in files_for(variant, (part,))
        if not file.path.endswith("preprocessor_config.json")
    )
    return PartFiles(part=part, config=config, weights=weights, remedy=_remedy(folder, variant))


def _names_for(file: WeightFile, stranger: Path) -> str:
    """The accepted name of a file that another one could be renamed to."""
    names = [Path(name).name for name in (file.path, *file.alternatives)]
    same = [name for name in names if Path(name).suffix == stranger.suffix]
    return (same or names)[0]


def _remedy(folder: Path, variant: Variant) -> str:
    return f"`{download_command(folder, variant)}` replaces it"


def _found(path: Path | None) -> Path:
    if path is None:
        raise RuntimeError("A required file vanished from the model folder.")
    return path
