"""Opens a picture file: one of the formats that pictures come in, whole, upright, not too large.

Everything that is refused about a file as such is refused here, with one sentence: what is no
picture or one of a format that is not read, what is damaged, too large or too small. What its
pixels mean is told by `colours` (pictures) and `mask_pictures` (masks).
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError, features

MIN_SIDE = 16  # pixels; less than two latents a side cannot hold a person or a garment

MAX_PIXELS = 128_000_000
"""Width times height. Medium-format cameras make 102 megapixels; what is much larger is a scan, a
map, or made to fill the memory: a try-on holds several copies of 3 bytes a pixel."""

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
"""Pillow's names of what is read; MPO, several JPEGs in a file, comes with JPEG. No other decoder
is tried: some start programs (EPS) or take anything for theirs (TGA)."""

_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}
_OTHER_KINDS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (b"8BPS", "a Photoshop document"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"version https://git-lfs", "a git-lfs pointer, not the file it points to"),
)


def open_picture(path: Path) -> Image.Image:
    """Opens a picture, decoded and turned upright, in whatever mode its file has.

    Of an animation the first frame is taken. `info` holds what the file says about itself.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: not a picture of `FORMATS`, damaged, smaller than `MIN_SIDE` on a side, or
            of more pixels than `MAX_PIXELS`.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not an image.")
    if not path.exists():
        raise FileNotFoundError(f"There is no image file at {path}.")
    if not path.is_file():
        raise ValueError(f"{path} is not a regular file; save the picture as one.")
    try:
        file = path.open("rb")
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error
    with file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow comments on damage and size: both are judged here
        image = _identify(file, path)
        check_size(image.size, path)
        try:
            image.load()
            return ImageOps.exif_transpose(image)
        except MemoryError as error:
            raise ValueError(f"{path} does not fit into the memory: make it smaller.") from error
        except Exception as error:
            raise _damaged(path, error) from error


def _identify(file: BinaryIO, path: Path) -> Image.Image:
    Image.init()
    try:
        return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    except UnidentifiedImageError as error:
        file.seek(0)
        raise ValueError(f"{path} {_what_it_is(file.read(512))}.") from error
    except Image.DecompressionBombError as error:  # Pillow refuses before it tells the size
        count = re.search(r"\d+", str(error))
        raise _too_large(path, f"{int(count[0]):,} pixels" if count else "far too many") from error
    except Exception as error:
        raise _damaged(path, error) from error


def check_size(size: tuple[int, int], path: Path | str) -> None:
    """Raises ValueError for a picture of `size` (width, height) that is too large or too small."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise _too_large(path, f"{width}x{height} pixels")
    if min(width, height) < MIN_SIDE:
        raise ValueError(
            f"{path} is {width}x{height} pixels: too small, each side needs at least {MIN_SIDE}."
        )


def _too_large(path: Path | str, size: str) -> ValueError:
    return ValueError(
        f"{path} is too large ({size}): a picture may have {MAX_PIXELS // 10**6} megapixels; "
        "make it smaller."
    )


def _damaged(path: Path, error: Exception) -> ValueError:
    # A damaged file raises whatever its format's reader stumbled over: OSError, SyntaxError,
    # struct.error, OverflowError and RuntimeError were all seen.
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"{path} cannot be decoded ({reason}): it is damaged or incomplete; save it again."
    )


def _what_it_is(start: bytes) -> str:
    """A sentence's end about a file of none of `FORMATS`, told by its first bytes."""
    if not start:
        return "is empty; save the picture again"
    brands = {start[at : at + 4] for at in range(8, 64, 4)} if start[4:8] == b"ftyp" else set()
    if brands & _AVIF and not features.check("avif"):
        return "is an AVIF picture, which the installed Pillow cannot read; save it as PNG or JPEG"
    if brands & _HEIC and not brands & _AVIF:
        return (
            "is a HEIC picture, as phones save them, which cannot be read; export it as JPEG or PNG"
        )
    for signature, kind in _OTHER_KINDS:
        if start.lstrip().lower().startswith(signature.lower()):
            return f"is {kind}, which cannot be read; save it as PNG or JPEG"
    return "is not an image that can be read; save it as PNG or JPEG"
