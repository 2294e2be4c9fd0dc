"""From latents to the finished picture: decoded, and pasted back into the original."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import comfy.sd
import numpy as np
import torch
from comfy_api.latest import io
from numpy.typing import NDArray
from torch import Tensor

from ..ootd_core.checkpoints.catalogue import Part
from ..ootd_core.images.compositing import paste_back
from ..ootd_core.images.fitting import Fit, size_of, unfit_mask, whole_fit
from ..ootd_core.images.restoring import Restore, restored_region
from ..ootd_core.requirements import require
from ..tryon.preparation import seen_as
from . import model_folders
from .inputs import check_choices
from .perceive import parse
from .pictures import common_batch, opaque, repeated, to_image, to_mask, to_pictures, to_regions
from .search_words import searched_as
from .sockets import MENU, Fits, LabelMaps


def restore_input() -> io.Combo.Input:
    return io.Combo.Input(
        "restore",
        options=[restore.value for restore in Restore],
        default=Restore.NONE.value,
        optional=True,
        tooltip="What of the original comes back inside the mask, away from old and new clothes, "
        "where person and result show the same: the background, or bare arms, legs and neck, too.",
    )


class DecodeTryOn(io.ComfyNode):
    """See `paste_back`: outside the mask every pixel is the original's."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        checkpoints = model_folders.names()
        return io.Schema(
            node_id="OOTD_VAEDecode",
            display_name="Decode Try-On",
            category=MENU,
            **searched_as("paste back", "解码", "贴回"),
            description="Decodes the sampler's latents. With the original picture and the mask "
            "connected, the result has the original's size and differs from it inside the mask "
            "only.",
            inputs=[
                io.Latent.Input("latent", tooltip="From the sampler."),
                io.Vae.Input("vae", tooltip="From Load OOTDiffusion Model."),
                io.Image.Input(
                    "original",
                    optional=True,
                    tooltip="The person's picture before Fit Person. With it the result is pasted "
                    "back.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The mask that Fused Denoiser got: where the result is pasted.",
                ),
                Fits.Input(
                    "fit",
                    optional=True,
                    tooltip="From Fit Person. Without it the original must have the size of the "
                    "result.",
                ),
                io.Float.Input(
                    "feather",
                    default=2.0,
                    min=0.0,
                    max=64.0,
                    step=0.5,
                    tooltip="Width of the seam inside the mask, in the networks' pixels.",
                ),
                restore_input(),
                LabelMaps.Input(
                    "label_map",
                    optional=True,
                    lazy=True,
                    tooltip="From Parse Human, of the person as Fit Person gives it: for restore.",
                ),
                io.Combo.Input(
                    "checkpoint",
                    options=checkpoints,
                    default=checkpoints[0],
                    optional=True,
                    tooltip="Whose parser looks at the result, for restore: the one that made "
                    "label_map.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The person in the garment."),
                io.Mask.Output(
                    display_name="mask", tooltip="What was redrawn, at the size of the image."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, restore: str | None = None, checkpoint: str | None = None) -> bool:
        check_choices(cls, restore=restore)
        if restore in (None, Restore.NONE):
            return True
        if checkpoint is None:
            raise ValueError(
                f"restore is '{restore}', but no checkpoint is named whose parser looks at the "
                "result: name the one that made label_map."
            )
        model_folders.check_files(checkpoint, parts=(Part.PARSER,))
        return True

    @classmethod
    def fingerprint_inputs(
        cls, restore: str = Restore.NONE, checkpoint: str | None = None, **others: object
    ) -> str:
        """Another text when the parser that looks at the result is another."""
        if restore == Restore.NONE or checkpoint is None:
            return ""
        return model_folders.stamp(checkpoint)

    @classmethod
    def check_lazy_status(cls, restore: str = Restore.NONE, **others: Any) -> list[str]:
        """Nothing is compared unless something is to come back."""
        wanted = restore != Restore.NONE and others.get("label_map", 0) is None
        return ["label_map"] if wanted else []

    @classmethod
    def execute(
        cls,
        latent: dict[str, Any],
        vae: comfy.sd.VAE,
        feather: float,
        original: Tensor | None = None,
        mask: Tensor | None = None,
        fit: list[Fit] | None = None,
        restore: str = Restore.NONE,
        label_map: list[NDArray[np.uint8]] | None = None,
        checkpoint: str | None = None,
    ) -> io.NodeOutput:
        require("cv2")
        cls.validate_inputs(restore, checkpoint)
        if restore != Restore.NONE and (original is None or label_map is None):
            raise ValueError(
                f"restore is '{restore}', for which original, mask and label_map are needed: "
                "connect the person's picture, the mask, and Parse Human of Fit Person's image."
            )
        decoded: Tensor = vae.decode(latent["samples"])
        if original is None:
            return io.NodeOutput(decoded, torch.ones(decoded.shape[:3]))
        if mask is None:
            raise ValueError(
                "The original is connected but not the mask: connect the mask that Fused Denoiser "
                "got, so that the rest of the original stays as it is."
            )
        results = to_pictures(decoded)
        regions = to_regions(mask, *results[0].shape[:2])
        originals = opaque(original)
        befores = [None] if restore == Restore.NONE else label_map or [None]
        afters = [None] if restore == Restore.NONE else parse(results, str(checkpoint))
        batch = common_batch(
            latent=len(results),
            original=len(originals),
            mask=len(regions),
            fit=len(fit or [0]),
            label_map=len(befores),
        )
        pasted: list[Tensor] = []
        redrawn: list[NDArray[np.float32]] = []
        for result, before, region, where, labels, labels_after in zip(
            repeated(results, batch),
            repeated(originals.split(1), batch),
            repeated(regions, batch),
            repeated(fit or [None], batch),
            repeated(befores, batch),
            repeated(afters, batch),
            strict=True,
        ):
            if labels is not None and labels_after is not None:
                seen = seen_as(labels, size_of(result))
                region = region & ~restored_region(seen, labels_after, Restore(restore))
            where = _resized(where, result) if where else _in_place(before, result)
            picture = paste_back(to_pictures(before)[0], result, region, where, feather)
            weight = unfit_mask(region, where)
            inside = torch.from_numpy(weight > 0)[..., None]
            # Outside it is the original itself, not what 8 bits leave of it.
            pasted.append(torch.where(inside, to_image([picture]), before))
            redrawn.append(weight)
        return io.NodeOutput(torch.cat(pasted), to_mask(redrawn))


def _resized(fit: Fit, result: NDArray[np.uint8]) -> Fit:
    """The fit of a result that a second pass made larger than Fit Person's picture."""
    height, width = result.shape[:2]
    if fit.height * width != fit.width * height:
        raise ValueError(
            f"The result is {height}x{width} (height x width), but the fit is of {fit.height}x"
            f"{fit.width}, another shape: connect the fit of the Fit Person that made the person."
        )
    return replace(fit, height=height, width=width, scale=fit.scale * fit.height / height)


def _in_place(before: Tensor, result: NDArray[np.uint8]) -> Fit:
    """The fit of an original that already had the networks' size."""
    height, width = result.shape[:2]
    if tuple(before.shape[1:3]) != (height, width):
        raise ValueError(
            f"The original is {before.shape[1]}x{before.shape[2]} (height x width) and the result "
            f"{height}x{width}: connect the fit of Fit Person, which says how one became the "
            "other."
        )
    return whole_fit((height, width), (height, width))
