"""Every unusable request is refused when it is made, in a sentence with the value in it."""

from typing import Any

import numpy as np
import pytest

from ootd_core.categories import Category
from ootd_core.request import TryOnRequest
from ootd_core.sampling import NoiseLevels, Scheduler

PICTURE = np.zeros((64, 48, 3), np.uint8)
MASK = np.zeros((64, 48), np.float32)
MASK[8:16] = 1


def request(**changes: Any) -> TryOnRequest:
    settings: dict[str, Any] = {
        "person": PICTURE,
        "garment": PICTURE,
        "mask": MASK,
        "category": Category.UPPER,
    }
    return TryOnRequest(**(settings | changes))


def with_pixel(value: float) -> np.ndarray:
    mask = MASK.copy()
    mask[3, 4] = value
    return mask


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"person": PICTURE[:63]}, "63x48 .* multiples of 8: fit it to 56x48"),
        ({"person": PICTURE[:1, :1]}, "person's picture is 1x1 .* at least 8x8"),
        ({"person": PICTURE[..., 0]}, r"person's picture must be uint8 RGB .* \(64, 48\)"),
        ({"person": PICTURE / 255}, "must be uint8 RGB .* not float64"),
        ({"garment": PICTURE[:7]}, "garment's picture is 7x48"),
        ({"garment": PICTURE[None]}, "garment's picture must be"),
        ({"mask": MASK[:-8]}, "mask is 48x56 pixels but its picture is 48x64"),
        ({"mask": with_pixel(np.nan)}, "1 values that are NaN"),
        ({"mask": with_pixel(2)}, "from 0 to 2"),
        ({"mask": np.zeros_like(MASK)}, "mask is empty"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        (
            {"num_inference_steps": 51, "scheduler": Scheduler.LCM},
            "num_inference_steps is 51, but the lcm scheduler .* 50",
        ),
        ({"num_images_per_prompt": 0}, "num_images_per_prompt is 0"),
        ({"guidance_scale": -1.0}, "guidance_scale is -1.0"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan"),
        ({"guidance_start": 0.5, "guidance_end": 0.5}, "to go from 0.5 to 0.5"),
        ({"guidance_end": 1.5}, "from 0.0 to 1.5 of the sampling"),
        ({"guidance_start": -0.1}, "from -0.1 to 1.0"),
        ({"guidance_start": float("nan")}, "from nan to 1.0"),
        ({"noise_levels": NoiseLevels.ALIGN_YOUR_STEPS}, "dpmpp_2m and euler, .* is unipc"),
        (
            {
                "noise_levels": NoiseLevels.ALIGN_YOUR_STEPS,
                "scheduler": Scheduler.EULER,
                "num_inference_steps": 101,
            },
            "num_inference_steps is 101, .* few steps, at most 100",
        ),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
    ],
)
def test_unusable_values_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        request(**changes)


def test_the_limits_themselves_are_fine() -> None:
    request(num_inference_steps=1, num_images_per_prompt=1, guidance_scale=0.0, seed=2**64 - 1)
    request(garment=PICTURE[:8, :8])
    request(num_inference_steps=50, scheduler=Scheduler.LCM, mask=np.ones_like(MASK))
    request(mask=MASK > 0)
    request(mask=(MASK * 255).astype(np.uint8))
