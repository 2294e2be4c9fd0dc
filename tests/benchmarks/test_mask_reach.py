"""Mode `auto` reaches where the new garment lies; the benchmark counts what does not."""

import numpy as np
import pytest

from benchmarks.mask_reach import Reach, main, mask_of, reach_of
from ootd_core.categories import Category
from ootd_core.datasets.paper_dolls.sample import draw_sample
from ootd_core.masks.agnostic import MaskMode

PEOPLE = 24


@pytest.mark.parametrize("category", list(Category))
@pytest.mark.parametrize("height", [256, 512])
def test_auto_reaches_the_new_garment_and_wastes_little(category: Category, height: int) -> None:
    people = PEOPLE if height == 256 else PEOPLE // 3
    dolls = [
        draw_sample(4_000 + number, height=height, width=height * 3 // 4, category=category)
        for number in range(people)
    ]
    found = [reach_of(doll, mask_of(doll, MaskMode.AUTO)) for doll in dolls]
    missed = np.array([each.missed for each in found])
    assert np.quantile(missed, 0.9) <= 0.03 and missed.max() <= 0.10, missed.round(3)
    assert np.mean([each.wasted for each in found]) <= 0.40
    assert not any(each.face for each in found)
    other = np.array([each.other for each in found])
    assert other.mean() <= 0.04 and other.max() <= 0.25, other.round(3)


def test_robust_does_not_reach_it() -> None:
    dolls = [draw_sample(number, category=Category.DRESS) for number in range(4_000, 4_012)]
    missed = [reach_of(doll, mask_of(doll, MaskMode.ROBUST)).missed for doll in dolls]
    assert max(missed) > 0.10


def test_what_is_counted() -> None:
    doll = draw_sample(4_000, category=Category.DRESS)
    everything = np.ones(doll.labels.shape, np.bool_)
    changed = (doll.person != doll.truth).any(axis=2) | (doll.labels != doll.truth_labels)
    whole = reach_of(doll, everything)
    assert (whole.missed, whole.wasted) == (0.0, pytest.approx(1 - changed.mean()))
    assert whole.face > 0
    assert reach_of(doll, changed) == Reach(missed=0.0, wasted=0.0, other=0.0, face=0)
    assert reach_of(doll, ~everything).missed > 0.1


def test_it_prints_a_line_for_each_category_and_mode(capsys: pytest.CaptureFixture[str]) -> None:
    main(people=1, seed=3, height=128)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 3 * 3 and "dress  auto" in lines[-1]
