import numpy as np
import pytest

from humanparse import AtrLabel, colourise


def test_each_label_has_its_own_colour() -> None:
    labels = np.array([list(AtrLabel)], np.uint8)

    picture = colourise(labels)

    assert picture.shape == (1, len(AtrLabel), 3)
    assert picture.dtype == np.uint8
    assert len(np.unique(picture[0], axis=0)) == len(AtrLabel)


def test_unknown_label_is_named() -> None:
    with pytest.raises(ValueError, match="19"):
        colourise(np.full((2, 2), 19, np.uint8))
