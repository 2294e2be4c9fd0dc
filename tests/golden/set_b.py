"""Set B, agnostic masks: label map and keypoints in; two stages and the mask out.

The stages must be exact, except where the manifest flags a wrist that wrapped around (a defect of
the original; what a negative number becomes in 16 unsigned bits is up to the machine). The mask is
judged by intersection over union, because its last step simplifies a contour and OpenCV changed
how. Keypoints are those of a picture of 384x512, whatever the label map's size.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ootd_core.categories import Category, Variant
from ootd_core.masks.reference import reference_mask
from tests.golden.case import CaseResult, measured_case

MASK_TOLERANCE = 0.005
"""1 - IoU of the final mask."""
WRAPPED = "negative_extended_wrist_uint16_wrap"
CATEGORIES = {
    "upper_body": Category.UPPER,
    "lower_body": Category.LOWER,
    "dresses": Category.DRESS,
}

Arrays = Mapping[str, NDArray[Any]]


def check(folder: Path) -> Iterator[CaseResult]:
    """Compare with every case of a folder in the format of set B: one result a case."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    for case in manifest["cases"]:
        yield measured_case(
            case.get("id", "(no id)"),
            lambda case=case: case_error(folder / case["file"], case),
            tolerance=MASK_TOLERANCE,
        )


def case_error(path: Path, case: Mapping[str, Any]) -> float:
    """1 - IoU of the mask, after the stages were found exact; raises where they are not."""
    category = CATEGORIES[case["category"]]
    variant = Variant(case["model_type"])
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    points = arrays["keypoints"].reshape(18, -1)[:, :2].astype(np.float64)
    result = reference_mask(arrays["parse"], points, category=category, variant=variant)
    if not case.get(WRAPPED):
        _expect_exact("before_hole_fill", result.before_hole_fill, arrays["before_hole_fill"])
        _expect_exact("after_hole_fill", result.after_hole_fill, arrays["after_hole_fill"])
    return max(1.0 - _overlap(result.mask, arrays[name] > 0) for name in ("mask", "mask_gray"))


def _expect_exact(name: str, mask: NDArray[np.bool_], wanted: NDArray[Any]) -> None:
    differing = int((mask != (wanted > 0)).sum())
    if differing:
        raise ValueError(f"{name} differs in {differing} pixels")


def _overlap(mask: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    """Intersection over union; two empty masks agree."""
    union = int((mask | wanted).sum())
    return int((mask & wanted).sum()) / union if union else 1.0
