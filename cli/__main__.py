"""The command line: `python -m cli COMMAND`.

Exit codes: 0 done, 1 the doctor or a check found something bad, 2 the input cannot be used (one
sentence on standard error, no traceback), 130 interrupted. A traceback means a defect of this
project.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ootd_core.requirements import ROOT, how_to_install

if TYPE_CHECKING:
    from typer import Typer

PROGRAM = "python -m cli"
INTERRUPTED, BROKEN_PIPE = 128 + 2, 128 + 13
"""What shells say of a program that one of these signals ended."""
OUT_OF_MEMORY = (
    "There is not enough memory: take a smaller --height, fewer samples or smaller batches, "
    "--offload on a GPU, or end other programs."
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command as `--help` lists it, and where it is: imported only when it is called.

    entry_point: `module:object`, a function or, for a command of commands, a Typer. help: the first
    line of its docstring.
    """

    name: str
    entry_point: str
    help: str

    def load(self) -> Any:
        module, _, attribute = self.entry_point.partition(":")
        return getattr(importlib.import_module(module), attribute)


COMMANDS = (
    Command(
        "demo",
        "cli.demo:demo_command",
        "Dress the bundled drawn people and write a contact sheet.",
    ),
    Command("tryon", "cli.tryon:tryon_command", "Dress a person in a garment."),
    Command(
        "batch",
        "cli.batch:batch_app",
        "Dress a whole catalogue; run again, it does only what is missing.",
    ),
    Command(
        "evaluate",
        "cli.evaluate:evaluate_command",
        "Measure a checkpoint on drawn people that it was never trained on, or on a data set.",
    ),
    Command(
        "sight",
        "cli.sight:sight_command",
        "Measure a parser and a pose network on drawn people that no training saw.",
    ),
    Command(
        "guidance-sweep",
        "cli.guidance_sweep:guidance_sweep_command",
        "Measure a checkpoint on held-out dolls at several guidance scales.",
    ),
    Command(
        "dropout-ablation",
        "cli.dropout_ablation:dropout_ablation_command",
        "Train a checkpoint further with several outfitting dropouts, and measure each.",
    ),
    Command(
        "dataset", "cli.dataset:dataset_app", "Check a data set, or prepare your own pictures."
    ),
    Command(
        "download",
        "cli.download:download_command",
        "Download the published networks into a model folder; interrupted, it resumes.",
    ),
    Command(
        "doctor",
        "cli.doctor:doctor_command",
        "Say what is installed, what is missing, and how to get it; "
        "exit code 1 if anything is bad.",
    ),
    Command(
        "train",
        "cli.train:train_command",
        "Train both UNets, or a LoRA for them; run again, it resumes where it stopped.",
    ),
    Command(
        "train-mini",
        "cli.train_mini:train_mini_command",
        "Train a mini checkpoint on drawn people; the UNets, the longest stage, take hours.",
    ),
)


def app_for(called: str | None) -> Typer:
    """The command line with all of `COMMANDS`, of which only the one called is imported."""
    import typer

    app = typer.Typer(
        name="cli", help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode=None
    )
    for command in COMMANDS:
        if command.name != called:
            app.command(command.name, help=command.help)(_not_called)
            continue
        loaded = command.load()
        if isinstance(loaded, typer.Typer):
            app.add_typer(loaded, name=command.name)
        else:
            app.command(command.name)(loaded)
    return app


def _not_called() -> None:
    """Stands for a command in the list."""


def main() -> None:
    """Run the command line; unusable input becomes exit code 2 and one sentence."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a narrow charset must not cost a result
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    called = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    try:
        sys.exit(_run(called))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read our output has enough: nothing of it is said twice
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    except (ValueError, OSError) as error:
        _fail(_sentence_of(error))
    except ArithmeticError as error:
        _fail(f"The computation failed: {error}. Lower the learning rate, or compute in fp32.")
    except MemoryError:
        _fail(OUT_OF_MEMORY)
    except ModuleNotFoundError as error:
        sentence = how_to_install((error.name or "").partition(".")[0])
        if sentence is None:
            raise
        _fail(sentence + _other_python())
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported for this
            raise
        _fail(OUT_OF_MEMORY)


def _run(called: str | None) -> int:
    """Return the exit code. Usage errors are printed by typer; all others are raised."""
    import typer

    try:
        code = app_for(called)(prog_name=PROGRAM, standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        # Which class a usage error is depends on typer's version: its own one, or click's.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return getattr(error, "exit_code", 2)
    if code == INTERRUPTED:  # what typer makes of Ctrl-C, without a word
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _other_python() -> str:
    """Where quickstart.py has installed everything, if that is another Python than this one."""
    inside = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    python = ROOT / ".venv" / inside
    if not python.exists() or Path(sys.prefix) == ROOT / ".venv":
        return ""
    return f" Or run the command with {python}, where quickstart.py has installed it."


def _sentence_of(error: Exception) -> str:
    """What an expected error says; the system's own errors get a name and an advice."""
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return (
            f"{place}{error.strerror}. Check the path, its permissions and the space on the disk."
        )
    return str(error)


def _fail(sentence: str) -> None:
    print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
