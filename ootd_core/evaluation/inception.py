"""The feature network of FID and KID: Inception v3 as its authors released it on 2015-12-05.

Written here because torch-fidelity, clean-fid and pytorch-fid all import torchvision, which fails
with "operator torchvision::nms does not exist" unless it was built for the very torch in use.

It differs from later Inceptions: average pooling does not count the padding, and the last block
takes a maximum where the others take an average (Szegedy et al., arXiv 1512.00567; the released
TensorFlow graph). Modules are named as in the converted weight file that FID programs read, so that
the file fills them key by key; its classifier (fc) is not needed and left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.reading import read_state_dict

CLASSIFIER = "fc."
Pool = Literal["average", "maximum"]
Side = tuple[int, int]


class Convolution(nn.Module):
    """Convolution, batch normalisation, ReLU.

    size: (height, width) of the kernel. keep: pad, so that the picture keeps its size (with stride
    1).
    """

    def __init__(
        self, inputs: int, outputs: int, size: Side = (1, 1), stride: int = 1, *, keep: bool = True
    ) -> None:
        super().__init__()
        padding = (size[0] // 2, size[1] // 2) if keep and stride == 1 else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Branch:
    """A chain of convolutions by name; those of `fork` all read the chain's output."""

    def __init__(
        self,
        *chain: tuple[str, int, Side, int],
        fork: tuple[tuple[str, int, Side], ...] = (),
        pool: Pool | None = None,
    ) -> None:
        self.chain = chain
        self.fork = fork
        self.pool: Pool | None = pool


class Mixed(nn.Module):
    """An Inception block: the outputs of its branches, concatenated."""

    def __init__(self, inputs: int, *branches: Branch, reduces: bool = False) -> None:
        """reduces: halve the picture, and append a max-pooled copy of the input."""
        super().__init__()
        self.branches = branches
        self.reduces = reduces
        for branch in branches:
            channels = inputs
            for name, outputs, size, stride in branch.chain:
                self.add_module(name, Convolution(channels, outputs, size, stride))
                channels = outputs
            for name, outputs, size in branch.fork:
                self.add_module(name, Convolution(channels, outputs, size))

    def forward(self, x: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        for branch in self.branches:
            y = pooled(x, branch.pool) if branch.pool else x
            for name, *_ in branch.chain:
                y = self.get_submodule(name)(y)
            forked = [self.get_submodule(name)(y) for name, *_ in branch.fork]
            outputs += forked or [y]
        if self.reduces:
            outputs.append(F.max_pool2d(x, 3, 2))
        return torch.cat(outputs, dim=1)


def pooled(x: Tensor, pool: Pool) -> Tensor:
    if pool == "maximum":
        return F.max_pool2d(x, 3, 1, 1)
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def block_a(inputs: int, pooling: int) -> Mixed:
    return Mixed(
        inputs,
        Branch(("branch1x1", 64, (1, 1), 1)),
        Branch(("branch5x5_1", 48, (1, 1), 1), ("branch5x5_2", 64, (5, 5), 1)),
        Branch(
            ("branch3x3dbl_1", 64, (1, 1), 1),
            ("branch3x3dbl_2", 96, (3, 3), 1),
            ("branch3x3dbl_3", 96, (3, 3), 1),
        ),
        Branch(("branch_pool", pooling, (1, 1), 1), pool="average"),
    )


def block_b(inputs: int) -> Mixed:
    return Mixed(
        inputs,
        Branch(("branch3x3", 384, (3, 3), 2)),
        Branch(
            ("branch3x3dbl_1", 64, (1, 1), 1),
            ("branch3x3dbl_2", 96, (3, 3), 1),
            ("branch3x3dbl_3", 96, (3, 3), 2),
        ),
        reduces=True,
    )


def block_c(inputs: int, width: int) -> Mixed:
    return Mixed(
        inputs,
        Branch(("branch1x1", 192, (1, 1), 1)),
        Branch(
            ("branch7x7_1", width, (1, 1), 1),
            ("branch7x7_2", width, (1, 7), 1),
            ("branch7x7_3", 192, (7, 1), 1),
        ),
        Branch(
            ("branch7x7dbl_1", width, (1, 1), 1),
            ("branch7x7dbl_2", width, (7, 1), 1),
            ("branch7x7dbl_3", width, (1, 7), 1),
            ("branch7x7dbl_4", width, (7, 1), 1),
            ("branch7x7dbl_5", 192, (1, 7), 1),
        ),
        Branch(("branch_pool", 192, (1, 1), 1), pool="average"),
    )


def block_d(inputs: int) -> Mixed:
    return Mixed(
        inputs,
        Branch(("branch3x3_1", 192, (1, 1), 1), ("branch3x3_2", 320, (3, 3), 2)),
        Branch(
            ("branch7x7x3_1", 192, (1, 1), 1),
            ("branch7x7x3_2", 192, (1, 7), 1),
            ("branch7x7x3_3", 192, (7, 1), 1),
            ("branch7x7x3_4", 192, (3, 3), 2),
        ),
        reduces=True,
    )


def block_e(inputs: int, pool: Pool) -> Mixed:
    return Mixed(
        inputs,
        Branch(("branch1x1", 320, (1, 1), 1)),
        Branch(
            ("branch3x3_1", 384, (1, 1), 1),
            fork=(("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))),
        ),
        Branch(
            ("branch3x3dbl_1", 448, (1, 1), 1),
            ("branch3x3dbl_2", 384, (3, 3), 1),
            fork=(("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))),
        ),
        Branch(("branch_pool", 192, (1, 1), 1), pool=pool),
    )


class InceptionFeatures(nn.Module):
    """Pictures [B, 3, 299, 299], levels 0 to 255, to features [B, 2048] (pool3)."""

    num_features = 2048

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, (3, 3), 2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, (3, 3), keep=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = Convolution(64, 80)
        self.Conv2d_4a_3x3 = Convolution(80, 192, (3, 3), keep=False)
        self.Mixed_5b = block_a(192, 32)
        self.Mixed_5c = block_a(256, 64)
        self.Mixed_5d = block_a(288, 64)
        self.Mixed_6a = block_b(288)
        self.Mixed_6b = block_c(768, 128)
        self.Mixed_6c = block_c(768, 160)
        self.Mixed_6d = block_c(768, 160)
        self.Mixed_6e = block_c(768, 192)
        self.Mixed_7a = block_d(768)
        self.Mixed_7b = block_e(1280, "average")
        self.Mixed_7c = block_e(2048, "maximum")
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        x = (pictures - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2))
        x = F.max_pool2d(self.Conv2d_4a_3x3(x), 3, 2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean((2, 3))


def load_inception(path: Path) -> InceptionFeatures:
    """Return the network with the weights of a file (.pth or .safetensors).

    Raises FileNotFoundError, or ValueError if the file is damaged or another network's.
    """
    state = read_state_dict(path)
    state = {key: value for key, value in state.items() if not key.startswith(CLASSIFIER)}
    network = InceptionFeatures()
    fill(network, state, path, "the Inception network of FID")
    return network


def fill(network: nn.Module, state: dict[str, Tensor], path: Path, what: str) -> None:
    """Fill every parameter and buffer. Raises ValueError if the file does not fit."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"{path.name} in {path.parent} does not hold the weights of {what}: download it again "
            "from the address in docs/evaluation.md."
        ) from error
