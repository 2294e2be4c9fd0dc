"""Trainings that are killed, and trainings of two processes."""

import os
import random
import signal
import socket
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ootd_core.categories import Variant
from ootd_core.checkpoints.networks import load_networks
from ootd_core.training.log import Log
from ootd_core.training.states import States, read_tensors
from tests.ootd_core.training.forks import Forks
from tests.ootd_core.training.tiny_model import make_tiny_model

pytestmark = pytest.mark.slow
STEPS = 120
KILLS = 3


@pytest.fixture(scope="module")
def forks() -> Generator[Forks]:
    with Forks() as program:
        yield program


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A training on dolls of 32x24 pixels, with everything in it that is written on the way."""
    return {
        "start": str(make_tiny_model(tmp_path_factory.mktemp("start") / "model")),
        "cache": str(tmp_path_factory.mktemp("latents")),
        "height": 32,
        "width": 24,
        "max_train_samples": 6,
        "steps": STEPS,
        "batch": 1,
        "effective_batch": 1,
        "versions_per_sample": 2,
        "mixed_precision": "no",
        "flip_probability": 0.5,
        "save_every": 20,
        "logging_steps": 1,
        "publish_every": 50,
        "validation_samples": 0,
    }


def losses(out: Path) -> list[tuple[float, ...]]:
    columns = ("step", "loss", "error", "grad_norm", "learning_rate")
    rows = Log(out / "training" / "log.csv").rows()
    return [tuple(row[column] for column in columns) for row in rows]


def kill_on_the_way(forks: Forks, process: int, log: Path, step: int, pause: float) -> None:
    """Kill a training some time after it logged a step."""
    for _ in range(12_000):
        if log.is_file() and log.read_bytes().count(b"\n") > step:
            break
        time.sleep(0.005)
    time.sleep(pause)
    os.kill(process, signal.SIGKILL)
    assert forks.wait(process) == -signal.SIGKILL, "it ended before it was killed"


def test_a_killed_training_ends_as_one_that_was_left_alone(
    forks: Forks, settings: dict[str, Any], tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert forks.wait(forks.start("train", out=str(whole), **settings)) == 0
    chance = random.Random(4)
    for part in range(KILLS):
        process = forks.start("train", out=str(killed), **settings)
        step = chance.randrange(36 * part + 5, 36 * part + 30)
        log = killed / "training" / "log.csv"
        kill_on_the_way(forks, process, log, step, pause=chance.uniform(0.0, 0.03))
    assert forks.wait(forks.start("train", out=str(killed), **settings)) == 0

    wanted = losses(whole)
    assert [row[0] for row in wanted] == list(range(1, STEPS + 1))
    assert losses(killed) == wanted
    ends = [States(out / "training" / "states").newest() for out in (whole, killed)]
    for kind in ("weights", "ema", "exp_avg", "exp_avg_sq"):
        one, other = (read_tensors(end, kind) for end in ends if end is not None)
        assert one and all(torch.equal(other[name], value) for name, value in one.items()), kind
    for out in (whole, killed):
        networks = load_networks(out, Variant.FULL_BODY)
        assert networks.tryon_unet.config["block_out_channels"] == [8, 16]
    assert not [path for path in killed.rglob("*") if "unfinished" in path.name]


def test_two_processes_have_the_gradients_of_one_with_twice_the_batch(
    forks: Forks, settings: dict[str, Any], tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**settings, "effective_batch": 4, "outfitting_dropout": 0.3}
    together = [
        forks.start(
            "write_gradients",
            {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "ACCELERATE_USE_CPU": "true",
            },
            **{**common, "batch": 2, "out": str(tmp_path / "two")},
            file=str(tmp_path / "two.safetensors"),
        )
        for rank in range(2)
    ]
    alone = forks.start(
        "write_gradients",
        {},
        **{**common, "batch": 4, "out": str(tmp_path / "one")},
        file=str(tmp_path / "one.safetensors"),
    )
    assert [forks.wait(process) for process in (*together, alone)] == [0, 0, 0]
    one, two = load_file(tmp_path / "one.safetensors"), load_file(tmp_path / "two.safetensors")
    assert one.keys() == two.keys()
    largest = max(float(value.abs().max()) for value in one.values())
    for name, value in one.items():
        assert value.any(), f"{name} has no gradient"
        assert float((two[name] - value).abs().max()) <= 1e-5 * largest, name
