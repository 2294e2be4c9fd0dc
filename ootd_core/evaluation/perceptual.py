"""LPIPS: how different two pictures look, by the features of an AlexNet (arXiv 1801.03924).

Written here because lpips, piq and torchmetrics all build the backbone through torchvision, which
fails to import unless it was built for the very torch in use.

The features of five layers are normalised per pixel, and their squared differences weighted by
learned linear weights, averaged over the picture and summed. The linear weights (version 0.1) are
the file that comes with torchmetrics, the backbone is torchvision's published file.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints.reading import read_state_dict
from .inception import fill

CHANNELS = (64, 192, 384, 256, 256)
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""From [-1, 1] to what the backbone was trained on."""
EPSILON = 1e-8
BACKBONE = "features."
MIN_SIDE = 31
"""Pixels; the backbone's pooling leaves nothing of a smaller picture."""


class AlexNetStages(nn.Module):
    """The convolutions of AlexNet: pictures to five feature maps, each after its ReLU."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth, fifth = CHANNELS
        self.features = nn.Sequential(
            nn.Conv2d(3, first, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(first, second, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(second, third, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(third, fourth, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(fourth, fifth, 3, padding=1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                maps.append(x)
        return maps


class PerceptualDistance(nn.Module):
    """Two batches of pictures [B, 3, H, W] in [0, 1] to distances [B]."""

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: nn.Module, weights: list[Tensor]) -> None:
        """backbone: pictures to feature maps [B, C, h, w]. weights: [C] for each of the maps."""
        super().__init__()
        self.backbone = backbone
        self.weights = nn.ParameterList([nn.Parameter(weight.flatten()) for weight in weights])
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])
        self.eval().requires_grad_(False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        maps = zip(self._features(first), self._features(second), self.weights, strict=True)
        distances = [
            torch.einsum("bchw,c->bhw", (one - other) ** 2, weight).mean((1, 2))
            for one, other, weight in maps
        ]
        return torch.stack(distances).sum(0)

    def _features(self, pictures: Tensor) -> list[Tensor]:
        if min(pictures.shape[2:]) < MIN_SIDE:
            raise ValueError(
                f"LPIPS needs pictures of at least {MIN_SIDE} pixels a side, not "
                f"{pictures.shape[3]}x{pictures.shape[2]}."
            )
        inputs = (2 * pictures - 1 - self.shift) / self.scale
        return [
            features / (EPSILON + features.square().sum(1, keepdim=True)).sqrt()
            for features in self.backbone(inputs)
        ]


def load_perceptual(backbone: Path, linear: Path | None = None) -> PerceptualDistance:
    """Return LPIPS over the AlexNet of a file (.pth or .safetensors; its classifier is ignored).

    linear: the linear weights, by default those in torchmetrics. Raises FileNotFoundError, or
    ValueError if a file is damaged or another network's.
    """
    state = {
        key: value for key, value in read_state_dict(backbone).items() if key.startswith(BACKBONE)
    }
    stages = AlexNetStages()
    fill(stages, state, backbone, "AlexNet")
    return PerceptualDistance(stages, linear_weights(linear or bundled_linear_weights()))


def bundled_linear_weights() -> Path:
    """Return the path of the file that comes with torchmetrics."""
    import torchmetrics

    folder = Path(torchmetrics.__file__).parent / "functional" / "image" / "lpips_models"
    return folder / "alex.pth"


def linear_weights(path: Path) -> list[Tensor]:
    """Return weights [C] of each layer. Raises as `load_perceptual`."""
    state = read_state_dict(path)
    try:
        weights = [state[f"lin{layer}.model.1.weight"] for layer in range(len(CHANNELS))]
    except KeyError as error:
        raise ValueError(
            f"{path.name} in {path.parent} does not hold the linear weights of LPIPS: {error} is "
            "missing."
        ) from error
    return [weight.detach().clone() for weight in weights]
