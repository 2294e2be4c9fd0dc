"""`train` and `tryon --lora` as a user meets them."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.__main__ import main
from ootd_core.checkpoints.catalogue import DEMO_SAMPLES
from tests.ootd_core.training.tiny_model import make_tiny_model

SETTINGS = """
preset = "mini"
data = "dolls"
height = 64
width = 48
max_train_samples = 2
steps = 2
batch = 1
effective_batch = 1
validation_samples = 1
validate_every = 1
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("start") / "model")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(SETTINGS)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["cli", "train", "--cpu", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_a_training_says_where_its_result_lies(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    start: Path,
    config: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    assert run(monkeypatch, "--config", config, "--start", start, "--out", out) == 0
    said = capsys.readouterr().out
    assert "0 of 2 samples were skipped" in said
    assert str(out / "ootd" / "ootd_dc" / "checkpoint-2") in said
    sheet = np.asarray(Image.open(out / "training" / "sheets" / "step-000002.png"))
    assert sheet.shape[1] > 5 * 48 and sheet.std() > 10
    more = ("--set", "steps=3", "--set", "validation_samples=0")
    assert run(monkeypatch, "--config", config, "--start", start, "--out", out, *more) == 0
    rows = (out / "training" / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2", "3"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "The settings lack 'start'"),
        (
            ("--start", "mini", "--out", "o", "--set", "batch=0"),
            "batch must be at least 1, got 0",
        ),
        (("--set", "seed"), "'seed' is not of the form name=value"),
        (("--set", "sede=1"), "no setting called sede: did you mean seed?"),
        (("--preset", "big"), "preset is 'big'"),
        (("--config", "absent.toml"), "no settings file at absent.toml"),
        (
            ("--start", "absent", "--out", "o", "--parts", "mini"),
            "no file or folder at absent to start from",
        ),
        (("--start", "mini", "--out", "o", "--data", "absent"), "no folder at absent"),
        (("--start", "mini", "--out", "o", "--set", "mixed_precision=fp16"), "needs a GPU"),
    ],
)
def test_unusable_input_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said and said.count("Error") == 1


def test_a_lora_changes_a_try_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "lora"
    settings = (
        "steps=1",
        "batch=1",
        "effective_batch=1",
        "height=64",
        "width=48",
        "max_train_samples=1",
    )
    more = (
        "validation_samples=0",
        "lora_rank=2",
        "learning_rate=0.5",
        "ema_decay=0",
        "lr_warmup_steps=0",
    )
    changes = [word for text in (*settings, *more) for word in ("--set", text)]
    arguments = ("--preset", "mini", "--start", "mini", "--data", "dolls", "--out", out, *changes)
    assert run(monkeypatch, *arguments) == 0
    assert str(out / "loras") in capsys.readouterr().out

    def dressed(name: str, *more: object) -> np.ndarray:
        stem = DEMO_SAMPLES / "1-upper"
        mask = tmp_path / "mask.png"
        Image.new("L", (192, 256), 255).save(mask)
        options = ["--person", f"{stem}-person.png", "--garment", f"{stem}-garment.png"]
        options += ["--category", "upper", "--steps", "1", "--height", "64", "--mask", str(mask)]
        words = ["cli", "tryon", *options, "--out", str(tmp_path / name), *map(str, more)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stopped:
            main()
        assert (stopped.value.code or 0) == 0
        return np.asarray(Image.open(tmp_path / name)).astype(int)

    plain = dressed("plain.png")
    changed = dressed("changed.png", "--lora", out / "loras")
    assert np.abs(plain - changed).mean() > 1
