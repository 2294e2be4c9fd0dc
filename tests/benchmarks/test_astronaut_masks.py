"""The photograph of docs/masks.md, drawn anew where BlazePose is."""

import numpy as np

from benchmarks.astronaut_masks import GAP, SIDE, TITLE, masks_of
from ootd_core.categories import Category
from tryon import TryOn, TryOnResult


def test_each_category_has_its_column() -> None:
    asked: list[Category] = []

    class Stub(TryOn):
        def __init__(self) -> None:
            """Needs no files."""

        def mask(self, person, category, **_) -> TryOnResult:  # type: ignore
            asked.append(category)
            from PIL import Image

            mask = np.full(person.shape[:2], 255, np.uint8)
            return TryOnResult(images=[], mask=Image.fromarray(mask), warnings=(), label_map=None,
                               keypoints=None, seconds={})  # fmt: skip

    sheet = masks_of(Stub(), np.full((512, 512, 3), 200, np.uint8))
    assert asked == list(Category)
    assert sheet.shape == (TITLE + SIDE + GAP, GAP + 4 * (SIDE + GAP), 3)
    first, *others = (
        sheet[TITLE + 5, GAP + column * (SIDE + GAP) + SIDE // 2] for column in range(4)
    )
    assert (first == 200).all() and all(each[1] < 120 < each[0] for each in others)
