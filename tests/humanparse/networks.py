"""Draws small ONNX networks in the published form, for tests: scores are a mix of the colours."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Side = int | str


def write_network(
    path: Path,
    *,
    classes: int,
    size: tuple[Side, Side],
    outputs: int = 2,
    channels: int = 3,
    constant: int | None = None,
) -> Path:
    """A 1x1 convolution with random weights (seed 0); every output is its result.

    `size`: (height, width), a name for a side left open. `constant`: the class that always wins.
    """
    weights = np.random.default_rng(0).normal(size=(classes, channels, 1, 1)).astype(np.float32)
    bias = np.zeros(classes, np.float32)
    if constant is not None:
        bias[constant] = 1000
    names = [f"scores.{number}" for number in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["input.1", "weights", "bias"], [name]) for name in names],
        "parser",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, channels, *size])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, classes, *size])
            for name in names
        ],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path
