"""Trainings in processes of their own that need not import everything again.

`python -m tests.ootd_core.training.forks` imports once and computes nothing itself. A line of JSON
on its input, {"run": NAME, "arguments": {...}, "environment": {...}}, becomes a forked process,
whose number it prints; {"wait": NUMBER} prints how that process ended.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[3]


class Forks:
    """The parent's side."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-m", "tests.ootd_core.training.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def start(self, run: str, environment: dict[str, str] | None = None, **arguments: Any) -> int:
        """Begin RUNS[run]; returns the process's number."""
        return self._ask({"run": run, "arguments": arguments, "environment": environment or {}})

    def wait(self, process: int) -> int:
        """Return the exit code; that of a signal is negative."""
        return self._ask({"wait": process})

    def _ask(self, question: dict[str, Any]) -> int:
        pipe_in, pipe_out = self._program.stdin, self._program.stdout
        assert pipe_in is not None and pipe_out is not None
        pipe_in.write(json.dumps(question) + "\n")
        pipe_in.flush()
        return int(pipe_out.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.communicate()


def train(**settings: Any) -> None:
    """Train as the command line does, without a picture."""
    make_trainer(**settings).run()


def write_gradients(file: str, **settings: Any) -> None:
    """Write the gradients of the first step; of several processes the first one's."""
    from safetensors.torch import save_file

    trainer = make_trainer(**settings)
    trainer.training.gradients()
    if trainer.leads:
        save_file(
            {
                name: parameter.grad
                for name, parameter in trainer.training.parameters.items()
                if parameter.grad is not None
            },
            file,
        )
    trainer.accelerator.wait_for_everyone()


def make_trainer(**settings: Any) -> Any:
    """A trainer on the CPU."""
    from accelerate import Accelerator

    from ootd_core.training.settings import read_settings
    from ootd_core.training.trainer import Trainer

    return Trainer(
        read_settings(None, "mini", settings),
        Accelerator(cpu=True),
        write_sheet=lambda _path, _lines: None,
    )


RUNS: dict[str, Callable[..., None]] = {"train": train, "write_gradients": write_gradients}


def main() -> None:
    for module in ("accelerate", "torch.utils.tensorboard", "ootd_core.training.trainer"):
        importlib.import_module(module)  # for the children
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            _, status = os.waitpid(question["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        process = os.fork()
        if process == 0:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            os.environ.update(question["environment"])
            RUNS[question["run"]](**question["arguments"])
            os._exit(0)
        print(process, flush=True)


if __name__ == "__main__":
    main()
