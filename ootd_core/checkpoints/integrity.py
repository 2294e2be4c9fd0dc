"""Is a file of a model folder whole, and is it what its name says?

Downloads by hand end early, are a web page or a git-lfs pointer under the right name, or land
under the wrong ending. Headers and structure tell, without reading the tensors. Standard library
only, so that `download` starts at once and `doctor` comes to a result where torch is missing.
"""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

HEADER_LIMIT = 100_000_000
"""Longest header that the safetensors format allows, in bytes."""


def damage(path: Path) -> str | None:
    """What is wrong with a weights file, as the end of a sentence ("is ..."); None if it is whole.

    Reads headers and structure only, so a changed byte among the tensors goes unnoticed: the
    hashes of the download cover that. Understands .safetensors, .bin and .pth, .onnx and .json.
    """
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    with path.open("rb") as file:
        start = file.read(512)
    imposter = _imposter(start)
    if imposter is not None:
        return imposter
    if path.suffix == ".safetensors":
        return _safetensors_damage(path, start, size)
    if path.suffix in {".bin", ".pth"}:
        return _pickle_damage(path, start)
    if path.suffix == ".onnx":
        return _onnx_damage(path, size)
    if path.suffix == ".json":
        return _json_damage(path)
    return None


def _imposter(start: bytes) -> str | None:
    text = start.lstrip().lower()
    if text.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer, not the file it points to"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page saved under that name"
    if text.startswith((b"entry not found", b"invalid username", b"access to model")):
        return "is the hub's error message saved under that name"
    return None


def _safetensors_damage(path: Path, start: bytes, size: int) -> str | None:
    # The first byte alone proves nothing: a header of 128 bytes begins with 0x80, too.
    if start.startswith((b"PK\x03\x04", b"\x80\x02")) and start[8:9] != b"{":
        return "is a .bin file renamed to .safetensors"
    if size < 8:
        return f"is cut off after {size} bytes"
    header_size = int.from_bytes(start[:8], "little")
    if header_size > HEADER_LIMIT or start[8:9] not in {b"{", b""}:
        return "is not a safetensors file"
    if size < 8 + header_size:
        return f"is cut off: {size:,} bytes do not even hold its header of {header_size:,}"
    try:
        header = read_header(path)
        ends = [e["data_offsets"][1] for name, e in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError):
        return "has a damaged header"
    expected = 8 + header_size + max(ends, default=0)
    if size < expected:
        return f"is cut off: {size:,} of {expected:,} bytes"
    if size > expected:
        return f"is too long: {size:,} bytes, {expected:,} expected"
    return None


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: `{name: {dtype, shape, data_offsets}}`; it is whole."""
    with path.open("rb") as file:
        (header_size,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(header_size))


def _pickle_damage(path: Path, start: bytes) -> str | None:
    if start.startswith(b"PK") and not zipfile.is_zipfile(path):
        return "is cut off: the table of contents at its end is missing"
    if start[8:9] == b"{":
        return "is a .safetensors file renamed"
    if not start.startswith((b"PK", b"\x80")):
        return "is not a PyTorch file"
    return None


def _json_damage(path: Path) -> str | None:
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return "is not valid JSON"
    return None if isinstance(parsed, dict) else "is not a JSON object"


def _onnx_damage(path: Path, size: int) -> str | None:
    """An ONNX model is a protobuf message: its top-level fields must end where the file ends."""
    position = 0
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            key, position = _read_varint(file.read(10), position)
            wire_type = key & 7
            if key >> 3 == 0 or wire_type not in {0, 2}:
                return "is not an ONNX model"
            file.seek(position)
            value, position = _read_varint(file.read(10), position)
            if wire_type == 2:
                position += value
    if position > size:
        return f"is cut off: {size:,} of at least {position:,} bytes"
    return None


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    """A protobuf integer at the start of `data`, and the position behind it."""
    value = 0
    for count, byte in enumerate(data):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, position + count + 1
    return value, position + len(data) + 1


def file_stamp(path: Path) -> tuple[str, int, int]:
    """Return where a file lies, its size in bytes and its time of change in nanoseconds.

    What is exchanged without a change of any of them is not noticed. Raises FileNotFoundError.
    """
    status = path.stat()
    return str(path.resolve()), status.st_size, status.st_mtime_ns
