"""Is a file of a model folder whole, and is it what its name says?

Downloads by hand end early, are a web page or a git-lfs pointer under the right name, or land
under the wrong ending. Headers and structure tell, without reading the tensors. Standard library
only, so that `download` starts at once and `doctor` comes to a result where torch is missing.
"""

import json
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

ITEM_SIZES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "U8": 1, "BOOL": 1}
"""Bytes a value of the types that published weights have."""
MERGES = "merges.txt"
"""The byte pairs of a tokenizer, beside its vocab.json."""
HEADER_LIMIT = 100_000_000
"""Longest header that the safetensors format allows, in bytes."""


def damage(path: Path) -> str | None:
    """What is wrong with a weights file, as the end of a sentence ("is ..."); None if it is whole.

    Reads headers and structure only, so a changed byte among the tensors goes unnoticed: the
    hashes of the download cover that. Understands .safetensors, .bin and .pth, .onnx, .json and
    merges.txt.
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
    if path.name == MERGES:
        return _merges_damage(path)
    return None


def tokenizer_damage(folder: Path) -> tuple[Path, str] | None:
    """The file of a byte-pair tokenizer that is damaged, and what is wrong with it; None if whole.

    vocab.json and merges.txt are there. Each says what the other must hold: tokens are single
    characters, special ones in angle brackets, and what the pairs make. A file that lacks its end
    would change prompts without a word.
    """
    vocabulary_file, merges_file = folder / "vocab.json", folder / MERGES
    for path in (vocabulary_file, merges_file):
        wrong = damage(path)
        if wrong is not None:
            return path, wrong
    vocabulary: dict[str, object] = json.loads(vocabulary_file.read_text(encoding="utf-8"))
    made = {left + right for left, right in _merges(merges_file)}
    unknown = sum(token not in vocabulary for token in made)
    if unknown:
        return vocabulary_file, f"lacks {unknown:,} of the tokens that {MERGES} makes"
    unmade = sum(
        token not in made
        and len(token.removesuffix("</w>")) > 1
        and not (token.startswith("<") and token.endswith(">"))
        for token in vocabulary
    )
    if unmade:
        return merges_file, f"lacks {unmade:,} of the byte pairs that vocab.json was made with"
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
        entries = {k: v for k, v in read_header(path).items() if k != "__metadata__"}
        expected = 8 + header_size + _data_size(list(entries.values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "has a damaged header"
    if size < expected:
        return f"is cut off: {size:,} of {expected:,} bytes"
    if size > expected:
        return f"is too long: {size:,} bytes, {expected:,} expected"
    return None


def _data_size(entries: list[dict[str, Any]]) -> int:
    """Bytes of the tensors of a header. Raises ValueError unless they follow one another."""
    end = 0
    for entry in sorted(entries, key=lambda entry: tuple(entry["data_offsets"])):
        first, last = entry["data_offsets"]
        item = ITEM_SIZES.get(entry["dtype"])
        if first != end or last < first:
            raise ValueError("tensors overlap or leave gaps")
        if item is not None and last - first != item * math.prod(entry["shape"]):
            raise ValueError("a tensor's shape is not that of its bytes")
        end = last
    return end


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


def _merges(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    first = 1 if lines[0].startswith("#version") else 0
    return [line.split(" ") for line in lines[first:] if line]


def _merges_damage(path: Path) -> str | None:
    try:
        pairs = _merges(path)
    except UnicodeDecodeError:
        return "is not text"
    whole = bool(pairs) and all(len(pair) == 2 and all(pair) for pair in pairs)
    return None if whole else "is not a list of byte pairs"


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
