import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import Part
from ootd_core.checkpoints.networks import Networks, load_networks
from ootd_core.checkpoints.writing import (
    part_folder,
    save_json,
    save_part,
    unet_folder,
    write_whole,
)
from tests.model_folder import GOLDEN

DC = Variant.FULL_BODY


@pytest.fixture(scope="module")
def networks() -> Networks:
    return load_networks(GOLDEN, DC)


def save_all(folder: Path, networks: Networks, *, step: int, dtype: torch.dtype) -> None:
    save_part(part_folder(folder, Part.VAE), networks.vae, dtype=dtype)
    save_part(part_folder(folder, Part.TEXT_ENCODER), networks.text_encoder, dtype=dtype)
    save_part(part_folder(folder, Part.IMAGE_ENCODER), networks.image_encoder, dtype=dtype)
    outfitting = unet_folder(folder, Part.OUTFITTING_UNET, DC, step)
    save_part(outfitting, networks.outfitting_unet, dtype=dtype)
    save_part(unet_folder(folder, Part.TRYON_UNET, DC, step), networks.tryon_unet, dtype=dtype)
    save_json(
        part_folder(folder, Part.SCHEDULER) / "scheduler_config.json", networks.scheduler_config
    )
    save_json(
        part_folder(folder, Part.IMAGE_ENCODER) / "preprocessor_config.json",
        networks.image_processor.to_dict(),
    )
    shutil.copytree(part_folder(GOLDEN, Part.TOKENIZER), part_folder(folder, Part.TOKENIZER))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_is_written_loads_again(
    dtype: torch.dtype, networks: Networks, tmp_path: Path
) -> None:
    save_all(tmp_path, networks, step=12, dtype=dtype)
    again = load_networks(tmp_path, DC)
    for name in ("vae", "text_encoder", "image_encoder", "outfitting_unet", "tryon_unet"):
        before, after = getattr(networks, name).state_dict(), getattr(again, name).state_dict()
        assert before.keys() == after.keys()
        for key, value in before.items():
            assert torch.equal(after[key], value.to(dtype).float()), (name, key)
    assert again.scheduler_config == networks.scheduler_config
    assert again.image_processor.to_dict() == networks.image_processor.to_dict()
    assert not list(tmp_path.rglob("*.part"))
    for path in tmp_path.rglob("*.safetensors"):
        assert {value.dtype for value in load_file(path).values()} == {dtype}


def test_the_text_encoder_is_written_under_its_published_names(
    networks: Networks, tmp_path: Path
) -> None:
    save_part(tmp_path, networks.text_encoder, dtype=torch.float32)
    published = load_file(part_folder(GOLDEN, Part.TEXT_ENCODER) / "model.safetensors")
    assert load_file(tmp_path / "model.safetensors").keys() == published.keys()


def test_configs_name_their_class(networks: Networks, tmp_path: Path) -> None:
    save_part(tmp_path / "vae", networks.vae, dtype=torch.float16)
    save_part(tmp_path / "text", networks.text_encoder, dtype=torch.float16)
    vae = json.loads((tmp_path / "vae" / "config.json").read_text())
    text = json.loads((tmp_path / "text" / "config.json").read_text())
    assert vae["_class_name"] == "AutoencoderKL" and vae["scaling_factor"] == 0.18215
    assert text["architectures"] == ["CLIPTextModel"] and text["dtype"] == "float16"


def test_a_network_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Linear has no config"):
        save_part(tmp_path, nn.Linear(2, 2), dtype=torch.float32)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model" / "config.json"
    save_json(path, {"step": 1})

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, fail)
    assert json.loads(path.read_text()) == {"step": 1}
    assert list(path.parent.iterdir()) == [path]
    save_json(path, {"step": 2, "dtype": torch.float16})
    assert json.loads(path.read_text()) == {"step": 2, "dtype": "float16"}


def test_an_interrupted_part_keeps_its_old_config(
    networks: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_part(tmp_path, networks.vae, dtype=torch.float32)
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("ootd_core.checkpoints.writing.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_part(tmp_path, networks.vae, dtype=torch.float16)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == content
