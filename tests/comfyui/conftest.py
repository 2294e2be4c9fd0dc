"""Which ComfyUIs there are to test in, or why not: the one that the pack was written for and the
newest. A test that asks for `comfyui` runs in both."""

import os
from pathlib import Path

import pytest

from benchmarks.comfyui_server import find_comfyui
from comfyui_setup import is_comfyui


@pytest.fixture(scope="session")
def tested_comfyui() -> tuple[Path, Path]:
    """ComfyUI's folder and its Python: COMFYUI_PATH and COMFYUI_PYTHON, as quickstart.py finds
    them."""
    try:
        return find_comfyui()
    except FileNotFoundError as absent:
        pytest.skip(str(absent))


@pytest.fixture(scope="session", params=["tested", "newest"])
def comfyui(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """`tested_comfyui`, and COMFYUI_PATH_NEW or ComfyUI-new in the home folder, with an environment
    in its .venv."""
    if request.param == "tested":
        return request.getfixturevalue("tested_comfyui")
    folder = Path(os.environ.get("COMFYUI_PATH_NEW") or Path.home() / "ComfyUI-new")
    python = folder / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    for there, what in ((is_comfyui(folder), folder), (python.is_file(), python)):
        if not there:
            pytest.skip(f"There is no newer ComfyUI: {what} is none; set COMFYUI_PATH_NEW to one.")
    return folder, python
