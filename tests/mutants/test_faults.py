"""The table of deliberate faults fits the code; `python -m tests.mutants` applies them."""

import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.__main__ import main
from tests.mutants.faults import FAULTS, Fault
from tests.mutants.trial import ROOT


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_applied(fault: Fault) -> None:
    assert fault.problem(ROOT) is None
    ast.parse(fault.changed(ROOT))
    for test in fault.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), test
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / path).read_text("utf-8")


def test_every_package_has_faults_and_no_name_comes_twice() -> None:
    assert max(Counter(fault.name for fault in FAULTS).values()) == 1
    packages = {"ootd_core", "openpose", "humanparse", "tryon", "nodes"}
    assert packages <= {fault.file.split("/")[0] for fault in FAULTS}
    assert len(FAULTS) >= 40


def test_a_fault_comes_and_goes(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text("a = 1\nb = 2\n")
    fault = Fault(name="b", file="code.py", old="b = 2", new="b = 3", tests=("tests/x.py",))
    with pytest.raises(KeyboardInterrupt), fault.applied(tmp_path):
        assert file.read_text() == "a = 1\nb = 3\n"
        raise KeyboardInterrupt
    assert file.read_text() == "a = 1\nb = 2\n"
    assert "2 times" in str(replace(fault, old=" = ").problem(tmp_path))
    assert "0 times" in str(replace(fault, old="c = 1").problem(tmp_path))
    assert "no file" in str(replace(fault, file="gone.py").problem(tmp_path))


def test_the_table_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.count("\n") == 2 * len(FAULTS)
    assert main(["nonsense"]) == 2
