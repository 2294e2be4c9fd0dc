from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ootd_core.evaluation.inception import (
    Branch,
    Convolution,
    InceptionFeatures,
    Mixed,
    load_inception,
    pooled,
)

PARAMETERS = 21_785_568
"""Of Inception v3 without its classifier and without the auxiliary one."""


def test_it_has_the_published_shape() -> None:
    network = InceptionFeatures()
    state = network.state_dict()
    assert sum(value.numel() for value in network.parameters()) == PARAMETERS
    assert state["Conv2d_1a_3x3.conv.weight"].shape == (32, 3, 3, 3)
    assert state["Mixed_6e.branch7x7dbl_5.conv.weight"].shape == (192, 192, 1, 7)
    assert state["Mixed_7c.branch3x3dbl_3b.bn.running_var"].shape == (384,)
    with torch.inference_mode():
        features = network(torch.full((1, 3, 299, 299), 200.0))
    assert features.shape == (1, network.num_features)


def test_average_pooling_does_not_count_the_padding() -> None:
    ones = torch.ones(1, 1, 4, 4)
    assert torch.equal(pooled(ones, "average"), ones)
    corner = torch.zeros(1, 1, 4, 4)
    corner[..., 0, 0] = 1.0
    assert pooled(corner, "maximum")[0, 0, 1, 1] == 1.0


def test_a_block_lays_its_branches_one_behind_the_other() -> None:
    block = Mixed(
        2,
        Branch(("a", 3, (1, 1), 1)),
        Branch(("b", 4, (1, 1), 1), fork=(("c", 5, (1, 3)), ("d", 6, (3, 1)))),
    ).eval()
    x = torch.randn(1, 2, 7, 7, generator=torch.Generator().manual_seed(0))
    y = block(x)
    assert y.shape == (1, 3 + 5 + 6, 7, 7)
    assert torch.equal(y[:, :3], block.get_submodule("a")(x))
    assert torch.equal(y[:, 8:], block.get_submodule("d")(block.get_submodule("b")(x)))


def test_a_halving_block_appends_what_it_pooled() -> None:
    block = Mixed(2, Branch(("a", 3, (3, 3), 2)), reduces=True).eval()
    x = torch.rand(1, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x)[:, 3:], F.max_pool2d(x, 3, 2))


def test_convolutions_keep_the_size_unless_told_otherwise() -> None:
    x = torch.zeros(1, 2, 9, 9)
    assert Convolution(2, 1, (1, 7)).eval()(x).shape[2:] == (9, 9)
    assert Convolution(2, 1, (3, 3), keep=False).eval()(x).shape[2:] == (7, 7)
    assert Convolution(2, 1, (3, 3), 2).eval()(x).shape[2:] == (4, 4)


def test_a_file_fills_it_whatever_its_classifier(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {
        key: torch.rand_like(value.float())
        for key, value in InceptionFeatures().state_dict().items()
    }
    torch.save(state | {"fc.weight": torch.zeros(1008, 2048)}, tmp_path / "inception.pth")
    loaded = load_inception(tmp_path / "inception.pth").state_dict()
    assert torch.equal(loaded["Mixed_7b.branch1x1.bn.bias"], state["Mixed_7b.branch1x1.bn.bias"])
    assert not any(
        parameter.requires_grad
        for parameter in load_inception(tmp_path / "inception.pth").parameters()
    )


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth .* does not hold .* Inception"):
        load_inception(tmp_path / "other.pth")
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        load_inception(tmp_path / "absent.pth")
