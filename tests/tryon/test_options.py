"""Bad options are refused when they are made, in a sentence with the value in it."""

import re
from typing import Any

import numpy as np
import pytest

from ootd_core.categories import Category
from ootd_core.datasets.dressing import DressSettings
from ootd_core.latents import Repaint
from ootd_core.masks.agnostic import MaskMode
from ootd_core.masks.new_garment import MaskLength
from ootd_core.request import TryOnRequest
from ootd_core.sampling import NoiseLevels, Scheduler
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
        ({"mask_length": "floor"}, "mask_length is 'floor', but must be one of auto, waist, hip"),
        ({"restore": "all"}, "restore is 'all', but must be one of none, background, background "),
        ({"garment_photo": "lying"}, "garment_photo is 'lying', but must be one of flat, worn"),
        ({"mask_sleeves": "cap"}, "mask_sleeves is 'cap', but must be one of auto, none, short"),
        (
            {"mask_mode": "robust", "mask_length": "knee"},
            "length is 'knee', but mode 'robust' does not look at the new garment",
        ),
        ({"fit": "stretch"}, "fit is 'stretch', but must be one of auto, pad, crop"),
        ({"feather": -1.0}, "feather is -1.0"),
        ({"feather": float("nan")}, "feather is nan"),
        ({"height": 100}, "height is 100, but must be a multiple of 32"),
        ({"person_index": -1}, "person_index is -1"),
        ({"height": 8192}, "height is 8192, but must be a multiple of 32 from 64 to 4096"),
        ({"height": 64.0}, "height is 64.0, but must be a whole number"),
        ({"mask_grow": 10**12}, "mask_grow is 1000000000000"),
        ({"num_inference_steps": 1001}, "must lie in 1 to 1000"),
        ({"num_images_per_prompt": True}, "num_images_per_prompt is True"),
        ({"seed": None}, "seed is None, but must be a whole number"),
        ({"guidance_start": 0.8, "guidance_end": 0.2}, "from 0.8 to 0.2"),
        ({"guidance_end": "all"}, "guidance_end is 'all', but must be a number"),
        ({"guidance_scale": "x"}, "guidance_scale is 'x', but must be a number"),
    ],
)
def test_what_is_out_of_range_is_named(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        TryOnOptions(**settings)


def test_names_stand_for_choices() -> None:
    options = TryOnOptions(scheduler="euler", mask_mode="faithful", fit="pad")  # type: ignore[arg-type]
    assert options.scheduler is Scheduler.EULER
    fast = TryOnOptions(scheduler="euler", noise_levels="align_your_steps")  # type: ignore[arg-type]
    assert fast.noise_levels is NoiseLevels.ALIGN_YOUR_STEPS
    assert options.mask_mode is MaskMode.FAITHFUL
    assert options.fit is FitChoice.PAD


def test_defaults_are_the_published_ones_everywhere() -> None:
    """20 steps of UniPC at a guidance of 2; the same for every way to ask for a try-on."""
    picture = np.zeros((64, 48, 3), np.uint8)
    request = TryOnRequest(
        person=picture, garment=picture, mask=np.ones((64, 48), bool), category=Category.UPPER
    )
    options = TryOnOptions()
    for asked in (options, request, DressSettings()):
        assert asked.num_inference_steps == 20 and asked.guidance_scale == 2.0
        assert asked.scheduler is Scheduler.UNIPC and asked.seed == 0
    for asked in (options, request, DressSettings()):
        assert asked.noise_levels is NoiseLevels.EVEN
    for asked in (options, request):
        assert (asked.guidance_start, asked.guidance_end) == (0.0, 1.0)
    assert (request.num_images_per_prompt, options.num_images_per_prompt) == (1, 1)
    assert (request.fusion, request.zero_garment) == (True, False)
    assert request.repaint is Repaint.TOUCHED
    assert options.mask_mode is DressSettings().mask_mode is MaskMode.AUTO
    assert (options.mask_length, options.mask_sleeves) == ("auto", "auto")
    assert options.mask_grow == DressSettings().grow == 0
    assert options.feather == DressSettings().feather == 2.0
    assert (options.fit, options.height, options.person_index) == (FitChoice.AUTO, None, 0)


def test_each_garment_of_an_outfit_has_its_own_length_and_sleeves() -> None:
    both = [Category.UPPER, Category.LOWER]
    options = TryOnOptions(
        mask_length=["hip", "ankle"],  # type: ignore[arg-type]
        mask_sleeves=("long", "auto"),  # type: ignore[arg-type]
    )
    options.check_outfit(both)
    assert [options.reach(number) for number in (0, 1)] == [("hip", "long"), ("ankle", "auto")]
    assert options.of_garment(1) == TryOnOptions(mask_length=MaskLength.ANKLE)
    assert TryOnOptions(mask_length=MaskLength.KNEE).reach() == ("knee", "auto")
    with pytest.raises(ValueError, match="category 'lower' has none"):
        options.check_outfit([Category.LOWER, Category.UPPER])
    with pytest.raises(ValueError, match="mask_length is 'hip, ankle', but the outfit has 1 garm"):
        options.check_outfit(both[:1])
    for wrong, said in (
        ({"mask_length": ["hip"], "mask_sleeves": ["long", "auto"]}, "of 1 and 2 garments"),
        ({"mask_length": []}, "of 0 garments"),
        ({"mask_length": ["hip", "floor"]}, "mask_length is 'floor'"),
        ({"mask_length": ["auto", "hip"], "mask_mode": "robust"}, "'robust' does not look"),
    ):
        with pytest.raises(ValueError, match=said):
            TryOnOptions(**wrong)  # type: ignore[arg-type]


def test_the_limits_themselves_are_fine() -> None:
    TryOnOptions(feather=0.0, height=64, guidance_scale=0.0, num_inference_steps=1)
    TryOnOptions(feather=256.0, height=1024, seed=2**64 - 1)
    for settings in ({"feather": 256.5}, {"height": 32}, {"height": 80}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            TryOnOptions(**settings)  # type: ignore[arg-type]
