"""What users cause: the exit code, one sentence, no traceback."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ootd_core.checkpoints.catalogue import DEMO_SAMPLES, MINI_CHECKPOINT
from ootd_core.training.lock import FolderLock
from tests.cli.test_tryon import run as run_main
from tests.ootd_core.datasets.trees import write_viton_hd
from tests.ootd_core.training.tiny_model import make_tiny_model

ROOT = Path(__file__).resolve().parents[2]
TINY = (
    "height=64", "width=48", "max_train_samples=2", "batch=1", "effective_batch=1",
    "validation_samples=0", "mixed_precision=no", "workers=0", "save_every=1",
    "optimizer=adamw",
)  # fmt: skip


Run = Callable[..., tuple[int, str, str]]
"""The command line in this process: words to exit code, output and errors. A defect is raised."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_command(*words: object) -> tuple[int, str, str]:
        code = run_main(monkeypatch, *map(str, words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_command


def failure(code: int, out: str, errors: str) -> str:
    """The one sentence of a refusal."""
    assert code == 2, out + errors
    assert "Traceback" not in errors
    (line,) = [line for line in errors.splitlines() if line.startswith("Error: ")]
    return line


def train(start: Path, out: Path, *more: str) -> tuple[object, ...]:
    """The words of a training."""
    changes = [word for text in (*TINY, *more) for word in ("--set", text)]
    words = ("--preset", "mini", "--cpu", "--start", start, "--data", "dolls", "--out", out)
    return ("train", *words, *changes)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("start") / "model")


def test_a_training_that_diverges_names_the_step_and_keeps_the_last_good_state(
    start: Path, tmp_path: Path, run: Run
) -> None:
    rates = ("learning_rate=1e30", "max_grad_norm=1e30", "lr_warmup_steps=0")
    code, *_ = run(*train(start, tmp_path / "out", "steps=1"))
    assert code == 0
    said = failure(*run(*train(start, tmp_path / "out", "steps=4", *rates)))
    assert "at step 2 of the training in" in said or "at step 3 of the training in" in said
    assert "goes on from step-0000000" in said and "Lower the learning rate" in said
    states = tmp_path / "out" / "training" / "states"
    assert not [path for path in states.iterdir() if "unfinished" in path.name]


def test_a_folder_in_which_a_training_is_at_work_is_refused(start: Path, tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "out" / "training")
    lock.acquire()
    words = map(str, train(start, tmp_path / "out", "steps=1"))
    process = subprocess.run(
        [sys.executable, "-m", "cli", *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    lock.release()
    said = failure(process.returncode, process.stdout, process.stderr)
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
    run: Run,
) -> None:
    file = tmp_path / "file"
    file.touch()
    words = tuple(word.format(tmp_path / "work") for word in words)
    said = failure(*run(*words, file / "out"))
    assert "cannot be written" in said and f"{file} is a file, not a folder" in said


def test_a_list_that_cannot_be_read_fails_the_check(tmp_path: Path, run: Run) -> None:
    tree = write_viton_hd(tmp_path)
    (tree / "train_pairs.txt").write_text("00000_00.jpg,00000_00.jpg\n")
    code, out, errors = run("dataset", "check", tree, "--size", "128x96")
    assert code == 1 and "Traceback" not in errors
    assert "1 lists that cannot be read" in out
    assert "has columns separated by ','" in out


def test_a_damaged_parser_is_named_as_the_doctor_names_it(tmp_path: Path, run: Run) -> None:
    model = tmp_path / "model"
    shutil.copytree(MINI_CHECKPOINT, model)
    parser = model / "humanparsing" / "parsing_lip.onnx"
    parser.write_bytes(parser.read_bytes()[:-1000])
    stem = DEMO_SAMPLES / "1-upper"
    said = failure(
        *run(
            "tryon", "--model", model, "--person", f"{stem}-person.png",
            "--garment", f"{stem}-garment.png", "--category", "upper",
            "--out", tmp_path / "o.png", "--steps", "1", "--device", "cpu",
        )
    )  # fmt: skip
    assert "parsing_lip.onnx" in said and "is cut off" in said
    assert "is cut off" in run("doctor", "--model", model)[1]
