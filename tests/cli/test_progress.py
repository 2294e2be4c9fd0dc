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
    with Progress("step", title="train", interval=0.05) as progress:
        time.sleep(0.12)
        progress.begin(20, 1200)
        progress.update(note="loss 0.5")
        time.sleep(0.12)
        progress.to(1200)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train: getting ready, 0:00:00"
    assert lines[2].startswith("train: 21 of 1,200 steps in 0:00:00, 0:0")
    assert lines[2].endswith(" left, loss 0.5")
    assert lines[-1] == "train: 1,200 of 1,200 steps in 0:00:00, loss 0.5"
    assert 4 <= len(lines) <= 6


def test_what_is_soon_done_or_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("pair", 3) as progress:
        assert list(progress.over("abc")) == ["a", "b", "c"]
        assert progress.line() == "3 of 3 pairs in 0:00:00"
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
        time.sleep(0.05)
        raise error
    said = capsys.readouterr().err
    time.sleep(0.05)
    assert "0 of 3 steps" in said and capsys.readouterr().err == ""
