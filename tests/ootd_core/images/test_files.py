from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from ootd_core.images.compositing import paste_back
from ootd_core.images.files import as_image, check_targets, load_image, read_mask, save_image
from ootd_core.images.fitting import Fit, crop_fit, fit_image, unfit_mask, whole_fit
from ootd_core.images.tensors import to_images, to_tensor

HEIGHT, WIDTH = 128, 96


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


# Reading


def test_a_plain_picture_is_read_as_it_is(tmp_path: Path) -> None:
    image = noise(40, 30)
    read = load_image(saved(Image.fromarray(image), tmp_path / "a.png"))
    assert read.dtype == np.uint8
    assert (read == image).all()
    read[0, 0] = 0  # writable


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(noise(40, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    path = saved(image, tmp_path / "a.png", exif=exif)
    assert (load_image(path) == np.rot90(noise(40, 30), -1)).all()
    path = saved(Image.new("1", (30, 40), 1), tmp_path / "mask.png", exif=exif)
    assert read_mask(path).shape == (30, 40)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    image = np.zeros((20, 20, 4), np.uint8)
    image[:, 10:] = (10, 20, 30, 255)
    image[:, :5, 3] = 128
    read = load_image(saved(Image.fromarray(image), tmp_path / "a.png"))
    assert read[0, 0].tolist() == pytest.approx([127] * 3, abs=1)
    assert read[0, 7].tolist() == [255, 255, 255]
    assert read[0, 15].tolist() == [10, 20, 30]


def test_palette_transparency_is_laid_on_white(tmp_path: Path) -> None:
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(0, (0, 0, 10, 20))
    path = saved(palette, tmp_path / "a.png", transparency=0)
    read = load_image(path)
    assert (read[:, :10] == 255).all()
    assert (read[:, 10:] == (0, 0, 255)).all()


def test_grey_16_bits_1_bit_and_cmyk(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(16, axis=0)
    deep = load_image(saved(Image.fromarray(ramp), tmp_path / "deep.png"))
    assert (deep == np.arange(256)[None, :, None]).all()
    grey = load_image(saved(Image.new("L", (20, 20), 77), tmp_path / "grey.png"))
    assert (grey == 77).all()
    bit = load_image(saved(Image.new("1", (20, 20), 1), tmp_path / "bit.png"))
    assert (bit == 255).all()
    cmyk = load_image(saved(Image.new("CMYK", (20, 20)), tmp_path / "cmyk.jpg"))
    assert cmyk.shape == (20, 20, 3)


def test_a_mask_is_white_where_it_repaints(tmp_path: Path) -> None:
    rgba = np.zeros((20, 20, 4), np.uint8)
    rgba[:, 10:] = 255
    mask = read_mask(saved(Image.fromarray(rgba), tmp_path / "a.png"))
    assert mask.dtype == np.float32
    assert mask[0, 0] == 0 and mask[0, 15] == 1
    grey = read_mask(saved(Image.new("L", (20, 20), 51), tmp_path / "grey.png"))
    assert grey == pytest.approx(np.full((20, 20), 0.2))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no image file at .*gone\.png"):
        load_image(tmp_path / "gone.png")


def test_what_is_not_a_usable_picture(tmp_path: Path) -> None:
    text = tmp_path / "a.png"
    text.write_text("not an image")
    with pytest.raises(ValueError, match="not an image"):
        load_image(text)
    with pytest.raises(ValueError, match="is a folder"):
        load_image(tmp_path)
    with pytest.raises(ValueError, match="1x1 pixels: too small"):
        load_image(saved(Image.new("RGB", (1, 1)), tmp_path / "b.png"))
    with pytest.raises(ValueError, match="8 or 16 bits"):
        load_image(saved(Image.new("F", (20, 20)), tmp_path / "c.tif"))


def test_a_picture_comes_in_any_form(tmp_path: Path) -> None:
    image = noise(40, 30)
    path = saved(Image.fromarray(image), tmp_path / "a.png")
    for form in (image, Image.fromarray(image), path, str(path)):
        assert np.array_equal(as_image(form), image)
    for wrong in (image[..., 0], image / 255):
        with pytest.raises(ValueError, match="must be uint8 RGB of shape"):
            as_image(wrong)


# Writing


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".tiff", ".webp", ".PNG"])
def test_what_is_written_without_loss_is_read_again(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    for picture in (noise(40, 30), noise(40, 30)[..., 0]):
        save_image(path, Image.fromarray(picture))
        save_image(path, picture)
        read = load_image(path)
        assert (read == (picture if picture.ndim == 3 else picture[..., None])).all()


@pytest.mark.parametrize("ending", [".jpg", ".jpeg"])
def test_jpeg_keeps_colours_at_their_places(ending: str, tmp_path: Path) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[::2, ::2] = (255, 0, 0)  # what subsampling of colours smears
    path = tmp_path / f"a{ending}"
    save_image(path, picture)
    off = np.abs(load_image(path).astype(int) - picture)
    assert off.mean() < 4 and off.max() < 30
    fine = path.stat().st_size
    save_image(path, picture, quality=40)
    assert path.stat().st_size < fine
    save_image(path.with_suffix(".webp"), picture, quality=40)
    assert (load_image(path.with_suffix(".webp")) != picture).any()


@pytest.mark.parametrize("name", ["a.ico", "a.gif", "a.pdf", "a.eps", "a.avif", "a", "a.npy"])
def test_formats_that_do_not_keep_the_picture_are_refused(name: str, tmp_path: Path) -> None:
    for act in (lambda path: check_targets([path]), lambda path: save_image(path, noise(20, 20))):
        with pytest.raises(ValueError, match=r"written as \.png, \.jpg, .* or \.bmp\."):
            act(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_targets_are_asked_about_beforehand(tmp_path: Path) -> None:
    person = saved(Image.fromarray(noise(20, 20)), tmp_path / "person.png")
    out = tmp_path / "new" / "out.png"
    check_targets([out, out.with_suffix(".jpg")], [person], size=(4000, 3000), quality=1)
    with pytest.raises(ValueError, match="would overwrite"):
        check_targets([out, person], [person])
    with pytest.raises(ValueError, match=r"out\.webp cannot hold 100x17000 pixels"):
        check_targets([out.with_suffix(".webp")], size=(17_000, 100))
    with pytest.raises(ValueError, match="quality is 0, but must be 1 to 100"):
        check_targets([out], quality=0)
    with pytest.raises(OSError, match="file, not a folder"):
        check_targets([person / "out.png"])


# Tensors


def test_pictures_survive_the_way_through_tensors() -> None:
    image = noise(10, 12)
    tensor = to_tensor(image)
    assert tensor.shape == (1, 3, 10, 12)
    assert tensor.dtype == torch.float32
    assert to_tensor(np.full((1, 1, 3), 255, np.uint8)).eq(1.0).all()
    assert to_tensor(np.zeros((1, 1, 3), np.uint8)).eq(-1.0).all()
    both = to_images(torch.cat([tensor, -tensor]))
    assert (both[0] == image).all()
    assert (both[1] == 255 - image).all()
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert (to_images(to_tensor(every).half())[0] == every).all()


def test_tensors_are_clipped_and_checked() -> None:
    assert to_images(torch.full((1, 3, 1, 1), 7.0)).max() == 255
    with pytest.raises(ValueError, match=r"not \[3, 4, 4\]"):
        to_images(torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match="NaN"):
        to_images(torch.full((1, 3, 2, 2), torch.nan))


# Pasting back


@given(
    st.integers(16, 300),
    st.integers(16, 300),
    st.floats(0, 20),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_outside_the_mask_every_pixel_is_the_originals(
    height: int, width: int, feather: float, crop: bool, hard: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    original = noise(height, width, seed)
    box = (0.2 * width, 0.3 * height, 0.7 * width, 0.9 * height)
    canvas = (HEIGHT, WIDTH)
    fit = whole_fit((height, width), canvas)
    if crop:
        fit = crop_fit((height, width), canvas, box=box)
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    top, left = int(rng.integers(HEIGHT - 20)), int(rng.integers(WIDTH - 20))
    mask[top : top + int(rng.integers(1, 120)), left : left + int(rng.integers(1, 90))] = True
    given_mask = mask if hard else mask * rng.random(mask.shape).astype(np.float32)
    pasted = paste_back(original, 255 - noise(HEIGHT, WIDTH), given_mask, fit, feather)
    assert pasted.shape == original.shape and pasted.dtype == np.uint8
    outside = unfit_mask(given_mask, fit) == 0
    assert (pasted[outside] == original[outside]).all()


def whole(height: int, width: int) -> Fit:
    return fit_image(noise(height, width), height, width)[1]


def test_inside_the_mask_is_the_result() -> None:
    original, result = noise(50, 40), noise(50, 40, seed=1)
    mask = np.zeros((50, 40), dtype=bool)
    mask[10:40, 10:30] = True
    untouched = original.copy()
    pasted = paste_back(original, result, mask, whole(50, 40))
    assert (pasted[mask] == result[mask]).all()
    assert (pasted[~mask] == original[~mask]).all()
    assert (original == untouched).all()


def test_the_feather_fades_within_the_mask() -> None:
    original, result = np.zeros((50, 40, 3), np.uint8), np.full((50, 40, 3), 200, np.uint8)
    mask = np.zeros((50, 40), dtype=bool)
    mask[10:40, 10:30] = True
    pasted = paste_back(original, result, mask, whole(50, 40), feather=3)
    assert pasted[25, 9:15, 0].tolist() == [0, 50, 100, 150, 200, 200]


def test_a_soft_mask_is_a_weight() -> None:
    original, result = np.zeros((50, 40, 3), np.uint8), np.full((50, 40, 3), 200, np.uint8)
    pasted = paste_back(original, result, np.full((50, 40), 0.25, np.float32), whole(50, 40))
    assert (pasted == 50).all()


def test_the_feather_is_measured_on_the_canvas() -> None:
    original = np.zeros((512, 384, 3), np.uint8)
    _, fit = fit_image(original, HEIGHT, WIDTH)
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[:, 48:] = True
    result = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    row = paste_back(original, result, mask, fit, feather=5)[256, :, 0]
    assert row[191] == 0
    assert (row < 200).sum() == 192 + 20


def test_sizes_are_checked() -> None:
    fit = whole(50, 40)
    mask = np.ones((50, 40), dtype=bool)
    with pytest.raises(ValueError, match="original is 40x51"):
        paste_back(noise(51, 40), noise(50, 40), mask, fit)
    with pytest.raises(ValueError, match="result is 40x51"):
        paste_back(noise(50, 40), noise(51, 40), mask, fit)
    with pytest.raises(ValueError, match="feather"):
        paste_back(noise(50, 40), noise(50, 40), mask, fit, feather=-1)
