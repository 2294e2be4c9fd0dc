from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from humanparse import LipLabel
from ootd_core.datasets.label_maps import (
    ATR,
    VITON_HD_TO_ATR,
    read_label_map,
)
from ootd_core.datasets.sample import FileMissing, UnusableSample
from ootd_core.images.fitting import Fit, fit_image, fit_label_map, unfit_label_map
from ootd_core.masks.labels import Label
from tests.ootd_core.datasets.trees import ATR_TO_LIP, save_indices


def test_labels_of_one_name_are_translated_to_each_other() -> None:
    names = {label.name for label in LipLabel} & {label.name for label in Label}
    assert len(names) == 16
    assert len(VITON_HD_TO_ATR) == len(LipLabel)
    assert all(VITON_HD_TO_ATR[LipLabel[name]] is Label[name] for name in names)
    assert VITON_HD_TO_ATR[LipLabel.JUMPSUIT] is Label.NECK


def test_every_value_of_a_palette_png_is_translated(tmp_path: Path) -> None:
    values = np.arange(20, dtype=np.uint8).reshape(4, 5)
    save_indices(tmp_path / "map.png", values)
    read = read_label_map(tmp_path / "map.png", VITON_HD_TO_ATR)
    for label, value in ATR_TO_LIP.items():
        assert read.flat[value] == label
    assert read.flat[7] == Label.UPPER_CLOTHES  # coat


def test_a_grey_picture_holds_indices_too(tmp_path: Path) -> None:
    values = np.arange(19, dtype=np.uint8)[None].repeat(3, axis=0)
    Image.fromarray(values).save(tmp_path / "map.png")
    assert np.array_equal(read_label_map(tmp_path / "map.png", ATR), values)


def test_what_is_no_label_map_is_named(tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    with pytest.raises(FileMissing, match=r"map\.png"):
        read_label_map(path, ATR)
    save_indices(path, np.full((8, 8), 19, np.uint8))
    with pytest.raises(
        UnusableSample, match=r"map\.png holds the value 19, but the last label is 18"
    ):
        read_label_map(path, ATR)
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(UnusableSample, match=r"map\.png is a colour picture \(RGB\): .* as a pal"):
        read_label_map(path, ATR)
    Image.fromarray(np.full((8, 8), 4, np.uint16)).save(path)
    with pytest.raises(UnusableSample, match=r"map\.png is a grey picture of 16 bits"):
        read_label_map(path, ATR)
    Image.new("LA", (8, 8)).save(path)
    with pytest.raises(UnusableSample, match=r"map\.png is a picture with transparency \(LA\)"):
        read_label_map(path, ATR)
    path.write_bytes(b"not a picture")
    with pytest.raises(UnusableSample, match=r"map\.png cannot be decoded"):
        read_label_map(path, ATR)
    save_indices(path, np.random.default_rng(0).integers(0, 18, (64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(UnusableSample, match=r"map\.png cannot be decoded"):
        read_label_map(path, ATR)


@pytest.mark.parametrize("fineness", [1, 2, 4])
def test_labels_land_where_their_pixels_land(fineness: int) -> None:
    """A picture that shows its own labels is fitted; each label map must follow it."""
    labels = np.zeros((40, 64), np.uint8)
    labels[8:32, 16:40] = Label.UPPER_CLOTHES
    picture = np.repeat(np.where(labels > 0, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    canvas, fit = fit_image(picture, 128, 96)
    fine = labels.repeat(fineness, axis=0).repeat(fineness, axis=1)
    fitted = fit_label_map(fine, fit)
    assert fitted.shape == (128, 96)
    assert np.array_equal(fitted > 0, canvas[..., 0] < 128)


def test_a_label_map_comes_back_from_the_canvas() -> None:
    labels = np.random.default_rng(0).integers(0, 19, (40, 64)).astype(np.uint8)
    fit = fit_image(np.zeros((40, 64, 3), np.uint8), 256, 192)[1]
    assert fit.scale < 1
    assert np.array_equal(unfit_label_map(fit_label_map(labels, fit), fit), labels)


def test_what_a_canvas_does_not_show_is_background() -> None:
    fit = Fit(original_height=8, original_width=8, height=4, width=4, left=2.0, top=0.0, scale=1.0)
    labels = unfit_label_map(np.full((4, 4), Label.HAT, np.uint8), fit)
    expected = np.zeros((8, 8), np.uint8)
    expected[:4, 2:6] = Label.HAT
    assert np.array_equal(labels, expected)
