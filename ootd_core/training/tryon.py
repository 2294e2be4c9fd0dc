"""Training of both UNets as in the paper, with the same prompt, mask and fusion as inference.

The loss is the noise prediction error of the try-on UNet while it attends to the garment (paper,
equation 4); its gradient runs through the fusion into the outfitting UNet. Outfitting dropout
(section 3.4) blanks the garment's latents of a sample, once, with a small probability, which is
what makes the garment's strength a guidance scale. VAE and CLIP are not trained. What is random
about a sample depends on its number alone, in whichever process it is drawn.

Beyond the paper, and switched off by default: `snr_weight`, `shifted` and `rectified`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from numpy.typing import NDArray
from torch import Tensor, nn

from ..checkpoints.networks import Networks
from ..fusion import Fusion, prepare, record, transformer_blocks
from .latents import TryOnLatents
from .lora import Adapters

GUESSED_FROM = 0.7
"""The guesses of `rectified` are made above this share of the timesteps. With less noise a guess
has all but seen the truth, which sampling has not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """A sample of a batch.

    number: among all draws of the training; it decides noise, timesteps and dropout. counts: False
    for a sample that could not be read; its latents are blank and it adds nothing to the loss.
    """

    number: int
    latents: TryOnLatents
    counts: bool = True


class LatentSource(Protocol):
    """Where batches come from."""

    def batch(self, number: int) -> list[Draw]:
        """Return the samples of a batch, the same for the same number."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Chance:
    """What is random about a sample, for K noises of it.

    noise: [K, 4, h, w]. timesteps: [K]. guess_timesteps: [K], for `rectified`: none is below its
    timestep, none below GUESSED_FROM of all timesteps. keeps_garment: False where outfitting
    dropout blanks it.
    """

    noise: Tensor
    timesteps: Tensor
    guess_timesteps: Tensor
    keeps_garment: bool


def draw_chance(
    seed: int,
    number: int,
    *,
    shape: torch.Size,
    noises: int,
    timesteps: int,
    outfitting_dropout: float,
    shift: float = 1.0,
) -> Chance:
    """Draw what is random about sample `number`: noises of `shape`, timesteps below `timesteps`.

    Each of K noises has a timestep out of a K-th of the range of its own: together they are spread
    as one alone is over many samples, but vary less than K independent ones. shift: see
    `shifted`.
    """
    rng = np.random.default_rng((seed, number))
    keeps_garment = bool(rng.random() >= outfitting_dropout)
    places = shifted((np.arange(noises) + rng.random(noises)) / noises, shift)
    chosen = torch.from_numpy((timesteps * places).astype(np.int64))
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    noise = torch.randn((noises, *shape), generator=generator)
    lowest = chosen.clamp(min=int(GUESSED_FROM * timesteps))
    above = torch.from_numpy(rng.random(noises)) * (timesteps - lowest)
    return Chance(
        noise=noise,
        timesteps=chosen,
        guess_timesteps=lowest + above.long(),
        keeps_garment=keeps_garment,
    )


def shifted(places: NDArray[np.floating], shift: float) -> NDArray[np.floating]:
    """Move places in [0, 1) towards 1 (much noise): shift 3 has half of them above 0.75.

    What the garment looks like on the body is decided where noise hides the picture; with less
    noise the picture itself shows it. Source: Esser et al., arXiv 2403.03206, section 5.3.2.
    """
    return shift * places / (1 + (shift - 1) * places)


class TryOnTask:
    """Both UNets of `networks`, or LoRA adapters for them, trained on what a source yields.

    `loss` leaves the try-on UNet fused with the batch's garments, since gradient checkpointing runs
    it again during the backward pass; `release` undoes it.
    """

    def __init__(
        self,
        networks: Networks,
        source: LatentSource,
        *,
        outfitting_dropout: float = 0.1,
        snr_weight_min: float = 1.0,
        snr_weight_max: float = 1.0,
        timestep_shift: float = 1.0,
        dream_detail_preservation: float | None = None,
        noises_per_garment: int = 1,
        gradient_checkpointing: bool = False,
        adapters: Adapters | None = None,
        seed: int = 0,
    ) -> None:
        """Prepare both UNets for training.

        Args:
            outfitting_dropout: probability of a blank garment.
            snr_weight_min, snr_weight_max: see `snr_weight`; 1 and 1 are the paper's loss.
            timestep_shift: see `shifted`; 1 is the paper's.
            dream_detail_preservation: the power of `rectified`, which costs one more pass of the
                try-on UNet; None is the paper's loss.
            noises_per_garment: timesteps and noises of a sample that share a pass of the outfitting
                UNet.
            gradient_checkpointing: compute activations twice instead of keeping them.
            adapters: trained instead of the UNets' own weights.
        """
        self.networks = networks
        self.source = source
        self.outfitting_dropout = outfitting_dropout
        self.snr_weight_min = snr_weight_min
        self.snr_weight_max = snr_weight_max
        self.timestep_shift = timestep_shift
        self.dream_detail_preservation = dream_detail_preservation
        self.noises_per_garment = noises_per_garment
        self.seed = seed
        self.fusion = Fusion(networks.tryon_unet)
        unets = {"outfitting": networks.outfitting_unet, "tryon": networks.tryon_unet}
        self.modules: dict[str, nn.Module] = dict(unets) if adapters is None else adapters.modules
        for unet in unets.values():
            unet.requires_grad_(adapters is None)  # loaded for inference
            if gradient_checkpointing:
                unet.enable_gradient_checkpointing()
            else:
                unet.disable_gradient_checkpointing()
        for parameter in idle_parameters(networks.outfitting_unet):
            parameter.requires_grad_(False)
        self.noise_schedule: Any = DDPMScheduler.from_config(networks.scheduler_config)

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the noise prediction error of a batch; samples that do not count are zeros in it.

        The gradient is that of as many samples as there are noises: a garment shared by several
        noises is read once, and learns from all of them.
        """
        draws = self.source.batch(step)
        device = self.networks.device
        garment, agnostic, target, prompt = (
            torch.stack([getattr(draw.latents, name) for draw in draws]).to(device)
            for name in ("garment", "agnostic", "target", "prompt")
        )
        noises = self.noises_per_garment
        chances = [self._chance(draw.number, target.shape[1:]) for draw in draws]
        noise, timesteps, guess_timesteps = (
            torch.cat([getattr(chance, name) for chance in chances]).to(device)
            for name in ("noise", "timesteps", "guess_timesteps")
        )
        kept = torch.tensor([chance.keeps_garment for chance in chances], device=device)
        garment = garment * kept[:, None, None, None]
        counted = torch.tensor([float(draw.counts) for draw in draws], device=device)
        counted = counted.repeat_interleave(noises)

        target, agnostic = (x.repeat_interleave(noises, 0) for x in (target, agnostic))
        self.release()
        self.fusion.inject()
        read_garment(self.networks, self.fusion, garment, prompt)
        prompt = prompt.repeat_interleave(noises, 0)

        def predict(noise: Tensor, timesteps: Tensor) -> Tensor:
            noisy = self.noise_schedule.add_noise(target, noise, timesteps)
            person = torch.cat([noisy, agnostic], dim=1)
            return self.networks.tryon_unet(person, timesteps, prompt, return_dict=False)[0].float()

        alphas = self.noise_schedule.alphas_cumprod.to(device)
        power = self.dream_detail_preservation
        if power is not None:
            with torch.no_grad():
                missed = noise - predict(noise, guess_timesteps)
            torch.clear_autocast_cache()  # older PyTorch gives weights cast above no gradient below
            missed *= kept.repeat_interleave(noises)[:, None, None, None]
            noise = rectified(
                noise, missed, alphas[timesteps], alphas[guess_timesteps], power=power
            )
        predicted = predict(noise, timesteps)
        error = F.mse_loss(predicted, noise, reduction="none").mean((1, 2, 3)) * counted
        weight = snr_weight(
            alphas[timesteps], minimum=self.snr_weight_min, maximum=self.snr_weight_max
        )
        mean_error = error.sum() / counted.sum().clamp(min=1)
        return (weight * error).mean(), {"error": mean_error.item()}

    def release(self) -> None:
        """Leave the try-on UNet as it was before the first `loss`; the next one fuses it again."""
        self.fusion.eject()

    def _chance(self, number: int, shape: torch.Size) -> Chance:
        return draw_chance(
            self.seed,
            number,
            shape=shape,
            noises=self.noises_per_garment,
            timesteps=self.noise_schedule.config.num_train_timesteps,
            outfitting_dropout=self.outfitting_dropout,
            shift=self.timestep_shift,
        )


def snr_weight(alphas_cumprod: Tensor, *, minimum: float, maximum: float) -> Tensor:
    """Return the weights [B] of the errors of predicted noise: 1 / SNR between two bounds.

    Where noise outweighs the picture, a small error of the noise is a large one of the picture:
    colours are decided there, and a small network learns them late. Between the bounds every
    timestep counts by the error of the picture. A minimum below 1 is for `rectified`, whose noise
    is mostly mistakes where there is little of it. Source: the truncated SNR weighting of Salimans
    and Ho, arXiv 2202.00512, section 4 (minimum 1, no maximum).

    alphas_cumprod: [B], of the samples' timesteps.
    """
    snr = alphas_cumprod / (1 - alphas_cumprod)
    return (1 / snr).clamp(minimum, maximum)


def rectified(
    noise: Tensor, missed: Tensor, alphas: Tensor, guess_alphas: Tensor, *, power: float
) -> Tensor:
    """Return the noise [B, 4, h, w] plus what the network's own guess of it missed.

    Added to the truth in place of `noise`, it gives what sampling has at that timestep: the
    network's own picture, guessed when there was more noise, with its mistakes. Whoever predicts it
    leads back to the truth, so the network learns to look at the garment and not to trust what it
    painted earlier. Pictures come closer to the mean of what it thinks possible: more faithful and
    softer. The share of the mistakes is `(1 - alphas) ** (power / 2)`: all of them at pure noise,
    none without noise. Power 0 takes all of them everywhere, so that nothing of the truth is left
    in the noisy picture.

    Args:
        noise: [B, 4, h, w].
        missed: [B, 4, h, w], what a guess of the noise missed, made at `guess_alphas`; 0 where the
            garment is blanked, since guidance compares with what the noisy picture alone suggests.
        alphas, guess_alphas: [B], cumulative, of the timestep to learn and of the guess, which is
            no less noisy.
        power: the detail preservation of DREAM.

    Source: Zhou et al., DREAM, arXiv 2312.00210, section 3. There the guess is made at the timestep
    itself; in sampling it was made at those before it.
    """
    share = (1 - alphas) ** (power / 2)
    signal = (alphas / (1 - alphas)) ** 0.5  # missed noise as a picture, and back as noise
    guess_signal = (guess_alphas / (1 - guess_alphas)) ** 0.5
    return noise + (share * signal / guess_signal)[:, None, None, None] * missed


def read_garment(networks: Networks, fusion: Fusion, garment: Tensor, prompt: Tensor) -> None:
    """Run the outfitting UNet, with gradients if they are enabled, and hand its tokens to `fusion`.

    garment: unscaled latents [G, 4, h, w]. prompt: [G, tokens, channels]. fusion: injected.
    """
    features = record(networks.outfitting_unet, garment, prompt)
    fusion.set(prepare(networks.tryon_unet, features))


def idle_parameters(outfitting_unet: Any) -> list[nn.Parameter]:
    """Return the parameters behind the outfitting UNet's last recorded block.

    They are never run, so they are not trained, and saved as they were.
    """
    last = list(outfitting_unet.up_blocks)[-1].attentions[-1]
    tail = (
        transformer_blocks(outfitting_unet)[-1],
        last.proj_out,
        outfitting_unet.conv_norm_out,
        outfitting_unet.conv_out,
    )
    return [parameter for module in tail for parameter in module.parameters()]
