"""A whole run goes through the pipeline's stages and measures each of them."""

import pytest
import torch

from benchmarks import whole_run
from benchmarks.random_networks import TINY


def test_every_stage_is_timed_and_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(whole_run, "STEPS", 1)
    with torch.inference_mode():
        whole_run.main(TINY, [(64, 64)], torch.device("cpu"), torch.float32, repeats=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "64x64 whole run, 1 steps:"
    stages = [line.split()[0] for line in lines[1:]]
    assert stages == ["prompt", "garment", "person", "denoise", "decode", "total"]
    assert all(float(line.split()[1]) > 0 for line in lines[1:])
