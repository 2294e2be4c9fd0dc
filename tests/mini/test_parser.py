from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from humanparse import HumanParser
from humanparse.labels import AtrLabel, LipLabel
from humanparse.preprocess import network_input
from mini.parser import (
    LIP_TO_ATR,
    ParsingTask,
    SmallParser,
    export_parsers,
    measure_statistics,
    target_labels,
)

SIZE = (64, 64)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A red block (clothes) below a green one (face) at a random place: picture, labels."""
    rng = np.random.default_rng(seed)
    picture = np.full((64, 48, 3), 230, np.uint8)
    labels = np.zeros((64, 48), np.uint8)
    x, y = int(rng.integers(6, 16)), int(rng.integers(6, 16))
    picture[y : y + 14, x : x + 20], labels[y : y + 14, x : x + 20] = (20, 200, 20), AtrLabel.FACE
    picture[y + 14 : y + 40, x : x + 24] = (200, 20, 20)
    labels[y + 14 : y + 40, x : x + 24] = AtrLabel.UPPER_CLOTHES
    return picture, labels


def draw_batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = [drawn(8 * step + index) for index in range(8)]
    images = np.concatenate([network_input(picture, SIZE) for picture, _ in pairs])
    targets = np.stack([target_labels(labels, SIZE) for _, labels in pairs])
    return torch.from_numpy(images), torch.from_numpy(targets)


def largest_numbers(path: Path) -> set[np.dtype]:
    """What the matrices of an ONNX file are stored as."""
    weights = map(numpy_helper.to_array, onnx.load(path).graph.initializer)
    return {values.dtype for values in weights if values.ndim > 1}


def test_targets_lie_where_the_network_sees_the_picture() -> None:
    picture, labels = drawn(0)
    framed = network_input(picture, SIZE)[0]
    target = target_labels(labels, SIZE)
    assert target.shape == (32, 32)
    # Channel 2 is red, 1 green: clothes are where red outweighs green.
    shown = framed[:, ::2, ::2]
    clothes = (shown[2] > 0) & (shown[1] < 0)
    agree = (clothes == (target == AtrLabel.UPPER_CLOTHES)).mean()
    assert agree > 0.97


def test_a_trained_parser_is_exported_with_the_published_contract(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SmallParser()
    task = ParsingTask(network, draw_batch)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    figures = {"accuracy": 0.0}
    for step in range(40):
        optimizer.zero_grad()
        loss, figures = task.loss(step)
        loss.backward()
        optimizer.step()
    assert figures["accuracy"] > 0.95
    atr, lip = tmp_path / "parsing_atr.onnx", tmp_path / "parsing_lip.onnx"
    export_parsers(network, atr, lip, size=SIZE)
    assert sorted(path.name for path in tmp_path.iterdir()) == [atr.name, lip.name]
    assert largest_numbers(atr) == {np.dtype(np.float16)}
    parser = HumanParser(atr, lip)
    picture, labels = drawn(12345)
    assert parser.atr.size == SIZE
    assert (parser(picture) == labels).mean() > 0.9


def test_the_deep_levels_learn_from_heads_of_their_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SmallParser()
    levels = network.levels(torch.randn(2, 3, *SIZE))
    assert [level.shape[2] for level in levels] == [2, 4, 8, 16, 32]
    assert [scores.shape[1:] for scores in network.deep_scores(levels)] == [
        (18, 2, 2), (18, 4, 4), (18, 8, 8),
    ]  # fmt: skip
    loss, _ = ParsingTask(network, draw_batch).loss(0)
    loss.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    atr, lip = tmp_path / "atr.onnx", tmp_path / "lip.onnx"
    export_parsers(network, atr, lip, size=SIZE)
    stored = sum(numpy_helper.to_array(w).size for w in onnx.load(atr).graph.initializer)
    heads = sum(weight.numel() for weight in network.deep.parameters())
    assert stored < sum(weight.numel() for weight in network.parameters()) - heads


def test_what_is_far_away_decides() -> None:
    torch.manual_seed(0)
    network = SmallParser()
    measure_statistics(network, [torch.randn(2, 3, *SIZE)])
    picture = torch.zeros(1, 3, 1024, 32)
    with torch.no_grad():
        network.context.weight.zero_()
        assert network.context.bias is not None
        network.context.bias.zero_()
        plain = network(picture)[0][1]
        other = picture.clone()
        other[:, :, :32] = 1
        assert torch.equal(network(other)[0][1][:, :, -16:], plain[:, :, -16:])
        torch.nn.init.normal_(network.context.weight)
        changed = network(other)[0][1] - network(picture)[0][1]
    assert changed[:, :, -16:].any()


def test_each_lip_label_has_an_atr_label() -> None:
    assert set(LIP_TO_ATR) == set(LipLabel)
    names = {label.name for label in LipLabel} & {label.name for label in AtrLabel}
    assert all(LIP_TO_ATR[LipLabel[name]] is AtrLabel[name] for name in names)
