import errno
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from ootd_core.checkpoints.whole_files import WriteError
from ootd_core.training import states as module
from ootd_core.training.states import States, read_progress, read_tensors, state_damage


def save(states: States, step: int) -> Path:
    return states.save(step, {"note": "x"}, {"weights": {"a": torch.full((2,), float(step))}})


def test_the_newest_are_kept(tmp_path: Path) -> None:
    states = States(tmp_path, total_limit=2)
    assert states.newest() is None
    for step in (5, 10, 100):
        save(states, step)
    newest = states.newest()
    assert newest is not None
    assert read_progress(newest).items() >= {"note": "x", "step": 100}.items()
    assert read_tensors(newest, "weights")["a"].tolist() == [100.0, 100.0]
    assert read_tensors(newest, "ema") == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010", "step-00000100"]


def test_an_interrupted_save_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = States(tmp_path)
    save(states, 5)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save(states, 10)
    newest = states.newest()
    assert newest is not None and read_progress(newest)["step"] == 5
    save(states, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize("name", ["progress.json", "weights.safetensors"])
@pytest.mark.parametrize("harm", [empty, cut, Path.unlink])
def test_damage_is_named_and_the_state_before_it_taken(
    name: str, harm: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    states = States(tmp_path / "states", total_limit=2)
    first, second = save(states, 5), save(states, 10)
    assert state_damage(first) is None
    harm(second / name)
    assert states.newest() == first
    assert f"{second} is damaged: its {name}" in caplog.text and first.name in caplog.text
    harm(first / name)
    with pytest.raises(ValueError, match=rf"{second} is damaged.* no older state is whole.*delete"):
        states.newest()


def test_a_later_damaged_state_goes_when_an_earlier_one_is_saved(tmp_path: Path) -> None:
    states = States(tmp_path, total_limit=1)
    empty(save(states, 10) / "progress.json")
    saved = save(states, 7)
    assert states.newest() == saved and list(tmp_path.iterdir()) == [saved]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "no space"), SafetensorError("I/O error: no space (os error 28)")],
)
def test_a_full_disk_leaves_the_state_before_and_nothing_else(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = States(tmp_path)
    before = save(states, 5)

    def full(_values: object, path: Path) -> None:
        path.write_bytes(b"x" * 100)
        raise error

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(WriteError, match="cannot be written: the disk is full"):
        save(states, 10)
    assert states.newest() == before and list(tmp_path.iterdir()) == [before]


def test_a_file_that_the_system_refuses_to_grow(tmp_path: Path) -> None:
    states = States(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = {"weights": {"a": torch.zeros(100_000)}}
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        with pytest.raises(WriteError, match="takes no file of this size"):
            states.save(5, {}, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert states.newest() is None and not list(tmp_path.iterdir())
