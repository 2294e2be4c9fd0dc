import os
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from ootd_core.checkpoints.integrity import damage
from ootd_core.checkpoints.reading import read_json, read_shapes, read_state_dict
from tests.model_folder import LFS_POINTER

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(5, dtype=torch.float16)}
SAFETENSORS = save(TENSORS)
WEB_PAGE = b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title>"


class Runs:
    """A pickle of this runs a command when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def save_bin(path: Path, *, legacy: bool) -> Path:
    torch.save(TENSORS, path, _use_new_zipfile_serialization=not legacy)
    return path


def varint(number: int) -> bytes:
    digits = b""
    while number > 0x7F:
        digits += bytes([number & 0x7F | 0x80])
        number >>= 7
    return digits + bytes([number])


def onnx_message(graph_bytes: int) -> bytes:
    """The outermost fields of an ONNX model: its version (a number) and its graph (bytes)."""
    return b"\x08\x08" + b"\x3a" + varint(graph_bytes) + b"\x00" * graph_bytes


def test_whole_files_of_every_kind(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.safetensors", SAFETENSORS),
        save_bin(tmp_path / "a.bin", legacy=False),
        save_bin(tmp_path / "a.pth", legacy=True),
        write(tmp_path / "a.onnx", onnx_message(300)),
        write(tmp_path / "a.json", b'{"a": 1}'),
        write(tmp_path / "a.txt", b"#version: 0.2"),
    ]
    assert [damage(path) for path in files] == [None] * len(files)


def test_tensors_come_back_from_every_format(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.safetensors", SAFETENSORS),
        save_bin(tmp_path / "a.bin", legacy=False),
        save_bin(tmp_path / "a.pth", legacy=True),
    ]
    for path in files:
        state = read_state_dict(path)
        assert state.keys() == TENSORS.keys()
        assert all(torch.equal(state[key], TENSORS[key]) for key in TENSORS)
    assert read_shapes(files[0]) == {"a.weight": (2, 3), "b": (5,)}


@settings(max_examples=40, deadline=None)
@given(size=st.integers(min_value=0, max_value=len(SAFETENSORS) - 1))
def test_safetensors_cut_anywhere_is_noticed(
    size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "cut.safetensors", SAFETENSORS[:size])
    assert damage(path) is not None
    with pytest.raises(ValueError, match=r"cut\.safetensors in .*: download it again\.$"):
        read_state_dict(path)


def test_a_cut_file_says_how_much_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.safetensors", SAFETENSORS[:-10])
    assert damage(path) == f"is cut off: {len(SAFETENSORS) - 10} of {len(SAFETENSORS)} bytes"


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("keep", [0.01, 0.3, 0.6, 0.95])
def test_a_cut_pickle_is_noticed_on_reading(legacy: bool, keep: float, tmp_path: Path) -> None:
    path = save_bin(tmp_path / "cut.bin", legacy=legacy)
    content = path.read_bytes()
    write(path, content[: int(len(content) * keep)])
    with pytest.raises(ValueError, match=r"cut\.bin in .*: run it\.$"):
        read_state_dict(path, remedy="run it")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100, 299])
def test_a_cut_onnx_model_is_noticed(size: int, tmp_path: Path) -> None:
    content = onnx_message(300)
    cut = damage(write(tmp_path / "cut.onnx", content[:size]))
    whole_fields = size == 2
    assert (cut is None) == whole_fields


def test_something_else_is_no_onnx_model(tmp_path: Path) -> None:
    assert damage(write(tmp_path / "a.onnx", b"\x00" * 64)) == "is not an ONNX model"
    assert damage(write(tmp_path / "a.onnx", b"{'error': 'no'}")) == "is not an ONNX model"


@pytest.mark.parametrize("name", ["a.safetensors", "a.bin", "a.pth", "a.onnx", "a.json"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (LFS_POINTER, "is a git-lfs pointer, not the file it points to"),
        (WEB_PAGE, "is a web page saved under that name"),
        (b"Entry not found", "is the hub's error message saved under that name"),
    ],
)
def test_what_a_download_by_hand_leaves(
    name: str, content: bytes, sentence: str, tmp_path: Path
) -> None:
    assert damage(write(tmp_path / name, content)) == sentence


def test_a_renamed_file_is_told_from_a_cut_one(tmp_path: Path) -> None:
    zipped, legacy = save_bin(tmp_path / "z", legacy=False), save_bin(tmp_path / "l", legacy=True)
    for source in (zipped, legacy):
        renamed = write(tmp_path / "a.safetensors", source.read_bytes())
        assert damage(renamed) == "is a .bin file renamed to .safetensors"
    renamed = write(tmp_path / "a.bin", SAFETENSORS)
    assert damage(renamed) == "is a .safetensors file renamed"
    assert damage(write(tmp_path / "a.bin", b"nonsense")) == "is not a PyTorch file"
    assert damage(write(tmp_path / "b.safetensors", b"nonsense" * 9)) == "is not a safetensors file"


def test_a_header_length_that_looks_like_a_pickle_is_none(tmp_path: Path) -> None:
    for filler in range(480, 640, 4):
        path = tmp_path / "a.safetensors"
        save_file({"a": torch.ones(1)}, path, metadata={"filler": "x" * filler})
        assert damage(path) is None
        if path.read_bytes().startswith(b"\x80\x02"):
            return
    pytest.fail("No header had the length that this test is about.")


def test_a_file_that_is_too_long_is_noticed(tmp_path: Path) -> None:
    assert "too long" in (damage(write(tmp_path / "a.safetensors", SAFETENSORS + b"x")) or "")


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    for name, content in {
        "plain.bin": pickle.dumps({"a": Runs(trap)}, protocol=2),
        "zipped.bin": None,
    }.items():
        path = tmp_path / name
        if content is None:
            torch.save({"a": Runs(trap)}, path)
        else:
            write(path, content)
        with pytest.raises(ValueError, match="damaged or holds more than tensors"):
            read_state_dict(path)
    assert not trap.exists()


def test_what_is_no_table_of_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for content in ([torch.ones(1)], {"step": 3}):
        torch.save(content, path)
        with pytest.raises(ValueError, match="is not a table of tensors"):
            read_state_dict(path)


def test_a_missing_file_is_named_with_its_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no a\.bin in .*: fetch it\."):
        read_state_dict(tmp_path / "a.bin", remedy="fetch it")
    with pytest.raises(FileNotFoundError, match=r"There is no a\.json in"):
        read_json(tmp_path / "a.json")


def test_json_must_be_an_object(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", b'{"a": [1, null]}')
    assert read_json(path) == {"a": [1, None]}
    for content, sentence in ((b"[1]", "is not a JSON object"), (b'{"a": ', "is not valid JSON")):
        with pytest.raises(ValueError, match=sentence):
            read_json(write(path, content))


def test_bfloat16_survives(tmp_path: Path) -> None:
    tensor = torch.full((3,), 1.5, dtype=torch.bfloat16)
    save_file({"a": tensor}, tmp_path / "a.safetensors")
    assert read_state_dict(tmp_path / "a.safetensors")["a"].dtype is torch.bfloat16
