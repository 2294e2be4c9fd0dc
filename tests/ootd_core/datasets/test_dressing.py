"""A sample is dressed as a try-on would dress it, with the settings that were given."""

import numpy as np
import pytest

from ootd_core.categories import Category, Variant
from ootd_core.datasets.dressing import DressSettings, dress
from ootd_core.datasets.sample_masks import inference_mask
from ootd_core.images.compositing import paste_back
from ootd_core.images.fitting import whole_fit
from ootd_core.masks.agnostic import MaskMode
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from ootd_core.sampling import Scheduler
from tests.ootd_core.evaluation.drawn_set import DrawnSet

SAMPLE = DrawnSet(categories=(Category.LOWER,))[0]
SETTINGS = DressSettings(
    num_inference_steps=6, guidance_scale=3.0, seed=40, scheduler=Scheduler.DDIM,
    mask_mode=MaskMode.HIDE_OLD_GARMENT, grow=3, feather=4.0,
)  # fmt: skip


class Recorder(TryOnPipeline):
    """Answers with the garment's mean colour."""

    def __init__(self) -> None:
        self.asked: list[TryOnRequest] = []

    def __call__(self, request: TryOnRequest, on_step: object = None) -> np.ndarray:
        self.asked.append(request)
        return 255 - request.person[None]


@pytest.mark.parametrize("feather", [None, 0.0, 4.0])
def test_settings_reach_the_pipeline_and_the_result_is_pasted_back(feather: float | None) -> None:
    settings = DressSettings(
        num_inference_steps=6, guidance_scale=3.0, scheduler=Scheduler.DDIM, feather=feather
    )
    pipeline = Recorder()
    mask = settings.mask(SAMPLE, Variant.FULL_BODY)
    picture = dress(pipeline, SAMPLE, mask, settings, seed=41)
    (request,) = pipeline.asked
    assert (request.num_inference_steps, request.guidance_scale, request.seed) == (6, 3.0, 41)
    assert request.scheduler is Scheduler.DDIM and request.category is Category.LOWER
    assert request.person is SAMPLE.person and request.garment is SAMPLE.garment
    result = 255 - SAMPLE.person
    if feather is not None:
        size = SAMPLE.person.shape[0], SAMPLE.person.shape[1]
        result = paste_back(SAMPLE.person, result, mask, whole_fit(size, size), feather)
    assert np.array_equal(picture, result)


def test_the_mask_is_of_the_settings() -> None:
    wanted = inference_mask(SAMPLE, Variant.FULL_BODY, mode=MaskMode.HIDE_OLD_GARMENT, grow=3)
    assert np.array_equal(SETTINGS.mask(SAMPLE, Variant.FULL_BODY), wanted)
    plain = DressSettings().mask(SAMPLE, Variant.FULL_BODY)
    assert np.array_equal(plain, inference_mask(SAMPLE, Variant.FULL_BODY))
    assert plain.sum() < wanted.sum()
