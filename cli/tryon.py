"""`python -m cli tryon`: one person, one garment or an outfit, one or more pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from torch import Tensor

from cli.progress import Progress
from ootd_core.categories import Category, Variant, check_category
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.checkpoints.networks import DTYPES, choose_device
from ootd_core.checkpoints.whole_files import numbered
from ootd_core.images.files import check_targets, load_image, read_mask, save_image
from ootd_core.masks.agnostic import MaskMode
from ootd_core.masks.new_garment import MaskLength, MaskSleeves
from ootd_core.sampling import Scheduler
from openpose import load_people
from tryon import TryOn, TryOnOptions
from tryon.perception import PoseNetwork
from tryon.preparation import FitChoice


def tryon_command(
    person: Annotated[Path, typer.Option(help="picture of the person")],
    category: Annotated[
        list[Category], typer.Option(help="what the garment is; one for each --garment")
    ],
    out: Annotated[Path, typer.Option(help="picture to write; several samples get -1, -2, ...")],
    garment: Annotated[
        list[Path] | None,
        typer.Option(help="picture of the garment, lying flat; repeat for an outfit"),
    ] = None,
    model: Annotated[Path, typer.Option(help="model folder; the mini by default")] = (
        MINI_CHECKPOINT
    ),
    variant: Annotated[
        Variant, typer.Option(help="hd: half body, upper garments; dc: full body")
    ] = Variant.FULL_BODY,
    steps: Annotated[int, typer.Option(min=1, help="sampling steps of each garment")] = 20,
    guidance: Annotated[
        float, typer.Option(help="garment's strength, 1 to 5; below 1 without guidance, quicker")
    ] = 2.0,
    seed: Annotated[int, typer.Option(help="of the noise: another seed, another try")] = 0,
    sampler: Annotated[Scheduler, typer.Option(help="how the noise is taken away")] = (
        Scheduler.UNIPC
    ),
    samples: Annotated[int, typer.Option(min=1, help="pictures to make")] = 1,
    mask_mode: Annotated[MaskMode, typer.Option(help="how the mask is drawn")] = MaskMode.AUTO,
    mask_length: Annotated[
        MaskLength, typer.Option(help="where the new garment ends; auto: by its picture")
    ] = MaskLength.AUTO,
    mask_sleeves: Annotated[
        MaskSleeves, typer.Option(help="how long its sleeves are; auto: by its picture")
    ] = MaskSleeves.AUTO,
    grow: Annotated[int, typer.Option(help="pixels to grow (or, negative, shrink) the mask")] = 0,
    mask: Annotated[Path | None, typer.Option(help="your own mask: white is redrawn")] = None,
    invert_mask: Annotated[
        bool | None,
        typer.Option(help="black of your own mask is redrawn; --no-invert-mask says white is"),
    ] = None,
    keypoints: Annotated[Path | None, typer.Option(help="your own OpenPose JSON")] = None,
    person_index: Annotated[
        int, typer.Option(min=0, help="of several people: 0 is the most prominent one")
    ] = 0,
    pose_network: Annotated[
        PoseNetwork,
        typer.Option(
            help="what finds people: openpose is the model folder's own, blazepose is for "
            "photographs; auto takes the folder's unless it lacks parser or pose network"
        ),
    ] = PoseNetwork.AUTO,
    only_mask: Annotated[
        bool,
        typer.Option("--only-mask", help="write the mask alone to --out, for any inpainting model"),
    ] = False,
    mask_out: Annotated[Path | None, typer.Option(help="also write the mask as a picture")] = None,
    fit: Annotated[FitChoice, typer.Option(help="how to bring the picture to 3:4")] = (
        FitChoice.AUTO
    ),
    feather: Annotated[float, typer.Option(min=0, help="width of the seam in pixels")] = 2.0,
    height: Annotated[
        int | None,
        typer.Option(
            min=64, help="of the networks' picture, a multiple of 32; default: as trained"
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="of JPEG (default 95) and WebP (default without loss)"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps ...")] = "auto",
    dtype: Annotated[str, typer.Option(help="fp32, fp16 or bf16")] = "fp32",
    lora: Annotated[Path | None, typer.Option(help="folder of a LoRA that `train` wrote")] = None,
) -> None:
    """Dress a person in a garment."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype is '{dtype}', but must be one of {', '.join(DTYPES)}.")
    garment = garment or []
    if only_mask and (mask is not None or mask_out is not None or samples != 1):
        raise ValueError(
            "--only-mask makes one mask of the person and no picture: leave --mask, --mask-out and "
            "--samples out."
        )
    if len(garment) != len(category) and (garment or not only_mask):
        raise ValueError(
            f"There are {len(garment)} garments and {len(category)} categories: give one "
            "--category for each --garment, in the same order."
        )
    for each in category:
        check_category(variant, each)
    options = TryOnOptions(
        num_inference_steps=steps,
        guidance_scale=guidance,
        num_images_per_prompt=samples,
        seed=seed,
        scheduler=sampler,
        mask_mode=mask_mode,
        mask_length=mask_length,
        mask_sleeves=mask_sleeves,
        mask_grow=grow,
        feather=feather,
        fit=fit,
        height=height,
        person_index=person_index,
    )
    outs = numbered(out, samples)
    inputs = [path for path in (person, *garment, mask, keypoints) if path is not None]
    picture = load_image(person)
    targets = [*outs, *([mask_out] if mask_out else [])]
    check_targets(targets, inputs, size=picture.shape[:2], quality=quality)
    own_mask = None if mask is None else read_mask(mask, invert=invert_mask)
    people = None
    if keypoints is not None:
        found = load_people(keypoints, height=picture.shape[0], width=picture.shape[1])
        people = [each.keypoints for each in found]
    tryon = TryOn.from_pretrained(
        model, variant, pose_network=pose_network, only_masks=only_mask
    ).to(choose_device(device), DTYPES[dtype])
    if only_mask:
        masks = [
            tryon.mask(picture, each, garment=flat, options=options, people=people)
            for each, flat in zip(category, garment or [None] * len(category), strict=True)
        ]
        union = np.maximum.reduce([np.asarray(each.mask) for each in masks])
        save_image(out, Image.fromarray(union), quality=quality)
        _report([out], [warning for each in masks for warning in each.warnings])
        return
    if lora is not None:
        tryon.load_lora(lora)
    with Progress("step", title="tryon") as bar:

        def on_step(step: int, total: int, _latents: Tensor) -> None:
            bar.to(step, total)

        result = tryon(
            picture,
            list(zip(garment, category, strict=True)),
            options=options,
            mask=own_mask,
            people=people,
            on_step=on_step,
        )
    # Everything is saved before anything is said: a closed terminal costs no picture.
    for path, image in zip(outs, result.images, strict=True):
        save_image(path, image, quality=quality)
    if mask_out is not None:
        save_image(mask_out, result.mask, quality=quality)
    _report(outs, result.warnings)


def _report(paths: Iterable[Path], warnings: Iterable[str]) -> None:
    for warning in dict.fromkeys(warnings):
        typer.echo(f"Warning: {warning}", err=True)
    for path in paths:
        typer.echo(path)
