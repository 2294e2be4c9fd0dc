"""From Stable Diffusion to two UNets: copied, widened, and at first without any effect."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from ootd_core.categories import Variant
from ootd_core.checkpoints.writing import save_part
from ootd_core.training.start import load_start, widened
from tests.ootd_core.small_networks import FOLDER
from tests.ootd_core.small_unets import drawn
from tests.ootd_core.training.single_file import single_file_state, without
from tests.ootd_core.training.tiny_model import PROMPT_CHANNELS

CPU = torch.device("cpu")
DC = Variant.FULL_BODY


def stable_diffusion(prompt_channels: int = PROMPT_CHANNELS, in_channels: int = 4):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return UNet2DConditionModel(
            in_channels=in_channels,
            block_out_channels=(32, 32, 64, 64),
            cross_attention_dim=prompt_channels,
            attention_head_dim=8,
            sample_size=64,
        ).eval()


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    return stable_diffusion()


@pytest.fixture(scope="module")
def folder(unet: UNet2DConditionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sd")
    save_part(place / "unet", unet, dtype=torch.float32)
    return place


@pytest.fixture(scope="module")
def single(unet: UNet2DConditionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "v1-5.safetensors"
    save_file(single_file_state(unet), path)
    return path


def run(unet: UNet2DConditionModel, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        prompt = drawn(len(inputs), 4, PROMPT_CHANNELS, seed=2)
        return unet(inputs, torch.tensor([7, 700]), prompt, return_dict=False)[0]


def test_the_further_channels_have_exactly_no_effect_at_first(unet: UNet2DConditionModel) -> None:
    """The first forward is Stable Diffusion's own on the four noise channels."""
    noisy, agnostic = drawn(2, 4, 16, 16, seed=5), drawn(2, 4, 16, 16, seed=6)
    tryon = widened(unet)
    found = run(tryon, torch.cat([noisy, agnostic], dim=1))
    assert torch.equal(found, run(tryon, torch.cat([noisy, -3 * agnostic], dim=1)))
    # Another convolution of more channels may round in another order, and nothing else.
    assert torch.allclose(found, run(unet, noisy), rtol=0, atol=1e-5)
    assert not tryon.conv_in.weight[:, 4:].any()
    assert torch.equal(tryon.conv_in.weight[:, :4], unet.conv_in.weight)


def test_widening_copies(unet: UNet2DConditionModel) -> None:
    tryon = widened(unet)
    assert tryon.config["in_channels"] == 8
    state = tryon.state_dict()
    for name, value in unet.state_dict().items():
        copied = state[name]
        assert copied.data_ptr() != value.data_ptr()
        assert name == "conv_in.weight" or torch.equal(copied, value)


@pytest.mark.parametrize("kind", ["folder", "single"])
def test_stable_diffusion_becomes_both_unets(
    kind: str, unet: UNet2DConditionModel, request: pytest.FixtureRequest
) -> None:
    networks = load_start(request.getfixturevalue(kind), FOLDER, DC)
    wanted = unet.state_dict()
    found = networks.outfitting_unet.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    assert networks.tryon_unet.conv_in.in_channels == 8
    noisy = drawn(2, 4, 16, 16, seed=5)
    assert torch.equal(run(networks.outfitting_unet, noisy), run(unet, noisy))
    assert networks.vae.config["scaling_factor"] == 0.18215


def test_a_published_folder_is_taken_as_it_is() -> None:
    networks = load_start(FOLDER, None, DC)
    assert networks.tryon_unet.conv_in.weight[:, 4:].any()
    assert load_start(FOLDER, FOLDER, DC).variant is DC


def refused(start: Path, parts: Path | None = FOLDER) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        load_start(start, parts, DC)
    return str(error.value)


def test_refusals(folder: Path, single: Path, unet: UNet2DConditionModel, tmp_path: Path) -> None:
    assert "no file or folder at" in refused(tmp_path / "absent")
    assert "neither a model folder" in refused(tmp_path)
    assert "not a .safetensors file" in refused(shutil.copyfile(single, tmp_path / "model.ckpt"))
    assert "give a model folder with a VAE" in refused(folder, None)
    assert "its own VAE" in refused(FOLDER, folder)
    assert "no model folder" in refused(folder, tmp_path / "parts")

    def written(state: dict[str, Tensor]) -> Path:
        save_file(state, tmp_path / "other.safetensors")
        return tmp_path / "other.safetensors"

    state = single_file_state(unet)
    assert "holds no UNet" in refused(written(without(state, "diffusion_model")))
    assert "lacks" in refused(written(without(state, "middle_block.1")))
    cut = without(state, "middle_block.2.out_layers.3.bias")
    assert "lacks 1 of 684 tensors" in refused(written(cut))
    extra = {"model.diffusion_model.label_emb.0.0.weight": torch.zeros(1)}
    assert "no Stable Diffusion 1.x UNet has" in refused(written({**state, **extra}))
    save_part(tmp_path / "wide" / "unet", stable_diffusion(48), dtype=torch.float32)
    assert "32 channels where the UNets take 48" in refused(tmp_path / "wide")
    inpainting = single_file_state(stable_diffusion(in_channels=9))
    assert "takes 9 channels where a garment has 4" in refused(written(inpainting))
