import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from humanparse import AtrLabel, HumanParser
from humanparse.labels import ATR_CLASSES, LIP_CLASSES, LipLabel
from tests.humanparse.networks import write_network

ROOT = Path(__file__).parents[2]
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def write_pair(folder: Path, atr: int | None = None, lip: int | None = None) -> list[Path]:
    return [
        write_network(folder / "atr.onnx", classes=ATR_CLASSES, size=(32, 32), constant=atr),
        write_network(folder / "lip.onnx", classes=LIP_CLASSES, size=(24, 24), constant=lip),
    ]


@pytest.mark.parametrize(
    ("lip", "expected"),
    [(LipLabel.FACE, AtrLabel.FACE), (LipLabel.BACKGROUND, AtrLabel.NECK)],
)
def test_both_networks_decide(tmp_path: Path, lip: LipLabel, expected: AtrLabel) -> None:
    parser = HumanParser(*write_pair(tmp_path, AtrLabel.FACE, lip))

    labels = parser(IMAGE)

    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, np.full(IMAGE.shape[:2], expected))


def test_files_are_opened_once(tmp_path: Path) -> None:
    parser = HumanParser(*write_pair(tmp_path))
    first = parser(IMAGE)
    for path in tmp_path.iterdir():
        path.unlink()

    np.testing.assert_array_equal(parser(IMAGE), first)


@pytest.mark.parametrize("missing", ["atr.onnx", "lip.onnx"])
def test_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    pair = write_pair(tmp_path)
    (tmp_path / missing).unlink()

    with pytest.raises(FileNotFoundError, match=missing):
        HumanParser(*pair)


def test_swapped_files_are_told(tmp_path: Path) -> None:
    atr, lip = write_pair(tmp_path)

    with pytest.raises(ValueError, match="swapped"):
        HumanParser(lip, atr)(IMAGE)


def test_importing_is_light() -> None:
    code = (
        "import sys, humanparse; "
        "print({'cv2', 'onnxruntime', 'torch', 'ootd_core', 'openpose'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
