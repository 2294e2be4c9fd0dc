"""Training of the mini checkpoint's variational autoencoder on paper dolls.

It sees whole pictures, never crops: group normalisation on a crop loses the overall colour. They
have half the size first, which costs a quarter, then the full size. They show people, flat garments
and people behind a grey mask, because the pipeline encodes all three.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from mini.doll_latents import Phase, phase_of
from ootd_core.datasets.paper_dolls.sample import DollSample, draw_sample
from ootd_core.latents import encode

GREY = 127
KL_WEIGHT = 3e-5


def build_autoencoder(widths: tuple[int, ...] = (64, 64, 64, 64)) -> AutoencoderKL:
    """Return an untrained autoencoder of Stable Diffusion's topology: four levels, factor 8,
    four latent channels, 32 groups; `widths` are its channels, multiples of 32."""
    build = cast(Any, AutoencoderKL)  # its annotations ask for tuples of one
    return build(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=4,
        sample_size=256,
    )


@torch.no_grad()
def start_as_colour_map(autoencoder: AutoencoderKL) -> None:
    """Set the weights so that the untrained autoencoder keeps the local mean colour.

    Group norms remove what is constant over a picture, which an autoencoder this narrow takes
    hundreds of steps to work around. A pair of channels (c, -c) in one group of two survives:
    its mean is zero, and silu(c) - silu(-c) = c. Red, green and blue travel in such pairs through
    average pooling to the first three latent channels and back; every residual branch starts at
    zero. Training then adds detail instead of discovering colour.

    Raises ValueError where the outermost or innermost level has not two channels for each of its
    32 groups.
    """
    widths = autoencoder.config["block_out_channels"]
    if min(widths[0], widths[-1]) < 64:
        raise ValueError(f"The first and last width must be at least 64, got {widths}.")
    parts = cast(Any, autoencoder)  # modules whose types torch and diffusers leave open
    encoder, decoder = parts.encoder, parts.decoder
    for module in parts.modules():
        if isinstance(module, ResnetBlock2D):
            nn.init.zeros_(cast(Any, module).conv2.weight)
            nn.init.zeros_(cast(Any, module).conv2.bias)
        elif isinstance(module, Attention):
            nn.init.zeros_(cast(Any, module).to_out[0].weight)
    pool = torch.zeros(3, 3)
    pool[:2, :2] = 0.25
    blur = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    keep = torch.zeros(3, 3)
    keep[1, 1] = 1.0
    for block in encoder.down_blocks:
        for down in block.downsamplers or ():
            _carry_pairs(down.conv, pool)
    for block in decoder.up_blocks:
        for up in block.upsamplers or ():
            _carry_pairs(up.conv, blur)
    for convolution in (encoder.conv_in, decoder.conv_in):
        _carry(convolution, {(2 * c + s, c): 1 - 2.0 * s for c in range(3) for s in (0, 1)}, keep)
    for convolution in (encoder.conv_out, decoder.conv_out):
        nn.init.normal_(convolution.weight, std=0.01)
        _carry(convolution, {(c, 2 * c + s): 1 - 2.0 * s for c in range(3) for s in (0, 1)}, keep)
    for convolution in (parts.quant_conv, parts.post_quant_conv):
        nn.init.eye_(convolution.weight[:, :, 0, 0])
        nn.init.zeros_(convolution.bias)
    nn.init.constant_(parts.quant_conv.bias[4:], -4.0)  # little noise at the start
    decoder.conv_out.weight[:, :6] *= 0.65  # the usual spread of a colour channel


def _carry_pairs(convolution: nn.Conv2d, kernel: Tensor) -> None:
    _carry(convolution, {(channel, channel): 1.0 for channel in range(6)}, kernel)


def _carry(convolution: nn.Conv2d, taps: dict[tuple[int, int], float], kernel: Tensor) -> None:
    """Make the named output channels exact copies of input channels, filtered by a 3x3 kernel."""
    for output in {output for output, _ in taps}:
        nn.init.zeros_(convolution.weight[output])
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias[output : output + 1])
    for (output, source), sign in taps.items():
        convolution.weight[output, source] = sign * kernel


def masked(sample: DollSample, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the person with clothes and arms hidden by a grey area, widened at random."""
    import cv2

    hidden = np.isin(sample.labels, (4, 5, 6, 7, 14, 15)).astype(np.uint8)
    size = int(rng.integers(3, 12))
    hidden = cv2.dilate(hidden, np.ones((size, size), np.uint8))
    return np.where(hidden[..., None] > 0, np.uint8(GREY), sample.person)


def picture_batch(seed: int, phase: Phase) -> Tensor:
    """Return [B, 3, H, W] in [-1,1]: people, flat garments and masked people drawn from a seed."""
    rng = np.random.default_rng(seed)
    pictures: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
    for index in range(phase.batch):
        sample = draw_sample(1_000_000 + seed * 64 + index, height=phase.height, width=phase.width)
        draw = rng.random()
        if draw < 0.3:
            pictures.append(sample.garment)
        elif draw < 0.45:
            pictures.append(masked(sample, rng))
        else:
            pictures.append(sample.truth)
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return stacked.float() / 127.5 - 1


class AutoencoderTask:
    """Reconstruction error (smooth L1) plus a small KL term."""

    def __init__(self, autoencoder: AutoencoderKL, phases: tuple[Phase, ...]) -> None:
        self.autoencoder = autoencoder
        self.phases = phases
        self.modules: dict[str, nn.Module] = {"vae": autoencoder}

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a step's pictures."""
        pictures = picture_batch(step, phase_of(self.phases, step)[0])
        torch.manual_seed(step)
        posterior = self.autoencoder.encode(pictures, return_dict=False)[0]
        decoded = _decode(self.autoencoder, posterior.sample())
        error = F.mse_loss(decoded, pictures)
        reconstruction = F.smooth_l1_loss(decoded, pictures, beta=0.2)
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        figures = {"psnr": decibel(error.item()), "kl": kl.item()}
        return reconstruction + KL_WEIGHT * kl, figures


def _decode(autoencoder: AutoencoderKL, latents: Tensor) -> Tensor:
    """Decode unscaled latents, with gradients if they are enabled."""
    return cast(Any, autoencoder).decode(latents, return_dict=False)[0]


def decibel(squared_error: float) -> float:
    """Return the PSNR in dB of a mean squared error of pictures in [-1, 1]; 96 at most."""
    return 10 * float(np.log10(4 / max(squared_error, 1e-9)))


@torch.no_grad()
def reconstruction_psnr(autoencoder: AutoencoderKL, pictures: Tensor) -> float:
    """Return the mean PSNR (dB) of decoding each picture's latent mode; [B, 3, H, W] in [-1,1]."""
    values: list[float] = []
    for picture in pictures.split(1):
        decoded = _decode(autoencoder, encode(autoencoder, picture))
        values.append(decibel(F.mse_loss(decoded.clamp(-1, 1), picture).item()))
    return float(np.mean(values))


@torch.no_grad()
def latent_scale(autoencoder: AutoencoderKL, pictures: Tensor) -> float:
    """Return the factor that gives the latents unit spread (the VAE's scaling_factor)."""
    modes = [encode(autoencoder, picture) for picture in pictures.split(1)]
    return 1.0 / float(torch.cat(modes).std())
