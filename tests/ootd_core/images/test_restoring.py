import numpy as np
import pytest

from ootd_core.images.restoring import DISTANCE, Restore, restored_region
from ootd_core.masks.labels import Label

SIDE = 512


def label_maps() -> tuple[np.ndarray, np.ndarray]:
    """Two maps [512, 384]: a shirt that becomes shorter, an arm and a neck beside it."""
    before = np.zeros((SIDE, 384), np.uint8)
    before[100:400, 100:200] = Label.UPPER_CLOTHES
    before[100:400, 200:300] = Label.LEFT_ARM
    before[40:100, 140:160] = Label.HAIR
    after = before.copy()
    after[300:400, 100:200] = Label.PANTS
    return before, after


def test_the_ground_comes_back_away_from_old_and_new_clothes() -> None:
    before, after = label_maps()
    region = restored_region(before, after, Restore.BACKGROUND)
    assert region[0, 0] and region[250, 100 - DISTANCE - 1] and not region[250, 100 - DISTANCE]
    assert not region[120:380, 110:290].any() and not region[60, 150]
    after[450:500, 20:60] = Label.DRESS  # of the new picture alone
    assert not restored_region(before, after, Restore.BACKGROUND)[470, 62]
    assert not restored_region(after, before, Restore.BACKGROUND)[470, 62]


def test_skin_comes_back_where_it_is_asked_for_and_the_same() -> None:
    before, after = label_maps()
    region = restored_region(before, after, Restore.BACKGROUND_AND_SKIN)
    assert region[250, 200 + DISTANCE] and not region[250, 200 + DISTANCE - 1]
    assert not region[60, 150], "hair lies over clothes, and stays redrawn"
    assert not restored_region(before, after, Restore.BACKGROUND)[250, 260]
    after[after == Label.LEFT_ARM] = Label.RIGHT_ARM
    assert not restored_region(before, after, Restore.BACKGROUND_AND_SKIN)[250, 260]


def test_the_distance_is_a_share_of_the_height_and_none_is_nothing() -> None:
    before, after = label_maps()
    assert not restored_region(before, after, Restore.NONE).any()
    half = restored_region(before[::2, ::2], after[::2, ::2], Restore.BACKGROUND)
    assert half[125, 50 - DISTANCE // 2 - 1] and not half[125, 50 - DISTANCE // 2]
    with pytest.raises(ValueError, match="result's label map is 192x256 pixels, expected 384x512"):
        restored_region(before, after[::2, ::2], Restore.BACKGROUND)


def test_specks_are_left() -> None:
    before, after = label_maps()
    before[:, :] = Label.DRESS
    before[4:60, 4:60] = after[4:60, 4:60] = Label.BACKGROUND
    wide = restored_region(before, after, Restore.BACKGROUND)
    assert wide[20, 20]
    before[4:60, 22:60] = Label.DRESS
    assert not restored_region(before, after, Restore.BACKGROUND).any()
