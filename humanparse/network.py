"""One parsing network as an ONNX file: a picture in, a label map out.

What is expected of a file: one input [1, 3, h, w]; two or more outputs, of which the second holds
the class scores [1, classes, h', w']. The published files and any other of that form run alike: the
frame's size is read from the file. The session is made when the first picture comes and then kept.
"""

import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .alignment import Size
from .labels import LabelMap
from .postprocess import label_map
from .preprocess import network_input

if TYPE_CHECKING:
    import onnxruntime

logger = logging.getLogger(__name__)

SCORES_OUTPUT: Final = 1
"""The networks refine their first answer; the second output is the refined one."""


class ParsingNetwork:
    """Callable: uint8 RGB [H, W, 3] -> uint8 [H, W], labels 0 to `classes` - 1."""

    def __init__(self, path: Path, *, classes: int, open_size: int, device: str) -> None:
        """`open_size`: height and width of the frame where the file leaves them open.

        FileNotFoundError when `path` is not a file.
        """
        if not path.is_file():
            raise FileNotFoundError(
                f"human parsing network not found: {path} (the `download` command gets it)"
            )
        self.path = path
        self.classes = classes
        self._open_size = open_size
        self._device = device

    def __call__(self, image: NDArray[np.uint8]) -> LabelMap:
        """ValueError when the picture or the file is not of the expected form."""
        frame = network_input(image, self.size)
        height, width = image.shape[:2]
        return label_map(self._scores(frame), network=self.size, image=(height, width))

    @cached_property
    def size(self) -> Size:
        """Height and width of the network's frame."""
        [given] = self._session.get_inputs()
        height, width = (
            side if isinstance(side, int) else self._open_size for side in given.shape[2:]
        )
        return height, width

    @cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        session = _open_session(self.path, self._device)
        inputs = [(given.type, given.shape) for given in session.get_inputs()]
        if len(inputs) != 1 or not _is_picture(*inputs[0]):
            raise ValueError(
                f"{self.path} takes {inputs}, a parsing network takes one float [1, 3, h, w]: "
                "it is another model"
            )
        outputs = len(session.get_outputs())
        if outputs <= SCORES_OUTPUT:
            raise ValueError(
                f"{self.path} has {outputs} output(s), a parsing network has at least "
                f"{SCORES_OUTPUT + 1}: it is another model"
            )
        return session

    def _scores(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class scores [classes, h', w'] of a frame [1, 3, h, w]."""
        [given] = self._session.get_inputs()
        name = self._session.get_outputs()[SCORES_OUTPUT].name
        try:
            scores = np.asarray(self._session.run([name], {given.name: frame})[0])
        except _refusals() as problem:
            raise ValueError(
                f"{self.path.name} in {self.path.parent} cannot be run, download it again if it "
                f"is damaged ({_said(problem)})."
            ) from problem
        if scores.ndim != 4 or scores.shape[:2] != (1, self.classes):
            raise ValueError(
                f"{self.path} gives scores of shape {list(scores.shape)}, expected "
                f"[1, {self.classes}, h, w]: are the ATR (18) and LIP (20) networks swapped?"
            )
        return scores[0].astype(np.float32, copy=False)


def _is_picture(element: str, shape: list[int | str | None]) -> bool:
    return element == "tensor(float)" and len(shape) == 4 and shape[1] == 3


def _open_session(path: Path, device: str) -> "onnxruntime.InferenceSession":
    import onnxruntime

    providers = execution_providers(device, onnxruntime.get_available_providers())
    try:
        # Its fallback prints, and to the CPU alone there is nothing to fall back on.
        session = onnxruntime.InferenceSession(
            path, providers=providers, enable_fallback=len(providers) > 1
        )
    except (*_refusals(), UnicodeDecodeError) as problem:
        raise ValueError(
            f"{path.name} in {path.parent} ({path.stat().st_size:,} bytes) cannot be opened as an "
            f"ONNX model, download it again if it is damaged ({_said(problem)})."
        ) from problem
    logger.info("%s runs on %s", path.name, session.get_providers()[0])
    return session


def _refusals() -> tuple[type[Exception], ...]:
    """What onnxruntime raises for a file that it cannot use; they share no class of their own."""
    from onnxruntime.capi import (
        onnxruntime_pybind11_state as reasons,  # pyright: ignore[reportAttributeAccessIssue]
    )

    return (
        reasons.InvalidProtobuf,
        reasons.InvalidGraph,
        reasons.InvalidArgument,
        reasons.NotImplemented,
        reasons.RuntimeException,
        reasons.Fail,
    )


def _said(problem: Exception) -> str:
    return f"onnxruntime says: {' '.join(str(problem).split())[:300]}"


def execution_providers(
    device: str, available: list[str]
) -> list[str | tuple[str, dict[str, Any]]]:
    """Which of the `available` ones run on `device` ("cuda", "cuda:1", "cpu", ...), best first.

    The CPU always stands by; it is all there is for a device that onnxruntime cannot serve.
    """
    kind, _, number = device.partition(":")
    if kind == "cuda" and "CUDAExecutionProvider" in available:
        options = {"device_id": int(number)} if number else {}
        return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]
