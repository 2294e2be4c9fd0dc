"""Which engine a batch takes, and what is refused before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogue.engine import WorkerSettings
from catalogue.local import LocalEngine
from catalogue.ray_engine import RayEngine
from cli import batch_engine
from cli.batch_engine import EngineChoice, EngineName
from ootd_core import requirements
from tests.catalogue.drawn_catalogue import settings_for, small_catalogue
from tests.cli.test_tryon import run


def test_the_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(tmp_path)
    local = EngineChoice(name=EngineName.LOCAL, address=None, workers=None)
    assert isinstance(local.make(settings, ["cpu"]), LocalEngine)
    assert local.devices("cpu,cpu") == ["cpu", "cpu"]
    monkeypatch.setattr(requirements, "is_installed", lambda _module: True)
    ray = EngineChoice(name=EngineName.RAY, address="auto", workers="2-8")
    engine = ray.make(settings, ["auto"])
    assert isinstance(engine, RayEngine)
    assert (engine.address, engine.workers, engine.settings) == ("auto", (2, 8), settings)
    assert ray.devices("auto") == ["auto"], "the cluster knows, not this machine"
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    here = EngineChoice(name=EngineName.RAY, address=None, workers=None)
    monkeypatch.setattr(batch_engine, "choose_device", lambda _name: "cuda")
    assert here.devices("auto") == ["cuda"]
    monkeypatch.setattr(batch_engine, "choose_device", lambda _name: "mps")
    assert here.devices("auto") == ["cpu"], "Ray hands out no other accelerators"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--workers", "2"), "--workers is of the Ray engine: give it with --engine ray."),
        (("--address", "auto"), "--address is of the Ray engine: give it with --engine ray."),
        (("--engine", "ray", "--workers", "8-2"), "--workers is '8-2', but must be a number"),
        (("--engine", "ray", "--device", "cuda:1"), "--device is 'cuda:1', but Ray hands out the"),
        (("--threads", "2147483648"), "Invalid value for '--threads'"),
        (("--cache-memory", "nan"), "--cache-memory is nan, but must be 0 GiB or more"),
        (("--cache-disk", "-1"), "--cache-disk is -1, but must be 0 GiB or more"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_does_not_go_together_is_refused(
    words: tuple[str, ...],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(requirements, "is_installed", lambda _module: True)
    manifest, out = small_catalogue(tmp_path / "in", 1, 1), tmp_path / "out"
    given = ("batch", "--manifest", manifest, "--out", out, *words)
    assert run(monkeypatch, *map(str, given)) == 2
    assert sentence in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize("bound", ["inf", "1e300"])
def test_a_cache_may_be_without_bound(
    bound: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[WorkerSettings] = []

    def make(_: EngineChoice, settings: WorkerSettings, devices: object) -> None:
        asked.append(settings)
        raise ValueError(f"That is enough, on {devices}.")

    monkeypatch.setattr(EngineChoice, "make", make)
    manifest = small_catalogue(tmp_path / "in", 1, 1)
    given = ("--manifest", manifest, "--out", tmp_path / "out", "--device", "cpu")
    bounds = ("--cache-memory", bound, "--cache-disk", bound)
    assert run(monkeypatch, "batch", *given, *bounds) == 2
    (settings,) = asked
    assert settings.cache_memory == settings.cache_disk > 2**60


def test_without_ray_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "is_installed", lambda module: module != "ray")
    with pytest.raises(ModuleNotFoundError, match=r"ray is not installed: `.*pip install.*ray"):
        EngineChoice(name=EngineName.RAY, address=None, workers=None)


def test_a_report_needs_a_ledger(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "batch", "report") == 2
    assert "Say where the results are: --out FOLDER." in capsys.readouterr().err
    assert run(monkeypatch, "batch", "report", "--out", str(tmp_path / "none")) == 2
    assert "There is no ledger in" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
