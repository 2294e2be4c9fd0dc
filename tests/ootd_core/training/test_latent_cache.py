from pathlib import Path

import pytest
import torch

from ootd_core.categories import Variant
from ootd_core.checkpoints.networks import load_networks
from ootd_core.training.latent_cache import LatentCache, encoders_fingerprint, key_of
from ootd_core.training.latents import TryOnLatents
from tests.ootd_core.small_networks import FOLDER, small_networks
from tests.ootd_core.training.test_tryon import latents

KEY = key_of("a", 1, [64, 48])


def sample() -> TryOnLatents:
    return latents(1, (8, 6))


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_kept_is_what_is_read(tmp_path: Path, kept: bool) -> None:
    cache = LatentCache(tmp_path if kept else None)
    assert cache.read(KEY) is None
    given = cache.keep(KEY, sample())
    assert given.garment.dtype == torch.float32
    assert torch.equal(given.target, sample().target.half().float())
    read = cache.read(KEY)
    if not kept:
        assert read is None
        return
    assert read is not None
    for name in ("garment", "agnostic", "target", "prompt"):
        assert torch.equal(getattr(read, name), getattr(given, name))
    assert cache.read(key_of("b")) is None


def test_a_broken_file_is_as_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = LatentCache(tmp_path)
    cache.keep(KEY, sample())
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    assert cache.read(KEY) is None
    assert "is damaged" in caplog.text
    cache.keep(KEY, sample())
    assert cache.read(KEY) is not None


def test_keys_differ_with_every_part() -> None:
    keys = {key_of("a", 1), key_of("a", 2), key_of("b", 1), key_of("a", [1]), key_of("a", 1, None)}
    assert len(keys) == 5 and all(len(key) == 32 for key in keys)


def test_the_fingerprint_sees_every_encoder() -> None:
    plain = encoders_fingerprint(small_networks())
    assert plain == encoders_fingerprint(small_networks())
    for name in ("vae", "text_encoder", "image_encoder"):
        networks = load_networks(FOLDER, Variant.FULL_BODY)
        next(getattr(networks, name).parameters()).view(-1)[0] += 1
        assert encoders_fingerprint(networks) != plain, name
