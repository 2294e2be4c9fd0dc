"""The table of commands, and that it is all that `--help` needs."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli import __main__ as command_line
from cli.__main__ import COMMANDS, Command, app_for, main

ROOT = Path(__file__).resolve().parents[2]
RUNNER = CliRunner()


def run(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_table_says_what_the_command_says_of_itself(command: Command) -> None:
    loaded = command.load()
    text = loaded.info.help if isinstance(loaded, typer.Typer) else loaded.__doc__
    assert text is not None and command.help == text.strip().splitlines()[0]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_its_help(command: Command) -> None:
    result = RUNNER.invoke(app_for(command.name), [command.name, "--help"])
    assert result.exit_code == 0, result.output
    assert command.help.split()[0] in result.output and "--help" in result.output


def test_the_list_of_commands_imports_none_of_them() -> None:
    result = run("-c", "import cli.__main__ as c, sys; c.app_for(None); print(*sys.modules)")
    loaded = set(result.stdout.split())
    assert "cli.__main__" in loaded
    modules = {command.entry_point.partition(":")[0] for command in COMMANDS}
    assert not loaded & (modules | {"torch", "numpy", "diffusers", "PIL"})


def test_help_lists_every_command() -> None:
    result = run("-m", "cli", "--help")
    assert all(f"  {command.name}  " in result.stdout for command in COMMANDS)


def test_the_folder_itself_runs_from_anywhere(tmp_path: Path) -> None:
    """Also in Pythons that do not look into the current folder, as ComfyUI's embedded one."""
    result = run("-I", str(ROOT), "download", "--help", folder=tmp_path)
    assert result.returncode == 0 and "--variant" in result.stdout, result.stderr


def test_an_unknown_command_exits_with_2() -> None:
    result = run("-m", "cli", "dance")
    assert result.returncode == 2 and "dance" in result.stderr


@pytest.mark.parametrize("error", [ValueError, FileNotFoundError])
def test_unusable_input_is_one_sentence_and_exit_code_2(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_self: Command) -> None:
        raise error("The picture is too small.")

    monkeypatch.setattr(Command, "load", refuse)
    monkeypatch.setattr(sys, "argv", ["cli", "demo"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "Error: The picture is too small.\n"


def test_ctrl_c_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Command, "load", lambda _self: interrupted)
    monkeypatch.setattr(sys, "argv", ["cli", "demo"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.endswith("Interrupted.\n")


def test_a_missing_module_of_ours_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "COMMANDS", (Command("demo", "cli.no_such:demo", "Demo."),))
    monkeypatch.setattr(sys, "argv", ["cli", "demo"])
    with pytest.raises(ModuleNotFoundError, match="no_such"):
        main()
