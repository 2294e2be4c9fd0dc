"""The READMEs' Python snippet runs as it is printed."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("README.md", "README.zh.md")


def snippet(name: str) -> str:
    """The one Python block of a README."""
    found = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)
    assert len(found) == 1, f"{name} has {len(found)} Python blocks"
    return found[0]


def test_both_languages_print_the_same_code() -> None:
    english, chinese = (ast.dump(ast.parse(snippet(name))) for name in LANGUAGES)
    assert english == chinese


@pytest.mark.slow
def test_the_snippet_dresses_the_bundled_person(tmp_path: Path) -> None:
    """In a folder of its own beside copies of the samples, so that nothing is written here."""
    shutil.copytree(ROOT / "demo" / "samples", tmp_path / "demo" / "samples")
    script = tmp_path / "snippet.py"
    script.write_text(snippet("README.md"), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, script.name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    samples = tmp_path / "demo" / "samples"
    person, truth = (
        np.asarray(Image.open(samples / f"1-upper-{name}.png").convert("RGB"), np.float32)
        for name in ("person", "truth")
    )
    dressed, outfit = (
        np.asarray(Image.open(tmp_path / name), np.float32)
        for name in ("dressed.png", "outfit.png")
    )
    before, after = (np.square(each - truth).mean() for each in (person, dressed))
    assert after < 0.6 * before, (
        f"squared error to the truth: {before:.1f} before, {after:.1f} after"
    )
    lower = slice(person.shape[0] // 2, None)
    changed = {
        name: np.abs(each - person)[lower].mean()
        for name, each in (("shirt", dressed), ("outfit", outfit))
    }
    assert changed["outfit"] > 2 * changed["shirt"], f"change below the waist: {changed}"
