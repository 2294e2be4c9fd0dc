"""The subset of the reference data that is kept beside this file agrees with the implementation."""

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.golden import check
from tests.golden.case import CaseResult, failed_case, measured_case

SUBSET = Path(__file__).parent


@pytest.mark.parametrize("name", list(check.SETS))
def test_every_case_of_the_subset_is_within_its_tolerance(name: str) -> None:
    results = list(check.check_set(SUBSET, name))
    failed = [check.describe(name, result) for result in results if result.failed]
    assert not failed, "\n" + "\n".join(failed)


def case(error: float, *, tolerance: float = 1e-5) -> CaseResult:
    return CaseResult(name="case", error=error, tolerance=tolerance)


@pytest.mark.parametrize(
    ("error", "failed"),
    [(0.0, False), (1e-5, False), (1.1e-5, True), (math.inf, True), (math.nan, True)],
)
def test_a_case_fails_beyond_its_tolerance(error: float, failed: bool) -> None:
    assert case(error).failed is failed


def test_an_exception_becomes_a_failed_case() -> None:
    result = measured_case("case", lambda: 1 / 0, tolerance=1.0)
    assert result.failed
    assert "ZeroDivisionError" in result.note


def test_the_summary_has_the_worst_error_of_each_set() -> None:
    results = {"A": [case(1e-7), case(3.14e-6)], "C": [case(math.nan)]}
    wanted = "golden: 3 cases, 1 failed, worst A=3.14e-06 B=- C=inf D=-"
    assert check.summary(results) == wanted


def use(monkeypatch: pytest.MonkeyPatch, cases: list[CaseResult | Exception]) -> None:
    """Makes every set yield `cases`, raising those that are exceptions."""

    def fake(_folder: Path) -> Iterator[CaseResult]:
        for item in cases:
            if isinstance(item, Exception):
                raise item
            yield item

    def fake_import(_name: str) -> SimpleNamespace:
        return SimpleNamespace(check=fake)

    monkeypatch.setattr(check.importlib, "import_module", fake_import)


def test_a_good_run_exits_0_and_ends_with_the_summary(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, [case(1e-6), case(2e-6)])
    (tmp_path / "A").mkdir()
    (tmp_path / "D").mkdir()
    assert check.main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[-1] == "golden: 4 cases, 0 failed, worst A=2.00e-06 B=- C=- D=2.00e-06"


@pytest.mark.parametrize(
    "cases",
    [[case(1.0)], [case(0.0), ValueError("broken file")], []],
    ids=["beyond", "raises", "none"],
)
def test_a_bad_run_exits_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cases: list[CaseResult | Exception]
) -> None:
    use(monkeypatch, cases)
    (tmp_path / "B").mkdir()
    assert check.main([str(tmp_path)]) == 1


def test_a_set_that_stops_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, [case(0.0), ValueError("broken file")])
    (tmp_path / "A").mkdir()
    (tmp_path / "B").mkdir()
    check.main([str(tmp_path)])
    output = capsys.readouterr().out
    assert output.count("stopped after 1 cases") == 2
    assert "broken file" in output
    assert "golden: 4 cases, 2 failed, worst A=inf B=inf C=- D=-" in output


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_a_set_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "empty").mkdir()
    assert check.main([str(tmp_path / name)]) == 2
    assert "nothing to check" in capsys.readouterr().err


def test_a_failed_case_names_the_exception() -> None:
    assert failed_case("case", ValueError("no tensor")).note == "ValueError: no tensor"
