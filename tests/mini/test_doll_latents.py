import torch

from mini.doll_latents import DollLatents, Phase, encode_doll, phase_of
from ootd_core.categories import Variant
from ootd_core.datasets.paper_dolls.sample import draw_sample
from ootd_core.images.tensors import to_tensor
from ootd_core.latents import agnostic_image, encode
from ootd_core.masks.agnostic import agnostic_mask
from tests.ootd_core.small_networks import small_networks

PHASES = (
    Phase(steps=2, batch=3, height=64, width=48),
    Phase(steps=2, batch=2, height=128, width=96),
)


def dolls() -> DollLatents:
    return DollLatents(small_networks(), PHASES, first=3, growth=2, limit=6)


def test_a_doll_is_encoded_as_inference_would() -> None:
    networks = small_networks()
    doll = draw_sample(2, height=64, width=48)  # even: the default mask
    latents = encode_doll(doll, networks)
    mask = agnostic_mask(
        doll.labels,
        doll.keypoints,
        category=doll.category,
        variant=Variant.FULL_BODY,
        garment=doll.garment,
    ).mask
    hidden = encode(networks.vae, to_tensor(agnostic_image(doll.person, mask)))[0]
    assert torch.allclose(latents.agnostic, hidden, atol=1e-5)
    assert latents.target.shape == latents.garment.shape == (4, 8, 6)
    assert latents.prompt.shape == (4, 32)


def test_batches_depend_on_the_step_alone_and_dolls_are_kept() -> None:
    first, again = dolls(), dolls()
    for step in (0, 1, 3):
        a, b = first.batch(step), again.batch(step)
        assert all(
            torch.equal(x.latents.target, y.latents.target) and x.number == y.number
            for x, y in zip(a, b, strict=True)
        )
    sizes = {draw.latents.target.shape for draw in first.batch(2)}
    assert sizes == {(4, 16, 12)}
    assert first.batch(0)[0].latents is first.batch(0)[0].latents


FIRST = Phase(steps=3, batch=4, height=64, width=48)
SECOND = Phase(steps=2, batch=2, height=128, width=96)


def test_phases_follow_each_other_and_the_last_goes_on() -> None:
    found = [phase_of((FIRST, SECOND), step) for step in range(7)]
    assert [phase.height for phase, _ in found] == [64, 64, 64, 128, 128, 128, 128]
    assert [within for _, within in found] == [0, 1, 2, 0, 1, 2, 3]
