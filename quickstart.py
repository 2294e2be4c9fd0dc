"""Sets up `.venv` beside this file and does one job in it, on Linux, macOS and Windows.

    python quickstart.py demo [options of `python -m cli demo`]
    python quickstart.py test [options of pytest]
    python quickstart.py comfyui [options of ComfyUI's main.py]

The third puts the pack into ComfyUI, in ComfyUI's own environment, and starts it; see
comfyui_setup.py. Needs Python 3.11 or newer and nothing else: standard library only. The first call
installs the tested versions (constraints.txt), later ones find them there and start at once. What
was installed is remembered inside `.venv`, so an interrupted set-up goes on where it stopped and
changed requirements are installed by the next call. An OpenCV or onnxruntime that is there already
stays, whichever wheel it comes from.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from comfyui_setup import ComfyUIError, announce, progress, run_comfyui, what_to_install

ROOT = Path(__file__).resolve().parent
CONSTRAINTS = "constraints.txt"
REQUIREMENTS = {"demo": "requirements-headless.txt", "test": "requirements-dev.txt"}
OLDEST_PYTHON = (3, 11)  # of the versions in constraints.txt
USAGE = "Usage: python quickstart.py demo|test|comfyui [options that are passed on]"


class SetupError(Exception):
    """The set-up cannot go on. The message is for the user; `code` ends the process."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Environment:
    """A virtual environment that is created, repaired and filled when asked to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        on_windows = os.name == "nt"
        self.python = folder / ("Scripts/python.exe" if on_windows else "bin/python")

    def describe(self) -> str | None:
        """The version and platform of its Python; None if that does not start or has no pip."""
        question = "import pip, sys, sysconfig; print(sys.version, sysconfig.get_platform())"
        if not self.python.exists():
            return None
        command = [str(self.python), "-I", "-c", question]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        return answer.stdout.strip() if answer.returncode == 0 else None

    def ensure(self) -> str:
        """Creates the environment, or repairs one left half-made; returns its description."""
        description = self.describe()
        if description is not None:
            return description
        self._refuse_to_create()
        # Over what is there first, which completes an interrupted creation; afresh if that fails.
        for options in ([], ["--clear"]):
            announce(f"creating {self.folder}")
            run([sys.executable, "-m", "venv", *options, str(self.folder)])
            description = self.describe()
            if description is not None:
                return description
        raise SetupError(
            f"Python could not create a virtual environment in {self.folder} (see its own message "
            "above): check that the folder can be written to, and try again."
        )

    def _refuse_to_create(self) -> None:
        missing = [name for name in ("venv", "ensurepip") if not importlib.util.find_spec(name)]
        if missing:
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            raise SetupError(
                f"This Python has no {' and no '.join(missing)}: install it (Debian, Ubuntu: "
                f"sudo apt install python{version}-venv) or use a Python from python.org, and try "
                "again."
            )
        foreign = self.folder.exists() and not (self.folder / "pyvenv.cfg").exists()
        if foreign and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise SetupError(
                f"{self.folder} is there but is not a virtual environment: move it away, and try "
                "again."
            )

    def install(self, requirements: Path, constraints: Path, fingerprint: str) -> None:
        """Installs a file of requirements unless it did so under that very fingerprint."""
        stamp = self.folder / f"{requirements.name}.installed"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == fingerprint:
            return
        stamp.unlink(missing_ok=True)
        announce(f"installing {requirements.name} (the first time takes a few minutes)")
        # torch by itself and by its exact version: then a build for the CPU in a folder of wheels
        # is preferred to the registry's, which brings gigabytes of CUDA libraries on Linux.
        self._pip_install(pinned("torch", constraints))
        wanted = what_to_install(self.python, requirements, "--all")
        self._pip_install(*wanted, "--constraint", str(constraints))
        unfinished = stamp.with_suffix(".unfinished")
        unfinished.write_text(fingerprint, encoding="utf-8")
        unfinished.replace(stamp)

    def _pip_install(self, *arguments: str) -> None:
        pip = [str(self.python), "-m", "pip", "install", "--disable-pip-version-check"]
        # Compiling all modules takes a third of the time; Python does it for those it imports.
        with progress("pip"):
            code = run([*pip, "--no-input", "--no-compile", *arguments])
        if code != 0:
            raise SetupError(
                "pip could not install the packages (its own message is above). Is the package "
                "registry within reach (network, proxy), is there space on the disk, and has "
                f"torch a build for this Python ({sys.version.split()[0]})? What was installed is "
                "kept: repeat the command to go on.",
                code,
            )


def pinned(package: str, constraints: Path) -> str:
    """The line of `constraints` for a package, such as `torch==2.13.0`."""
    line = re.search(rf"^{package}==[^\s;]+", constraints.read_text(encoding="utf-8"), re.MULTILINE)
    if line is None:
        raise SetupError(f"{constraints} names no version of {package}: restore that file.")
    return line.group()


def fingerprint(description: str, *files: Path) -> str:
    """Changes when the environment's Python or one of the files does."""
    digest = hashlib.sha256(description.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def run(command: list[str], folder: Path | None = None, **variables: str) -> int:
    """Runs a command to its end, in `folder`, with `variables` added to the environment.

    The command shares the terminal and therefore gets Ctrl+C itself; a SIGTERM is passed on.
    Returns its exit code; 128 + n if signal n ended it, as shells do. After a Ctrl+C it waits for
    the command to end by itself, and then raises KeyboardInterrupt.
    """
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **variables})

    def pass_on(_number: int, _frame: object) -> None:
        process.terminate()

    previous = signal.signal(signal.SIGTERM, pass_on)
    interrupted = False
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
    signal.signal(signal.SIGTERM, previous)
    if interrupted:
        raise KeyboardInterrupt
    return 128 - code if code < 0 else code


def prepare(environment: Environment, root: Path, job: str) -> None:
    """Makes sure that all a job needs is installed."""
    description = environment.ensure()
    constraints = root / CONSTRAINTS
    mark = fingerprint(description, constraints, *sorted(root.glob("requirements*.txt")))
    environment.install(root / REQUIREMENTS[job], constraints, mark)


def demo(python: Path, options: list[str]) -> int:
    # From the caller's folder, so that paths among the options mean what they say (-P: and no
    # package of that folder is taken for ours).
    return run([str(python), "-P", "-m", "cli", "demo", *options], PYTHONPATH=str(ROOT))


# Three processes keep two cores busy: one often waits for a server, a browser or another process. A
# file stays in one of them, for its tests share what they set up.
PARALLEL = ("-n", "3", "--dist", "loadfile")
# One thread each: threads of several on the same cores wait for one another.
THREADS = {"OMP_NUM_THREADS": "1"}


def test(python: Path, options: list[str]) -> int:
    steps = [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["pyright"],
        ["pytest", *PARALLEL, *options],
    ]
    for step in steps:
        announce(" ".join(step))
        code = run([str(python), "-m", *step], folder=ROOT, **THREADS)
        if code != 0:
            return code
    return 0


JOBS = {"demo": demo, "test": test}


def main(arguments: list[str]) -> int:
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        version = sys.version.split()[0]
        print(f"Python {wanted} or newer is needed; this is {version}.", file=sys.stderr)
        return 1
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if not arguments or arguments[0] not in (*JOBS, "comfyui"):
        print(USAGE, file=sys.stderr)
        return 2
    job, options = arguments[0], arguments[1:]
    try:
        if job == "comfyui":
            return run_comfyui(options)
        environment = Environment(ROOT / ".venv")
        prepare(environment, ROOT, job)
        return JOBS[job](environment.python, options)
    except ComfyUIError as problem:
        print(problem, file=sys.stderr)
        return 1
    except SetupError as problem:
        print(problem, file=sys.stderr)
        return problem.code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
