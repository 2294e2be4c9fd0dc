import numpy as np
import pytest

from humanparse.labels import LIP_TO_ATR, VITON_HD_TO_ATR, AtrLabel, LipLabel, relabel
from ootd_core.masks.labels import Label


def test_label_values_are_those_of_the_core() -> None:
    assert {label.name: label.value for label in AtrLabel} == {
        label.name: label.value for label in Label
    }


def test_each_lip_label_has_an_atr_label() -> None:
    assert set(LIP_TO_ATR) == set(LipLabel)
    assert set(VITON_HD_TO_ATR) == set(LipLabel)


@pytest.mark.parametrize("name", sorted({a.name for a in AtrLabel} & {b.name for b in LipLabel}))
def test_labels_of_the_same_name_become_each_other(name: str) -> None:
    assert LIP_TO_ATR[LipLabel[name]] == AtrLabel[name]


def test_relabel_keeps_shape_and_type() -> None:
    lip = np.array([[0, 13, 10], [7, 16, 19]], np.uint8)

    assert relabel(lip, LIP_TO_ATR).dtype == np.uint8
    assert relabel(lip, LIP_TO_ATR).tolist() == [[0, 11, 7], [4, 12, 10]]
    assert relabel(lip, VITON_HD_TO_ATR).tolist() == [[0, 11, 18], [4, 12, 10]]


def test_relabel_names_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match=r"\[20, 255\]"):
        relabel(np.array([[0, 20, 255]], np.uint8), LIP_TO_ATR)
