from pathlib import Path

import pytest
import torch

from ootd_core.categories import Variant
from ootd_core.checkpoints.networks import load_networks
from ootd_core.training import publishing
from ootd_core.training.publishing import copy_parts, publish, published_steps
from tests.ootd_core.small_networks import FOLDER
from tests.ootd_core.training.test_tryon import tiny_networks

DC = Variant.FULL_BODY


def test_a_published_folder_loads(tmp_path: Path) -> None:
    networks = tiny_networks()
    copy_parts(FOLDER, tmp_path)
    publish(tmp_path, networks, 7, dtype=torch.float32, total_limit=1)
    loaded = load_networks(tmp_path, DC)
    for name in ("outfitting_unet", "tryon_unet", "vae", "text_encoder", "image_encoder"):
        wanted = getattr(networks, name).state_dict()
        found = getattr(loaded, name).state_dict()
        assert all(torch.equal(found[key], value) for key, value in wanted.items()), name
    assert loaded.tokenizer.get_vocab() == networks.tokenizer.get_vocab()
    again = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    copy_parts(FOLDER, tmp_path)
    assert again == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}


def test_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    networks = tiny_networks()
    for step in (900, 1000, 1100, 1100):
        publish(tmp_path, networks, step, dtype=torch.float16, total_limit=2)
    assert published_steps(tmp_path, DC) == [1000, 1100]
    assert published_steps(tmp_path, Variant.HALF_BODY) == []


def test_an_interrupted_checkpoint_is_never_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = tiny_networks()
    copy_parts(FOLDER, tmp_path)
    publish(tmp_path, networks, 7, dtype=torch.float32, total_limit=2)
    save_part = publishing.save_part

    def second_fails(folder: Path, *rest: object, **options: object) -> None:
        if folder.name == "unet_vton":
            raise KeyboardInterrupt
        save_part(folder, *rest, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "save_part", second_fails)
        with pytest.raises(KeyboardInterrupt):
            publish(tmp_path, networks, 8, dtype=torch.float32, total_limit=2)
    assert published_steps(tmp_path, DC) == [7]
    load_networks(tmp_path, DC)
    publish(tmp_path, networks, 8, dtype=torch.float32, total_limit=2)
    assert published_steps(tmp_path, DC) == [7, 8]
    assert not list(tmp_path.rglob("*.part"))
