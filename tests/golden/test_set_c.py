import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.golden.set_c import check

FOLDER = Path(__file__).parent / "C"


def test_every_case_of_the_kept_folder_passes() -> None:
    results = list(check(FOLDER))

    assert len(results) == len(json.loads((FOLDER / "manifest.json").read_text("utf-8"))["cases"])
    assert [str(result) for result in results if result.failed] == []


@pytest.fixture
def one_case(tmp_path: Path) -> Path:
    manifest = json.loads((FOLDER / "manifest.json").read_text("utf-8"))
    manifest["cases"] = manifest["cases"][-1:]
    for key in ("file", "atr", "lip"):
        shutil.copy(FOLDER / manifest["cases"][0][key], tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return tmp_path


def test_a_case_with_other_labels_fails(one_case: Path) -> None:
    [path] = one_case.glob("*.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["labels"][:5] = 17
    np.savez(path, allow_pickle=False, **arrays)

    [result] = check(one_case)

    assert result.failed
    assert result.error == pytest.approx(5 / len(arrays["labels"]), abs=1e-3)
    assert "hole filling or neck" in result.note


def test_a_case_without_its_file_fails_alone(one_case: Path) -> None:
    [path] = one_case.glob("*.npz")
    path.unlink()

    [result] = check(one_case)

    assert result.failed
    assert path.name in result.note
