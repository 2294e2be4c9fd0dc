"""The pack inside ComfyUI: finds one or gets it, links the pack into it, starts it, says where.

Standard library only, as quickstart.py, whose command `comfyui` this is. What a ComfyUI already has
is never changed: of the pack's requirements only those that are absent are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LINK = "ootdiffusion-tryon"
PORT = 8188
START_SECONDS = 300
ANSWER_SECONDS = 2
CLI_ENVIRONMENT = ".venv-comfy-cli"
REQUIREMENTS = ROOT / "requirements.txt"
WHAT_TO_INSTALL = ROOT / "ootd_core" / "requirements.py"
"""A script that the Python in question runs by itself."""
STILL_SECONDS = 10
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""What a server can listen on, but nobody call it by, and how it is reached on this machine."""
GRAPHICS = (
    "print(torch.backends.mps.is_available() or any("
    "hasattr(torch, n) and getattr(torch, n).is_available() for n in ('cuda', 'xpu')))"
)
MEMORY_OPTIONS = {"--cpu", "--gpu-only", "--highvram", "--normalvram", "--lowvram", "--novram"}
"""ComfyUI takes one of these at most."""
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
        pip = [str(scripts / "python"), "-m", "pip", "install", "comfy-cli"]
        with progress("pip"):
            code = subprocess.run(pip, check=False).returncode
        if code != 0:
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
    with progress("comfy-cli"):
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
    absent = what_to_install(python, REQUIREMENTS)
    if absent:
        announce(f"installing {', '.join(absent)}")
        with progress("pip"):
            code = subprocess.run([str(python), "-m", "pip", "install", *absent]).returncode
        if code != 0:
            raise ComfyUIError(
                f"pip could not install {', '.join(absent)} for {python} (its own message is "
                "above): check the network and try again."
            )
    return absent


def what_to_install(python: Path, requirements: Path, *options: str) -> list[str]:
    """What pip is to be given for a file of requirements there; see ootd_core/requirements.py.

    Raises ComfyUIError if that Python cannot tell.
    """
    command = [str(python), str(WHAT_TO_INSTALL), str(requirements), *options]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        reason = (answer.stderr.strip() or f"exit code {answer.returncode}").splitlines()[-1]
        raise ComfyUIError(f"{python} cannot tell which packages it has: {reason}.")
    return answer.stdout.splitlines()


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


def free_port(first: int, host: str = "127.0.0.1") -> int:
    """The first port from `first` that nothing listens on."""
    for port in range(first, first + 100):
        if not listens(host, port):
            return port
    raise ComfyUIError(f"Ports {first} to {first + 99} are all taken: name one with --port.")


def listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


def option_parser() -> argparse.ArgumentParser:
    """Of ComfyUI's options those that decide where the server is; as ComfyUI reads them."""
    parser = argparse.ArgumentParser(
        prog="quickstart.py comfyui",
        usage="%(prog)s [options of ComfyUI's main.py]",
        description=f"""
            Finds a ComfyUI (COMFYUI_PATH, else around this pack, else {default_folder()}) or gets
            one, installs what this pack needs and its Python lacks, links the pack into
            custom_nodes, starts ComfyUI and says where it is. COMFYUI_PYTHON names its Python where
            that is not in its own environment.""",
        epilog="""
            All other options are passed on as they are: `python main.py --help` in ComfyUI's folder
            lists them. --cpu is added where torch finds no graphics card.""",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--listen",
        nargs="?",
        const="0.0.0.0,::",
        default="127.0.0.1",
        metavar="IP",
        help="""
        addresses to listen on; alone: all (default: %(default)s, this machine only)""",
    )
    add("--port", type=int, help=f"default: the first free one from {PORT}")
    add("--tls-keyfile", metavar="PATH", help="with the next one: an https address")
    add("--tls-certfile", metavar="PATH", help="of the key")
    add("--quick-test-for-ci", action="store_true", help="load everything, then end")
    return parser


def start_command(comfyui: Path, python: Path, options: list[str]) -> tuple[list[str], str | None]:
    """The server's command line, the user's options last, and the address to find it at.

    The address is None for a server that only loads. Raises ComfyUIError if the port is taken.
    """
    ours, _ = option_parser().parse_known_args(options)
    host: str = ours.listen.split(",")[0].strip()
    host = EVERYWHERE.get(host, host)
    command = [str(python), str(comfyui / "main.py")]
    port = ours.port
    if port is None:
        port = free_port(PORT, host)
        if port != PORT:
            announce(f"port {PORT} is taken; {port} it is")
        command += ["--port", str(port)]
    elif not ours.quick_test_for_ci and listens(host, port):
        raise ComfyUIError(f"Port {port} is taken: name another one with --port, or leave it out.")
    chosen = MEMORY_OPTIONS.intersection(options) or "--directml" in options
    if not chosen and ask(python, "import torch; " + GRAPHICS) == "False":
        command.append("--cpu")
    scheme = "https" if ours.tls_keyfile and ours.tls_certfile else "http"
    name = f"[{host}]" if ":" in host else host
    address = None if ours.quick_test_for_ci else f"{scheme}://{name}:{port}"
    return [*command, *options], address


def serve(command: list[str], address: str | None) -> int:
    """Run the server until it ends or Ctrl+C; says where it is as soon as it answers.

    Without an address it is waited for only. Returns its exit code.
    """
    # In the caller's folder, so that paths among the options mean what they say.
    process = subprocess.Popen(command)
    try:
        if address is not None:
            wait_until_it_answers(process, address)
            announce(f"ComfyUI is at {address}")
            announce(f"open Workflow > Browse Templates > {LINK} > upper_body, and press Run")
        return process.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        process.terminate()
        process.wait()


def wait_until_it_answers(process: subprocess.Popen[bytes], address: str) -> None:
    """Raises ComfyUIError if the server ends first, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and not answers(address):
        if time.monotonic() > deadline:
            raise ComfyUIError(
                f"ComfyUI did not answer at {address} within {START_SECONDS} s: see what it "
                "printed above."
            )
        time.sleep(0.3)
    if process.poll() is not None:
        raise ComfyUIError(
            f"ComfyUI ended with exit code {process.returncode} before it answered: see what it "
            "printed above."
        )


def answers(address: str) -> bool:
    """Whether ComfyUI (nothing else) answers there."""
    # Its certificate is the user's own and proves nothing here; and no proxy leads to this machine.
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting)
    )
    try:
        with opener.open(f"{address}/system_stats", timeout=ANSWER_SECONDS) as answer:
            return "system" in json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def announce(text: str) -> None:
    print(f"== {text}", flush=True)


@contextmanager
def progress(program: str) -> Generator[None]:
    """Say every few seconds that a program is still at it, where it draws no progress bar."""
    if sys.stdout.isatty():
        yield
        return
    done = threading.Event()
    start = time.monotonic()

    def report() -> None:
        while not done.wait(STILL_SECONDS):
            announce(f"{program} is still at work ({time.monotonic() - start:.0f} s)")

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def run_comfyui(options: list[str]) -> int:
    """The command `comfyui`. Raises ComfyUIError; SystemExit after --help or unusable options."""
    option_parser().parse_known_args(options)
    before = signal.signal(signal.SIGTERM, _end)  # or what was started would go on without us
    try:
        return _set_up_and_serve(options)
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _set_up_and_serve(options: list[str]) -> int:
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
    return serve(command, address)
