"""quickstart.py with a virtual environment and a pip that only write down what they are asked."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import quickstart
from quickstart import Environment, SetupError

CONSTRAINTS = "numpy==2.0\ntorch==2.13.0\ntorch-other==1.0\n"


PATIENCE = 60  # seconds, on a busy machine


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class FakeMachine:
    """Stands in for `quickstart.run`: keeps the commands, and `venv` makes a Python that starts."""

    def __init__(self, folder: Path) -> None:
        self.environment = Environment(folder)
        self.commands: list[list[str]] = []
        self.answers: dict[str, int] = {}

    def run(self, command: list[str], folder: Path | None = None, **variables: str) -> int:
        self.commands.append(command)
        for word, code in self.answers.items():
            if word in command:
                return code
        if "venv" in command:
            self.create()
        return 0

    def create(self) -> None:
        python = self.environment.python
        python.parent.mkdir(parents=True, exist_ok=True)
        (self.environment.folder / "pyvenv.cfg").write_text("version = 3.11")
        python.unlink(missing_ok=True)
        python.symlink_to(sys.executable)

    def calls(self, word: str) -> list[list[str]]:
        return [command for command in self.commands if word in command]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    if os.name == "nt":
        pytest.skip("the stand-in for a virtual environment needs links")
    (tmp_path / "requirements.txt").write_text("torch\nno_such_numpy\n")
    (tmp_path / "requirements-headless.txt").write_text("-r requirements.txt\nno_such_tqdm\n")
    (tmp_path / "requirements-dev.txt").write_text("-r requirements.txt\nno_such_pytest\n")
    (tmp_path / "constraints.txt").write_text(CONSTRAINTS)
    machine = FakeMachine(tmp_path / ".venv")
    monkeypatch.setattr(quickstart, "run", machine.run)
    monkeypatch.setattr(quickstart, "ROOT", tmp_path)
    return machine


def test_the_first_call_installs_torch_first_then_the_requirements(machine: FakeMachine) -> None:
    assert quickstart.main(["demo", "--out", "sheet.png"]) == 0
    venv, torch, requirements, demo = machine.commands
    assert venv[1:3] == ["-m", "venv"]
    assert "torch==2.13.0" in torch
    start = requirements.index("--no-compile") + 1
    wanted = ["torch", "no_such_numpy", "no_such_tqdm", "--constraint"]
    assert requirements[start : start + 4] == wanted
    assert demo[1:] == ["-P", "-m", "cli", "demo", "--out", "sheet.png"]


def test_the_second_call_installs_nothing(machine: FakeMachine) -> None:
    quickstart.main(["demo"])
    machine.commands.clear()
    assert quickstart.main(["demo"]) == 0
    assert len(machine.commands) == 1
    assert not machine.calls("pip")


def test_test_installs_the_development_requirements(machine: FakeMachine) -> None:
    quickstart.main(["demo"])
    machine.commands.clear()
    quickstart.main(["test"])
    (command,) = machine.calls("--constraint")
    assert "no_such_pytest" in command and "no_such_tqdm" not in command


def test_an_opencv_that_is_there_stays(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new environment's Python, a link to this one, is made to see both modules or neither."""
    with (tmp_path / "requirements.txt").open("a") as file:
        file.write("opencv-contrib-python-headless\nonnxruntime-gpu\n")
    for module in ("cv2", "onnxruntime"):
        (tmp_path / "modules" / module).mkdir(parents=True)
        (tmp_path / "modules" / module / "__init__.py").touch()
    quickstart.main(["demo"])
    (without,) = machine.calls("--constraint")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    quickstart.main(["test"])
    with_both = machine.calls("--constraint")[-1]
    wheels = {"opencv-contrib-python-headless", "onnxruntime-gpu", "onnxruntime"}
    assert len(wheels.intersection(without)) == 2
    assert not wheels.intersection(with_both) and "torch" in with_both


def test_a_python_that_cannot_tell_what_it_has_is_named(
    machine: FakeMachine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requirements-headless.txt").unlink()
    assert quickstart.main(["demo"]) == 1
    assert "cannot tell which packages it has" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt"])
def test_changed_requirements_are_installed(
    machine: FakeMachine, tmp_path: Path, name: str
) -> None:
    quickstart.main(["demo"])
    machine.commands.clear()
    with (tmp_path / name).open("a") as file:
        file.write("einops==0.8\n")
    quickstart.main(["demo"])
    assert len(machine.calls("--constraint")) == 1


def test_an_interrupted_installation_is_repeated(machine: FakeMachine) -> None:
    machine.answers["--constraint"] = 1
    assert quickstart.main(["demo"]) == 1
    machine.answers.clear()
    machine.commands.clear()
    assert quickstart.main(["demo"]) == 0
    assert not machine.calls("venv")
    assert len(machine.calls("--constraint")) == 1


def test_a_failed_installation_is_explained(
    machine: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.answers["pip"] = 3
    assert quickstart.main(["test"]) == 3
    assert "registry" in capsys.readouterr().err
    assert not machine.calls("pytest")


def test_a_half_made_environment_is_completed(machine: FakeMachine) -> None:
    quickstart.main(["demo"])
    machine.environment.python.unlink()
    machine.commands.clear()
    assert quickstart.main(["demo"]) == 0
    assert len(machine.calls("venv")) == 1


def test_an_environment_that_cannot_be_completed_is_made_afresh(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = machine.create
    monkeypatch.setattr(machine, "create", lambda: create() if machine.calls("--clear") else None)
    assert quickstart.main(["demo"]) == 0
    assert len(machine.calls("venv")) == 2


def test_a_folder_that_is_no_environment_is_left_alone(
    machine: FakeMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.environment.folder.mkdir()
    (machine.environment.folder / "diary.txt").write_text("mine")
    assert quickstart.main(["demo"]) == 1
    assert "not a virtual environment" in capsys.readouterr().err
    assert not machine.commands


def test_a_python_without_ensurepip_is_explained(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quickstart.importlib.util, "find_spec", lambda name: name == "venv" or None)
    assert quickstart.main(["demo"]) == 1
    assert "has no ensurepip: install it" in capsys.readouterr().err
    assert not machine.commands


def test_an_old_python_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quickstart.sys, "version_info", (3, 10, 13))
    assert quickstart.main(["demo"]) == 1
    assert "Python 3.11 or newer is needed" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["dance"]])
def test_an_unknown_job_exits_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert quickstart.main(arguments) == 2
    assert "Usage" in capsys.readouterr().err


def test_test_runs_the_checks_in_order_and_passes_options_to_pytest(machine: FakeMachine) -> None:
    assert quickstart.main(["test", "-k", "fusion"]) == 0
    checks = [command[2:] for command in machine.commands if command[2] not in ("pip", "venv")]
    assert checks == [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["pyright"],
        ["pytest", *quickstart.PARALLEL, "-k", "fusion"],
    ]


def test_test_stops_at_the_first_failure_with_its_code(machine: FakeMachine) -> None:
    machine.answers["pyright"] = 7
    assert quickstart.main(["test"]) == 7
    assert not machine.calls("pytest")


def test_the_pinned_version_is_that_of_the_very_package(tmp_path: Path) -> None:
    file = tmp_path / "constraints.txt"
    file.write_text(CONSTRAINTS)
    assert quickstart.pinned("torch", file) == "torch==2.13.0"
    with pytest.raises(SetupError, match="no version of einops"):
        quickstart.pinned("einops", file)


def test_run_returns_the_exit_code_and_sets_folder_and_variables(tmp_path: Path) -> None:
    script = "import os, sys; sys.exit(5 if os.environ['A'] == os.getcwd() else 6)"
    folder = tmp_path.resolve()
    assert quickstart.run([sys.executable, "-c", script], folder, A=str(folder)) == 5


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_run_passes_sigterm_on_and_returns_as_a_shell_would(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def end_the_job() -> None:
        wait_until(lambda: (tmp_path / "started").exists())
        wait_until(lambda: signal.getsignal(signal.SIGTERM) != before)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_the_job, daemon=True).start()
    script = "import pathlib, time; pathlib.Path('started').touch(); time.sleep(120)"
    code = quickstart.run([sys.executable, "-c", script], tmp_path)
    assert code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_after_ctrl_c_the_job_cleans_up_and_the_code_is_130(tmp_path: Path) -> None:
    job = textwrap.dedent(
        """
        import pathlib, sys, time
        pathlib.Path("started").touch()
        try:
            time.sleep(120)
        except KeyboardInterrupt:
            time.sleep(0.5)
            pathlib.Path("cleaned").touch()
        """
    )
    starter = textwrap.dedent(
        f"""
        import signal, sys, quickstart
        # A shell starts jobs in the background deaf to Ctrl-C, and so would their children be.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            quickstart.run([sys.executable, "-c", {job!r}])
        except KeyboardInterrupt:
            sys.exit(130)
        """
    )
    root = Path(quickstart.__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-c", starter],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
    )
    wait_until(lambda: (tmp_path / "started").exists())
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 130
    assert (tmp_path / "cleaned").exists()
