"""Is a file of a model folder whole, and is it what its name says?

Downloads by hand end early, are a web page or a git-lfs pointer under the right name, or land
under the wrong ending. Headers and structure tell, without reading the tensors. Standard library
only, so that `download` starts at once and `doctor` comes to a result where torch is missing.
"""

import hashlib
import json
import math
import re
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
    hashes of the download cover that. Understands .safetensors, .bin and .pth, .onnx, .json,
    merges.txt and the index of weights in several files, which is whole if all of them are.
    """
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    with path.open("rb") as file:
        start = file.read(512)
    other = imposter(start)
    if other is not None:
        return other
    if path.suffix == ".safetensors":
        return _safetensors_damage(path, start, size)
    if path.suffix in {".bin", ".pth"}:
        return _pickle_damage(path, start)
    if path.suffix == ".onnx":
        return _onnx_damage(path, size)
    if path.suffix == ".json":
        return _json_damage(path) or (_index_damage(path) if is_index(path) else None)
    if path.name == MERGES:
        return _merges_damage(path)
    return None


def is_index(path: Path) -> bool:
    """Whether a file says which of several files holds which tensor."""
    return path.name.endswith((".index.json", ".index.fp16.json"))


def is_safetensors(path: Path) -> bool:
    """Whether weights, in one file or by their index, are stored as safetensors."""
    return ".safetensors" in path.name


def weight_files(path: Path) -> list[Path]:
    """The files that hold the tensors: the file itself, or those that a whole index names."""
    if not is_index(path):
        return [path]
    names: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    return [path.with_name(name) for name in sorted(set(names.values()))]


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of whole safetensors by name, from headers alone."""
    return {
        name: tuple(entry["shape"])
        for file in weight_files(path)
        for name, entry in read_header(file).items()
        if name != "__metadata__"
    }


def read_bytes(path: Path, name: str) -> bytes | None:
    """A tensor of whole safetensors as it is stored, None if there is none of this name."""
    for file in weight_files(path):
        entry = read_header(file).get(name)
        if entry is not None:
            with file.open("rb") as stream:
                (header_size,) = struct.unpack("<Q", stream.read(8))
                first, last = entry["data_offsets"]
                stream.seek(8 + header_size + first)
                return stream.read(last - first)
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


def imposter(start: bytes) -> str | None:
    """What a file is whose first bytes show that a server answered something else; None if not.

    As the end of a sentence.
    """
    text = start.lstrip().lower()
    if text.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer, not the file it points to"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page saved under that name"
    if text.startswith((b"entry not found", b"invalid username", b"access to model")):
        return "is the hub's error message saved under that name"
    if re.match(rb'\{\s*"(error|errors|message|detail)"\s*:', text):
        return "is a server's error message saved under that name"
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


def _index_damage(path: Path) -> str | None:
    names = json.loads(path.read_text(encoding="utf-8")).get("weight_map")
    if not isinstance(names, dict) or not names:
        return "names no files of weights (weight_map)"
    for name in sorted({str(name) for name in names.values()}):
        shard = path.with_name(name) if Path(name).name == name else None
        if shard is None or not shard.is_file():
            return f"names {name}, which does not lie beside it"
        wrong = damage(shard)
        if wrong is not None:
            return f"names {name}, which {wrong}"
    return None


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


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
