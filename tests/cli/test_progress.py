"""What is said of a long command, on a terminal and without one."""

import io
import sys
import time

import pytest

from cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_file_gets_a_line_now_and_then_even_within_a_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress("step", title="train", interval=0.01) as progress:
        line = line_with("train", capsys)
        assert line.startswith("train: getting ready, 0:0")
        progress.begin(20, 1200)
        progress.update(note="loss 0.5")
        line = line_with("loss", capsys)
        assert line.startswith("train: 21 of 1,200 steps in 0:0")
        assert line.endswith(" left, loss 0.5")
        progress.to(1200)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("train: 1,200 of 1,200 steps in 0:0") and line.endswith(", loss 0.5")


def line_with(text: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The first whole line of standard error with a text, when it has come."""
    said, end = "", time.monotonic() + 20
    while time.monotonic() < end:
        said += capsys.readouterr().err
        for line in said.splitlines(keepends=True):
            if text in line and line.endswith("\n"):
                return line.rstrip()
        time.sleep(0.005)
    raise AssertionError(f"{text} has not come: {said}")


def test_what_is_soon_done_or_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("pair", 3) as progress:
        assert list(progress.over("abc")) == ["a", "b", "c"]
        assert progress.line().startswith("3 of 3 pairs in 0:0")
    with Progress("pair", 3, silent=True, interval=0.01) as progress:
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("step", title="train") as progress:
        progress.begin(20, 40)
        progress.to(30, note="loss 0.5")
    shown = terminal.getvalue().split("\r")[-1]
    assert "30/40" in shown and "train" in shown and "75%" in shown


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_ends_it(error: type[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(error), Progress("step", 3, interval=0.02):
        line_with("0 of 3 steps", capsys)
        raise error
    assert "0 of 3 steps" in capsys.readouterr().err, "where it ended"
    time.sleep(0.05)
    assert capsys.readouterr().err == ""
