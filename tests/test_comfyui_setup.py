"""quickstart.py comfyui on folders and programs that stand in for ComfyUI; no network."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import comfyui_setup
from comfyui_setup import (
    ComfyUIError,
    find_comfyui,
    find_python,
    free_port,
    install_comfyui,
    install_missing,
    link_pack,
    run_comfyui,
    serve,
    start_command,
    what_to_install,
)

SERVER = """
import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    count = 0
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{"system": {}}')
        Handler.count += 1
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler)
if sys.argv[-1].endswith(".pem"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[-1], sys.argv[-2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
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


def test_only_what_is_absent_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a Python of ComfyUI's; here a stand-in that answers from this one and has no pip."""
    (tmp_path / "requirements.txt").write_text("numpy\nno_such_einops\nonnxruntime-gpu\n")
    monkeypatch.setattr(comfyui_setup, "REQUIREMENTS", tmp_path / "requirements.txt")
    assert what_to_install(Path(sys.executable), tmp_path / "requirements.txt") == [
        "no_such_einops"
    ]
    commands: list[list[str]] = []
    real_run = subprocess.run

    def fake_run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "pip" not in command:
            return real_run(command, **options)
        commands.append(command)
        return subprocess.CompletedProcess(command, len(commands) - 1)

    monkeypatch.setattr(subprocess, "run", fake_run)
    assert install_missing(Path(sys.executable)) == ["no_such_einops"]
    assert commands == [[sys.executable, "-m", "pip", "install", "no_such_einops"]]
    assert "== installing no_such_einops" in capfd.readouterr().out
    with pytest.raises(ComfyUIError, match="pip could not install no_such_einops"):
        install_missing(Path(sys.executable))


def test_a_python_that_cannot_tell_is_named(tmp_path: Path) -> None:
    with pytest.raises(ComfyUIError, match=r"cannot tell which packages it has: .*no-such\.txt"):
        what_to_install(Path(sys.executable), tmp_path / "no-such.txt")


def test_a_long_installation_says_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comfyui_setup, "STILL_SECONDS", 0.01)
    said = ""
    with comfyui_setup.progress("pip"):
        while said.count("pip is still at work") < 2:
            said += capsys.readouterr().out


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


PYTHON = Path("python")


@pytest.fixture
def graphics(monkeypatch: pytest.MonkeyPatch) -> None:
    """ComfyUI's torch finds a graphics card."""
    monkeypatch.setattr(comfyui_setup, "ask", lambda *_: "True")


@pytest.mark.usefixtures("graphics")
@pytest.mark.parametrize(
    ("options", "address"),
    [
        (["--port", "9"], "http://127.0.0.1:9"),
        (["--listen", "--port", "9"], "http://127.0.0.1:9"),
        (["--port=9", "--listen"], "http://127.0.0.1:9"),
        (["--listen", "::", "--port", "9"], "http://[::1]:9"),
        (["--listen", "0.0.0.0,::", "--port", "9"], "http://127.0.0.1:9"),
        (["--listen=::1", "--port", "9"], "http://[::1]:9"),
        (["--listen", "192.0.2.1, 127.0.0.1", "--port", "9"], "http://192.0.2.1:9"),
        (["--tls-keyfile", "k", "--port", "9", "--tls-certfile", "c"], "https://127.0.0.1:9"),
        (["--tls-keyfile", "k", "--port", "9"], "http://127.0.0.1:9"),
        (
            ["--preview-method", "auto", "--listen", "--verbose", "--port", "9"],
            "http://127.0.0.1:9",
        ),
        (["--quick-test-for-ci", "--port", "9"], None),
    ],
)
def test_the_address_follows_from_comfyuis_own_options(
    options: list[str], address: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comfyui_setup, "listens", lambda *_: False)
    command, found = start_command(tmp_path, PYTHON, options)
    assert found == address
    assert command == [str(PYTHON), str(tmp_path / "main.py"), *options]


def test_a_taken_port_is_passed_over_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comfyui_setup, "listens", lambda _host, port: port == 8188)
    command, address = start_command(tmp_path, PYTHON, ["--cpu"])
    assert command[-3:] == ["--port", "8189", "--cpu"] and address == "http://127.0.0.1:8189"
    assert "port 8188 is taken; 8189 it is" in capsys.readouterr().out
    with pytest.raises(ComfyUIError, match="Port 8188 is taken"):
        start_command(tmp_path, PYTHON, ["--cpu", "--port", "8188"])


def test_without_graphics_the_processor_is_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comfyui_setup, "ask", lambda *_: "False")
    assert "--cpu" in start_command(tmp_path, PYTHON, [])[0]
    for option in ("--cpu", "--lowvram", "--directml"):  # ComfyUI takes no second one
        command = start_command(tmp_path, PYTHON, [option])[0]
        assert [word for word in command if word in ("--cpu", option)] == [option]


def test_the_question_about_graphics_is_answered() -> None:
    question = "import torch; " + comfyui_setup.GRAPHICS
    assert comfyui_setup.ask(Path(sys.executable), question) in ("True", "False")


def test_help_says_what_happens_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comfyui_setup, "find_comfyui", lambda: pytest.fail("looked for ComfyUI"))
    for options, code in ((["--cpu", "--help"], 0), (["--port", "many"], 2)):
        with pytest.raises(SystemExit) as ended:
            run_comfyui(options)
        assert ended.value.code == code
    printed = capsys.readouterr()
    assert "options of ComfyUI's main.py" in printed.out and "COMFYUI_PATH" in printed.out
    assert "--port: invalid int value: 'many'" in printed.err


def test_the_address_is_said_when_the_server_answers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    comfyui = make_comfyui(tmp_path / "ComfyUI")
    port = free_port(18188)
    command = [sys.executable, str(comfyui / "main.py"), "--port", str(port)]
    assert serve(command, f"http://127.0.0.1:{port}") == 7
    printed = capfd.readouterr().out
    assert f"http://127.0.0.1:{port}" in printed and "upper_body" in printed


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_a_server_with_a_certificate_of_its_own_answers(tmp_path: Path) -> None:
    comfyui = make_comfyui(tmp_path / "ComfyUI")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=somebody", "-days", "1", "-nodes", "-newkey", "rsa:2048"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *subject, *files], check=True, capture_output=True)
    port = free_port(18400)
    command = [sys.executable, str(comfyui / "main.py"), "--port", str(port)]
    command += [str(key), str(certificate)]
    assert serve(command, f"https://127.0.0.1:{port}") == 7


def test_a_server_that_dies_is_said() -> None:
    with pytest.raises(ComfyUIError, match="exit code 3"):
        command = [sys.executable, "-c", "raise SystemExit(3)"]
        serve(command, f"http://127.0.0.1:{free_port(18300)}")


def test_a_server_that_only_loads_ends_well() -> None:
    assert serve([sys.executable, "-c", "pass"], None) == 0


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


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM is no signal that a process hears there")
def test_a_launcher_that_is_ended_ends_its_server() -> None:
    server = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    program = (
        "import sys, comfyui_setup as setup\n"
        f"command = [sys.executable, '-c', {server!r}]\n"
        "setup._set_up_and_serve = lambda options: setup.serve(command, None)\n"
        "setup.run_comfyui([])\n"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", program], cwd=comfyui_setup.ROOT, stdout=subprocess.PIPE, text=True
    )
    assert launcher.stdout is not None
    started = int(launcher.stdout.readline())
    launcher.terminate()
    assert launcher.wait(timeout=30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(started, 0)
