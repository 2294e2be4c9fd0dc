"""Masks as people and programs save them: what is read, and what is refused with both readings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ootd_core.images.files import read_mask
from tests.damage import damaged

HEIGHT, WIDTH = 60, 40
Colour = tuple[int, int, int]
BLACK, WHITE, RED, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)


def drawn_mask() -> NDArray[np.bool_]:
    image = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(image).ellipse((8, 10, 30, 45), fill=1)
    return np.asarray(image)


MASK = drawn_mask()
PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def in_colours(painted: Colour, ground: Colour) -> Image.Image:
    pixels = np.where(MASK[..., None], np.array(painted), np.array(ground))
    return Image.fromarray(pixels.astype(np.uint8))


def with_alpha(pixels: NDArray[np.uint8] | Colour, alpha: NDArray[np.bool_]) -> Image.Image:
    rgb = np.broadcast_to(np.asarray(pixels, np.uint8), (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.dstack([rgb, alpha.astype(np.uint8) * 255]))


def palette(*colours: Colour) -> Image.Image:
    image = Image.fromarray(MASK.astype(np.uint8)).convert("P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def grey(white: int, dtype: str = "uint8") -> Image.Image:
    return Image.fromarray((MASK * white).astype(dtype))


def read(image: Image.Image, path: Path, invert: bool | None = None, **options: Any) -> np.ndarray:
    image.save(path, **options)
    return read_mask(path, invert=invert)


CLEAR = {
    "1 bit": Image.fromarray(MASK),
    "0 and 255": grey(255),
    "0 and 1": grey(1),
    "0 and 128": grey(128),
    "16 bits, 255": grey(255, "uint16"),
    "16 bits, 65535": grey(65535, "uint16"),
    "16 bits, 1": grey(1, "uint16"),
    "red": in_colours(RED, BLACK),
    "blue": in_colours(BLUE, BLACK),
    "blue on dark grey": in_colours(BLUE, (60, 60, 60)),
    "dark red": in_colours((30, 0, 0), BLACK),
    "white on red-black": in_colours(WHITE, (9, 4, 4)),
    "VOC's palette": palette(BLACK, (128, 0, 0)),
    "palette of 0 and 1": palette((0, 0, 0), (1, 1, 1)),
    "palette without colours": palette(BLACK, BLACK),
    "white on nothing": with_alpha(WHITE, MASK),
    "red on nothing": with_alpha(RED, MASK),
    "opaque": with_alpha(np.where(MASK, 255, 0).astype(np.uint8)[..., None], MASK | True),
}


@pytest.mark.parametrize("name", CLEAR)
def test_two_values_are_a_hard_mask(name: str, tmp_path: Path) -> None:
    mask = read(CLEAR[name], tmp_path / "a.png")
    assert mask.dtype == np.float32
    assert np.array_equal(mask, MASK)
    assert np.array_equal(read_mask(tmp_path / "a.png", invert=False), MASK)
    assert np.array_equal(read_mask(tmp_path / "a.png", invert=True), ~MASK)


def test_black_and_white_paint_on_nothing(tmp_path: Path) -> None:
    painted = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    painted[:30] = (0, 0, 0, 255)
    painted[MASK] = 255
    assert np.array_equal(read(Image.fromarray(painted), tmp_path / "a.png"), MASK)


AMBIGUOUS = {
    # picture, what is said of it, the mask where the answer is "not inverted"
    "ComfyUI's mask editor": (with_alpha(PHOTOGRAPH, ~MASK), "whose transparent part", ~MASK),
    "a cut-out": (with_alpha(PHOTOGRAPH, MASK), "whose transparent part", MASK),
    "black on nothing": (with_alpha(BLACK, MASK), "whose transparent part", MASK),
    "red on white": (in_colours(RED, WHITE), "in #ff0000 and #ffffff, and either", ~MASK),
    "green and red": (in_colours((0, 255, 0), RED), "in #ff0000 and #00ff00", MASK),
    "palette of colours": (palette(RED, WHITE), "in #ff0000 and #ffffff", MASK),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_two_readings_are_named_and_can_be_chosen(name: str, tmp_path: Path) -> None:
    image, said, plain = AMBIGUOUS[name]
    with pytest.raises(ValueError, match=said) as caught:
        read(image, tmp_path / "a.png")
    text = str(caught.value)
    assert "-invert-mask" not in text and text.endswith("save the mask in white on black.")
    with pytest.raises(ValueError, match=r"say --invert-mask .*, --no-invert-mask where .* is"):
        read_mask(tmp_path / "a.png", can_invert=True)
    assert np.array_equal(read_mask(tmp_path / "a.png", invert=False), plain)
    assert np.array_equal(read_mask(tmp_path / "a.png", invert=True), ~plain)


def test_what_is_no_mask_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for image, said in (
        (Image.fromarray(PHOTOGRAPH), "holds many colours: it is a picture, not a mask"),
        (in_colours(RED, RED), "is #ff0000 everywhere"),
        (with_alpha(PHOTOGRAPH, MASK & False), "is transparent everywhere"),
        (Image.new("L", (WIDTH, HEIGHT), 1), "All of the mask's values are 1"),
    ):
        with pytest.raises(ValueError, match=said):
            read(image, path)


def test_grey_levels_and_soft_edges_stay(tmp_path: Path) -> None:
    ramp = np.arange(WIDTH, dtype=np.uint8)[None].repeat(HEIGHT, axis=0) * 6
    assert np.array_equal(read(Image.fromarray(ramp), tmp_path / "a.png"), ramp / np.float32(255))
    deep = ramp.astype(np.uint16) * 256
    soft = read(Image.fromarray(deep), tmp_path / "a.png")
    assert np.abs(soft - deep / 65535).max() < 1e-6
    edge = in_colours(RED, BLACK).resize((WIDTH * 4, HEIGHT * 4), Image.Resampling.BICUBIC)
    soft = read(edge, tmp_path / "a.png")
    assert 0 < ((soft > 0.1) & (soft < 0.9)).mean() < 0.1
    alpha = Image.fromarray(ramp)
    stroke = Image.new("RGB", alpha.size, RED)
    stroke.putalpha(alpha)
    assert np.abs(read(stroke, tmp_path / "a.png") - ramp / 255).max() < 0.01
    floats = Image.fromarray((ramp / 255).astype(np.float32))
    assert np.abs(read(floats, tmp_path / "a.tif") - ramp / 255).max() < 1e-6


@pytest.mark.parametrize("colours", [(WHITE, BLACK), (RED, BLACK), (BLUE, BLACK)])
def test_a_compressed_mask_is_close(colours: tuple[Colour, Colour], tmp_path: Path) -> None:
    image = in_colours(*colours).resize((WIDTH * 8, HEIGHT * 8), Image.Resampling.NEAREST)
    mask = read(image, tmp_path / "a.jpg", quality=80)
    expected = MASK.repeat(8, axis=0).repeat(8, axis=1)
    assert ((mask >= 0.5) != expected).mean() < 0.01


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 1), (1, HEIGHT, WIDTH)])
@pytest.mark.parametrize("white", [True, np.uint8(1), np.uint8(255), np.int64(1), np.float64(255)])
def test_arrays_of_many_kinds_are_read(shape: tuple[int, ...], white: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, (MASK * white).reshape(shape))
    assert np.array_equal(read_mask(path), MASK)
    assert np.array_equal(read_mask(path, invert=True), ~MASK)


def test_arrays_that_are_no_mask_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for array, said in (
        (np.zeros((5, 6, 3)), r"shape \[5, 6, 3\]; a mask is \[height, width\]"),
        (np.zeros(5), r"shape \[5\]"),
        (np.full((5, 6), 3.0), "all of them are 3"),
        (np.full((5, 6), np.nan), r"a\.npy: The mask holds 30 values that are NaN"),
        (np.array([[None]] * 5), "cannot be read as a NumPy array"),
    ):
        np.save(path, array)
        with pytest.raises(ValueError, match=said):
            read_mask(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="cannot be read as a NumPy array"):
        read_mask(path)
    with pytest.raises(FileNotFoundError, match="no mask file at"):
        read_mask(tmp_path / "gone.npy")


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_a_damaged_array_is_read_or_refused_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    np.save(path, MASK)
    path.write_bytes(damaged(path.read_bytes(), np.random.default_rng(seed)))
    try:
        read_mask(path)
    except ValueError as error:
        text = str(error)
        assert str(path) in text and text.endswith(".") and "\n" not in text
