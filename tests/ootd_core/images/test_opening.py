"""Which files are pictures, and what is said of those that are not."""

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ootd_core.images.files import load_image, read_mask
from ootd_core.images.opening import FORMATS, MAX_PIXELS, open_picture
from tests.damage import damaged


def png_header(width: int, height: int) -> bytes:
    """A grey PNG that says its size and has next to no pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(9)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def encoded(name: str, size: int = 48) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, name)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("width", "height", "said"),
    [
        (15_000, 13_500, "202,500,000 pixels"),  # beyond Pillow's own limit
        (12_000, 11_000, "12000x11000 pixels"),
        (400_000_000, 1, "400,000,000 pixels"),
    ],
)
def test_a_giant_picture_is_refused_before_it_is_decoded(
    width: int, height: int, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_header(width, height))
    for read in (load_image, read_mask):
        with pytest.raises(ValueError, match="is too large") as caught:
            read(path)
        assert said in str(caught.value) and "may have 128 megapixels" in str(caught.value)


def test_what_cameras_make_is_not_too_large(tmp_path: Path) -> None:
    width, height = 11_662, 8_746
    assert width * height < MAX_PIXELS
    path = tmp_path / "a.png"
    path.write_bytes(png_header(width, height))
    with pytest.raises(ValueError, match="damaged or incomplete"):  # and so was decoded
        load_image(path)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC picture, as phones save them"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "is a HEIC picture"),
        (b"%PDF-1.7\n", "is a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is a PostScript document"),
        (b"8BPS\0\1", "is a Photoshop document"),
        (b"\xff\x0a\0\0", "is a JPEG XL picture"),
        (b"  <SVG xmlns=", "is an SVG drawing"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"\0\0\1\0\1\0", "is an icon"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a git-lfs pointer"),
        (b"", "is empty"),
        (b"hello", "is not an image that can be read"),
    ],
)
def test_other_kinds_of_files_are_named(start: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(start)
    with pytest.raises(ValueError, match=said) as caught:
        load_image(path)
    assert str(path) in str(caught.value) and str(caught.value).endswith(".")


def test_an_avif_is_read_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.avif"
    path.write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0mif1avif")
    monkeypatch.setattr("PIL.features.check", lambda _name: False)
    monkeypatch.setattr("ootd_core.images.opening.FORMATS", ("PNG", "JPEG"))
    with pytest.raises(ValueError, match="is an AVIF picture, which the installed Pillow cannot"):
        load_image(path)


@pytest.mark.parametrize("name", ["EPS", "TGA", "PCX", "ICO", "PDF", "JPEG2000", "SGI", "DDS"])
def test_no_other_decoder_is_tried(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(name))
    with pytest.raises(ValueError, match=r"cannot be read|not an image that can be read"):
        load_image(path)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is not a regular file"):  # and does not wait for a writer
        load_image(tmp_path / "pipe")
    locked = tmp_path / "locked.png"
    locked.write_bytes(encoded("PNG"))
    locked.chmod(0)
    if not os.access(locked, os.R_OK):
        with pytest.raises(ValueError, match="cannot be read"):
            load_image(locked)


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    for ending in ("gif", "webp", "tif", "png"):
        path = tmp_path / f"a.{ending}"
        options: dict[str, Any] = {"lossless": True} if ending == "webp" else {}
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        assert (load_image(path) == (255, 0, 0)).all(), ending


FILES = {name: encoded(name) for name in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")}


@given(st.sampled_from(sorted(FILES)), st.integers(0, 2**32 - 1))
@settings(max_examples=300)
def test_damaged_bytes_are_a_picture_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, name: str, seed: int
) -> None:
    assert name in FORMATS
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged(FILES[name], np.random.default_rng(seed)))
    try:
        image = open_picture(path)
    except ValueError as error:
        text = str(error)
        assert str(path) in text and text.endswith(".") and "\n" not in text and len(text) < 400
        return
    assert load_image(path).shape == (*image.size[::-1], 3)
