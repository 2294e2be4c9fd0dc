"""A ComfyUI server of a benchmark's or test's own, asked through its public HTTP interface.

The server runs in a folder of its own (models, input, output, custom_nodes with nothing but links
to the packs asked for), so that it neither sees nor changes what the user's ComfyUI holds.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

import comfyui_setup

PACK = Path(__file__).resolve().parent.parent
START_SECONDS = 180
Prompt = dict[str, dict[str, Any]]


class ComfyUIServer:
    """A running server at `address`; `folder` is its base folder."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, folder: Path) -> None:
        self.process = process
        self.address = address
        self.folder = folder
        self.client = uuid.uuid4().hex

    @property
    def log(self) -> str:
        """What the server has printed so far."""
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")

    def get(self, path: str, **query: str) -> Any:
        """The answer to a GET request: parsed if it is JSON, else bytes."""
        parameters = f"?{urllib.parse.urlencode(query)}" if query else ""
        with urllib.request.urlopen(f"{self.address}{path}{parameters}", timeout=60) as answer:
            body = answer.read()
            json_body = "json" in answer.headers.get("Content-Type", "")
        return json.loads(body) if json_body else body

    def post(self, path: str, content: object) -> Any:
        """The answer to a POST request. Raises HTTPError as urllib does."""
        request = urllib.request.Request(
            f"{self.address}{path}",
            data=json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def queue(self, prompt: Prompt) -> str:
        """Queue a prompt in API format; returns its id."""
        return self.post("/prompt", {"prompt": prompt, "client_id": self.client})["prompt_id"]

    def wait(self, prompt_id: str, seconds: float = 300) -> dict[str, Any]:
        """The history entry of a prompt when it has finished, well or not.

        Raises TimeoutError, or RuntimeError with the log's end if the server died.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            entry = self.get(f"/history/{prompt_id}").get(prompt_id)
            if entry is not None:
                return entry
            self.check_alive()
            time.sleep(0.1)
        raise TimeoutError(f"Prompt {prompt_id} did not finish within {seconds:g} s.")

    def images(self, entry: Mapping[str, Any]) -> list[bytes]:
        """The files of all pictures that a finished prompt saved or previewed."""
        found = [
            image for output in entry["outputs"].values() for image in output.get("images", ())
        ]
        return [self.get("/view", **image) for image in found]

    def resident_bytes(self) -> int:
        """The server's resident memory."""
        return psutil.Process(self.process.pid).memory_info().rss

    def processor_seconds(self) -> float:
        """How long the server has computed so far, whatever else the machine did."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def check_alive(self) -> None:
        code = self.process.poll()
        if code is not None:
            tail = "\n".join(self.log.splitlines()[-30:])
            raise RuntimeError(f"ComfyUI ended with exit code {code}:\n{tail}")


@contextmanager
def comfyui_server(
    comfyui: Path,
    python: Path,
    folder: Path,
    *,
    options: Sequence[str] = ("--cpu",),
    packs: Mapping[str, Path] | None = None,
    port: int | None = None,
) -> Generator[ComfyUIServer]:
    """Run a ComfyUI as long as the context lasts.

    comfyui: its folder. python: the interpreter of its environment. folder: base folder, made if
    need be. packs: custom nodes by the name of their folder; this pack alone by default.
    port: a free one by default.
    Raises RuntimeError with the log's end if it does not start.
    """
    for name in ("custom_nodes", "models", "input", "output", "user", "temp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, pack in (packs or {"ootdiffusion-tryon": PACK}).items():
        link = folder / "custom_nodes" / name
        if not link.exists():
            link.symlink_to(pack, target_is_directory=True)
    port = port or free_port()
    command = [
        *(str(python), "-s", str(comfyui / "main.py")),
        *("--listen", "127.0.0.1", "--port", str(port), "--disable-auto-launch"),
        *("--base-directory", str(folder), "--database-url", "sqlite:///:memory:"),
        *options,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=comfyui, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    server = ComfyUIServer(process, f"http://127.0.0.1:{port}", folder)
    try:
        _wait_until_it_answers(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(server: ComfyUIServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        server.check_alive()
        try:
            server.get("/system_stats")
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    raise RuntimeError(f"ComfyUI did not answer within {START_SECONDS} s:\n{server.log[-3000:]}")


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find_comfyui() -> tuple[Path, Path]:
    """ComfyUI's folder and Python, as quickstart.py finds them.

    Raises FileNotFoundError, one sentence, where there is none.
    """
    try:
        comfyui = comfyui_setup.find_comfyui()
        return comfyui, comfyui_setup.find_python(comfyui)
    except comfyui_setup.ComfyUIError as absent:
        raise FileNotFoundError(str(absent)) from absent
