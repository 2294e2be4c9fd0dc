"""Checks that run inside a real ComfyUI, in one process of its Python; see worker.py."""

import ast
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.comfyui.reference import PACK, make_random_model, write_reference

HERE = Path(__file__).parent
CHECKS = [
    node.name
    for path in sorted(HERE.glob("checks_*.py"))
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
]
pytestmark = pytest.mark.comfyui


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the headless pipeline's figures and the random model that they are of."""
    folder = tmp_path_factory.mktemp("reference")
    make_random_model(folder / "random")
    write_reference(folder / "reference.safetensors", folder / "random")
    return folder


@pytest.fixture(scope="session")
def reports(
    comfyui: tuple[Path, Path], reference: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What every check reported, by its name; "" is the process itself."""
    folder = tmp_path_factory.mktemp("comfyui")
    shutil.copytree(reference / "random", folder / "random")
    program, python = comfyui
    stored = reference / "reference.safetensors"
    command = [python, "-s", HERE / "worker.py", program, PACK, stored, folder]
    process = subprocess.run(
        [str(argument) for argument in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    lines = [line for line in process.stdout.splitlines() if line.startswith("{")]
    found = {report["check"]: report for report in map(json.loads, lines)}
    end = "\n".join((process.stdout + process.stderr).splitlines()[-40:])
    found[""] = {"ok": process.returncode == 0, "text": end}
    return found


@pytest.mark.parametrize("check", CHECKS)
def test_inside_comfyui(check: str, reports: dict[str, dict[str, Any]]) -> None:
    report = reports.get(check, {"ok": False, "text": reports[""]["text"]})
    assert report["ok"], report["text"]
    print(f"{check}: {report['seconds']} s. {report['text']}")


def test_the_process_ended_well(reports: dict[str, dict[str, Any]]) -> None:
    assert reports[""]["ok"], reports[""]["text"]
