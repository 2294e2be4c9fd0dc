"""`python -m cli tryon`: one person, one garment, one or more pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from cli.places import MINI_MODEL
from cli.studio import DressOptions, FitChoice, Studio
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.networks import DTYPES
from ootd_core.checkpoints.writing import write_whole
from ootd_core.images.files import load_image, load_mask
from ootd_core.masks.agnostic import MaskMode
from ootd_core.masks.morphology import SoftMask
from ootd_core.sampling import Sampler
from ootd_core.training.lora import merge_loras
from openpose import load_people


def tryon_command(
    person: Annotated[Path, typer.Option(help="picture of the person")],
    garment: Annotated[Path, typer.Option(help="picture of the garment, lying flat")],
    category: Annotated[Category, typer.Option(help="what the garment is")],
    out: Annotated[Path, typer.Option(help="PNG to write; several samples get -1, -2, ...")],
    model: Annotated[Path, typer.Option(help="model folder; the mini by default")] = MINI_MODEL,
    variant: Annotated[
        Variant, typer.Option(help="hd: half body, upper garments; dc: full body")
    ] = Variant.FULL_BODY,
    steps: Annotated[int, typer.Option(min=1)] = 20,
    guidance: Annotated[float, typer.Option(help="garment's strength, 1 to 5")] = 2.0,
    seed: int = 0,
    sampler: Sampler = Sampler.UNIPC,
    samples: Annotated[int, typer.Option(min=1)] = 1,
    mask_mode: Annotated[MaskMode, typer.Option(help="how the mask is drawn")] = MaskMode.ROBUST,
    grow: Annotated[int, typer.Option(help="pixels to grow (or, negative, shrink) the mask")] = 0,
    mask: Annotated[Path | None, typer.Option(help="your own mask: white is redrawn")] = None,
    keypoints: Annotated[Path | None, typer.Option(help="your own OpenPose JSON")] = None,
    mask_out: Annotated[Path | None, typer.Option(help="also write the mask as PNG")] = None,
    fit: Annotated[FitChoice, typer.Option(help="how to bring the picture to 3:4")] = (
        FitChoice.AUTO
    ),
    feather: Annotated[float, typer.Option(min=0, help="width of the seam in pixels")] = 2.0,
    height: Annotated[
        int | None, typer.Option(min=64, help="of the networks' picture; default: as trained")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps ...")] = "auto",
    dtype: Annotated[str, typer.Option(help="fp32, fp16 or bf16")] = "fp32",
    lora: Annotated[Path | None, typer.Option(help="folder of a LoRA that `train` wrote")] = None,
) -> None:
    """Dress a person in a garment."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype is '{dtype}', but must be one of {', '.join(DTYPES)}.")
    for path in (out, mask_out):
        if path is not None:
            picture_format(path)
    person_picture, garment_picture = load_image(person), load_image(garment)
    user_mask = None if mask is None else read_mask(mask)
    people = None
    if keypoints is not None:
        picture_height, picture_width = person_picture.shape[:2]
        people = load_people(keypoints, height=picture_height, width=picture_width)
    options = DressOptions(
        steps=steps,
        guidance=guidance,
        seed=seed,
        samples=samples,
        sampler=sampler,
        mask_mode=mask_mode,
        grow=grow,
        feather=feather,
        fit=fit,
        height=height,
    )
    studio = Studio(model, variant, device=choose_device(device), dtype=DTYPES[dtype])
    if lora is not None:
        merge_loras(studio.networks, lora)
    with tqdm(total=steps, unit="step", disable=None) as bar:

        def on_step(_step: int, _total: int, _latents: Tensor) -> None:
            bar.update()

        dressed = studio.dress(
            person_picture,
            garment_picture,
            category,
            options,
            mask=user_mask,
            people=people,
            on_step=on_step,
        )
    for warning in dressed.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    for index, picture in enumerate(dressed.pictures, start=1):
        path = out if samples == 1 else out.with_name(f"{out.stem}-{index}{out.suffix}")
        save_picture(path, picture)
        typer.echo(path)
    if mask_out is not None:
        save_picture(mask_out, np.round(dressed.mask * 255).astype(np.uint8))


def choose_device(name: str) -> str:
    """Return a device name for torch; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises ValueError for a device that this machine does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"The device '{name}' cannot be used here: {error}") from error
    return name


def read_mask(path: Path) -> SoftMask:
    """Read a mask [H,W] in [0,1]: a picture, or a NumPy file (.npy).

    Raises FileNotFoundError or ValueError; the values are checked where the mask is used.
    """
    if path.suffix != ".npy":
        return load_mask(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no mask file at {path}.")
    return np.load(path, allow_pickle=False)


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Write a PNG or JPEG as a whole or not at all. Raises ValueError for another ending."""
    name = picture_format(path)
    write_whole(path, lambda temporary: Image.fromarray(picture).save(temporary, name))


def picture_format(path: Path) -> str:
    """Return Pillow's name for a file's ending. Raises ValueError for one that is no picture's."""
    name = Image.registered_extensions().get(path.suffix.lower())
    if name not in Image.SAVE:
        raise ValueError(f"{path} does not end in a picture format: use .png or .jpg.")
    return name
