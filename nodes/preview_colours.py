"""Colours for the previews that samplers show while they run.

ComfyUI shows latents as a linear map to RGB and knows that of Stable Diffusion's VAE. For any other
(the built-in one) it is measured: coloured patches are encoded, and the map that brings them back
best is kept in the model's latent format.
"""

from __future__ import annotations

from typing import Any

import comfy.model_patcher
import comfy.sd
import torch
import torch.nn.functional as F

PUBLISHED_SCALE = 0.18215
PATCHES = 12  # in each direction
PATCH = 16  # pixels of a side


def measure_preview_colours(model: comfy.model_patcher.ModelPatcher, vae: comfy.sd.VAE) -> None:
    """Set the factors of `model`'s latent format, unless it is Stable Diffusion's own."""
    latent_format: Any = model.model.latent_format
    if latent_format.scale_factor == PUBLISHED_SCALE:
        return
    colours = torch.rand(1, 3, PATCHES, PATCHES, generator=torch.Generator().manual_seed(0))
    chart = F.interpolate(colours, scale_factor=PATCH, mode="bilinear")
    latents = latent_format.process_in(vae.encode(chart.movedim(1, -1))).float().cpu()
    height, width = latents.shape[2:]
    wanted = F.interpolate(chart, size=(height, width), mode="area") * 2 - 1
    # [h*w, 4 and a one] -> [h*w, 3], least squares
    inputs = F.pad(latents[0].flatten(1).T, (0, 1), value=1.0)
    solution = torch.linalg.lstsq(inputs, wanted[0].flatten(1).T).solution
    latent_format.latent_rgb_factors = solution[:4].tolist()
    latent_format.latent_rgb_factors_bias = solution[4].tolist()
