"""What users cause, mostly in processes of their own: the exit code, one sentence, no traceback."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.__main__ import main
from ootd_core.checkpoints.catalogue import DEMO_SAMPLES, MINI_CHECKPOINT
from ootd_core.training.lock import FolderLock
from tests.ootd_core.datasets.trees import write_viton_hd
from tests.ootd_core.training.tiny_model import make_tiny_model

ROOT = Path(__file__).resolve().parents[2]
TINY = (
    "height=64", "width=48", "max_train_samples=2", "batch=1", "effective_batch=1",
    "validation_samples=0", "mixed_precision=no", "workers=0", "save_every=1",
    "optimizer=adamw",
)  # fmt: skip


def run(*words: object) -> subprocess.CompletedProcess[str]:
    """The command line without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *map(str, words)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def failure(result: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a refusal."""
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return line


def train(start: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    changes = [word for text in (*TINY, *more) for word in ("--set", text)]
    words = ("--preset", "mini", "--cpu", "--start", start, "--data", "dolls", "--out", out)
    return run("train", *words, *changes)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("start") / "model")


def test_a_training_that_diverges_names_the_step_and_keeps_the_last_good_state(
    start: Path, tmp_path: Path
) -> None:
    rates = ("learning_rate=1e30", "max_grad_norm=1e30", "lr_warmup_steps=0")
    assert train(start, tmp_path / "out", "steps=1").returncode == 0
    said = failure(train(start, tmp_path / "out", "steps=4", *rates))
    assert "at step 2 of the training in" in said or "at step 3 of the training in" in said
    assert "goes on from step-0000000" in said and "Lower the learning rate" in said
    states = tmp_path / "out" / "training" / "states"
    assert not [path for path in states.iterdir() if "unfinished" in path.name]


def test_a_folder_in_which_a_training_is_at_work_is_refused(start: Path, tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "out" / "training")
    lock.acquire()
    said = failure(train(start, tmp_path / "out", "steps=1"))
    lock.release()
    assert "Another training (process" in said and "train in another folder" in said


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--preset", "mini", "--cpu", "--start", "mini", "--data", "dolls", "--out"),
        ("train-mini", "--work", "{}", "--out"),
        ("evaluate", "--dolls", "1", "--out"),
        ("guidance-sweep", "--out"),
        ("dropout-ablation", "--out"),
        ("download", "--variant", "hd", "--to"),
    ],
    ids=lambda words: words[0],
)
def test_a_place_that_cannot_be_written_to_is_refused_before_the_work(
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "file"
    file.touch()
    words = tuple(word.format(tmp_path / "work") for word in words)
    monkeypatch.setattr(sys, "argv", ["cli", *words, str(file / "out")])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.count("Error: ") == 1
    assert "cannot be written" in said and f"{file} is a file, not a folder" in said


def test_a_list_that_cannot_be_read_fails_the_check(tmp_path: Path) -> None:
    tree = write_viton_hd(tmp_path)
    (tree / "train_pairs.txt").write_text("00000_00.jpg,00000_00.jpg\n")
    result = run("dataset", "check", tree, "--size", "128x96")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "1 lists that cannot be read" in result.stdout
    assert "has columns separated by ','" in result.stdout


def test_a_damaged_parser_is_named_as_the_doctor_names_it(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(MINI_CHECKPOINT, model)
    parser = model / "humanparsing" / "parsing_lip.onnx"
    parser.write_bytes(parser.read_bytes()[:-1000])
    stem = DEMO_SAMPLES / "1-upper"
    said = failure(
        run(
            "tryon",
            "--model",
            model,
            "--person",
            f"{stem}-person.png",
            "--garment",
            f"{stem}-garment.png",
            "--category",
            "upper",
            "--out",
            tmp_path / "o.png",
            "--steps",
            "1",
            "--device",
            "cpu",
        )
    )
    assert "parsing_lip.onnx" in said and "is cut off" in said
    assert "is cut off" in run("doctor", "--model", model).stdout
