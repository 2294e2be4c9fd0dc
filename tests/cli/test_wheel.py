"""BlazePose's files out of a wheel: a small one from an index on this machine, by real pip."""

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cli.download import FileState
from cli.wheel import fetch_packed
from ootd_core.checkpoints.blazepose import (
    BLAZEPOSE,
    WheelFiles,
    blazepose_command,
    find_blazepose,
    locate_blazepose,
)
from ootd_core.requirements import ROOT

NAME = "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
CONTENTS = {file.member: file.member.encode() * 50 for file in BLAZEPOSE.files}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served as a package index, the only one that pip knows; its wheel is in it."""
    project = tmp_path / "index" / "simple" / "mediapipe"
    project.mkdir(parents=True)
    (project / "index.html").write_text(f'<!DOCTYPE html><a href="{NAME}">{NAME}</a>')
    with zipfile.ZipFile(project / NAME, "w") as wheel:
        for member, content in CONTENTS.items():
            wheel.writestr(member, content)
        wheel.writestr("mediapipe/__init__.py", "raise RuntimeError('nobody imports this')")
        folder = "mediapipe-0.10.21.dist-info"
        wheel.writestr(f"{folder}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\n"
                       "Version: 0.10.21\nRequires-Dist: numpy<2\n")  # fmt: skip
        wheel.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n"
                       "Tag: cp311-cp311-manylinux_2_28_x86_64\n")  # fmt: skip
        wheel.writestr(f"{folder}/RECORD", "")
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path / "index"))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    yield project
    server.shutdown()
    server.server_close()
    thread.join()


def fake(project: Path) -> WheelFiles:
    """The catalogue's entry with the sizes and hashes of the small wheel."""
    wheel = (project / NAME).read_bytes()
    files = tuple(
        replace(
            file,
            size=len(CONTENTS[file.member]),
            sha256=hashlib.sha256(CONTENTS[file.member]).hexdigest(),
        )
        for file in BLAZEPOSE.files
    )
    return replace(
        BLAZEPOSE, size=len(wheel), sha256=hashlib.sha256(wheel).hexdigest(), files=files
    )


def get(wheel: WheelFiles, folder: Path) -> list[FileState]:
    return fetch_packed(wheel, folder, report=lambda line: None)


def test_the_two_files_arrive_and_nothing_else(index: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    assert get(fake(index), folder) == [FileState.ABSENT] * 2
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert files == sorted(folder / file.path for file in BLAZEPOSE.files)
    for file in BLAZEPOSE.files:
        assert (folder / file.path).read_bytes() == CONTENTS[file.member]
    assert locate_blazepose(folder) == tuple(folder / file.path for file in BLAZEPOSE.files)


def test_what_is_there_is_not_fetched_again(index: Path, tmp_path: Path) -> None:
    wheel = fake(index)
    get(wheel, tmp_path / "models")
    (index / NAME).unlink()
    assert get(wheel, tmp_path / "models") == [FileState.THERE] * 2


def test_a_damaged_file_is_replaced_and_another_is_kept_beside(index: Path, tmp_path: Path) -> None:
    wheel = fake(index)
    detector, landmarks = (tmp_path / file.path for file in wheel.files)
    detector.parent.mkdir(parents=True)
    detector.write_bytes(b"<!doctype html>")
    landmarks.write_bytes(b"a network of mine")
    assert get(wheel, tmp_path) == [FileState.DAMAGED, FileState.DIFFERENT]
    assert landmarks.with_name(f"{landmarks.name}.old").read_bytes() == b"a network of mine"
    assert not detector.with_name(f"{detector.name}.old").exists()
    assert get(wheel, tmp_path) == [FileState.THERE] * 2


def test_another_wheel_is_not_used(index: Path, tmp_path: Path) -> None:
    wheel = replace(fake(index), sha256="0" * 64)
    with pytest.raises(ValueError, match=r"has another mediapipe-0\.10\.21.*PIP_INDEX_URL"):
        get(wheel, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_another_file_in_the_wheel_is_not_used(index: Path, tmp_path: Path) -> None:
    wheel = fake(index)
    first, second = wheel.files
    wrong = replace(wheel, files=(first, replace(second, sha256="0" * 64)))
    with pytest.raises(ValueError, match=r"pose_landmark_full\.tflite in the wheel is not what"):
        get(wrong, tmp_path / "models")
    assert not (tmp_path / "models" / second.path).exists()


def test_without_the_wheel_there_is_one_sentence(index: Path, tmp_path: Path) -> None:
    wheel = fake(index)
    (index / "index.html").write_text("<!DOCTYPE html>")
    said = r"mediapipe==0\.10\.21 could not be fetched.*PIP_INDEX_URL"
    with pytest.raises(ValueError, match=said) as caught:
        get(wheel, tmp_path / "models")
    assert "\n" not in str(caught.value)


def test_without_pip_the_command_that_brings_it_is_said(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.wheel.is_installed", lambda module: module != "pip")
    with pytest.raises(ValueError, match=r"pip.* is not installed here: `.*-m ensurepip` brings"):
        get(fake(index), tmp_path / "models")


def cli(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT), "download", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_takes_the_catalogues_hash(index: Path, tmp_path: Path) -> None:
    """The small wheel is refused: pip is asked, and the real one's hash is what counts."""
    result = cli("--part", "blazepose", folder=tmp_path)
    assert result.returncode == 2, result.stderr
    assert "BlazePose (MediaPipe): Apache-2.0" in result.stdout
    assert f"The package registry has another {NAME}" in result.stderr


def test_something_has_to_be_asked_for(tmp_path: Path) -> None:
    result = cli(folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("Error: Say what to download: --variant hd or dc"), (
        result.stderr
    )


def test_files_are_found_in_a_model_folder_beside_it_or_in_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "models" / "mine"
    model.mkdir(parents=True)
    assert find_blazepose(model) is None
    with pytest.raises(FileNotFoundError, match="gets both") as caught:
        locate_blazepose(model)
    assert blazepose_command(model) in str(caught.value)
    for place in (Path("checkpoints"), model.parent, model):
        for file in BLAZEPOSE.files:
            path = place / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            assert find_blazepose(model) != (place / BLAZEPOSE.files[0].path, path)
            path.write_bytes(b"x")
        assert find_blazepose(model) == tuple(place / file.path for file in BLAZEPOSE.files)
    (model / BLAZEPOSE.files[1].path).write_bytes(b"")
    with pytest.raises(ValueError, match=r"pose_landmark_full\.tflite in .* is empty: `"):
        locate_blazepose(model)
