"""`python -m cli tryon`: one person, one garment or an outfit, one or more pictures."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from torch import Tensor

from cli.options import (
    CompileOption,
    DtypeOption,
    EndOption,
    FeatherOption,
    FitOption,
    GarmentPhotoOption,
    GrowOption,
    GuidanceOption,
    HeightOption,
    LoraOption,
    MaskModeOption,
    ModelOption,
    OffloadOption,
    PoseOption,
    RestoreOption,
    SamplerOption,
    SpeedOption,
    StartOption,
    StepsOption,
    VariantOption,
)
from cli.progress import Progress
from ootd_core.categories import Category, Variant, check_category
from ootd_core.checkpoints.acceleration import AUTO, choose_dtype
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.checkpoints.networks import DTYPES, choose_device
from ootd_core.checkpoints.whole_files import numbered
from ootd_core.images.files import check_targets, load_image, read_mask, save_image
from ootd_core.images.restoring import Restore
from ootd_core.images.worn_garment import GarmentPhoto
from ootd_core.masks.agnostic import MaskMode
from ootd_core.masks.new_garment import MaskLength, MaskSleeves
from ootd_core.sampling import Speed, sampling_of
from openpose import load_people
from tryon import TryOn, TryOnOptions
from tryon.preparation import FitChoice, PoseNetwork


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
    garment_mask: Annotated[
        list[Path] | None,
        typer.Option(help="where the garment is in its picture; one for each --garment"),
    ] = None,
    model: ModelOption = MINI_CHECKPOINT,
    variant: VariantOption = Variant.FULL_BODY,
    speed: SpeedOption = Speed.BEST,
    steps: StepsOption = None,
    guidance: GuidanceOption = 2.0,
    guidance_start: StartOption = 0.0,
    guidance_end: EndOption = 1.0,
    seed: Annotated[int, typer.Option(help="of the noise: another seed, another try")] = 0,
    sampler: SamplerOption = None,
    samples: Annotated[int, typer.Option(min=1, help="pictures to make")] = 1,
    mask_mode: MaskModeOption = MaskMode.AUTO,
    mask_length: Annotated[
        list[MaskLength] | None,
        typer.Option(help="where the new garment ends; one for each --garment; default: auto"),
    ] = None,
    mask_sleeves: Annotated[
        list[MaskSleeves] | None,
        typer.Option(help="how long its sleeves are; one for each --garment; default: auto"),
    ] = None,
    grow: GrowOption = 0,
    mask: Annotated[Path | None, typer.Option(help="your own mask: white is redrawn")] = None,
    invert_mask: Annotated[
        bool | None,
        typer.Option(help="black of your own mask is redrawn; --no-invert-mask says white is"),
    ] = None,
    keypoints: Annotated[Path | None, typer.Option(help="your own OpenPose JSON")] = None,
    person_index: Annotated[
        int, typer.Option(min=0, help="of several people: 0 is the most prominent one")
    ] = 0,
    pose_network: PoseOption = PoseNetwork.AUTO,
    only_mask: Annotated[
        bool,
        typer.Option("--only-mask", help="write the mask alone to --out, for any inpainting model"),
    ] = False,
    mask_out: Annotated[Path | None, typer.Option(help="also write the mask as a picture")] = None,
    fit: FitOption = FitChoice.AUTO,
    feather: FeatherOption = 2.0,
    restore: RestoreOption = Restore.NONE,
    garment_photo: GarmentPhotoOption = GarmentPhoto.FLAT,
    height: HeightOption = None,
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="of JPEG (default 95) and WebP (default without loss)"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps ...")] = "auto",
    dtype: DtypeOption = AUTO,
    compiles: CompileOption = False,
    offloads: OffloadOption = False,
    lora: LoraOption = None,
) -> None:
    """Dress a person in a garment."""
    device = choose_device(device)
    dtype = choose_dtype(dtype, device)
    garment = garment or []
    pictures_only = (mask, mask_out, lora) != (None, None, None) or samples != 1
    if only_mask and (pictures_only or compiles or offloads or restore is not Restore.NONE):
        raise ValueError(
            "--only-mask makes one mask of the person and no picture: leave --mask, --mask-out, "
            "--samples, --restore, --lora, --compile and --offload out."
        )
    if invert_mask is not None and mask is None:
        raise ValueError("--invert-mask says how --mask is read, which is not given: leave it out.")
    if len(garment) != len(category) and (garment or not only_mask):
        raise ValueError(
            f"There are {len(garment)} garments and {len(category)} categories: give one "
            "--category for each --garment, in the same order."
        )
    if garment_mask and len(garment_mask) != len(garment):
        raise ValueError(
            f"There are {len(garment)} garments and {len(garment_mask)} garment masks: give one "
            "--garment-mask for each --garment, in the same order, or none."
        )
    for each in category:
        check_category(variant, each)
    options = TryOnOptions(
        **sampling_of(speed, steps, sampler),
        guidance_scale=guidance,
        guidance_start=guidance_start,
        guidance_end=guidance_end,
        num_images_per_prompt=samples,
        seed=seed,
        mask_mode=mask_mode,
        mask_length=tuple(mask_length or ()) or MaskLength.AUTO,
        mask_sleeves=tuple(mask_sleeves or ()) or MaskSleeves.AUTO,
        mask_grow=grow,
        feather=feather,
        restore=restore,
        garment_photo=garment_photo,
        fit=fit,
        height=height,
        person_index=person_index,
    )
    options.check_outfit(category)
    outs = numbered(out, samples)
    given = (person, *garment, *(garment_mask or ()), mask, keypoints)
    inputs = [path for path in given if path is not None]
    picture = load_image(person)
    targets = [*outs, *([mask_out] if mask_out else [])]
    check_targets(targets, inputs, size=picture.shape[:2], quality=quality)
    own_mask = None if mask is None else read_mask(mask, invert=invert_mask, can_invert=True)
    people = None
    if keypoints is not None:
        found = load_people(keypoints, height=picture.shape[0], width=picture.shape[1])
        people = [each.keypoints for each in found]
    tryon = TryOn.from_pretrained(
        model, variant, pose_network=pose_network, only_masks=only_mask
    ).to(device, DTYPES[dtype])
    if only_mask:
        masks = [
            tryon.mask(
                picture,
                each,
                garment=flat,
                garment_mask=cut,
                options=options.of_garment(number),
                people=people,
            )
            for number, each, flat, cut in zip(
                count(),
                category,
                garment or [None] * len(category),
                garment_mask or [None] * len(category),
                strict=False,
            )
        ]
        union = np.maximum.reduce([np.asarray(each.mask) for each in masks])
        save_image(out, Image.fromarray(union), quality=quality)
        _report([out], [warning for each in masks for warning in each.warnings])
        return
    if lora is not None:
        tryon.load_lora(lora)
    if offloads:
        tryon.enable_model_cpu_offload()
    if compiles:
        tryon.compile()
    with Progress("step", title="tryon") as bar:

        def on_step(step: int, total: int, _latents: Tensor) -> None:
            bar.to(step, total)

        result = tryon(
            picture,
            list(zip(garment, category, strict=True)),
            options=options,
            mask=own_mask,
            garment_mask=garment_mask,
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
