from pathlib import Path

import pytest

from ootd_core.training.log import Log


def test_lines_are_read_back(tmp_path: Path) -> None:
    log = Log(tmp_path / "new" / "log.csv")
    assert log.rows() == []
    log.append({"step": 1, "loss": 0.123456789})
    log.append({"step": 2, "loss": 2e-9})
    assert log.rows() == [{"step": 1, "loss": 0.123456789}, {"step": 2, "loss": 2e-9}]


@pytest.mark.parametrize("rest", ["", "4", "4,0.", "4,0.5\n5,0.2\n", "4,0.5\n5"])
def test_later_and_broken_lines_are_forgotten(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n2,0.7\n3,0.6\n" + rest)
    log = Log(path)
    log.forget_after(3)
    assert path.read_text() == "step,loss\n2,0.7\n3,0.6\n"
    log.append({"step": 4, "loss": 0.25})
    assert [row["step"] for row in log.rows()] == [2, 3, 4]


@pytest.mark.parametrize("text", ["", "st", "step,loss\n", "step,loss\n9,0.1\n"])
def test_a_log_without_lines_begins_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text)
    log = Log(path)
    log.forget_after(3)
    log.append({"step": 1, "other": 0.5})
    assert path.read_text() == "step,other\n1,0.5\n"
