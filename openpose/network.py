"""OpenPose's body network: a VGG-like trunk and six stages that refine limbs and joints.

Every stage has two branches. One predicts 38 part affinity maps (a vector field along each of
19 limbs), the other 19 heatmaps (18 joints and the background); each later stage sees both
results of the stage before beside the trunk's features. Modules carry the published names, so
that a published file maps by name, and every channel count can be chosen or read from a file,
so that a narrow network of the same topology loads like the full one.
Source: Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields",
arXiv 1611.08050.
"""

import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .skeleton import AFFINITY_MAPS, HEATMAPS

STAGES = 6
STRIDE = 8
"""Image pixels per map pixel: the trunk pools three times."""
TRUNCATED_PTH = (UnpicklingError, RuntimeError, EOFError, OSError, IndexError, struct.error)
"""What torch.load raises for a .pth that ends early, depending on its format and on where."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyChannels:
    """Channel counts of a body network; the defaults are the published ones.

    trunk: the four levels of the VGG part. squeeze and features: the two convolutions that end
    the trunk. stage: hidden convolutions of all stages. first_stage and later_stages: the 1x1
    convolution from which a first or a later stage's maps are mixed; with fewer channels than
    maps these are no longer independent of each other.
    """

    trunk: tuple[int, int, int, int] = (64, 128, 256, 512)
    squeeze: int = 256
    features: int = 128
    stage: int = 128
    first_stage: int = 512
    later_stages: int = 128

    def __post_init__(self) -> None:
        ends = (self.first_stage, self.later_stages)
        counts = (*self.trunk, self.squeeze, self.features, self.stage, *ends)
        if min(counts) < 1:
            raise ValueError(f"Channel counts must be at least 1, but {counts} were given.")

    @classmethod
    def of_width(cls, width: int) -> "BodyChannels":
        """The published proportions with `width` channels in the first level (published: 64)."""
        return cls(
            trunk=(width, 2 * width, 4 * width, 8 * width),
            squeeze=4 * width,
            features=2 * width,
            stage=2 * width,
            first_stage=8 * width,
            later_stages=2 * width,
        )

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Tensor]) -> "BodyChannels":
        """Read the channel counts from weights with the published key names.

        Raises ValueError where a key that tells a channel count is missing.
        """

        def outputs(layer: str) -> int:
            key = f"{layer}.weight"
            if key not in state_dict:
                raise ValueError(
                    f"These are not OpenPose body weights: {key} is missing "
                    f"among {len(state_dict)} keys."
                )
            return state_dict[key].shape[0]

        return cls(
            trunk=(outputs("conv1_1"), outputs("conv2_1"), outputs("conv3_1"), outputs("conv4_1")),
            squeeze=outputs("conv4_3_CPM"),
            features=outputs("conv4_4_CPM"),
            stage=outputs("conv5_1_CPM_L1"),
            first_stage=outputs("conv5_4_CPM_L1"),
            later_stages=outputs("Mconv6_stage2_L1"),
        )


class BodyNetwork(nn.Module):
    """Image to part affinity maps and joint heatmaps at 1/8 of its size.

    `width` scales the published channel counts (64); `channels` sets each count instead.
    Weights start from He's initialisation, which keeps 30 layers of ReLU alive in training.
    """

    def __init__(self, width: int = 64, *, channels: BodyChannels | None = None) -> None:
        super().__init__()
        self.channels = BodyChannels.of_width(width) if channels is None else channels
        self.model0 = _trunk(self.channels)
        maps_of_branch = {1: AFFINITY_MAPS, 2: HEATMAPS}
        for branch, maps in maps_of_branch.items():
            for stage in range(1, STAGES + 1):
                build = _first_stage if stage == 1 else _later_stage
                module = build(self.channels, maps, f"stage{stage}_L{branch}")
                self.add_module(f"model{stage}_{branch}", module)
        self.apply(_initialise)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the last stage's maps.

        image [B,3,H,W] in [-0.5,0.5], channels blue, green, red, H and W multiples of 8.
        Returns affinity maps [B,38,H/8,W/8] and heatmaps [B,19,H/8,W/8] (>= 0).
        """
        affinity, heatmap = self.forward_stages(image)[-1]
        # The published network ends its heatmaps, and only these, with a ReLU.
        return affinity, heatmap.relu()

    def forward_stages(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Predict the maps of all six stages, for training with intermediate supervision.

        As `forward`, but every heatmap is linear: the ReLU that ends the last one would stop
        the gradient wherever a prediction falls below zero.
        """
        features = self.model0(image)
        inputs = features
        stages: list[tuple[Tensor, Tensor]] = []
        for stage in range(1, STAGES + 1):
            affinity = self.get_submodule(f"model{stage}_1")(inputs)
            heatmap = self.get_submodule(f"model{stage}_2")(inputs)
            stages.append((affinity, heatmap))
            inputs = torch.cat([affinity, heatmap, features], dim=1)
        return stages


def published_state_dict(network: BodyNetwork) -> dict[str, Tensor]:
    """The weights under the published file's key names: contiguous, detached, ready to save."""
    return {
        _published_key(key): value.detach().contiguous()
        for key, value in network.state_dict().items()
    }


def load_body_network(
    path: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> BodyNetwork:
    """Load a body network of any width, in eval mode.

    path: a .safetensors file, or the published .pth (read with `weights_only`), both with the
    published key names. Raises FileNotFoundError where there is no file and ValueError where it
    cannot be read or does not hold these weights.
    """
    state_dict = _read_weights(path)
    try:
        return network_from_state_dict(state_dict).to(device=device, dtype=dtype).eval()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def network_from_state_dict(state_dict: Mapping[str, Tensor]) -> BodyNetwork:
    """Build the network whose channel counts fit `state_dict` (published names) and fill it.

    Raises ValueError naming the keys that are missing, unknown or of another shape.
    """
    channels = BodyChannels.from_state_dict(state_dict)
    with torch.device("meta"):
        network = BodyNetwork(channels=channels)
    expected = {key: tuple(value.shape) for key, value in published_state_dict(network).items()}
    given = {key: tuple(value.shape) for key, value in state_dict.items()}
    if expected != given:
        wrong = sorted(
            key for key in expected.keys() | given.keys() if expected.get(key) != given.get(key)
        )
        raise ValueError(
            f"{len(wrong)} of {len(expected)} OpenPose body weights are missing, unknown or of "
            f"another shape, first {wrong[0]}: expected {expected.get(wrong[0])}, "
            f"got {given.get(wrong[0])}."
        )
    by_module_key = {key: state_dict[_published_key(key)] for key in network.state_dict()}
    network.load_state_dict(by_module_key, assign=True)
    return network


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"There are no OpenPose body weights at {path}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, *TRUNCATED_PTH) as error:
        raise ValueError(
            f"{path} cannot be read as weights ({path.stat().st_size} bytes; truncated, or not "
            "the file its name says): download it again."
        ) from error


def _published_key(module_key: str) -> str:
    return module_key.split(".", 1)[1]


def _trunk(channels: BodyChannels) -> nn.Sequential:
    convolutions_of_level = (2, 2, 4, 2)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 3
    levels = zip(channels.trunk, convolutions_of_level, strict=True)
    for level, (outputs, convolutions) in enumerate(levels, start=1):
        if level > 1:
            layers[f"pool{level - 1}_stage1"] = nn.MaxPool2d(2)
        for index in range(1, convolutions + 1):
            _add_convolution(layers, f"conv{level}_{index}", inputs, outputs, kernel=3)
            inputs = outputs
    _add_convolution(layers, "conv4_3_CPM", inputs, channels.squeeze, kernel=3)
    _add_convolution(layers, "conv4_4_CPM", channels.squeeze, channels.features, kernel=3)
    return nn.Sequential(layers)


def _first_stage(channels: BodyChannels, maps: int, name: str) -> nn.Sequential:
    branch = name.removeprefix("stage1_")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = channels.features
    for index in (1, 2, 3):
        _add_convolution(layers, f"conv5_{index}_CPM_{branch}", inputs, channels.stage, kernel=3)
        inputs = channels.stage
    _add_convolution(layers, f"conv5_4_CPM_{branch}", inputs, channels.first_stage, kernel=1)
    layers[f"conv5_5_CPM_{branch}"] = nn.Conv2d(channels.first_stage, maps, kernel_size=1)
    return nn.Sequential(layers)


def _later_stage(channels: BodyChannels, maps: int, name: str) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = AFFINITY_MAPS + HEATMAPS + channels.features
    for index in (1, 2, 3, 4, 5):
        _add_convolution(layers, f"Mconv{index}_{name}", inputs, channels.stage, kernel=7)
        inputs = channels.stage
    _add_convolution(layers, f"Mconv6_{name}", inputs, channels.later_stages, kernel=1)
    layers[f"Mconv7_{name}"] = nn.Conv2d(channels.later_stages, maps, kernel_size=1)
    return nn.Sequential(layers)


def _add_convolution(
    layers: OrderedDict[str, nn.Module], name: str, inputs: int, outputs: int, *, kernel: int
) -> None:
    layers[name] = nn.Conv2d(inputs, outputs, kernel_size=kernel, padding=kernel // 2)
    layers[f"relu_{name}"] = nn.ReLU(inplace=True)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
