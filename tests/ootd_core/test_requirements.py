"""What pip is given, and whether a shell reads printed commands as they were meant."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from ootd_core import requirements
from ootd_core.requirements import (
    command_line,
    has_nvidia_gpu,
    how_to_install,
    is_installed,
    module_of,
    pack_command,
    require,
    to_install,
)

FIRST = "# Why.\nnumpy\nopencv-contrib-python-headless  # cv2\n"
ONNXRUNTIME = (
    'onnxruntime-gpu; platform_machine in "x86_64"\nonnxruntime; platform_machine not in "x86_64"\n'
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "requirements.txt").write_text(FIRST + ONNXRUNTIME)
    (tmp_path / "requirements-more.txt").write_text("-r requirements.txt\npyright[nodejs]\n")
    monkeypatch.setattr(requirements, "ROOT", tmp_path)
    monkeypatch.setattr(requirements, "has_nvidia_gpu", lambda: False)
    return tmp_path / "requirements-more.txt"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets which modules are there."""

    def set_modules(*modules: str) -> None:
        def find_spec(name: str) -> ModuleSpec | None:
            return ModuleSpec(name, None, origin="here") if name in modules else None

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)

    return set_modules


def test_what_is_absent_is_installed(files: Path, installed: Callable[..., None]) -> None:
    installed("numpy")
    cpu = ["opencv-contrib-python-headless", "onnxruntime", "pyright[nodejs]"]
    assert to_install(files) == cpu
    assert to_install(files, installed_too=True) == ["numpy", *cpu]


def test_what_is_for_another_machine_is_left_out(
    files: Path, installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("numpy", "cv2", "onnxruntime")
    marker = '; (sys_platform == "linux" and platform_machine in "x86_64") or sys_platform == "os2"'
    files.write_text(f"ai-edge-litert{marker}\n")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for platform, names in (
        ("linux", ["ai-edge-litert"]),
        ("os2", ["ai-edge-litert"]),
        ("aix", []),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        assert to_install(files) == names
        assert (how_to_install("ai_edge_litert") is None) is not names


@pytest.mark.parametrize("file", sorted(requirements.ROOT.glob("requirements*.txt")), ids=str)
def test_every_marker_of_ours_is_understood(file: Path) -> None:
    for requirement in requirements.requirements(file):
        requirements.applies(requirement)


def test_an_opencv_or_onnxruntime_that_is_there_stays(
    files: Path, installed: Callable[..., None]
) -> None:
    installed("numpy", "cv2", "onnxruntime", "pyright")
    assert to_install(files) == []
    assert to_install(files, installed_too=True) == ["numpy", "pyright[nodejs]"]


@pytest.mark.parametrize(
    ("gpu", "platform", "machine", "wheel"),
    [
        (True, "linux", "x86_64", "onnxruntime-gpu"),
        (True, "win32", "AMD64", "onnxruntime-gpu"),
        (True, "linux", "aarch64", "onnxruntime"),
        (False, "linux", "x86_64", "onnxruntime"),
        (False, "darwin", "arm64", "onnxruntime"),
    ],
)
def test_the_gpu_wheel_is_for_a_gpu(
    gpu: bool, platform: str, machine: str, wheel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert requirements.onnxruntime_wheel() == wheel


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script of sh")
@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("echo 'GPU 0: NVIDIA H100'", True),
        ("echo 'No devices were found'", False),
        ("exit 9", False),
    ],
)
def test_nvidia_smi_is_asked(
    answer: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert has_nvidia_gpu() is found


def test_a_folder_left_behind_is_no_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "left_behind" / "data").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    assert not is_installed("left_behind")
    (tmp_path / "left_behind" / "__init__.py").touch()
    importlib.invalidate_caches()
    assert is_installed("left_behind")


def test_the_module_of_a_requirement() -> None:
    names = ["pillow", "pyright[nodejs]", "huggingface_hub  # why", 'onnxruntime-gpu; a == "b"']
    assert list(map(module_of, names)) == ["PIL", "pyright", "huggingface_hub", "onnxruntime"]


def test_a_missing_package_comes_with_a_command_for_all_of_its_file(
    files: Path, installed: Callable[..., None]
) -> None:
    installed("numpy", "cv2")
    assert how_to_install("pyright") == (
        f"pyright is not installed: `{sys.executable} -m pip install onnxruntime "
        "'pyright[nodejs]'` installs what requirements-more.txt asks for."
    )
    assert how_to_install("ootd_core") is None
    assert how_to_install("numpy") is None
    require("numpy", "cv2")
    with pytest.raises(ModuleNotFoundError, match="onnxruntime is not installed: `"):
        require("numpy", "onnxruntime")


WORDS = ["a b", "plain", "it's", "--to=/x", "$HOME", 'quo"te', "*", "a&b", "C:\\models"]


@pytest.mark.skipif(os.name == "nt", reason="sh")
def test_a_shell_reads_the_words_as_they_were_meant() -> None:
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    line = command_line([sys.executable, "-c", code, *WORDS])
    answer = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == WORDS


def test_windows_has_its_own_quotes() -> None:
    words = [r"C:\Program Files\Python\python.exe", r"D:\packs\a&b", "--to", r"E:\models"]
    assert command_line(words, windows=True) == (
        r'"C:\Program Files\Python\python.exe" "D:\packs\a&b" --to E:\models'
    )


def test_a_command_names_its_python_and_this_project() -> None:
    root = Path(__file__).resolve().parents[2]
    assert pack_command("doctor") == command_line([sys.executable, str(root), "doctor"])
