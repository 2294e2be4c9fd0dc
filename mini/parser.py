"""A small parsing network with the contract of the published one, and its training.

The published pair are ResNet-101s of 270 MB each. The mini checkpoint needs two files with the same
contract at a hundredth of the size: one trunk with two heads is trained, and each head is exported
with the trunk as an ONNX file of its own. As in the published files the input is called "input.1",
and of two outputs the second holds the scores; the first are those of a coarser level.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from humanparse.alignment import Axis, Size, axis_taps, network_pixels_per_image_pixel
from humanparse.labels import ATR_CLASSES, LIP_CLASSES, AtrLabel, LipLabel

CHANNELS = (16, 24, 32, 48, 64)
OUTPUT_STRIDE = 2
ParsingBatch = tuple[Tensor, Tensor]
"""Network inputs [B, 3, h, w] and ATR label maps with neck, int64 [B, h/2, w/2]."""
LIP_TO_ATR: dict[LipLabel, AtrLabel] = {
    LipLabel.BACKGROUND: AtrLabel.BACKGROUND,
    LipLabel.HAT: AtrLabel.HAT,
    LipLabel.HAIR: AtrLabel.HAIR,
    LipLabel.GLOVE: AtrLabel.BAG,  # ATR has no glove: like a bag, it is worn and stays
    LipLabel.SUNGLASSES: AtrLabel.SUNGLASSES,
    LipLabel.UPPER_CLOTHES: AtrLabel.UPPER_CLOTHES,
    LipLabel.DRESS: AtrLabel.DRESS,
    LipLabel.COAT: AtrLabel.UPPER_CLOTHES,
    LipLabel.SOCKS: AtrLabel.LEFT_LEG,  # LIP does not say which leg, ATR has no socks
    LipLabel.PANTS: AtrLabel.PANTS,
    LipLabel.JUMPSUIT: AtrLabel.DRESS,
    LipLabel.SCARF: AtrLabel.SCARF,
    LipLabel.SKIRT: AtrLabel.SKIRT,
    LipLabel.FACE: AtrLabel.FACE,
    LipLabel.LEFT_ARM: AtrLabel.LEFT_ARM,
    LipLabel.RIGHT_ARM: AtrLabel.RIGHT_ARM,
    LipLabel.LEFT_LEG: AtrLabel.LEFT_LEG,
    LipLabel.RIGHT_LEG: AtrLabel.RIGHT_LEG,
    LipLabel.LEFT_SHOE: AtrLabel.LEFT_SHOE,
    LipLabel.RIGHT_SHOE: AtrLabel.RIGHT_SHOE,
}
"""Drawn label maps are ATR; its inverse is what the LIP head learns."""


class SmallParser(nn.Module):
    """A trunk with two heads.

    Forward: [B, 3, h, w] (multiples of 32) -> scores of ATR's 18 and LIP's 20 classes at quarter
    and at half size, as ((coarse, fine), (coarse, fine)).

    A hem is a dress's or a skirt's by what is worn far above it. So the smallest level is deeper,
    gets its mean over the whole picture, and learns, with the two levels above it, to name what is
    there by heads of its own (`deep_scores`), which are not exported.
    """

    def __init__(self) -> None:
        super().__init__()
        self.downs = nn.ModuleList(
            [
                _level(before, after, stride=2)
                for before, after in zip((3, *CHANNELS[:-1]), CHANNELS, strict=True)
            ]
        )
        wide = CHANNELS[::-1]
        self.context = nn.Conv2d(wide[0], wide[0], 1)
        self.deepest = _level(wide[0], wide[0], stride=1)
        self.ups = nn.ModuleList(
            [_level(before + after, after, stride=1) for before, after in itertools.pairwise(wide)]
        )
        classes = (ATR_CLASSES, LIP_CLASSES)
        self.coarse = nn.ModuleList([nn.Conv2d(CHANNELS[1], count, 1) for count in classes])
        self.fine = nn.ModuleList([nn.Conv2d(CHANNELS[0], count, 1) for count in classes])
        self.deep = nn.ModuleList([nn.Conv2d(count, ATR_CLASSES, 1) for count in wide[:3]])

    def forward(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return (coarse [B, classes, h/4, w/4], fine [B, classes, h/2, w/2]) for ATR, then LIP."""
        return self.scores(self.levels(image))

    def levels(self, image: Tensor) -> list[Tensor]:
        """Return the features of all levels, from those at 1/32 of the picture to those at 1/2."""
        skips: list[Tensor] = []
        features = image
        for down in self.downs:
            features = down(features)
            skips.append(features)
        features = self.deepest(features + self.context(features.mean((2, 3), keepdim=True)))
        levels = [features]
        for up, skip in zip(self.ups, reversed(skips[:-1]), strict=True):
            features = up(torch.cat([F.interpolate(features, scale_factor=2.0), skip], dim=1))
            levels.append(features)
        return levels

    def scores(self, levels: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Return what `forward` returns."""
        heads = zip(self.coarse, self.fine, strict=True)
        return [(coarse(levels[-2]), fine(levels[-1])) for coarse, fine in heads]

    def deep_scores(self, levels: list[Tensor]) -> list[Tensor]:
        """Return ATR's scores at 1/32, 1/16 and 1/8 of the picture's size."""
        return [head(level) for head, level in zip(self.deep, levels, strict=False)]


class ParsingTask:
    """Cross entropy of both heads, and of the deep levels with the share of each label in a cell.

    draw: returns the batch of a step.
    """

    def __init__(self, network: SmallParser, draw: Callable[[int], ParsingBatch]) -> None:
        self.network = network
        self.draw = draw
        self.modules: dict[str, nn.Module] = {"parser": network}
        self._to_lip = torch.from_numpy(_atr_to_lip())

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a step and the share of pixels that ATR's fine head gets right."""
        images, labels = self.draw(step)
        atr = torch.where(labels == AtrLabel.NECK, int(AtrLabel.FACE), labels)
        targets = (atr, self._to_lip[labels])
        total = torch.zeros(())
        levels = self.network.levels(images)
        results = self.network.scores(levels)
        for (coarse, fine), target in zip(results, targets, strict=True):
            total = total + F.cross_entropy(fine, target)
            total = total + 0.3 * F.cross_entropy(coarse, target[:, ::2, ::2])
        shares = F.one_hot(atr, ATR_CLASSES).permute(0, 3, 1, 2).float()
        for scores in self.network.deep_scores(levels):
            there = F.adaptive_avg_pool2d(shares, (scores.shape[2], scores.shape[3]))
            total = total + 0.3 * F.cross_entropy(scores, there)
        right = (results[0][1].argmax(1) == atr).float().mean()
        return total, {"accuracy": right.item()}


def target_labels(labels: NDArray[np.uint8], network: Size) -> NDArray[np.int64]:
    """Bring a label map [H, W] into the frame of the scores, int64 [h/2, w/2].

    It goes the way that the picture goes into the network's input. network: (h, w) of the input.
    """
    height, width = labels.shape
    step = 1 / network_pixels_per_image_pixel(image=(height, width), network=network)
    indices: list[NDArray[np.intp]] = []
    inside: list[NDArray[np.bool_]] = []
    sources: tuple[tuple[Axis, int], ...] = ((0, height), (1, width))
    for axis, source in sources:
        taps = axis_taps(axis, source_length=source, target_length=network[axis], step=step)
        nearest = np.where(
            taps.weight[:, 1] > taps.weight[:, 0], taps.index[:, 1], taps.index[:, 0]
        )
        # Scores are spread over the frame with corners aligned.
        chosen = np.rint(np.linspace(0, network[axis] - 1, network[axis] // OUTPUT_STRIDE))
        indices.append(nearest[chosen.astype(np.intp)])
        inside.append(taps.weight.sum(1)[chosen.astype(np.intp)] > 0)
    framed = labels[np.ix_(*indices)].astype(np.int64)
    return np.where(inside[0][:, None] & inside[1][None], framed, 0)


@torch.no_grad()
def measure_statistics(network: SmallParser, images: Iterable[Tensor]) -> None:
    """Set the batch normalisation's means and variances to those over batches [B, 3, h, w].

    The running ones belong to other weights than the averaged ones that a training ends with.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # a plain average over all batches
    network.train()
    for batch in images:
        network(batch)
    network.eval()


def export_parsers(network: SmallParser, atr: Path, lip: Path, *, size: Size) -> None:
    """Write the two ONNX files, for pictures of `size` = (h, w), multiples of 32."""
    network.eval()
    for head, path in enumerate((atr, lip)):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.onnx.export(
                _OneHead(network, head),
                (torch.zeros(1, 3, *size),),
                str(unfinished),
                input_names=["input.1"],
                output_names=["coarse", "scores"],
                dynamo=False,  # the other exporter needs onnxscript beside onnx
            )
        store_in_half(unfinished)
        unfinished.replace(path)


def store_in_half(path: Path) -> None:
    """Store the matrices of an ONNX file as float16; the file casts them back to compute."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    graph, casts = model.graph, []
    for weight in graph.initializer:
        if weight.data_type == TensorProto.FLOAT and len(weight.dims) > 1:
            name = weight.name
            half = numpy_helper.to_array(weight).astype(np.float16)
            weight.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]  # in the order of computation
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)


class _OneHead(nn.Module):
    def __init__(self, network: SmallParser, head: int) -> None:
        super().__init__()
        self.network = network
        self.head = head

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return cast(tuple[Tensor, Tensor], self.network(image)[self.head])


def _level(before: int, after: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _atr_to_lip() -> NDArray[np.int64]:
    """Return the LIP label of each ATR label; LIP has no neck, belt and bag."""
    table = np.zeros(len(AtrLabel), np.int64)
    for lip, atr in reversed(LIP_TO_ATR.items()):  # of several LIP labels the first is kept
        table[atr] = lip
    table[AtrLabel.NECK] = LipLabel.BACKGROUND
    table[AtrLabel.BAG] = LipLabel.BACKGROUND
    table[AtrLabel.LEFT_LEG] = LipLabel.LEFT_LEG
    return table
