"""quickstart.py comfyui on folders and programs that stand in for ComfyUI; no network."""

import subprocess
import sys
from pathlib import Path

import pytest

import comfyui_setup
from comfyui_setup import (
    ComfyUIError,
    find_comfyui,
    find_python,
    free_port,
    install_comfyui,
    link_pack,
    missing_requirements,
    serve,
    start_command,
)

SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    count = 0
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{"system": {}}')
        Handler.count += 1
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler)
while Handler.count < 1:
    server.handle_request()
sys.exit(7)
"""


def make_comfyui(folder: Path) -> Path:
    (folder / "custom_nodes").mkdir(parents=True)
    (folder / "main.py").write_text(SERVER)
    (folder / "folder_paths.py").touch()
    return folder


def test_comfyui_is_found_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYUI_PATH", str(make_comfyui(tmp_path / "there")))
    assert find_comfyui() == tmp_path / "there"
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(ComfyUIError, match=r"COMFYUI_PATH is .* no ComfyUI"):
        find_comfyui()


def test_comfyui_is_found_around_the_pack_and_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    with pytest.raises(ComfyUIError, match="set COMFYUI_PATH"):
        find_comfyui()
    make_comfyui(tmp_path / "ComfyUI")
    assert find_comfyui() == tmp_path / "ComfyUI"
    around = make_comfyui(tmp_path / "around")
    monkeypatch.setattr(comfyui_setup, "ROOT", around / "custom_nodes" / "pack")
    assert find_comfyui() == around


def test_a_python_that_cannot_run_comfyui_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMFYUI_PYTHON", str(tmp_path / "python"))
    with pytest.raises(ComfyUIError, match="no such file"):
        find_python(tmp_path)
    monkeypatch.setenv("COMFYUI_PYTHON", sys.executable)
    monkeypatch.setattr(comfyui_setup, "ask", lambda *_: "")
    with pytest.raises(ComfyUIError, match="lacks torch or aiohttp"):
        find_python(tmp_path)
    monkeypatch.setattr(comfyui_setup, "ask", lambda *_: "yes")
    assert find_python(tmp_path) == Path(sys.executable)


def test_only_what_is_absent_would_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        comfyui_setup,
        "ask",
        lambda *_: (
            "torch numpy pillow safetensors tqdm huggingface-hub transformers "
            "opencv-python onnxruntime typer"
        ),
    )
    # einops alone: what only the command line needs is not put into ComfyUI's Python.
    assert missing_requirements(Path(sys.executable)) == ["einops"]
    monkeypatch.setattr(comfyui_setup, "ask", lambda *_: "")
    absent = missing_requirements(Path(sys.executable))
    assert "onnxruntime-gpu" in absent and "onnxruntime" not in absent


@pytest.mark.skipif(sys.platform == "win32", reason="links are junctions there")
def test_the_pack_is_linked_once(tmp_path: Path) -> None:
    comfyui = make_comfyui(tmp_path / "ComfyUI")
    link = link_pack(comfyui)
    assert link.resolve() == comfyui_setup.ROOT
    link.rename(link.with_name("another name"))
    assert link_pack(comfyui).name == "another name"
    (comfyui / "custom_nodes" / "another name").unlink()
    link.mkdir()
    with pytest.raises(ComfyUIError, match="something else"):
        link_pack(comfyui)


def test_the_users_options_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comfyui_setup, "ask", lambda *_: "False")
    command, address = start_command(tmp_path, Path("python"), ["--port", "9"])
    assert command[-3:] == ["--cpu", "--port", "9"] and address == "http://127.0.0.1:9"
    command, address = start_command(tmp_path, Path("python"), ["--listen=0.0.0.0", "--cpu"])
    assert command.count("--cpu") == 1 and address.startswith("http://0.0.0.0:")
    monkeypatch.setattr(comfyui_setup, "ask", lambda *_: "True")
    assert "--cpu" not in start_command(tmp_path, Path("python"), [])[0]


def test_the_address_is_said_when_the_server_answers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    comfyui = make_comfyui(tmp_path / "ComfyUI")
    port = free_port(18188)
    command = [sys.executable, str(comfyui / "main.py"), "--port", str(port)]
    assert serve(command, comfyui, f"http://127.0.0.1:{port}") == 7
    printed = capfd.readouterr().out
    assert f"http://127.0.0.1:{port}" in printed and "upper_body" in printed


def test_a_server_that_dies_is_said(tmp_path: Path) -> None:
    with pytest.raises(ComfyUIError, match="exit code 3"):
        command = [sys.executable, "-c", "raise SystemExit(3)"]
        serve(command, tmp_path, f"http://127.0.0.1:{free_port(18300)}")


@pytest.mark.parametrize("reaches", ["nothing", "registry"])
def test_without_a_network_nothing_half_made_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reaches: str
) -> None:
    monkeypatch.setattr(comfyui_setup, "ROOT", tmp_path)
    target = tmp_path / "ComfyUI"
    calls: list[list[str]] = []

    def fake_run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if "install" in command and "--workspace" in command:
            (target.with_name("ComfyUI.unfinished") / "custom_nodes").mkdir(parents=True)
            return subprocess.CompletedProcess(command, 1)
        failed = "comfy-cli" in command and reaches == "nothing"
        return subprocess.CompletedProcess(command, int(failed))

    monkeypatch.setattr(subprocess, "run", fake_run)
    wanted = "did not reach the package registry" if reaches == "nothing" else "GitHub"
    with pytest.raises(ComfyUIError, match=wanted):
        install_comfyui(target)
    assert not target.exists() and not target.with_name("ComfyUI.unfinished").exists()
    assert ("--skip-prompt" in calls[-1]) == (reaches == "registry")
