from pathlib import Path

import numpy as np
import pytest
import torch

from mini import recipe
from mini.recipe import (
    LOWEST,
    Stage,
    draw_parsing_batch,
    draw_pose_batch,
    in_wider_picture,
    stages,
)
from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import missing
from ootd_core.checkpoints.networks import load_networks
from ootd_core.masks.labels import Label
from ootd_core.training.loop import LoopSettings, Task

SHORTEST = 1e-6


class Runs:
    """Trains nothing and keeps what would have been trained."""

    def __init__(self) -> None:
        self.settings: list[LoopSettings] = []

    def __call__(self, task: Task, settings: LoopSettings, work: Path) -> None:
        assert task.modules and work.parent.name == "work"
        self.settings.append(settings)


@pytest.mark.slow
def test_all_stages_make_a_whole_model_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "HELD_OUT_SEEDS", range(2))
    monkeypatch.setattr(recipe, "STATISTICS_BATCHES", 1)
    runs = Runs()
    out = tmp_path / "checkpoints"
    for stage, train in stages().items():
        train(out, tmp_path / "work" / stage, SHORTEST, runs)
    assert [settings.steps for settings in runs.settings] == [2, 1, 1, 2, 1]
    assert missing(out, Variant.FULL_BODY) == []
    networks = load_networks(out, Variant.FULL_BODY)
    assert networks.vae.config["scaling_factor"] > 0
    assert (out / "ootd" / "ootd_dc" / "checkpoint-2").is_dir()
    assert len(list((tmp_path / "samples").glob("*.png"))) == 18
    train = stages(resume_unets=True)[Stage.UNETS]
    train(out, tmp_path / "work" / "again", SHORTEST, runs)
    assert (out / "ootd" / "ootd_dc" / "checkpoint-4").is_dir()


def test_a_wider_picture_continues_the_picture() -> None:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    labels = np.full((4, 6), Label.FACE, np.uint8)
    shapes: set[tuple[int, ...]] = set()
    for seed in range(12):
        wider, where = in_wider_picture(image, labels, np.random.default_rng(seed))
        assert wider.shape[:2] == where.shape
        ys, xs = np.nonzero(where)
        inside = slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)
        assert (wider[inside] == image).all() and len(ys) == labels.size
        shapes.add(where.shape)
    assert max(width for _, width in shapes) > 9 and max(height for height, _ in shapes) > 4


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        (Stage.UNETS, "no autoencoder yet: train it first, with --stage vae"),
        (Stage.DECODER, "no UNets yet: train them first, with --stage unets"),
    ],
)
def test_a_folder_without_what_comes_before_is_refused(
    tmp_path: Path, stage: Stage, told: str
) -> None:
    with pytest.raises(FileNotFoundError, match=told):
        stages()[stage](tmp_path / "none", tmp_path / "work" / stage, SHORTEST, Runs())
    assert not (tmp_path / "none").exists()


def test_batches_show_dolls_and_pictures_without_a_person() -> None:
    images, labels = draw_parsing_batch(0)
    assert images.shape == (7, 3, 256, 192) and labels.shape == (7, 128, 96)
    assert labels[:6].flatten(1).any(1).all() and not labels[6:].any()
    for start in (0, 3):  # somebody in a dress, in a skirt, in trousers
        for lowest, seen in zip(LOWEST, labels[start:], strict=False):
            assert [label for label in LOWEST if (seen == label).any()] == [lowest]
    black = (images < images.amin((2, 3), keepdim=True) + 0.01).all(1)  # in every channel
    beside = [bool(one[0].all() or one[:, 0].all()) for one in black[:6]]
    assert beside == [True, False, False, True, False, False]  # those put into wider pictures
    head = labels[:, :25]  # whose neck a garment may cover
    assert torch.equal(head[1] == Label.FACE, head[2] == Label.FACE)
    assert not torch.equal(head[1] == Label.FACE, head[4] == Label.FACE)
    pictures, limbs, joints = draw_pose_batch(0)
    assert len(pictures) == len(limbs) == len(joints) == 7
    assert limbs[:6].flatten(1).any(1).all() and not limbs[6:].any()
    assert torch.equal(limbs[:3], limbs[3:6]) and not torch.equal(pictures[:3], pictures[3:6])
