import numpy as np
import pytest

from ootd_core.categories import Category
from ootd_core.datasets.dolls import FIRST_SEEDS, PaperDolls
from ootd_core.datasets.open import Layout, open_dataset
from ootd_core.datasets.paper_dolls.sample import category_of, draw_sample


def test_a_doll_is_the_one_that_its_seed_draws() -> None:
    dataset = open_dataset(None, Layout.DOLLS, "test", (64, 48), limit=5)
    assert [dataset.name(index) for index in range(len(dataset))] == [f"doll-{i}" for i in range(5)]
    for index in range(5):
        drawn, sample = draw_sample(index, height=64, width=48), dataset[index]
        assert sample.category is dataset.category(index) is drawn.category is category_of(index)
        for name in ("person", "garment", "truth", "labels", "keypoints"):
            assert np.array_equal(getattr(sample, name), getattr(drawn, name)), name


def test_training_never_sees_a_test_doll() -> None:
    train, test = (PaperDolls((64, 48), split) for split in ("train", "test"))
    assert len(test) == 64 and len(train) == 20_000
    assert max(test.seeds) < FIRST_SEEDS["train"] <= min(train.seeds)
    assert train.seeds == list(range(FIRST_SEEDS["train"], FIRST_SEEDS["train"] + 20_000))


def test_categories_can_be_chosen() -> None:
    dolls = PaperDolls((64, 48), "test", dolls=4, categories=[Category.DRESS])
    assert dolls.categories == [Category.DRESS] * 4
    assert [draw_sample(seed, height=64, width=48).category for seed in dolls.seeds] == (
        [Category.DRESS] * 4
    )


def test_a_person_wears_something_else_before() -> None:
    sample = PaperDolls((64, 48), "test")[0]
    assert sample.truth is not None and not np.array_equal(sample.truth, sample.person)


@pytest.mark.parametrize(("dolls", "categories"), [(0, None), (3, [])])
def test_an_empty_set_is_refused(dolls: int, categories: list[Category] | None) -> None:
    with pytest.raises(ValueError, match="is empty"):
        PaperDolls((64, 48), dolls=dolls, categories=categories)
