"""The pack inside ComfyUI: finds one or gets it, links the pack into it, starts it, says where.

Standard library only, as quickstart.py, whose command `comfyui` this is. What a ComfyUI already has
is never changed: of the pack's requirements only those that are absent are installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LINK = "ootdiffusion-tryon"
PORT = 8188
START_SECONDS = 300
ANSWER_SECONDS = 2
CLI_ENVIRONMENT = ".venv-comfy-cli"
HEADLESS = {"diffusers", "accelerate", "torchmetrics", "matplotlib"}
"""Of requirements.txt what the nodes do not import: ComfyUI's Python is spared them."""
HOW = "set COMFYUI_PATH to a ComfyUI that you have"


class ComfyUIError(Exception):
    """ComfyUI cannot be had or started. The message is one sentence for the user."""


def find_comfyui() -> Path:
    """COMFYUI_PATH; else the pack's own grandparent, where it lies in custom_nodes; else ComfyUI in
    the home folder. Raises ComfyUIError where there is none."""
    named = os.environ.get("COMFYUI_PATH")
    installed = ROOT.parent.name == "custom_nodes" and is_comfyui(ROOT.parent.parent)
    folder = Path(named) if named else ROOT.parent.parent if installed else default_folder()
    if is_comfyui(folder):
        return folder
    if named:
        raise ComfyUIError(
            f"COMFYUI_PATH is {folder}, but there is no ComfyUI (main.py, folder_paths.py, "
            "custom_nodes): correct it, or unset it to get a new one."
        )
    raise ComfyUIError(f"There is no ComfyUI in {folder}: {HOW}.")


def default_folder() -> Path:
    """Where a ComfyUI is looked for, and put."""
    return Path.home() / "ComfyUI"


def is_comfyui(folder: Path) -> bool:
    return all((folder / name).exists() for name in ("main.py", "folder_paths.py", "custom_nodes"))


def find_python(comfyui: Path) -> Path:
    """COMFYUI_PYTHON; else that of an environment inside ComfyUI or, in the portable Windows
    package, beside it; else this one. Raises ComfyUIError if it cannot run ComfyUI."""
    named = os.environ.get("COMFYUI_PYTHON")
    inside = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    candidates = [
        *(comfyui / folder / inside for folder in (".venv", "venv")),
        comfyui.parent / "python_embeded" / "python.exe",
    ]
    found = [path for path in candidates if path.is_file()]
    python = Path(named) if named else found[0] if found else Path(sys.executable)
    if not python.is_file():
        raise ComfyUIError(f"COMFYUI_PYTHON is {python}, but there is no such file: correct it.")
    if ask(python, "import torch, aiohttp; print('yes')") != "yes":
        raise ComfyUIError(
            f"{python} cannot run ComfyUI, for it lacks torch or aiohttp: set COMFYUI_PYTHON to "
            f"the Python that runs {comfyui}."
        )
    return python


def ask(python: Path, question: str) -> str:
    """What a line of code prints there; nothing if it fails."""
    answer = subprocess.run(
        [str(python), "-c", question], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else ""


def install_comfyui(folder: Path) -> None:
    """Get ComfyUI with comfy-cli, its official installer, into a folder that does not exist.

    It is made beside its place and moved when complete. Raises ComfyUIError, one sentence that says
    what was out of reach.
    """
    environment = ROOT / CLI_ENVIRONMENT
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    if not (scripts / ("comfy.exe" if os.name == "nt" else "comfy")).exists():
        announce("installing comfy-cli")
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(scripts / "python"), "-m", "pip", "install", "--quiet", "comfy-cli"]
        if subprocess.run(pip, check=False).returncode != 0:
            raise ComfyUIError(
                f"comfy-cli could not be installed, for pip did not reach the package registry: "
                f"check the network and try again, or {HOW}."
            )
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    announce(f"installing ComfyUI in {folder}")
    device = "--cpu"
    if sys.platform == "darwin":
        device = "--m-series"
    elif shutil.which("nvidia-smi"):
        device = "--nvidia"
    command = [str(scripts / "comfy"), "--skip-prompt", "--workspace", str(unfinished)]
    code = subprocess.run([*command, "install", device], check=False).returncode
    if code != 0 or not is_comfyui(unfinished):
        shutil.rmtree(unfinished, ignore_errors=True)
        raise ComfyUIError(
            f"comfy-cli could not install ComfyUI, for it did not reach GitHub or the package "
            f"registry: check the network and try again, or {HOW}."
        )
    unfinished.rename(folder)


def install_missing(python: Path) -> list[str]:
    """Install what the pack needs and this Python lacks; returns the names.

    Raises ComfyUIError if pip fails.
    """
    absent = missing_requirements(python)
    if absent:
        announce(f"installing {', '.join(absent)}")
        code = subprocess.run([str(python), "-m", "pip", "install", "--quiet", *absent]).returncode
        if code != 0:
            raise ComfyUIError(
                f"pip could not install {', '.join(absent)} for {python} (its own message is "
                "above): check the network and try again."
            )
    return absent


def missing_requirements(python: Path) -> list[str]:
    """Names of requirements.txt that the nodes need and that are not installed there; one of a pair
    of wheels is enough."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [re.split(r"[\s;#]", line)[0] for line in lines if line and not line.startswith("#")]
    installed = set(
        ask(
            python,
            "from importlib.metadata import distributions as d;"
            "print(*{x.metadata['Name'].lower().replace('_', '-') for x in d()})",
        ).split()
    )
    twins = {"onnxruntime-gpu": "onnxruntime", "opencv-python-headless": "opencv-python"}
    return [
        name
        for name in names
        if name not in HEADLESS
        and name.lower().replace("_", "-") not in installed
        and twins.get(name) not in installed
        and not (name == "onnxruntime" and installed & {"onnxruntime-gpu"})
        and not (name == "onnxruntime" and "onnxruntime-gpu" in names)
    ]


def link_pack(comfyui: Path) -> Path:
    """Make ComfyUI see the pack: a link in custom_nodes, unless it is there under any name.

    Raises ComfyUIError if something else has the link's name.
    """
    folder = comfyui / "custom_nodes"
    for entry in folder.iterdir():
        if entry.exists() and entry.resolve() == ROOT:
            return entry
    link = folder / LINK
    if link.exists() or link.is_symlink():
        raise ComfyUIError(f"{link} is something else than this pack: move it away, and try again.")
    if os.name == "nt":  # a junction needs no administrator
        subprocess.run(["cmd", "/c", "mklink", "/J", str(link), str(ROOT)], check=True)
    else:
        link.symlink_to(ROOT, target_is_directory=True)
    return link


def free_port(first: int) -> int:
    """The first port from `first` that nothing listens on."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise ComfyUIError(f"Ports {first} to {first + 99} are all taken: name one with --port.")


def start_command(comfyui: Path, python: Path, options: list[str]) -> tuple[list[str], str]:
    """The server's command line and its address; the user's options win over ours."""
    command = [str(python), str(comfyui / "main.py")]
    host, port = _option(options, "--listen"), _option(options, "--port")
    if host is None:
        command += ["--listen", "127.0.0.1"]
    if port is None:
        number = free_port(PORT)
        if number != PORT:
            announce(f"port {PORT} is taken; {number} it is")
        port = str(number)
        command += ["--port", port]
    devices = "import torch; print(torch.cuda.is_available() or torch.backends.mps.is_available())"
    if "--cpu" not in options and ask(python, devices) == "False":
        command.append("--cpu")
    return [*command, *options], f"http://{host or '127.0.0.1'}:{port}"


def _option(options: list[str], name: str) -> str | None:
    for option, value in zip(options, [*options, ""][1:], strict=True):
        if option == name:
            return value
        if option.startswith(f"{name}="):
            return option.split("=", 1)[1]
    return None


def serve(command: list[str], folder: Path, address: str) -> int:
    """Run the server until it ends or Ctrl+C; says where it is as soon as it answers."""
    process = subprocess.Popen(command, cwd=folder)
    deadline = time.monotonic() + START_SECONDS
    try:
        while process.poll() is None and not answers(address):
            if time.monotonic() > deadline:
                raise ComfyUIError(
                    f"ComfyUI did not answer at {address} within {START_SECONDS} s: see what it "
                    "printed above."
                )
            time.sleep(0.3)
        if process.poll() is not None:
            raise ComfyUIError(
                f"ComfyUI ended with exit code {process.returncode} before it answered: see what "
                "it printed above."
            )
        announce(f"ComfyUI is at {address}")
        announce(f"open Workflow > Browse Templates > {LINK} > upper_body, and press Run")
        return process.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bool:
    """Whether ComfyUI (nothing else) answers there."""
    try:
        with urllib.request.urlopen(f"{address}/system_stats", timeout=ANSWER_SECONDS) as answer:
            return "system" in json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def announce(text: str) -> None:
    print(f"== {text}", flush=True)


def run_comfyui(options: list[str]) -> int:
    """The command `comfyui`. Raises ComfyUIError."""
    try:
        comfyui = find_comfyui()
    except ComfyUIError:
        if os.environ.get("COMFYUI_PATH") or default_folder().exists():
            raise
        install_comfyui(default_folder())
        comfyui = find_comfyui()
    python = find_python(comfyui)
    install_missing(python)
    announce(f"{link_pack(comfyui)} is the pack in {comfyui}")
    command, address = start_command(comfyui, python, options)
    return serve(command, comfyui, address)
