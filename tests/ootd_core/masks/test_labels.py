from ootd_core.categories import Category
from ootd_core.masks.labels import ALWAYS_KEPT, HEAD, KEPT, REPLACED, Label


def test_the_labels_are_atr_plus_the_neck() -> None:
    assert [label.value for label in Label] == list(range(19))
    assert (Label.UPPER_CLOTHES, Label.DRESS, Label.FACE, Label.NECK) == (4, 7, 11, 18)


def test_every_category_has_both_sets_and_they_do_not_overlap() -> None:
    for category in Category:
        assert not REPLACED[category] & KEPT[category]
        assert KEPT[category] >= ALWAYS_KEPT >= HEAD
        assert Label.BACKGROUND not in REPLACED[category] | KEPT[category]


def test_upper_and_lower_leave_each_other_alone() -> None:
    assert REPLACED[Category.UPPER] - {Label.DRESS} <= KEPT[Category.LOWER]
    assert {Label.SKIRT, Label.PANTS} <= REPLACED[Category.LOWER] & KEPT[Category.UPPER]
