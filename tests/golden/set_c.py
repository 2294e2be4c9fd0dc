"""Set C, human parsing: a picture and two stand-in networks -> the final label map.

The error of a case is the share of pixels whose label differs. Stored intermediate results are not
judged, but when a case is off its note says at which of them the difference began.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanparse.parser import HumanParser
from humanparse.preprocess import network_input
from tests.golden.case import CaseResult, failed_case

TOLERANCE = 0.002
"""Largest share of pixels that may differ."""
INPUT_SAMPLE = (slice(None), slice(None, None, 37), slice(None, None, 41))
"""The part of a network's input that is stored."""

Arrays = Mapping[str, NDArray[Any]]


def check(folder: Path) -> Iterator[CaseResult]:
    """Compare with every case of a folder in the format of set C."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    for case in manifest.get("cases", []):
        try:
            yield _check_case(folder, case)
        except Exception as problem:  # one broken case must not hide the others
            yield failed_case(str(case.get("id", case)), problem, tolerance=TOLERANCE)


def _check_case(folder: Path, case: Mapping[str, Any]) -> CaseResult:
    with np.load(folder / case["file"], allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    parser = HumanParser(folder / case["atr"], folder / case["lip"])
    labels = parser(arrays["image"])
    expected = arrays["labels"]
    if labels.shape != expected.shape:
        raise ValueError(f"label map of shape {labels.shape}, expected {expected.shape}")
    different = int((labels != expected).sum())
    return CaseResult(
        name=case["id"],
        error=different / expected.size,
        tolerance=TOLERANCE,
        note=f"{different} of {expected.size} pixels, {_origin(parser, arrays)}"
        if different
        else "",
    )


def _origin(parser: HumanParser, arrays: Arrays) -> str:
    """The first stored intermediate result that differs."""
    image = arrays["image"]
    for name, network in (("atr", parser.atr), ("lip", parser.lip)):
        if f"{name}_input_sample" in arrays:
            sample = network_input(image, network.size)[0][INPUT_SAMPLE]
            largest = np.abs(sample - arrays[f"{name}_input_sample"]).max()
            if largest > 0:
                return f"from the {name} input on (by {largest:.2g})"
    if "atr_argmax" in arrays:
        different = int((parser.atr(image) != arrays["atr_argmax"]).sum())
        if different:
            return f"from the ATR label map on ({different} pixels)"
    return "from hole filling or neck on"
