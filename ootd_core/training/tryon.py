"""Training of both UNets as the paper does it, with the very prompt, mask and fusion of inference.

The loss is the noise prediction error of the try-on UNet while it attends to the garment (paper,
equation 4); its gradient runs through the fusion into the outfitting UNet. Outfitting dropout
(section 3.4) blanks the garment's latents of a sample, once, with a small probability, which is
what makes the garment's strength a guidance scale. VAE and CLIP stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor, nn

from ..agnostic import MaskMode, agnostic_mask
from ..checkpoints import Networks
from ..conditioning import encode_prompt
from ..fusion import Fusion, prepare, record
from ..images import to_tensor
from ..latents import agnostic_image, encode
from .paper_dolls.sample import DollSample, draw_sample
from .phases import Phase, phase_of

TRAINING_SEEDS = 1_000_000
"""Dolls below this seed are held out for tests and evaluation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TryOnLatents:
    """One sample as the UNets see it. garment, agnostic: unscaled latents [4,h,w]; target: scaled
    latents [4,h,w] of the person in the garment; prompt: [tokens, channels]."""

    garment: Tensor
    agnostic: Tensor
    target: Tensor
    prompt: Tensor


@torch.no_grad()
def encode_doll(sample: DollSample, networks: Networks) -> TryOnLatents:
    """Encode a paper doll: what it wears is hidden by a mask that inference would make.

    Odd seeds hide whole limbs, so that the networks know both masks.
    """
    mask = agnostic_mask(
        sample.labels,
        sample.keypoints,
        category=sample.category,
        variant=networks.variant,
        mode=MaskMode.HIDE_OLD_GARMENT if sample.seed % 2 else MaskMode.ROBUST,
    ).mask
    # Inference leaves everything outside the mask alone, so that is what is learned.
    target = np.where(mask[..., None], sample.truth, sample.person)
    pictures = [sample.garment, agnostic_image(sample.person, mask), target]
    garment, agnostic, dressed = encode(
        networks.vae, torch.cat([to_tensor(picture) for picture in pictures])
    )
    prompt = encode_prompt(
        networks.variant,
        sample.category,
        sample.garment,
        text_encoder=networks.text_encoder,
        tokenizer=networks.tokenizer,
        image_encoder=networks.image_encoder,
        image_processor=networks.image_processor,
    )[0]
    scale = networks.vae.config["scaling_factor"]
    return TryOnLatents(garment=garment, agnostic=agnostic, target=dressed * scale, prompt=prompt)


class DollLatents:
    """Latents of paper dolls by number, encoded when first asked for and kept.

    The number of dolls in use grows with the steps of a phase, so that training starts at once and
    never waits for a whole set to be encoded: `first`, then `growth` more each step, up to `limit`.
    """

    def __init__(self, networks: Networks, *, first: int, growth: int, limit: int) -> None:
        self.networks = networks
        self.first = first
        self.growth = growth
        self.limit = limit
        self._kept: dict[tuple[int, int], TryOnLatents] = {}

    def batch(self, phases: tuple[Phase, ...], step: int) -> list[TryOnLatents]:
        """Return a step's samples: the newest dolls, and others drawn from those before."""
        phase, within = phase_of(phases, step)
        known = min(self.first + self.growth * within, self.limit)
        newest = range(known - self.growth, known) if known < self.limit else range(0)
        others = np.random.default_rng(step).integers(known, size=phase.batch - len(newest))
        start = phases.index(phase) * self.limit  # another phase, other dolls
        return [self._encoded(start + int(number), phase) for number in [*newest, *others]]

    def _encoded(self, number: int, phase: Phase) -> TryOnLatents:
        key = (phase.height, number)
        if key not in self._kept:
            doll = draw_sample(TRAINING_SEEDS + number, height=phase.height, width=phase.width)
            self._kept[key] = encode_doll(doll, self.networks)
        return self._kept[key]


class TryOnTask:
    """Both UNets of `networks`, trained on paper dolls."""

    def __init__(
        self,
        networks: Networks,
        phases: tuple[Phase, ...],
        dolls: DollLatents,
        *,
        dropout: float = 0.1,
        most_weight: float = 1.0,
    ) -> None:
        """dropout: probability of a blank garment. most_weight: see `noise_weight`; 1 is the
        paper's loss."""
        self.networks = networks
        self.phases = phases
        self.dolls = dolls
        self.dropout = dropout
        self.most_weight = most_weight
        self.modules: dict[str, nn.Module] = {
            "outfitting": networks.outfitting_unet,
            "tryon": networks.tryon_unet,
        }
        for unet in self.modules.values():  # loaded for inference
            unet.requires_grad_(True)
        self.noise_schedule: Any = DDPMScheduler.from_config(networks.scheduler_config)

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the noise prediction error of a step's batch."""
        samples = self.dolls.batch(self.phases, step)
        garment, agnostic, target, prompt = (
            torch.stack([getattr(sample, name) for sample in samples])
            for name in ("garment", "agnostic", "target", "prompt")
        )
        generator = torch.Generator().manual_seed(step)
        noise = torch.randn(target.shape, generator=generator)
        timesteps = torch.randint(0, 1000, (len(target),), generator=generator)
        kept = keep_garment(len(garment), self.dropout, generator)
        noisy = self.noise_schedule.add_noise(target, noise, timesteps)
        predicted = predict_noise(
            self.networks, garment * kept, prompt, torch.cat([noisy, agnostic], dim=1), timesteps
        )
        error = F.mse_loss(predicted, noise, reduction="none").mean((1, 2, 3))
        weight = noise_weight(self.noise_schedule.alphas_cumprod[timesteps], self.most_weight)
        return (weight * error).mean(), {"error": error.mean().item()}


def noise_weight(alphas_cumprod: Tensor, most: float) -> Tensor:
    """Weigh the error of predicted noise by max(1, 1 / SNR), at most `most`.

    Where noise outweighs the picture, a small error of the noise is a large one of the picture:
    colours are decided there, and a small network learns them late. Source: the truncated SNR
    weighting of Salimans and Ho, arXiv 2202.00512, section 4, with an upper bound.
    """
    ratio = alphas_cumprod / (1 - alphas_cumprod)
    return (1 / ratio).clamp(1.0, max(1.0, most))


def keep_garment(batch: int, dropout: float, generator: torch.Generator) -> Tensor:
    """Draw outfitting dropout: [batch,1,1,1] of 0 (the garment is blanked) and 1."""
    return (torch.rand(batch, 1, 1, 1, generator=generator) >= dropout).float()


def predict_noise(
    networks: Networks, garment: Tensor, prompt: Tensor, person: Tensor, timesteps: Tensor
) -> Tensor:
    """Run both UNets, with gradients if they are enabled.

    garment: unscaled latents [B,4,h,w]. prompt: [B,tokens,channels]. person: noisy and agnostic
    latents [B,8,h,w]. timesteps: [B]. Returns the predicted noise [B,4,h,w].
    """
    features = record(networks.outfitting_unet, garment, prompt)
    with Fusion(networks.tryon_unet) as fusion:
        fusion.set(prepare(networks.tryon_unet, features))
        return networks.tryon_unet(person, timesteps, prompt, return_dict=False)[0]
