import numpy as np
import pytest
import torch

from ootd_core.agnostic import agnostic_mask
from ootd_core.categories import Variant
from ootd_core.images import to_tensor
from ootd_core.latents import agnostic_image, encode
from ootd_core.training.paper_dolls.sample import draw_sample
from ootd_core.training.phases import Phase
from ootd_core.training.tryon import (
    DollLatents,
    TryOnTask,
    encode_doll,
    keep_garment,
    predict_noise,
)
from tests.ootd_core.small_networks import FOLDER, small_networks

PHASES = (
    Phase(steps=2, batch=3, height=64, width=48),
    Phase(steps=2, batch=2, height=128, width=96),
)


def dolls() -> DollLatents:
    return DollLatents(small_networks(), first=3, growth=2, limit=6)


def task(dropout: float = 0.1) -> TryOnTask:
    from ootd_core.checkpoints import load_networks

    networks = load_networks(FOLDER, Variant.FULL_BODY)
    return TryOnTask(networks, PHASES, dolls(), dropout=dropout)


def test_the_gradient_reaches_both_unets() -> None:
    training = task(dropout=0.0)
    loss, _ = training.loss(0)
    loss.backward()
    assert 0.2 < loss.item() < 5
    for name, unet in training.modules.items():
        parameters = dict(unet.named_parameters())
        touched = [key for key, p in parameters.items() if p.grad is not None and p.grad.any()]
        # What follows the outfitting UNet's last recorded block is never run.
        assert len(touched) > 0.9 * len(parameters), name
    first = training.networks.outfitting_unet.conv_in.weight.grad
    assert first is not None and first.abs().sum() > 0


def test_without_a_garment_the_outfitting_unet_still_learns_the_blank() -> None:
    training = task(dropout=1.0)
    loss, _ = training.loss(0)
    loss.backward()
    gradient = training.networks.outfitting_unet.conv_in.weight.grad
    assert gradient is not None and gradient.abs().sum() == 0  # a blank has no pixels to weigh
    bias = training.networks.outfitting_unet.conv_in.bias.grad  # type: ignore[union-attr]
    assert bias is not None and bias.abs().sum() > 0


def test_dropout_frequency() -> None:
    kept = keep_garment(10_000, 0.1, torch.Generator().manual_seed(0))
    assert kept.shape == (10_000, 1, 1, 1)
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    dropped = 10_000 - int(kept.sum())
    assert abs(dropped - 1000) < 4 * np.sqrt(10_000 * 0.1 * 0.9)


def test_a_doll_is_encoded_as_inference_would() -> None:
    networks = small_networks()
    doll = draw_sample(2, height=64, width=48)  # even: the default mask
    latents = encode_doll(doll, networks)
    mask = agnostic_mask(
        doll.labels, doll.keypoints, category=doll.category, variant=Variant.FULL_BODY
    ).mask
    hidden = encode(networks.vae, to_tensor(agnostic_image(doll.person, mask)))[0]
    assert torch.allclose(latents.agnostic, hidden, atol=1e-5)
    assert latents.target.shape == latents.garment.shape == (4, 8, 6)
    assert latents.prompt.shape == (4, 32)


def test_batches_depend_on_the_step_alone_and_dolls_are_kept() -> None:
    first, again = dolls(), dolls()
    for step in (0, 1, 3):
        a, b = first.batch(PHASES, step), again.batch(PHASES, step)
        assert all(torch.equal(x.target, y.target) for x, y in zip(a, b, strict=True))
    sizes = {latents.target.shape for latents in first.batch(PHASES, 2)}
    assert sizes == {(4, 16, 12)}
    assert first.batch(PHASES, 0)[0] is first.batch(PHASES, 0)[0]


def test_the_garment_changes_the_prediction() -> None:
    networks = small_networks()
    generator = torch.Generator().manual_seed(0)
    garment = torch.randn(2, 4, 8, 6, generator=generator)
    person = torch.randn(2, 8, 8, 6, generator=generator)
    prompt = torch.randn(2, 4, 32, generator=generator)
    steps = torch.tensor([10, 900])
    with torch.no_grad():
        one = predict_noise(networks, garment, prompt, person, steps)
        other = predict_noise(networks, -garment, prompt, person, steps)
    assert one.shape == (2, 4, 8, 6)
    assert (one - other).abs().max() > 1e-3


def test_the_unets_are_left_as_they_were() -> None:
    training = task()
    before = dict(training.networks.tryon_unet.attn_processors)
    training.loss(0)
    after = training.networks.tryon_unet.attn_processors
    assert all(after[name] is processor for name, processor in before.items())


@pytest.mark.parametrize("step", [0, 1])
def test_a_step_can_be_repeated(step: int) -> None:
    training = task()
    assert training.loss(step)[0].item() == training.loss(step)[0].item()
