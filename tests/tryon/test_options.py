"""Bad options are refused when they are made, in a sentence with the value in it."""

import re
from typing import Any

import pytest

from ootd_core.masks.agnostic import MaskMode
from ootd_core.sampling import Scheduler
from tryon import TryOnOptions
from tryon.preparation import FitChoice


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"num_inference_steps": 60, "scheduler": "lcm"}, "num_inference_steps is 60"),
        ({"guidance_scale": float("inf")}, "guidance_scale is inf"),
        ({"num_images_per_prompt": 0}, "num_images_per_prompt is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"scheduler": "heun"}, "scheduler is 'heun', but must be one of unipc, ddim"),
        ({"mask_mode": "auto!"}, "mask_mode is 'auto!'"),
        ({"fit": "stretch"}, "fit is 'stretch', but must be one of auto, pad, crop"),
        ({"feather": -1.0}, "feather is -1.0"),
        ({"feather": float("nan")}, "feather is nan"),
        ({"height": 100}, "height is 100, but must be a multiple of 32"),
        ({"person_index": -1}, "person_index is -1"),
    ],
)
def test_what_is_out_of_range_is_named(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        TryOnOptions(**settings)


def test_names_stand_for_choices() -> None:
    options = TryOnOptions(scheduler="euler", mask_mode="faithful", fit="pad")  # type: ignore[arg-type]
    assert options.scheduler is Scheduler.EULER
    assert options.mask_mode is MaskMode.FAITHFUL
    assert options.fit is FitChoice.PAD
