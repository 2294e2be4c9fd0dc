import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ootd_core.evaluation import features as features_module
from ootd_core.evaluation.feature_files import ALEXNET, INCEPTION, FeatureFile, obtain
from ootd_core.evaluation.features import FeatureNetworks, load_feature_networks, resize
from ootd_core.evaluation.perceptual import AlexNetStages
from tests.ootd_core.evaluation.stand_ins import stand_ins

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)


def served(tmp_path: Path, content: bytes, **changed: str) -> FeatureFile:
    """A catalogue entry whose address is a file on this machine."""
    source = tmp_path / "server" / "weights.pth"
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(content)
    file = replace(ALEXNET, name="weights.pth", url=source.as_uri())
    return replace(file, **{"sha256": hashlib.sha256(content).hexdigest(), **changed})


def test_resizing_averages_and_does_not_round() -> None:
    checks = np.zeros((64, 64, 3), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 255
    small = resize(checks, 16)
    assert small.shape == (16, 16, 3)
    assert np.abs(small[2:-2, 2:-2] - 127.5).max() < 1  # plain bicubic would pick pixels
    flat = resize(np.full((40, 30, 3), 77, np.uint8), 299)
    assert np.allclose(flat, 77, atol=1e-3)
    edge = resize(np.repeat(np.array([[[0] * 3, [255] * 3]], np.uint8), 2, 0), 299)
    assert edge.min() == 0 and edge.max() == 255  # the filter's overshoot is clipped
    assert (edge % 1 != 0).mean() > 0.3


def test_resizing_is_pillows_filter_in_floats() -> None:
    dull = PICTURE // 4 + np.uint8(90)  # far from black and white, where bytes would be clipped
    rounded = np.asarray(Image.fromarray(dull).resize((31, 31), Image.Resampling.BICUBIC))
    assert np.abs(resize(dull, 31) - rounded).max() < 1.5  # bytes are rounded twice


def test_features_and_distances_of_pictures() -> None:
    networks = stand_ins()
    features = networks.features(PICTURE)
    assert features is not None and features.dtype == torch.float64
    assert np.allclose(features, PICTURE.mean((0, 1)), atol=2)
    assert networks.distance(PICTURE, PICTURE) == 0.0
    assert FeatureNetworks().features(PICTURE) is None
    assert FeatureNetworks().distance(PICTURE, PICTURE) is None


def test_a_network_by_path_is_known_by_its_hash(tmp_path: Path) -> None:
    torch.save(AlexNetStages().state_dict(), tmp_path / "mine.pth")
    networks = load_feature_networks(alexnet=tmp_path / "mine.pth")
    assert networks.inception is None and networks.perceptual is not None
    expected = hashlib.sha256((tmp_path / "mine.pth").read_bytes()).hexdigest()
    assert networks.hashes == {ALEXNET.name: expected}
    assert load_feature_networks().hashes == {}


def test_a_missing_file_is_downloaded_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = served(tmp_path, b"weights")
    with caplog.at_level(logging.WARNING):
        path = obtain(file, tmp_path / "networks")
    assert path.read_bytes() == b"weights"
    assert file.url in caplog.text
    (tmp_path / "server" / "weights.pth").unlink()
    assert obtain(file, tmp_path / "networks") == path


def test_wrong_contents_are_never_used(tmp_path: Path) -> None:
    file = served(tmp_path, b"weights", sha256="0" * 64)
    with pytest.raises(ValueError, match="has the SHA-256"):
        obtain(file, tmp_path / "networks")
    assert not (tmp_path / "networks" / file.name).exists()
    (tmp_path / "networks" / file.name).write_bytes(b"others")
    with pytest.raises(ValueError, match="expected 0000"):
        obtain(file, tmp_path / "networks")


def test_what_cannot_be_had_is_said_with_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = served(tmp_path, b"weights")
    (tmp_path / "server" / "weights.pth").unlink()
    with pytest.raises(ValueError, match=r"cannot be downloaded from file:.*--alexnet FILE"):
        obtain(file, tmp_path / "networks")
    assert list((tmp_path / "networks").iterdir()) == []
    monkeypatch.setattr(features_module, "INCEPTION", replace(INCEPTION, url=file.url))
    with pytest.raises(ValueError, match="Inception, the feature network of FID and KID"):
        load_feature_networks(folder=tmp_path / "networks")
