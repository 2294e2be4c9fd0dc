from humanparse.labels import AtrLabel
from ootd_core.masks.labels import Label


def test_label_values_are_those_of_the_core() -> None:
    """The leaf and the core import nothing of each other, so each has its own table."""
    assert {label.name: label.value for label in AtrLabel} == {
        label.name: label.value for label in Label
    }
