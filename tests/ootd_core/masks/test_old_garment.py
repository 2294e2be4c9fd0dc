"""A mask of the old garment in place of a label map: what is kept, what is covered."""

import numpy as np
import pytest

from ootd_core.categories import Category, Variant
from ootd_core.masks.agnostic import agnostic_mask
from ootd_core.masks.labels import REPLACED, Label
from ootd_core.masks.morphology import BoolMask, grow_mask
from ootd_core.masks.old_garment import label_map_of_old_garment
from tests.ootd_core.masks.drawn_person import LEFT_HAND, RIGHT_HAND, keypoints, label_map
from tests.ootd_core.masks.flat_garments import skirt, top

FLAT = {
    Category.UPPER: top(),
    Category.LOWER: skirt(),
    Category.DRESS: top(length=330, hem=180),
}


def worn(category: Category) -> BoolMask:
    return np.isin(label_map(), list(REPLACED[category]))


@pytest.mark.parametrize("category", list(Category))
@pytest.mark.parametrize("with_person", [False, True])
def test_the_mask_is_nearly_that_of_a_parser(category: Category, with_person: bool) -> None:
    person = label_map() > 0 if with_person else None
    drawn = label_map_of_old_garment(worn(category), keypoints(), category, person=person)
    made, wanted = (
        agnostic_mask(
            labels,
            keypoints(),
            category=category,
            variant=Variant.FULL_BODY,
            garment=FLAT[category],
        ).mask
        for labels in (drawn, label_map())
    )
    assert made[worn(category)].all()
    assert (made & wanted).sum() / (made | wanted).sum() > 0.85
    truly = label_map()
    face = truly == Label.FACE
    assert (made & face).sum() < 0.02 * face.sum()
    hands = [made[y, x] for x, y in (RIGHT_HAND, LEFT_HAND)]
    assert not any(hands)
    if category is Category.LOWER:
        shirt = (truly == Label.UPPER_CLOTHES) & ~grow_mask(worn(category), 12)
        assert (made & shirt).sum() < 0.05 * shirt.sum()


def test_nothing_is_drawn_outside_the_person() -> None:
    person = label_map() > 0
    drawn = label_map_of_old_garment(
        worn(Category.UPPER), keypoints(), Category.UPPER, person=person
    )
    assert not drawn[~person].any() and (drawn == Label.RIGHT_ARM).any()


def test_without_joints_the_garment_is_all_there_is() -> None:
    old = worn(Category.DRESS)
    drawn = label_map_of_old_garment(old, None, Category.DRESS)
    assert set(np.unique(drawn)) == {0, Label.DRESS} and np.array_equal(drawn > 0, old)
    made = agnostic_mask(drawn, None, category=Category.DRESS, variant=Variant.FULL_BODY)
    assert made.mask[old].all() and made.warnings


def test_masks_that_cannot_be_used() -> None:
    empty = np.zeros((512, 384), np.bool_)
    with pytest.raises(ValueError, match="empty"):
        label_map_of_old_garment(empty, keypoints(), Category.UPPER)
    old = worn(Category.UPPER)
    with pytest.raises(ValueError, match=r"\[4, 4\].*\[512, 384\]"):
        label_map_of_old_garment(old, keypoints(), Category.UPPER, person=np.ones((4, 4), np.bool_))
    with pytest.raises(ValueError, match="do not overlap"):
        label_map_of_old_garment(old, keypoints(), Category.UPPER, person=empty)
