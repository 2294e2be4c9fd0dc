import numpy as np
import pytest
import torch

from mini.pose import FULL_WEIGHT, PoseTask, map_weights, target_maps
from openpose.decode import decode_maps
from openpose.network import BodyChannels, BodyNetwork
from tests.openpose.drawn_maps import GEOMETRY, STANDING


def keypoints(*missing: int) -> np.ndarray:
    points = np.concatenate([STANDING, np.ones((18, 1))], axis=1).astype(np.float32)
    points[list(missing)] = 0
    return points


def test_the_ideal_maps_decode_to_the_person() -> None:
    affinity, heatmap = target_maps(keypoints(4, 10), GEOMETRY)
    (person,) = decode_maps(affinity, heatmap, GEOMETRY).people()
    assert not person.visible[[4, 10]].any()
    seen = person.visible
    assert seen.sum() == 16
    assert np.abs(person.keypoints[seen, :2] - STANDING[seen]).max() < 4  # pixels of 512


def test_background_is_what_no_joint_covers() -> None:
    _, heatmap = target_maps(keypoints(), GEOMETRY)
    assert np.allclose(heatmap[18], 1 - heatmap[:18].max(0))


def test_a_full_map_weighs_more_than_an_empty_one() -> None:
    affinity, heatmap = target_maps(keypoints(4), GEOMETRY)
    limbs, joints = map_weights(torch.from_numpy(affinity)[None], torch.from_numpy(heatmap)[None])
    forearm = limbs[0, 24]  # x of the left one, and y
    assert (forearm.max(), forearm.min()) == (pytest.approx(FULL_WEIGHT), 1)
    assert torch.equal(forearm, limbs[0, 25])
    assert (limbs[0, 16] == 1).all()  # the right one has no wrist
    assert joints[0, 0].max() == pytest.approx(1 + (FULL_WEIGHT - 1) * heatmap[0].max())
    assert (joints[0, 18] == 1).all()


def test_every_stage_learns() -> None:
    torch.manual_seed(0)
    channels = BodyChannels(
        trunk=(4, 4, 8, 8), squeeze=8, features=8, stage=4, first_stage=8, later_stages=8
    )
    network = BodyNetwork(channels=channels)
    affinity, heatmap = target_maps(keypoints(), GEOMETRY)
    batch = (
        torch.rand(1, 3, GEOMETRY.padded_height, GEOMETRY.padded_width) - 0.5,
        torch.from_numpy(affinity)[None],
        torch.from_numpy(heatmap)[None],
    )
    task = PoseTask(network, lambda _step: batch)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses: list[float] = []
    for step in range(20):
        optimizer.zero_grad()
        loss, figures = task.loss(step)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        assert 0 < figures["last_stage"] < loss.item()
    assert losses[-1] < 0.9 * losses[0]
    assert all(parameter.grad is not None for parameter in network.parameters())
