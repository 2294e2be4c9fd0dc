import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cli.model_folder import State, examine
from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import Part, download_command
from ootd_core.checkpoints.clip_towers import load_tokenizer
from ootd_core.checkpoints.locating import PartFiles, locate, locate_preprocessors, verify
from ootd_core.checkpoints.networks import load_networks
from ootd_core.checkpoints.reading import read_state_dict
from ootd_core.checkpoints.writing import part_folder
from tests.damage import damaged
from tests.model_folder import (
    GOLDEN,
    LFS_POINTER,
    edit_tensor,
    make_model_folder,
    to_bin,
    truncate,
    unet,
)

HD, DC = Variant.HALF_BODY, Variant.FULL_BODY


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model_folder(tmp_path / "model")


def sentence(error: BaseException, folder: Path, variant: Variant) -> str:
    """The message, checked for what every one of them must have."""
    text = str(error)
    assert text.endswith(".") and "\n" not in text and ". " not in text, text
    assert download_command(folder, variant) in text
    return text


@pytest.mark.parametrize("variant", Variant)
def test_every_part_is_found(variant: Variant, model: Path) -> None:
    paths = locate(model, variant)
    verify(paths)
    assert paths.outfitting_unet.weights == unet(model, variant, "unet_garm")
    assert paths.tryon_unet.weights == unet(model, variant, "unet_vton")
    assert paths.vae.config == model / "ootd" / "vae" / "config.json"
    assert paths.image_encoder.config == model / "clip-vit-large-patch14" / "config.json"
    assert paths.image_encoder.weights.name == "model.safetensors"
    for path in (paths.tokenizer, paths.image_processor, paths.scheduler):
        assert path.exists()


def test_bin_files_are_found_and_verified(model: Path) -> None:
    for name in ("unet_garm", "unet_vton"):
        to_bin(unet(model, HD, name))
    paths = locate(model, HD)
    verify(paths)
    assert paths.tryon_unet.weights.suffix == ".bin"
    assert paths.tryon_unet.read_state_dict()["conv_in.weight"].shape[1] == 8


def as_half(path: Path) -> None:
    """The name and the type in which diffusers saves variant="fp16"."""
    state = {key: value.half() for key, value in load_file(path).items()}
    save_file(state, path.with_name(f"{path.stem}.fp16.safetensors"))
    path.unlink()


def as_shards(path: Path) -> None:
    """Two files and the index of them, as large models are saved."""
    state = load_file(path)
    parts = [dict(list(state.items())[first::2]) for first in range(2)]
    names = [f"{path.stem}-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for part, name in zip(parts, names, strict=True):
        save_file(part, path.with_name(name))
    weight_map = {key: name for part, name in zip(parts, names, strict=True) for key in part}
    index = path.with_name(f"{path.name}.index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    path.unlink()


@pytest.mark.parametrize("rename", [as_half, as_shards])
def test_files_by_their_other_names_are_loaded(rename: Callable[[Path], None], model: Path) -> None:
    before = {part: read(model, part) for part in WEIGHTS}
    for path in (
        unet(model, DC, "unet_garm"),
        unet(model, DC, "unet_vton"),
        locate(model, DC).vae.weights,
        locate(model, DC).text_encoder.weights,
        locate(model, DC).image_encoder.weights,
    ):
        rename(path)
    paths = locate(model, DC)
    verify(paths)
    assert all(path.is_file() for path in paths.tryon_unet.files)
    assert len(paths.tryon_unet.files) == (4 if rename is as_shards else 2)
    for part, state in before.items():
        after = read(model, part)
        assert after.keys() == state.keys()
        assert all(torch.equal(after[key].half(), value.half()) for key, value in state.items())
    assert load_networks(model, DC).variant is DC


WEIGHTS = ("vae", "text_encoder", "image_encoder", "outfitting_unet", "tryon_unet")


def read(model: Path, part: str) -> dict[str, torch.Tensor]:
    files: PartFiles = getattr(locate(model, DC), part)
    return {key: value.clone() for key, value in files.read_state_dict().items()}


def test_a_shard_that_is_missing_or_cut_is_named(model: Path) -> None:
    path = unet(model, HD, "unet_vton")
    as_shards(path)
    shard = sorted(path.parent.glob("*.safetensors"))[1]
    truncate(shard, 0.5)
    with pytest.raises(ValueError) as caught:
        verify(locate(model, HD))
    assert f"names {shard.name}, which is cut off" in sentence(caught.value, model, HD)
    shard.unlink()
    with pytest.raises(ValueError, match="which does not lie beside it"):
        verify(locate(model, HD))
    index = path.with_name(f"{path.name}.index.json")
    index.write_text('{"weight_map": {"a": "../../../secret.safetensors"}}')
    with pytest.raises(ValueError, match="which does not lie beside it"):
        verify(locate(model, HD))
    index.write_text("{}")
    with pytest.raises(ValueError, match="names no files of weights"):
        verify(locate(model, HD))


def test_weights_under_a_name_of_their_own_are_named(model: Path) -> None:
    weights = locate(model, HD).vae.weights
    weights.rename(weights.with_name("vae-ft-mse.safetensors"))
    with pytest.raises(FileNotFoundError) as caught:
        locate(model, HD)
    text = sentence(caught.value, model, HD)
    assert "vae-ft-mse.safetensors lies in its place" in text
    assert "rename it to diffusion_pytorch_model.safetensors" in text


def test_the_network_of_another_part_is_recognised(model: Path) -> None:
    paths = locate(model, HD)
    shutil.copy(paths.text_encoder.weights, paths.vae.weights)
    with pytest.raises(ValueError) as caught:
        verify(paths)
    assert "vae is the text encoder: it has no tensor" in sentence(caught.value, model, HD)


def test_no_folder_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        locate(tmp_path / "model", HD)
    assert "There is no model folder" in sentence(caught.value, tmp_path / "model", HD)
    with pytest.raises(FileNotFoundError) as caught:
        locate(tmp_path, DC)
    assert "holds no file of the model" in sentence(caught.value, tmp_path, DC)


def test_the_folder_above_is_corrected(model: Path) -> None:
    above = model.parent / "above"
    above.mkdir()
    shutil.move(model, above / "checkpoints")
    with pytest.raises(FileNotFoundError, match=r"name .*above.checkpoints\."):
        locate(above, HD)


def test_the_other_variant_alone_is_said_to_be_so(model: Path) -> None:
    shutil.rmtree(model / "ootd" / "ootd_hd")
    locate(model, DC)
    with pytest.raises(FileNotFoundError) as caught:
        locate(model, HD)
    assert "lacks ootd/ootd_hd, the UNets of variant hd" in sentence(caught.value, model, HD)


def test_one_and_several_missing_files_are_named(model: Path) -> None:
    (model / "ootd" / "vae" / "config.json").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        locate(model, HD)
    text = sentence(caught.value, model, HD)
    assert text.startswith(f"{model} lacks ootd/vae/config.json: ")
    unet(model, HD, "unet_vton").unlink()
    with pytest.raises(FileNotFoundError, match=r"ootd/vae/config\.json and 1 more of its files"):
        locate(model, HD)


def test_a_file_missing_from_a_later_step_is_named_there(model: Path) -> None:
    unets = model / "ootd" / "ootd_dc"
    shutil.copytree(unets / "checkpoint-36000", unets / "checkpoint-40000")
    assert "checkpoint-40000" in str(locate(model, DC).tryon_unet.weights)
    (unets / "checkpoint-40000" / "unet_garm" / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match="checkpoint-40000/unet_garm/config"):
        locate(model, DC)


def test_swapped_unets_are_recognised(model: Path) -> None:
    garm, vton = unet(model, HD, "unet_garm"), unet(model, HD, "unet_vton")
    spare = garm.with_name("spare")
    garm.rename(spare)
    vton.rename(garm)
    spare.rename(vton)
    with pytest.raises(ValueError) as caught:
        verify(locate(model, HD))
    text = sentence(caught.value, model, HD)
    assert str(garm.parent) in text
    assert "is the try-on UNet (conv_in takes 8 channels, that of the outfitting UNet 4)" in text
    verify(locate(model, DC))


@pytest.mark.parametrize("as_bin", [False, True])
def test_one_unet_in_both_places_is_recognised(as_bin: bool, model: Path) -> None:
    garm, vton = unet(model, HD, "unet_garm"), unet(model, HD, "unet_vton")
    shutil.copy(garm, vton)
    if as_bin:
        to_bin(vton)
    with pytest.raises(ValueError) as caught:
        verify(locate(model, HD))
    text = sentence(caught.value, model, HD)
    assert "is the outfitting UNet" in text and "unet_vton" in text


def test_another_network_in_a_unets_place_is_recognised(model: Path) -> None:
    garm = unet(model, HD, "unet_garm")
    state = load_file(garm)
    state["conv_in.weight"] = torch.zeros(16, 9, 3, 3)
    save_file(state, garm)
    with pytest.raises(ValueError, match=r"is no outfitting UNet, .* takes 4 channels \(here: 9\)"):
        verify(locate(model, HD))
    shutil.copy(locate(model, HD).text_encoder.weights, garm)
    with pytest.raises(ValueError, match=r"is no outfitting UNet, .* \(here: none\)"):
        verify(locate(model, HD))


@pytest.mark.parametrize("variant", Variant)
def test_one_network_under_both_variants_is_recognised(variant: Variant, model: Path) -> None:
    shutil.copy(unet(model, DC, "unet_vton"), unet(model, HD, "unet_vton"))
    with pytest.raises(ValueError) as caught:
        verify(locate(model, variant))
    assert "one of the variants hd and dc" in sentence(caught.value, model, variant)
    edit_tensor(unet(model, HD, "unet_vton"), "conv_in.weight", 1.01)
    verify(locate(model, variant))


def test_a_link_between_the_variants_is_intended(model: Path) -> None:
    hd = model / "ootd" / "ootd_hd"
    shutil.rmtree(hd)
    hd.symlink_to(model / "ootd" / "ootd_dc", target_is_directory=True)
    verify(locate(model, HD))


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda path: truncate(path, 0.7), "is cut off"),
        (lambda path: truncate(path, 0.001), "is cut off"),
        (lambda path: path.write_bytes(LFS_POINTER), "is a git-lfs pointer"),
        (lambda path: path.write_bytes(b"<!doctype html>"), "is a web page"),
    ],
)
def test_a_damaged_unet_is_named(harm: Callable[[Path], None], expected: str, model: Path) -> None:
    path = unet(model, DC, "unet_vton")
    harm(path)
    with pytest.raises(ValueError) as caught:
        verify(locate(model, DC))
    text = sentence(caught.value, model, DC)
    assert expected in text and f"{path.name} in {path.parent}" in text
    verify(locate(model, HD))


def test_the_doctor_finds_what_a_try_on_refuses(model: Path) -> None:
    for name, content, _ in DAMAGED_FILES:
        path = model / "ootd" / name
        whole = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(ValueError) as caught:
            verify(locate(model, DC))
        bad = [finding.text for finding in examine(model) if finding.state is State.BAD]
        assert len(bad) == 1, bad
        said, _, _ = str(caught.value).partition(": `")
        assert said.partition(f"{path.parent} ")[2] in bad[0]
        path.write_bytes(whole)


DAMAGED_FILES = [
    ("tokenizer/merges.txt", b"", "merges.txt in .*tokenizer is empty"),
    ("tokenizer/merges.txt", b"<html>404</html>", "merges.txt .* is a web page"),
    ("tokenizer/merges.txt", b"\xff\xfe\x00", "merges.txt .* is not text"),
    ("tokenizer/merges.txt", b"#version: 0.2\nu p\nupp er x\n", "is not a list of byte pairs"),
    ("tokenizer/merges.txt", b"#version: 0.2\nu p\n", "merges.txt .* lacks 14 of the byte pairs"),
    ("tokenizer/vocab.json", b'{"u": 1, "p": 2}', "vocab.json .* lacks 15 of the tokens"),
    ("tokenizer/tokenizer_config.json", b"{", "tokenizer_config.json .* is not valid JSON"),
    ("scheduler/scheduler_config.json", b"[]", "scheduler_config.json .* not a JSON object"),
    ("vae/config.json", b"", "config.json in .*vae is empty"),
    ("vae/diffusion_pytorch_model.safetensors", LFS_POINTER, "vae is a git-lfs pointer"),
]


def test_every_damaged_file_is_named(model: Path) -> None:
    for name, content, expected in DAMAGED_FILES:
        path = model / "ootd" / name
        whole = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(ValueError, match=expected) as caught:
            verify(locate(model, DC))
        sentence(caught.value, model, DC)
        path.write_bytes(whole)
    verify(locate(model, DC))


@pytest.mark.parametrize("seed", range(30))
def test_damaged_tokenizers_load_or_are_refused_with_a_sentence(seed: int, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    shutil.copytree(part_folder(GOLDEN, Part.TOKENIZER), folder)
    path = sorted(folder.iterdir())[seed % 4]
    path.write_bytes(damaged(path.read_bytes(), np.random.default_rng(seed)))
    try:
        load_tokenizer(folder, "replace it")
    except ValueError as error:
        text = str(error)
        assert str(folder) in text and text.endswith(": replace it.") and "\n" not in text


@pytest.mark.parametrize("seed", range(30))
def test_damaged_weights_load_or_are_refused_with_a_sentence(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(2, 3), "b": torch.ones(4, dtype=torch.float16)}, path)
    path.write_bytes(damaged(path.read_bytes(), np.random.default_rng(seed)))
    try:
        read_state_dict(path, remedy="replace it")
    except ValueError as error:
        text = str(error)
        assert "a.safetensors in " in text and text.endswith(": replace it.") and "\n" not in text


def test_missing_preprocessors_are_asked_for_the_variant_that_is_there(model: Path) -> None:
    shutil.rmtree(model / "ootd" / "ootd_hd")
    with pytest.raises(FileNotFoundError) as caught:
        locate_preprocessors(model)
    sentence(caught.value, model, DC)


def test_preprocessors_are_found_and_checked(model: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        locate_preprocessors(model)
    text = sentence(caught.value, model, HD)
    assert "lacks humanparsing/parsing_atr.onnx and 2 more of its files" in text
    for name in ("humanparsing/parsing_atr.onnx", "humanparsing/parsing_lip.onnx"):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_bytes(b"\x08\x08")
    pose = model / "openpose" / "ckpts" / "body_pose_model.safetensors"
    pose.parent.mkdir(parents=True)
    save_file({"a": torch.ones(1)}, pose)
    paths = locate_preprocessors(model)
    assert paths.parser_atr.name == "parsing_atr.onnx"
    assert paths.parser_lip.name == "parsing_lip.onnx"
    assert paths.pose == pose
    paths.parser_lip.write_bytes(LFS_POINTER)
    with pytest.raises(ValueError) as caught:
        locate_preprocessors(model)
    assert "parsing_lip.onnx" in sentence(caught.value, model, HD)
