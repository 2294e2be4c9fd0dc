"""The fused denoiser: a MODEL and conditioning that any sampler of ComfyUI takes.

What it adds to stock Stable Diffusion stands in the conditioning (the garment's tokens, the latents
of the person behind the mask) and in wrappers of the model: `garment_attention` for the networks,
`repainting` for the sampler, `guidance_interval` for what it predicts with.
"""

from __future__ import annotations

from typing import Any

import comfy.hooks
import comfy.model_patcher
import comfy.sd
import numpy as np
import torch
from comfy_api.latest import io
from torch import Tensor

from ..ootd_core.latents import SCALE, agnostic_image, latent_mask
from .fit import size_warning
from .garment_attention import CONDITION, GarmentAttention, GarmentCondition
from .guidance_interval import GuidanceInterval, interval_inputs
from .pictures import common_batch, opaque, repeated, to_image, to_pictures, to_regions
from .repainting import Repainting
from .search_words import searched_as
from .sockets import MENU, GarmentFeatures, GarmentFeaturesSocket
from .wiring import (
    FUSED,
    Fused,
    check_mask_category,
    check_same_garment,
    through_fused_denoiser,
    warn,
)


class FusedDenoiser(io.ComfyNode):
    """See `garment_attention`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OOTD_FusedDenoiser",
            display_name="Fused Denoiser",
            category=MENU,
            **searched_as("apply garment", "融合去噪"),
            description="Joins person, mask and garment into what a sampler needs. Connect "
            "KSampler or any other; its cfg is the garment's guidance scale (2 as published, 1 to "
            "5).",
            inputs=[
                io.Model.Input("denoiser", tooltip="The first MODEL of Load OOTDiffusion Model."),
                GarmentFeaturesSocket.Input("garment_features", tooltip="From Outfitting UNet."),
                io.Conditioning.Input("conditioning", tooltip="From Encode Garment."),
                io.Vae.Input("vae", tooltip="From Load OOTDiffusion Model."),
                io.Image.Input("person", tooltip="From Fit Person; sides are multiples of 8."),
                io.Mask.Input("mask", tooltip="What is redrawn, of the same size."),
                io.Float.Input(
                    "garment_strength",
                    default=1.0,
                    min=0.0,
                    max=4.0,
                    step=0.05,
                    tooltip="Multiplies the garment's share in every attention: 1 as trained, 0 "
                    "none. cfg is the other, and usually the better, way to more garment.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Where in the sampling the garment begins to be seen.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Where in the sampling the garment ceases to be seen.",
                ),
                *interval_inputs(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For the sampler."),
                io.Conditioning.Output(
                    display_name="positive", tooltip="Sees the garment. For the sampler."
                ),
                io.Conditioning.Output(
                    display_name="negative", tooltip="Sees no garment. For the sampler."
                ),
                io.Latent.Output(
                    display_name="latent",
                    tooltip="The person around the noise mask, nothing inside. For the sampler, "
                    "denoise 1.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        denoiser: comfy.model_patcher.ModelPatcher,
        garment_features: GarmentFeatures,
        conditioning: list[Any],
        vae: comfy.sd.VAE,
        person: Tensor,
        mask: Tensor,
        garment_strength: float,
        start_percent: float,
        end_percent: float,
        guidance_start: float = 0.0,
        guidance_end: float = 1.0,
    ) -> io.NodeOutput:
        if denoiser.model.diffusion_model.in_channels != 8:
            raise ValueError(
                f"This MODEL takes {denoiser.model.diffusion_model.in_channels} channels, a "
                "try-on denoiser 8: connect the output denoiser of Load OOTDiffusion Model."
            )
        if start_percent > end_percent:
            raise ValueError(
                f"start_percent ({start_percent:g}) lies after end_percent ({end_percent:g}): the "
                "garment would never be seen."
            )
        interval = GuidanceInterval.of(denoiser, guidance_start, guidance_end)
        person = opaque(person)
        _check_size(person)
        if foreign := size_warning(person, denoiser):
            warn(foreign)
        height, width = person.shape[1:3]
        regions = to_regions(mask, height, width)
        batch = common_batch(
            person=len(person),
            mask=len(regions),
            garment=garment_features.garments,
            conditioning=len(conditioning[0][0]),
        )
        check_mask_category(mask, conditioning)
        check_same_garment(conditioning, garment_features.prompt)
        people, regions = repeated(person.split(1), batch), repeated(regions, batch)
        hidden = [
            to_image([agnostic_image(to_pictures(picture)[0], region)])
            for picture, region in zip(people, regions, strict=True)
        ]
        agnostic, original = _encode(vae, hidden), _encode(vae, people)
        sampling = denoiser.get_model_object("model_sampling")
        model = denoiser.clone()
        GarmentAttention(
            strength=garment_strength,
            first_sigma=float(sampling.percent_to_sigma(start_percent)),
            last_sigma=float(sampling.percent_to_sigma(end_percent)),
        ).attach(model)
        Repainting().attach(model)
        interval.attach(model)
        noise_mask = torch.cat([latent_mask(np.asarray(region)) for region in regions])
        # ComfyUI adds the first noise to these samples. The networks were trained to begin with
        # noise alone inside the mask, and nothing of the old garment is to shine through.
        latent = {
            "samples": original * (1 - noise_mask).to(original.device),
            "noise_mask": noise_mask,
        }
        shared = {
            "person": denoiser.model.process_latent_in(original),
            "mask": noise_mask,
            "prompt": conditioning[0][0],
        }
        conditioning = _guarded(conditioning)
        positive, negative = (
            _seeing(conditioning, features, agnostic, Fused(**shared, sees_garment=sees))
            for features, sees in (
                (garment_features.conditional, True),
                (garment_features.unconditional, False),
            )
        )
        return io.NodeOutput(model, positive, negative, latent)


def _encode(vae: comfy.sd.VAE, pictures: list[Tensor]) -> Tensor:
    """IMAGEs of one picture each -> their latents [B, 4, h, w]; equal ones are encoded once."""
    contents = [picture.numpy().tobytes() for picture in pictures]
    places = {content: place for place, content in enumerate(dict.fromkeys(contents))}
    distinct = dict(zip(contents, pictures, strict=True))
    latents: Tensor = vae.encode(torch.cat([distinct[content] for content in places]))
    return latents[[places[content] for content in contents]]


def _guarded(conditioning: list[Any]) -> list[Any]:
    """The conditioning with the hook that refuses a MODEL that does not see the garment."""
    guard = through_fused_denoiser(GarmentAttention.KIND, GarmentAttention.KEY)
    combine = comfy.hooks.HookGroup.combine_all_hooks
    return [
        [prompt, {**entries, "hooks": combine([entries.get("hooks"), guard])}]
        for prompt, entries in conditioning
    ]


def _seeing(
    conditioning: list[Any], features: list[Tensor], agnostic: Tensor, fused: Fused
) -> list[Any]:
    """The conditioning, whatever else it carries, with a garment and the person to be dressed."""
    return [
        [
            prompt,
            {
                **entries,
                "concat_latent_image": agnostic,
                FUSED: fused,
                "model_conds": {
                    **entries.get("model_conds", {}),
                    CONDITION: GarmentCondition(features, len(agnostic)),
                },
            },
        ]
        for prompt, entries in conditioning
    ]


def _check_size(person: Tensor) -> None:
    height, width = person.shape[1:3]
    if height % SCALE or width % SCALE or min(height, width) < SCALE:
        raise ValueError(
            f"The person's picture is {height}x{width} (height x width), but both must be "
            f"multiples of {SCALE}: put Fit Person before it."
        )
