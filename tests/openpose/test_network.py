"""The body network: topology, published names, any width, files good and bad."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from openpose.network import (
    BodyChannels,
    BodyNetwork,
    load_body_network,
    network_from_state_dict,
    published_state_dict,
)

NARROW = BodyChannels(
    trunk=(3, 5, 6, 7), squeeze=9, features=4, stage=8, first_stage=10, later_stages=12
)


@pytest.fixture
def narrow() -> BodyNetwork:
    torch.manual_seed(0)
    return BodyNetwork(channels=NARROW).eval()


def test_published_width_has_the_published_size() -> None:
    with torch.device("meta"):
        network = BodyNetwork()
    assert sum(parameter.numel() for parameter in network.parameters()) == 52_311_446
    assert BodyChannels.of_width(64) == BodyChannels()


def test_forward_gives_maps_at_an_eighth(narrow: BodyNetwork) -> None:
    affinity, heatmap = narrow(torch.zeros(2, 3, 184, 144))
    assert affinity.shape == (2, 38, 23, 18)
    assert heatmap.shape == (2, 19, 23, 18)


def test_only_the_final_heatmap_is_rectified(narrow: BodyNetwork) -> None:
    image = torch.rand(1, 3, 64, 48) - 0.5
    with torch.no_grad():
        affinity, heatmap = narrow(image)
        stages = narrow.forward_stages(image)
    assert len(stages) == 6
    assert all(maps.min() < 0 for stage in stages for maps in stage)
    assert torch.equal(affinity, stages[-1][0])
    assert torch.equal(heatmap, stages[-1][1].clamp(min=0))


def test_supervision_reaches_every_weight(narrow: BodyNetwork) -> None:
    stages = narrow.forward_stages(torch.rand(1, 3, 64, 48) - 0.5)
    torch.stack([maps.square().mean() for stage in stages for maps in stage]).sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0
        for name, parameter in narrow.named_parameters()
        if name.endswith("weight")
    )


@pytest.mark.parametrize("name", ["body.safetensors", "body_pose_model.pth"])
def test_any_width_loads_from_both_formats(tmp_path: Path, narrow: BodyNetwork, name: str) -> None:
    path = tmp_path / name
    weights = published_state_dict(narrow)
    assert "conv1_1.weight" in weights and "Mconv7_stage6_L2.bias" in weights
    if path.suffix == ".pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    loaded = load_body_network(path, dtype=torch.float64)
    assert loaded.channels == NARROW
    assert not loaded.training
    image = torch.rand(1, 3, 64, 48) - 0.5
    with torch.no_grad():
        expected, got = narrow(image), loaded(image.double())
    for theirs, ours in zip(expected, got, strict=True):
        assert ours.dtype == torch.float64
        torch.testing.assert_close(ours.float(), theirs)


def test_half_precision_files_load_as_asked(tmp_path: Path, narrow: BodyNetwork) -> None:
    path = tmp_path / "half.safetensors"
    save_file({key: value.half() for key, value in published_state_dict(narrow).items()}, path)
    assert next(load_body_network(path).parameters()).dtype == torch.float32


@pytest.mark.parametrize("name", ["body.safetensors", "body.pth", "legacy.pth"])
@pytest.mark.parametrize("kept", [0, 1, 100, 5000, 30_000])
def test_truncated_files_are_named(
    tmp_path: Path, narrow: BodyNetwork, name: str, kept: int
) -> None:
    path = tmp_path / name
    if path.suffix == ".pth":
        zipped = name != "legacy.pth"
        torch.save(published_state_dict(narrow), path, _use_new_zipfile_serialization=zipped)
        assert load_body_network(path).channels == NARROW
    else:
        save_file(published_state_dict(narrow), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=f"{name} cannot be read as weights"):
        load_body_network(path)


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "body.pth"
    torch.save({"conv1_1.weight": Path("not a tensor")}, path)
    with pytest.raises(ValueError, match="cannot be read as weights"):
        load_body_network(path)


def test_a_list_is_no_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "body.pth"
    torch.save([torch.zeros(1)], path)
    with pytest.raises(ValueError, match="not OpenPose body weights"):
        load_body_network(path)


def test_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere/body\.pth"):
        load_body_network(Path("nowhere/body.pth"))


def test_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "unet.safetensors"
    save_file({"conv_in.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"not OpenPose body weights: conv1_1\.weight is missing"):
        load_body_network(path)


def test_wrong_keys_and_shapes_are_named(narrow: BodyNetwork) -> None:
    weights = published_state_dict(narrow)
    weights["Mconv7_stage6_L2.bias"] = torch.zeros(18)
    with pytest.raises(ValueError, match=r"1 of 184 .*Mconv7_stage6_L2\.bias: .*\(19,\), got \(18"):
        network_from_state_dict(weights)
    del weights["Mconv7_stage6_L2.bias"]
    with pytest.raises(ValueError, match="got None"):
        network_from_state_dict(weights)


def test_channel_counts_are_checked() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        BodyNetwork(width=0)
