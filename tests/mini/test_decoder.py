import pytest
import torch

from mini import decoder
from mini.decoder import FIRST_DOLL, DecoderTask, dress_to_latents
from mini.doll_latents import inference_mask
from ootd_core.categories import Variant
from ootd_core.checkpoints.networks import Networks, load_networks
from ootd_core.datasets.paper_dolls.sample import DollSample, draw_sample
from ootd_core.images.tensors import to_tensor
from ootd_core.latents import encode_scaled, latent_mask
from tests.ootd_core.small_networks import FOLDER

HEIGHT, WIDTH = 64, 48


@pytest.fixture
def networks() -> Networks:
    """Its own, for the task changes them."""
    return load_networks(FOLDER, Variant.FULL_BODY)


def task_of(networks: Networks) -> DecoderTask:
    return DecoderTask(networks, batch=4, dolls=3, height=HEIGHT, width=WIDTH)


def draw(seed: int) -> DollSample:
    return draw_sample(seed, height=HEIGHT, width=WIDTH)


def test_the_decoder_alone_learns(networks: Networks) -> None:
    task = task_of(networks)
    optimizer = torch.optim.SGD(
        [parameter for module in task.modules.values() for parameter in module.parameters()],
        lr=0.01,
    )
    losses: list[float] = []
    for _ in range(4):
        loss, figures = task.loss(0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        assert set(figures) == {"psnr_try_on", "psnr_true"}
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
    learning = {
        name for name, parameter in networks.vae.named_parameters() if parameter.grad is not None
    }
    assert {name.split(".")[0] for name in learning} == {"decoder", "post_quant_conv"}
    unets = (networks.tryon_unet, networks.outfitting_unet)
    assert all(one.grad is None for unet in unets for one in unet.parameters())


def test_a_step_depends_on_its_number_and_dresses_nobody_twice(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    dressed: list[int] = []

    def counting(networks: Networks, dolls: list[DollSample]) -> torch.Tensor:
        dressed.extend(doll.seed for doll in dolls)
        return dress_to_latents(networks, dolls)

    monkeypatch.setattr(decoder, "dress_to_latents", counting)
    task = task_of(networks)
    with torch.no_grad():
        losses = [task.loss(step)[0].item() for step in range(3)]
        assert dressed == [FIRST_DOLL, FIRST_DOLL + 1, FIRST_DOLL + 2]
        assert task.loss(1)[0].item() == losses[1] and len(dressed) == 3
    assert len(set(losses)) == 3  # the third step's try-ons are known, its true pictures are not


def test_a_try_on_keeps_what_its_mask_leaves(networks: Networks) -> None:
    dolls = [draw(seed) for seed in (FIRST_DOLL, FIRST_DOLL + 1)]
    latents = dress_to_latents(networks, dolls)
    assert latents.shape == (2, 4, HEIGHT // 8, WIDTH // 8) and not latents.is_inference()
    for doll, one in zip(dolls, latents, strict=True):
        kept = latent_mask(inference_mask(doll, Variant.FULL_BODY))[0, 0] == 0
        person = encode_scaled(networks.vae, to_tensor(doll.person))[0]
        assert kept.any() and not kept.all()
        assert torch.allclose(one[:, kept], person[:, kept], atol=1e-4)
        assert not torch.allclose(one[:, ~kept], person[:, ~kept], atol=0.1)
