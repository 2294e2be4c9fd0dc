"""Where ComfyUI is, or why its tests are skipped."""

from pathlib import Path

import pytest

from benchmarks.comfyui_server import find_comfyui


@pytest.fixture(scope="session")
def comfyui() -> tuple[Path, Path]:
    """ComfyUI's folder and its Python."""
    try:
        return find_comfyui()
    except FileNotFoundError as absent:
        pytest.skip(str(absent))
