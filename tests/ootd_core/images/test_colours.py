"""What load_image gives: the sRGB content of every mode in every format, and profiles applied."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from ootd_core.images.files import load_image
from tests.ootd_core.images.profiles import (
    cmyk_profile,
    grey_profile,
    srgb_encoded,
    swapped_profile,
)

MODES = {
    "png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "tif": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"),
    "bmp": ("1", "L", "P", "RGB"),
    "gif": ("L", "P"),
    "webp": ("RGB", "RGBA"),
    "ppm": ("1", "L", "RGB"),
}
PAIRS = [(ending, mode) for ending, modes in MODES.items() for mode in modes]
SIDE = 20


def drawn(mode: str, rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """A random picture of a mode, and its content as RGB on white, by its own arithmetic."""

    def noise(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, (SIDE, SIDE, *shape), dtype=np.uint8)

    values = noise()
    match mode:
        case "1":
            bits = values > 127
            return Image.fromarray(bits), np.repeat(bits[..., None] * 255, 3, axis=2)
        case "L":
            return Image.fromarray(values), np.repeat(values[..., None], 3, axis=2)
        case "I;16":
            deep = rng.integers(0, 65536, (SIDE, SIDE)).astype(np.uint16)
            return Image.fromarray(deep), np.repeat(deep[..., None] / 257, 3, axis=2)
        case "P":
            image = Image.fromarray(values).convert("P")
            palette = rng.integers(0, 256, (256, 3), dtype=np.uint8)
            image.putpalette(palette.tobytes())
            return image, palette[values]
        case "LA":
            pixels = noise(2)
            colours, alpha = np.repeat(pixels[..., :1], 3, axis=2), pixels[..., 1:] / 255
            return Image.fromarray(pixels), 255 + (colours - 255.0) * alpha
        case "RGBA":
            pixels = noise(4)
            return Image.fromarray(pixels), 255 + (pixels[..., :3] - 255.0) * pixels[..., 3:] / 255
        case "CMYK":
            inks = noise(4).astype(float)
            content = (255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255
            return Image.frombytes("CMYK", (SIDE, SIDE), inks.astype(np.uint8).tobytes()), content
        case _:
            pixels = noise(3)
            return Image.fromarray(pixels), pixels


@pytest.mark.parametrize(("ending", "mode"), PAIRS)
@pytest.mark.parametrize("seed", range(3))
def test_every_mode_of_every_format_is_its_content(
    ending: str, mode: str, seed: int, tmp_path: Path
) -> None:
    image, content = drawn(mode, np.random.default_rng(seed))
    assert image.mode == mode
    path = tmp_path / f"a.{ending}"
    options: dict[str, Any] = {"lossless": True, "exact": True} if ending == "webp" else {}
    image.save(path, **options)
    read = load_image(path)
    assert read.shape == (SIDE, SIDE, 3) and read.dtype == np.uint8
    assert np.abs(read - content).max() <= 1
    if mode in ("1", "L", "P", "RGB"):
        assert np.array_equal(read, content)


@given(st.floats(1.2, 2.6), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=30)
def test_a_profile_of_rgb_is_applied(
    tmp_path_factory: pytest.TempPathFactory, gamma: float, seed: int, see_through: bool
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[: SIDE // 2, :, 3] = 0
    path = tmp_path_factory.getbasetemp() / "a.png"
    image = Image.fromarray(pixels if see_through else pixels[..., :3])
    image.save(path, icc_profile=swapped_profile(round(gamma * 256) / 256))
    light = (pixels[..., :3] / 255) ** (round(gamma * 256) / 256)
    expected = srgb_encoded(light[..., [2, 0, 1]])
    if see_through:
        expected[: SIDE // 2] = 255
    assert np.abs(load_image(path) - expected).max() <= 4


def test_profiles_of_grey_and_of_inks_are_applied(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(16, axis=0)
    expected = srgb_encoded((ramp / 255) ** 1.5)
    deep = (ramp.astype(np.uint16) * 257).astype(np.uint16)
    for name, image in (
        ("grey.png", Image.fromarray(ramp)),
        ("deep.png", Image.fromarray(deep)),
        ("alpha.png", Image.fromarray(np.stack([ramp, np.full_like(ramp, 255)], axis=-1))),
    ):
        image.save(tmp_path / name, icc_profile=grey_profile(1.5))
        assert np.abs(load_image(tmp_path / name)[..., 1] - expected).max() <= 3, name
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    inks.paste((0, 0, 0, 255), (0, 0, 8, 16))
    inks.paste((0, 0, 0, 0), (0, 0, 16, 8))
    for ending in ("tif", "jpg"):
        path = tmp_path / f"inks.{ending}"
        inks.save(path, icc_profile=cmyk_profile())
        read = load_image(path).astype(int)
        assert np.abs(read[2, 2] - 255).max() <= 3 and np.abs(read[13, 2]).max() <= 3
        assert np.abs(read[13, 13] - 161).max() <= 4  # lightness 67: without colour, as the profile


def test_a_palette_with_a_profile_and_lab(tmp_path: Path) -> None:
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.save(tmp_path / "a.png", icc_profile=swapped_profile(2.2))
    light = (np.array([200, 100, 50]) / 255) ** (563 / 256)
    assert load_image(tmp_path / "a.png")[0, 0] == pytest.approx(
        srgb_encoded(light[[2, 0, 1]]), abs=3
    )
    lab = Image.frombytes("LAB", (20, 20), bytes([136, 0, 0]) * 400)  # lightness 53.3
    lab.save(tmp_path / "lab.tif")
    assert load_image(tmp_path / "lab.tif")[0, 0] == pytest.approx([127] * 3, abs=3)


def test_a_profile_that_says_srgb_changes_nothing(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    assert np.array_equal(load_image(tmp_path / "a.png"), pixels)


@pytest.mark.parametrize(
    "profile",
    [b"nonsense", swapped_profile(2.2)[:200], grey_profile(2.2)],
    ids=["none", "cut off", "of grey"],
)
def test_a_profile_that_does_not_fit_is_ignored_with_a_warning(
    profile: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    assert np.array_equal(load_image(tmp_path / "a.png"), pixels)
    assert "a.png: its colour profile was ignored" in caplog.text
