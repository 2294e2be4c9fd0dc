from pathlib import Path

import pytest
import torch

from ootd_core.training import states as module
from ootd_core.training.states import States, read_progress, read_tensors


def save(states: States, step: int) -> Path:
    return states.save(step, {"note": "x"}, {"weights": {"a": torch.full((2,), float(step))}})


def test_the_newest_are_kept(tmp_path: Path) -> None:
    states = States(tmp_path, total_limit=2)
    assert states.newest() is None
    for step in (5, 10, 100):
        save(states, step)
    newest = states.newest()
    assert newest is not None
    assert read_progress(newest) == {"note": "x", "step": 100}
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
