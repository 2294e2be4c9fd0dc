"""What has to be installed here, and the commands that messages print to get it.

The requirements*.txt of the repository are the one list. pip cannot leave alone what another wheel
provides already, nor look for a GPU, so both is done here: `cv2` and `onnxruntime` are each
installed by several wheels, the last of which overwrites the others, and a GPU wheel of onnxruntime
is of use only where there is an NVIDIA GPU.

Standard library only, and a script as well, so that the set-up asks another Python:

    PYTHON ootd_core/requirements.py FILE [--all]

prints a name a line: what FILE asks for and PYTHON lacks, or, with --all, the rest too (for pip to
bring it to the tested versions), always without a second wheel for an installed module.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

MODULES = {
    "onnxruntime-gpu": "onnxruntime",
    "opencv-contrib-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
}
"""Of requirements whose module is called otherwise."""

SHARED = frozenset({"cv2", "onnxruntime"})
"""Modules that several wheels install: whichever is there stays."""


COMPARISONS: dict[type[ast.cmpop], Callable[[str, str], bool]] = {
    ast.Eq: lambda one, other: one == other,
    ast.NotEq: lambda one, other: one != other,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,
}


def command_line(words: Sequence[str], *, windows: bool = os.name == "nt") -> str:
    """Words as one line for a shell: `sh`, or on Windows `cmd` and PowerShell.

    PowerShell wants `& ` in front where the first word is quoted, which `cmd` does not understand;
    no form suits both there.
    """
    if not windows:
        return shlex.join(words)
    return " ".join(f'"{word}"' if re.search(r"[^\w.:\\/=+~-]", word) else word for word in words)


def pack_command(*words: str) -> str:
    """The line that runs a command of this project, by this very Python, from any folder.

    Python runs the repository's folder (its `__main__.py`). `-m cli` would need the right folder to
    be in, and does not work in the embedded Python of ComfyUI's Windows package.
    """
    return command_line((_python(), str(ROOT), *words))


def pip_command(names: Sequence[str]) -> str:
    """The line that installs these requirements into this very Python."""
    return command_line((_python(), "-m", "pip", "install", *names))


def is_installed(module: str) -> bool:
    """Whether a module can be imported, without importing it."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None  # a folder left behind has no origin


def module_of(requirement: str) -> str:
    """The module that a requirement, such as `pyright[nodejs]`, is installed for."""
    name = re.split(r"[\s\[;<>=!~#]", requirement)[0]
    return MODULES.get(name, name.replace("-", "_"))


def requirements(file: Path) -> Iterator[str]:
    """The requirements in a file and in those that it includes with `-r`, comments removed."""
    for line in file.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            yield from requirements(file.parent / text[3:].strip())
        elif text:
            yield text


def applies(requirement: str) -> bool:
    """Whether a requirement is for this machine: its marker, after `;`, as pip reads it.

    Of the language of markers, which Python's parser reads, it knows what these files use.
    """
    marker = requirement.partition(";")[2].strip()
    return not marker or _holds(ast.parse(marker, mode="eval").body)


def _holds(marker: ast.expr) -> bool:
    if isinstance(marker, ast.BoolOp):
        every = all if isinstance(marker.op, ast.And) else any
        return every(_holds(value) for value in marker.values)
    names = {"sys_platform": sys.platform, "platform_machine": platform.machine()}
    match marker:
        case ast.Compare(ast.Name(name), [comparison], [ast.Constant(str(value))]):
            return COMPARISONS[type(comparison)](names[name], value)
        case _:
            raise ValueError(f"The marker '{ast.unparse(marker)}' is not understood.")


def to_install(file: Path, *, installed_too: bool = False) -> list[str]:
    """What pip is to be given, so that this Python has all that `file` asks for.

    installed_too: also what is there, but for the modules of `SHARED`.
    """
    names: dict[str, None] = {}
    for requirement in filter(applies, requirements(file)):
        module = module_of(requirement)
        if is_installed(module) and (module in SHARED or not installed_too):
            continue
        if module == "onnxruntime":
            requirement = onnxruntime_wheel()
        names[requirement.partition(";")[0].strip()] = None
    return list(names)


def onnxruntime_wheel() -> str:
    """The wheel for this machine: a fifth of the size where there is no GPU to use."""
    built = sys.platform in ("linux", "win32") and platform.machine() in ("x86_64", "AMD64")
    return "onnxruntime-gpu" if built and has_nvidia_gpu() else "onnxruntime"


def has_nvidia_gpu() -> bool:
    """Whether the NVIDIA driver is there and knows a GPU."""
    listing = shutil.which("nvidia-smi")
    if listing is not None:
        answer = subprocess.run([listing, "-L"], capture_output=True, text=True, check=False)
        return answer.returncode == 0 and "GPU" in answer.stdout
    if os.name == "nt":
        system = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"))
        return (system / "System32" / "nvcuda.dll").is_file()
    return any(Path("/proc/driver/nvidia/gpus").glob("*"))


def how_to_install(module: str) -> str | None:
    """A sentence with the command that installs a missing module and what belongs to it.

    None for a module that is there, or that no requirements*.txt names.
    """
    if is_installed(module):
        return None
    for file in sorted(ROOT.glob("requirements*.txt")):
        own = _own(file)
        if module in map(module_of, own):
            command = pip_command(to_install(file) or own)
            return f"{module} is not installed: `{command}` installs what {file.name} asks for."
    return None


def what_is_missing(file: Path = ROOT / "requirements.txt") -> str | None:
    """A sentence with all modules that `file` asks for and that are not there, and the command.

    None where nothing is missing.
    """
    absent = [
        module for module in dict.fromkeys(map(module_of, _own(file))) if not is_installed(module)
    ]
    if not absent:
        return None
    verb = "is" if len(absent) == 1 else "are"
    command = pip_command(to_install(file))
    return (
        f"{', '.join(absent)} {verb} not installed: `{command}` installs what {file.name} asks for."
    )


def require(*modules: str) -> None:
    """Raises ModuleNotFoundError, one sentence with the command, unless all can be imported."""
    for module in modules:
        if not is_installed(module):
            raise ModuleNotFoundError(how_to_install(module), name=module)


def _own(file: Path) -> list[str]:
    """The requirements in a file itself, as far as they are for this machine."""
    lines = [line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("-r") and applies(line)]


def _python() -> str:
    return sys.executable or "python"


if __name__ == "__main__":
    for name in to_install(Path(sys.argv[1]), installed_too="--all" in sys.argv[2:]):
        sys.stdout.write(f"{name}\n")
