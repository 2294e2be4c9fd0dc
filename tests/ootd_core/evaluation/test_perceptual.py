from pathlib import Path

import pytest
import torch
import torchmetrics.functional.image.lpips as torchmetrics_lpips

from ootd_core.evaluation.perceptual import (
    AlexNetStages,
    PerceptualDistance,
    bundled_linear_weights,
    linear_weights,
    load_perceptual,
)
from tests.ootd_core.evaluation.stand_ins import OneMap

GENERATOR = torch.Generator().manual_seed(0)
FIRST, SECOND = (torch.rand(2, 3, 64, 48, generator=GENERATOR) for _ in range(2))


def alexnet_file(folder: Path) -> Path:
    """A file with random weights under torchvision's names, a classifier included."""
    torch.manual_seed(0)
    state = AlexNetStages().state_dict() | {"classifier.6.bias": torch.zeros(1000)}
    torch.save(state, folder / "alexnet.pth")
    return folder / "alexnet.pth"


def test_equal_pictures_are_no_distance_apart(tmp_path: Path) -> None:
    distance = load_perceptual(alexnet_file(tmp_path))
    assert torch.equal(distance(FIRST, FIRST), torch.zeros(2))
    assert (distance(FIRST, SECOND) > 0).all()


def test_it_is_torchmetrics_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distance = load_perceptual(alexnet_file(tmp_path))
    backbone = distance.backbone
    assert isinstance(backbone, AlexNetStages)

    def features(_net: str, _pretrained: bool = False) -> torch.nn.Sequential:
        return backbone.features

    monkeypatch.setattr(torchmetrics_lpips, "_get_tv_model_features", features)
    theirs = torchmetrics_lpips.learned_perceptual_image_patch_similarity(
        FIRST, SECOND, net_type="alex", reduction="none", normalize=True
    )
    assert torch.allclose(distance(FIRST, SECOND), theirs, rtol=1e-5)


def test_by_hand_with_one_feature_map() -> None:
    """Pure red against pure blue: after scaling and normalising, a difference of unit vectors."""
    red, blue = torch.zeros(1, 3, 40, 40), torch.zeros(1, 3, 40, 40)
    red[:, 0], blue[:, 2] = 1.0, 1.0
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    vectors = [(2 * torch.eye(3)[channel] - 1 - shift) / scale for channel in (0, 2)]
    one, other = (vector / vector.norm() for vector in vectors)
    expected = float(((one - other) ** 2 * torch.tensor([1.0, 2.0, 3.0])).sum())
    distance = PerceptualDistance(OneMap(), [torch.tensor([1.0, 2.0, 3.0])])
    assert float(distance(red, blue)) == pytest.approx(expected, rel=1e-5)


def test_bad_files_and_sizes(tmp_path: Path) -> None:
    distance = load_perceptual(alexnet_file(tmp_path))
    with pytest.raises(ValueError, match="at least 31 pixels a side, not 20x40"):
        distance(torch.zeros(1, 3, 40, 20), torch.zeros(1, 3, 40, 20))
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth .* does not hold the weights of AlexNet"):
        load_perceptual(tmp_path / "other.pth")
    with pytest.raises(ValueError, match="linear weights of LPIPS"):
        linear_weights(tmp_path / "other.pth")
    assert [len(one.flatten()) for one in linear_weights(bundled_linear_weights())] == [
        64,
        192,
        384,
        256,
        256,
    ]
