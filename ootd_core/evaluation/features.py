"""Feature vectors of pictures for FID and KID, and the LPIPS distance of two pictures.

Resizing decides FID more than most models do (Parmar et al., arXiv 2104.11222): pictures are
brought to the network's size with an antialiasing filter and are not rounded to bytes on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ..checkpoints.integrity import sha256_of
from .feature_files import ALEXNET, INCEPTION, FeatureFile, obtain
from .inception import load_inception
from .perceptual import load_perceptual
from .protocol import PROTOCOL


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureNetworks:
    """The networks; what needs one that is None is not measured.

    inception: levels 0 to 255 [B, 3, 299, 299] to features [B, F]. perceptual: two batches of
    pictures [B, 3, H, W] in [0, 1] to distances [B]. hashes: SHA-256 of the files by their
    catalogue names.
    """

    inception: nn.Module | None = None
    perceptual: nn.Module | None = None
    device: str = "cpu"
    hashes: dict[str, str] = field(default_factory=dict[str, str])

    @torch.inference_mode()
    def features(self, picture: NDArray[np.uint8]) -> Tensor | None:
        """Return features float64 [F], on the CPU, of a picture uint8 RGB [H, W, 3]."""
        if self.inception is None:
            return None
        resized = torch.from_numpy(resize(picture, PROTOCOL.feature_size))
        levels = resized.permute(2, 0, 1)[None].to(self.device)
        return self.inception(levels)[0].double().cpu()

    @torch.inference_mode()
    def distance(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float | None:
        """Return the LPIPS of two pictures uint8 RGB [H, W, 3] of one size."""
        if self.perceptual is None:
            return None
        pictures = [
            torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
            for picture in (first, second)
        ]
        return float(self.perceptual(*(picture.to(self.device) for picture in pictures)))


def load_feature_networks(
    *,
    folder: Path | None = None,
    inception: Path | None = None,
    alexnet: Path | None = None,
    device: str = "cpu",
) -> FeatureNetworks:
    """Load the feature networks whose paths are given, and the others from a folder.

    folder: what it lacks is downloaded into it; None leaves the others out. Raises ValueError or
    FileNotFoundError, one sentence.
    """
    files = {INCEPTION: inception, ALEXNET: alexnet}
    paths: dict[FeatureFile, Path] = {}
    for file, given in files.items():
        if given is not None:
            paths[file] = given
        elif folder is not None:
            paths[file] = obtain(file, folder)
    return FeatureNetworks(
        inception=load_inception(paths[INCEPTION]).to(device) if INCEPTION in paths else None,
        perceptual=load_perceptual(paths[ALEXNET]).to(device) if ALEXNET in paths else None,
        device=device,
        hashes={file.name: sha256_of(path) for file, path in paths.items()},
    )


def resize(picture: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Bring a picture uint8 [H, W, 3] to float32 [side, side, 3], levels 0 to 255, not rounded.

    Each channel by Pillow's bicubic filter, which averages when it shrinks; overshoot is clipped.
    """
    channels = [
        Image.fromarray(picture[..., channel].astype(np.float32)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        for channel in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1).clip(0, 255)
