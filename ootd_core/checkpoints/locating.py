"""Where every part of a model lies in a folder of the published layout, checked without loading.

The half of checkpoint loading that needs neither diffusers nor transformers: the command line, the
doctor and the ComfyUI nodes share it. The files people confuse are all called
diffusion_pytorch_model.safetensors: the outfitting UNet (unet_garm) and the try-on UNet (unet_vton)
differ by the input channels of conv_in, 4 and 8. The two variants (hd, dc) have equal shapes, so
they are told apart only where both are there and hold the same network.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from ..categories import Variant
from .catalogue import (
    CLIP_FOLDER,
    DENOISING_PARTS,
    UNET_FOLDERS,
    Part,
    download_command,
    expected_path,
    files_for,
    find,
    missing,
    step_folder,
)
from .integrity import MERGES, damage, tokenizer_damage
from .reading import read_shapes, read_state_dict

IN_CHANNELS: dict[Part, int] = {Part.OUTFITTING_UNET: 4, Part.TRYON_UNET: 8}
"""conv_in: garment latents alone, or noisy latents beside the masked person's."""
CONV_IN = "conv_in.weight"
MINI_CHECKPOINT = Path(__file__).resolve().parents[2] / "demo" / "checkpoints"
"""The small checkpoint that comes with this project; it dresses drawn dolls, not photographs."""
DEMO_SAMPLES = MINI_CHECKPOINT.parent / "samples"
"""Drawn persons, garments and true pictures for it: NUMBER-CATEGORY-{person,garment,truth}.png."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartFiles:
    """One network on disk. remedy: what to do if a file proves bad, as the end of a sentence."""

    part: Part
    config: Path
    weights: Path
    remedy: str

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
    paths: list[Path] = []
    for file in files_for(variant, parts):
        path = _found(find(folder, file))
        check_whole(path, _remedy(folder, variant))
        paths.append(path)
    atr, lip, pose = paths
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
    more = f" and {len(absent) - 1} more of its files" if len(absent) > 1 else ""
    raise FileNotFoundError(
        f"{folder} lacks {first.relative_to(folder).as_posix()}{more}: {command} gets what is "
        "missing."
    )


def verify(paths: CheckpointPaths) -> None:
    """Looks into every file: whole; the UNets not swapped, not one network under both variants.

    Reads headers, and the tokenizer: costs a tenth of a second. Raises ValueError, one sentence
    that names file, folder and command.
    """
    remedy = paths.vae.remedy
    for part in (paths.vae, paths.text_encoder, paths.image_encoder):
        check_whole(part.config, remedy)
        check_whole(part.weights, remedy)
    for path in (paths.image_processor, paths.scheduler):
        check_whole(path, remedy)
    check_tokenizer(paths.tokenizer, remedy)
    for part in (paths.outfitting_unet, paths.tryon_unet):
        check_whole(part.config, part.remedy)
    for files in (paths.outfitting_unet, paths.tryon_unet):
        check_in_channels(files)
    other = Variant.FULL_BODY if paths.variant is Variant.HALF_BODY else Variant.HALF_BODY
    for files in (paths.outfitting_unet, paths.tryon_unet):
        check_other_variant(paths.folder, other, files)


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


def check_in_channels(files: PartFiles) -> None:
    """Raises ValueError if a UNet's conv_in takes another number of channels than its part has."""
    expected = IN_CHANNELS[files.part]
    shape = _conv_in_shape(files)
    found = shape[1] if len(shape) == 4 else None
    if found == expected:
        return
    here = f"{files.weights.name} in {files.weights.parent}"
    for other, channels in IN_CHANNELS.items():
        if channels == found:
            raise ValueError(
                f"{here} is the {other} (conv_in takes {found} channels, that of the "
                f"{files.part} {expected}), so the files of unet_garm and unet_vton were "
                f"swapped: {files.remedy}."
            )
    raise ValueError(
        f"{here} is no {files.part}, whose conv_in takes {expected} channels (here: "
        f"{found if found is not None else 'none'}): {files.remedy}."
    )


def check_other_variant(folder: Path, other: Variant, files: PartFiles) -> None:
    """Raises ValueError if `other`'s UNet for this part is there too and is the very same network.

    Fine-tuned on different pictures, no two of them share their first layer. A link from one
    folder to the other is taken for intent.
    """
    if missing(folder, other, (files.part,)):
        return
    twin = part_files(folder, other, files.part)
    if twin.weights.resolve() == files.weights.resolve() or damage(twin.weights):
        return
    mine, theirs = _conv_in(files), _conv_in(twin)
    if mine is not None and theirs is not None and torch.equal(mine, theirs):
        raise ValueError(
            f"{files.weights.name} in {files.weights.parent} is the same network as in "
            f"{twin.weights.parent}, so one of the variants hd and dc lies in the wrong folder: "
            f"{files.remedy}."
        )


def part_files(folder: Path, variant: Variant, part: Part) -> PartFiles:
    """Config and weights of one network; both are there, see `check_complete`."""
    config, weights = (
        _found(find(folder, file))
        for file in files_for(variant, (part,))
        if not file.path.endswith("preprocessor_config.json")
    )
    return PartFiles(part=part, config=config, weights=weights, remedy=_remedy(folder, variant))


def _remedy(folder: Path, variant: Variant) -> str:
    return f"`{download_command(folder, variant)}` replaces it"


def _found(path: Path | None) -> Path:
    if path is None:
        raise RuntimeError("A required file vanished from the model folder.")
    return path


def _conv_in_shape(files: PartFiles) -> tuple[int, ...]:
    weights = files.weights
    if weights.suffix != ".safetensors":
        tensor = files.read_state_dict().get(CONV_IN)
        return () if tensor is None else tuple(tensor.shape)
    check_whole(weights, files.remedy)
    return read_shapes(weights).get(CONV_IN, ())


def _conv_in(files: PartFiles) -> Tensor | None:
    if files.weights.suffix != ".safetensors":
        return files.read_state_dict().get(CONV_IN)
    with safe_open(files.weights, framework="pt") as file:
        return file.get_tensor(CONV_IN) if CONV_IN in file.keys() else None  # noqa: SIM118
