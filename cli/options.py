"""The options that `tryon` and `batch` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ootd_core.categories import Variant
from ootd_core.images.restoring import Restore
from ootd_core.images.worn_garment import GarmentPhoto
from ootd_core.masks.agnostic import MaskMode
from ootd_core.sampling import Scheduler, Speed
from tryon.preparation import FitChoice, PoseNetwork

ModelOption = Annotated[Path, typer.Option(help="model folder; the mini by default")]
VariantOption = Annotated[
    Variant, typer.Option(help="hd: half body, upper garments; dc: full body")
]
SpeedOption = Annotated[
    Speed, typer.Option(help="best: 20 steps; balanced: 10; fast: 7 at chosen noise levels")
]
StepsOption = Annotated[
    int | None, typer.Option(min=1, help="sampling steps of each garment, not those of --speed")
]
GuidanceOption = Annotated[
    float, typer.Option(help="garment's strength, 1 to 5; 1 without guidance, quicker")
]
StartOption = Annotated[
    float, typer.Option(min=0, max=1, help="share of the sampling before which there is none")
]
EndOption = Annotated[
    float, typer.Option(min=0, max=1, help="share of the sampling from which on there is none")
]
SamplerOption = Annotated[
    Scheduler | None,
    typer.Option(help="how the noise is taken away, in evenly spaced steps; not as --speed does"),
]
MaskModeOption = Annotated[MaskMode, typer.Option(help="how the mask is drawn")]
GrowOption = Annotated[int, typer.Option(help="pixels to grow (or, negative, shrink) the mask")]
FitOption = Annotated[FitChoice, typer.Option(help="how to bring the picture to 3:4")]
FeatherOption = Annotated[float, typer.Option(min=0, help="width of the seam in pixels")]
RestoreOption = Annotated[
    Restore, typer.Option(help="what of the original comes back inside the mask")
]
GarmentPhotoOption = Annotated[
    GarmentPhoto,
    typer.Option(help="flat: the garment alone; worn: cut out of a person's picture; auto: looks"),
]
HeightOption = Annotated[
    int | None,
    typer.Option(min=64, help="of the networks' picture, a multiple of 32; default: as trained"),
]
PoseOption = Annotated[
    PoseNetwork,
    typer.Option(
        help="what finds people: openpose is the model folder's own, blazepose is for "
        "photographs; auto takes the folder's unless it lacks parser or pose network"
    ),
]
DtypeOption = Annotated[
    str, typer.Option(help="fp32, fp16 or bf16; auto: fp32 on a CPU, else fp16")
]
CompileOption = Annotated[
    bool,
    typer.Option("--compile", help="torch.compile the denoiser: minutes once, then faster steps"),
]
OffloadOption = Annotated[
    bool,
    typer.Option("--offload", help="only the network that runs lies in the GPU's memory; slower"),
]
LoraOption = Annotated[Path | None, typer.Option(help="folder of a LoRA that `train` wrote")]
