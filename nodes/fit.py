"""Bringing pictures of any shape to the networks' 3:4, never stretched: persons and garments."""

from __future__ import annotations

import numpy as np
import torch
from comfy_api.latest import io
from numpy.typing import NDArray

from ..ootd_core.images.fitting import (
    Box,
    Fit,
    FitMode,
    fit_image,
    fit_mask,
    person_box,
    prepare_garment,
)
from .pictures import common_batch, repeated, to_image, to_mask, to_masks, to_pictures
from .sockets import MENU, Fits, LabelMaps

SIZES = {
    "1024x768": (1024, 768),
    "768x576": (768, 576),
    "512x384": (512, 384),
    "256x192": (256, 192),
}
"""Height x width: the published checkpoints were trained at 1024x768, the built-in one at 256x192.
"""
WHOLE_TOLERANCE = 0.03
"""A picture whose shape differs from 3:4 by less is shown whole where the mode is auto."""


def size_input() -> io.Combo.Input:
    return io.Combo.Input(
        "size",
        options=list(SIZES),
        default="1024x768",
        tooltip="Height x width that the networks see. The published checkpoints were trained at "
        "1024x768 (512x384 is quicker), the built-in one at 256x192.",
    )


class FitPerson(io.ComfyNode):
    """See `fit_image`; the fit that comes out is undone exactly by Decode Try-On."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OOTD_FitPerson",
            display_name="Fit Person",
            category=MENU,
            description="Brings a person's picture of any size and shape to 3:4 without stretching "
            "it, and remembers how, so that Decode Try-On can paste the result back.",
            inputs=[
                io.Image.Input("image", tooltip="A person, or a batch of persons, of any size."),
                size_input(),
                io.Combo.Input(
                    "mode",
                    options=["auto", "pad", "crop"],
                    default="auto",
                    tooltip="pad: the whole picture, white around it. crop: only the person, from "
                    "the mask or the label map. auto: crop where the picture is not 3:4 and one "
                    "of them is connected, else pad.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Your own mask of the picture: it is brought along, and says where "
                    "the person is.",
                ),
                LabelMaps.Input(
                    "label_map",
                    optional=True,
                    tooltip="From Parse Human, of the same picture: says where the person is.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="3:4, as large as chosen."),
                io.Mask.Output(
                    display_name="mask", tooltip="Your own mask at that size; black without one."
                ),
                Fits.Output(display_name="fit", tooltip="For Decode Try-On."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        size: str,
        mode: str,
        mask: torch.Tensor | None = None,
        label_map: list[NDArray[np.uint8]] | None = None,
    ) -> io.NodeOutput:
        height, width = SIZES[size]
        pictures = to_pictures(image)
        own = None if mask is None else to_masks(mask)
        batch = common_batch(
            image=len(pictures), mask=len(own or [0]), label_map=len(label_map or [0])
        )
        canvases: list[NDArray[np.uint8]] = []
        masks: list[NDArray[np.float32]] = []
        fits: list[Fit] = []
        for picture, painted, labels in zip(
            repeated(pictures, batch),
            repeated(own or [None], batch),
            repeated(label_map or [None], batch),
            strict=True,
        ):
            box = _person(painted, labels)
            shape_error = abs(picture.shape[1] / picture.shape[0] * height / width - 1)
            crops = mode == "crop" or (
                mode == "auto" and box is not None and shape_error >= WHOLE_TOLERANCE
            )
            if crops and box is None:
                raise ValueError(
                    "Nothing says where the person is: connect a mask or Parse Human's label map, "
                    "or set mode to pad."
                )
            canvas, fit = fit_image(
                picture, height, width, mode=FitMode.CROP if crops else FitMode.PAD, box=box
            )
            canvases.append(canvas)
            fits.append(fit)
            empty = np.zeros((height, width), np.float32)
            masks.append(empty if painted is None else fit_mask(painted, fit))
        return io.NodeOutput(to_image(canvases), to_mask(masks), fits)


class PrepareGarment(io.ComfyNode):
    """See `prepare_garment`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OOTD_PrepareGarment",
            display_name="Prepare Garment Image",
            category=MENU,
            description="Lays a garment's picture on a white 3:4 ground without stretching it. "
            "Best is a garment lying flat, from the front, on a plain ground.",
            inputs=[
                io.Image.Input("image", tooltip="A garment, or a batch of garments, of any size."),
                size_input(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The garment in its picture: all else becomes white, and the garment "
                    "is centred and fills the picture.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="garment", tooltip="3:4 on white, as large as chosen.")
            ],
        )

    @classmethod
    def execute(
        cls, image: torch.Tensor, size: str, mask: torch.Tensor | None = None
    ) -> io.NodeOutput:
        height, width = SIZES[size]
        pictures = to_pictures(image)
        own = None if mask is None else to_masks(mask)
        batch = common_batch(image=len(pictures), mask=len(own or [0]))
        prepared = [
            prepare_garment(picture, height, width, mask=painted)
            for picture, painted in zip(
                repeated(pictures, batch), repeated(own or [None], batch), strict=True
            )
        ]
        return io.NodeOutput(to_image(prepared))


def _person(mask: NDArray[np.float32] | None, labels: NDArray[np.uint8] | None) -> Box | None:
    if labels is not None:
        return person_box(labels > 0)
    return None if mask is None else person_box(mask >= 0.5)
