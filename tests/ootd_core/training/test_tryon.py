"""The loss: where its gradient goes, what it draws, and what sharing and checkpointing leave."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ootd_core.categories import Variant
from ootd_core.checkpoints.networks import Networks, load_networks
from ootd_core.fusion import Fusion
from ootd_core.training.latents import TryOnLatents, blank_latents
from ootd_core.training.tryon import (
    Draw,
    TryOnTask,
    draw_chance,
    idle_parameters,
    read_garment,
    rectified,
    shifted,
    snr_weight,
)
from tests.ootd_core.small_networks import FOLDER, small_networks
from tests.ootd_core.training.tiny_model import PROMPT_CHANNELS, tiny_unet


def tiny_networks() -> Networks:
    """The golden encoders with fresh UNets of two levels."""
    return replace(small_networks(), outfitting_unet=tiny_unet(4), tryon_unet=tiny_unet(8, seed=1))


def latents(seed: int, size: tuple[int, int]) -> TryOnLatents:
    generator = torch.Generator().manual_seed(seed)
    garment, agnostic, target = torch.randn(3, 4, *size, generator=generator)
    prompt = torch.randn(4, PROMPT_CHANNELS, generator=generator)
    return TryOnLatents(garment=garment, agnostic=agnostic, target=target, prompt=prompt)


class Drawn:
    """A source of fixed random latents, `batch` a batch."""

    def __init__(
        self, batch: int, unusable: tuple[int, ...] = (), size: tuple[int, int] = (8, 6)
    ) -> None:
        self.samples = batch
        self.unusable = unusable
        self.size = size

    def batch(self, number: int) -> list[Draw]:
        numbers = range(number * self.samples, (number + 1) * self.samples)
        blank = blank_latents(small_networks(), 64, 48)
        return [
            Draw(number=n, latents=blank, counts=False)
            if n in self.unusable
            else Draw(number=n, latents=latents(n, self.size))
            for n in numbers
        ]


def predict_noise(
    networks: Networks,
    fusion: Fusion,
    garment: Tensor,
    prompt: Tensor,
    person: Tensor,
    timesteps: Tensor,
) -> Tensor:
    """The noise that the try-on UNet finds in `person`; `fusion` is injected."""
    read_garment(networks, fusion, garment, prompt)
    return networks.tryon_unet(person, timesteps, prompt, return_dict=False)[0]


def gradients(task: TryOnTask) -> dict[str, Tensor]:
    return {
        f"{unet}.{name}": parameter.grad
        for unet, module in task.modules.items()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }


def assert_close(found: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == wanted.keys()
    largest = max(float(value.abs().max()) for value in wanted.values())
    for name, value in wanted.items():
        difference = float((found[name] - value).abs().max())
        assert difference <= tolerance * largest, (name, difference / largest)


def test_the_gradient_reaches_both_unets() -> None:
    networks = load_networks(FOLDER, Variant.FULL_BODY)
    task = TryOnTask(networks, Drawn(1, size=(16, 16)), outfitting_dropout=0.0)
    loss, _ = task.loss(0)
    loss.backward()
    assert 0.2 < loss.item() < 5
    found = gradients(task)
    for name, unet in task.modules.items():
        trained = [key for key, p in unet.named_parameters() if p.requires_grad]
        untouched = [key for key in trained if not found[f"{name}.{key}"].any()]
        assert not untouched, (name, untouched)
        assert len(trained) > 0.9 * len(list(unet.parameters()))


def test_what_is_never_run_is_not_trained() -> None:
    networks = tiny_networks()
    task = TryOnTask(networks, Drawn(1))
    idle = {id(parameter) for parameter in idle_parameters(networks.outfitting_unet)}
    task.loss(0)[0].backward()
    for name, parameter in networks.outfitting_unet.named_parameters():
        assert (parameter.grad is None) == (id(parameter) in idle), name
    assert all(parameter.grad is not None for parameter in networks.tryon_unet.parameters())


def test_without_a_garment_the_outfitting_unet_still_learns_the_blank() -> None:
    task = TryOnTask(tiny_networks(), Drawn(2), outfitting_dropout=1.0)
    task.loss(0)[0].backward()
    found = gradients(task)
    assert not found["outfitting.conv_in.weight"].any()  # a blank has no pixels to weigh
    assert found["outfitting.conv_in.bias"].any()


def test_dropout_frequency() -> None:
    shape = torch.Size((4, 1, 1))
    kept = [
        draw_chance(
            7, n, shape=shape, noises=1, timesteps=1000, outfitting_dropout=0.1
        ).keeps_garment
        for n in range(10_000)
    ]
    assert abs(10_000 - sum(kept) - 1000) < 4 * np.sqrt(10_000 * 0.1 * 0.9)


def test_dropout_blanks_a_sample_once_for_all_its_noises() -> None:
    networks = tiny_networks()
    garments: list[Tensor] = []
    networks.outfitting_unet.conv_in.register_forward_pre_hook(
        lambda _, inputs: garments.append(inputs[0])
    )
    TryOnTask(networks, Drawn(40), outfitting_dropout=0.5, noises_per_garment=2).loss(0)
    (garment,) = garments
    blank = [not latents.any() for latents in garment]
    chances = [
        draw_chance(
            0, n, shape=torch.Size((4, 8, 6)), noises=2, timesteps=1000, outfitting_dropout=0.5
        )
        for n in range(40)
    ]
    assert blank == [not chance.keeps_garment for chance in chances]
    assert 8 < sum(blank) < 32


def test_chance_depends_on_seed_and_number_alone() -> None:
    def chance(seed: int, number: int) -> Tensor:
        shape = torch.Size((4, 2, 2))
        drawn = draw_chance(
            seed, number, shape=shape, noises=3, timesteps=1000, outfitting_dropout=0.1
        )
        assert drawn.noise.shape == (3, 4, 2, 2) and drawn.timesteps.shape == (3,)
        return drawn.noise

    assert torch.equal(chance(1, 2), chance(1, 2))
    assert not torch.equal(chance(1, 2), chance(1, 3))
    assert not torch.equal(chance(1, 2), chance(2, 2))


def test_noises_of_one_sample_share_the_range_of_timesteps_out() -> None:
    shape = torch.Size((4, 8, 6))
    drawn = torch.stack(
        [
            draw_chance(
                0, n, shape=shape, noises=4, timesteps=1000, outfitting_dropout=0.1
            ).timesteps
            for n in range(500)
        ]
    )
    quarters = torch.arange(4) * 250
    assert ((drawn >= quarters) & (drawn < quarters + 250)).all()
    assert ((drawn - quarters).float().mean(0) - 124.5).abs().max() < 15  # uniform in its quarter


def test_shifted_timesteps_keep_their_ends_and_move_the_middle_up() -> None:
    places = np.linspace(0, 1, 11)
    assert np.array_equal(shifted(places, 1.0), places)
    moved = shifted(places, 3.0)
    assert moved[0] == 0.0 and moved[-1] == 1.0 and moved[5] == pytest.approx(0.75)
    drawn = [
        draw_chance(
            0,
            n,
            shape=torch.Size((1, 2, 2)),
            noises=1,
            timesteps=1000,
            outfitting_dropout=0.0,
            shift=3.0,
        )
        for n in range(1000)
    ]
    timesteps = torch.cat([chance.timesteps for chance in drawn])
    assert timesteps.max() < 1000 and abs((timesteps >= 750).float().mean().item() - 0.5) < 0.05


def test_timesteps_and_noise_are_spread() -> None:
    shape = torch.Size((4, 2, 2))
    drawn = [
        draw_chance(0, n, shape=shape, noises=1, timesteps=1000, outfitting_dropout=0.1)
        for n in range(2000)
    ]
    timesteps = torch.cat([chance.timesteps for chance in drawn]).float()
    assert 0 <= timesteps.min() < 5 and 995 <= timesteps.max() < 1000
    assert abs(float(timesteps.mean()) - 499.5) < 5 * 1000 / np.sqrt(12 * 2000)
    noise = torch.cat([chance.noise for chance in drawn])
    assert abs(float(noise.mean())) < 0.03 and abs(float(noise.std()) - 1) < 0.03


def repeated_loss(task: TryOnTask, noises: int) -> Tensor:
    """The loss of a batch with its garments repeated for each noise."""
    draws = task.source.batch(0)
    chances = [
        draw_chance(
            0,
            draw.number,
            shape=draw.latents.target.shape,
            noises=noises,
            timesteps=1000,
            outfitting_dropout=task.outfitting_dropout,
        )
        for draw in draws
    ]
    rows = [
        (draw.latents, chance, noise)
        for draw, chance in zip(draws, chances, strict=True)
        for noise in range(noises)
    ]
    garment = torch.stack([row.garment * chance.keeps_garment for row, chance, _ in rows])
    prompt = torch.stack([row.prompt for row, _, _ in rows])
    noise = torch.stack([chance.noise[k] for _, chance, k in rows])
    timesteps = torch.stack([chance.timesteps[k] for _, chance, k in rows])
    target = torch.stack([row.target for row, _, _ in rows])
    noisy = task.noise_schedule.add_noise(target, noise, timesteps)
    person = torch.cat([noisy, torch.stack([row.agnostic for row, _, _ in rows])], dim=1)
    task.fusion.inject()
    predicted = predict_noise(task.networks, task.fusion, garment, prompt, person, timesteps)
    return (predicted - noise).square().mean()


def test_noises_that_share_a_garment_give_the_gradient_of_a_repeated_garment() -> None:
    shared = TryOnTask(tiny_networks(), Drawn(2), noises_per_garment=3)
    repeated = TryOnTask(tiny_networks(), Drawn(2))
    loss = shared.loss(0)[0]
    wanted = repeated_loss(repeated, 3)
    loss.backward()
    wanted.backward()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert_close(gradients(shared), gradients(repeated), 1e-5)


def test_checkpointing_changes_no_gradient() -> None:
    plain = TryOnTask(tiny_networks(), Drawn(2))
    checkpointed = TryOnTask(tiny_networks(), Drawn(2), gradient_checkpointing=True)
    runs = [0, 0]
    unet: Any = checkpointed.networks.outfitting_unet
    block = unet.down_blocks[0].attentions[0]

    def count(_: object, __: object) -> None:
        runs[0] += 1

    block.transformer_blocks[0].register_forward_pre_hook(count)
    for task in (plain, checkpointed):
        task.loss(0)[0].backward()
    assert runs[0] == 2, "nothing was computed again: checkpointing is off"
    assert_close(gradients(checkpointed), gradients(plain), 1e-6)
    assert (
        block.gradient_checkpointing and checkpointed.networks.tryon_unet.is_gradient_checkpointing
    )


def test_what_cannot_be_read_counts_nothing() -> None:
    """Two samples, one of them unusable: half of the loss of the other one alone."""
    whole = TryOnTask(tiny_networks(), Drawn(1))
    half = TryOnTask(tiny_networks(), Drawn(2, unusable=(1,)))
    one, figures = whole.loss(0)
    two, same = half.loss(0)
    assert two.item() == pytest.approx(one.item() / 2, rel=1e-5)
    assert same["error"] == pytest.approx(figures["error"], rel=1e-5)
    nothing, _ = TryOnTask(tiny_networks(), Drawn(1, unusable=(0,))).loss(0)
    assert nothing.item() == 0 and nothing.requires_grad


def test_batches_add_up() -> None:
    """Two batches of one sample have the mean gradient of one batch of two."""
    together = TryOnTask(tiny_networks(), Drawn(2))
    apart = TryOnTask(tiny_networks(), Drawn(1))
    together.loss(0)[0].backward()
    for number in (0, 1):
        (apart.loss(number)[0] / 2).backward()
    assert_close(gradients(apart), gradients(together), 1e-5)


def test_the_garment_changes_the_prediction() -> None:
    networks = small_networks()
    generator = torch.Generator().manual_seed(0)
    garment = torch.randn(2, 4, 8, 6, generator=generator)
    person = torch.randn(2, 8, 8, 6, generator=generator)
    prompt = torch.randn(2, 4, 32, generator=generator)
    steps = torch.tensor([10, 900])
    with torch.no_grad(), Fusion(networks.tryon_unet) as fusion:
        one = predict_noise(networks, fusion, garment, prompt, person, steps)
        other = predict_noise(networks, fusion, -garment, prompt, person, steps)
    assert one.shape == (2, 4, 8, 6)
    assert (one - other).abs().max() > 1e-3


def test_release_leaves_the_unets_as_they_were() -> None:
    task = TryOnTask(tiny_networks(), Drawn(1))
    before = dict(task.networks.tryon_unet.attn_processors)
    for _ in range(2):
        task.loss(0)
    task.release()
    after = task.networks.tryon_unet.attn_processors
    assert all(after[name] is processor for name, processor in before.items())


@pytest.mark.parametrize("step", [0, 1])
def test_a_step_can_be_repeated(step: int) -> None:
    task = TryOnTask(tiny_networks(), Drawn(2))
    assert task.loss(step)[0].item() == task.loss(step)[0].item()
    assert task.loss(0)[0].item() != task.loss(1)[0].item()


def test_the_papers_loss_weighs_every_timestep_alike() -> None:
    alphas = torch.tensor([0.99, 0.5, 0.01])
    assert torch.equal(snr_weight(alphas, minimum=1.0, maximum=1.0), torch.ones(3))
    assert snr_weight(alphas, minimum=1.0, maximum=20.0).tolist() == pytest.approx([1.0, 1.0, 20.0])


def test_weights_follow_the_noise_between_their_bounds() -> None:
    alphas = torch.tensor([0.9999, 0.9, 0.5, 0.1, 0.0001])
    found = snr_weight(alphas, maximum=99.0, minimum=0.01).tolist()
    assert found == pytest.approx([0.01, 1 / 9, 1.0, 9.0, 99.0], rel=1e-4)


@pytest.mark.parametrize(("alpha", "guess_alpha"), [(0.5, 0.5), (0.5, 0.005), (0.99, 0.3)])
def test_rectified_noise_makes_a_noisy_picture_of_the_networks_own_guess(
    alpha: float, guess_alpha: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    truth, noise, guess = torch.randn(3, 1, 4, 8, 6, generator=generator)

    def noisy(picture: Tensor, noise: Tensor, alpha: float) -> Tensor:
        return alpha**0.5 * picture + (1 - alpha) ** 0.5 * noise

    guessed_from = noisy(truth, noise, guess_alpha)
    picture = (guessed_from - (1 - guess_alpha) ** 0.5 * guess) / guess_alpha**0.5
    alphas = torch.tensor([alpha]), torch.tensor([guess_alpha])
    found = rectified(noise, noise - guess, *alphas, power=0.0)
    assert torch.allclose(noisy(truth, found, alpha), noisy(picture, noise, alpha), atol=1e-5)
    weaker = rectified(noise, noise - guess, *alphas, power=2.0)
    assert torch.allclose(weaker - noise, (1 - alpha) * (found - noise), atol=1e-5)


def test_a_guess_is_made_with_no_less_noise_and_where_it_hides_the_truth() -> None:
    drawn = draw_chance(
        0,
        0,
        shape=torch.Size((1, 1, 1)),
        noises=1000,
        timesteps=1000,
        outfitting_dropout=0.1,
        shift=3.0,
    )
    assert (drawn.guess_timesteps >= drawn.timesteps).all() and drawn.guess_timesteps.max() < 1000
    lowest = drawn.timesteps.clamp(min=700)
    assert (drawn.guess_timesteps >= lowest).all()
    assert 0.4 < ((drawn.guess_timesteps - lowest) / (1000 - lowest)).mean() < 0.55


def test_a_blanked_garment_is_not_rectified() -> None:
    losses = {
        (dream, dropout): TryOnTask(
            tiny_networks(), Drawn(2), outfitting_dropout=dropout, dream_detail_preservation=dream
        )
        .loss(0)[0]
        .item()
        for dream in (None, 1.0)
        for dropout in (0.0, 1.0)
    }
    assert losses[1.0, 1.0] == losses[None, 1.0]
    assert losses[1.0, 0.0] != pytest.approx(losses[None, 0.0], rel=1e-3)


def test_the_guess_takes_no_gradient_from_the_pass_after_it() -> None:
    """Autocast keeps weights it has cast: those of a pass without gradients must not be reused."""
    task = TryOnTask(
        tiny_networks(), Drawn(2), outfitting_dropout=0.0, dream_detail_preservation=1.0
    )
    with torch.autocast("cpu", torch.bfloat16):
        task.loss(0)[0].backward()
    found = gradients(task)
    trained = [
        f"{unet}.{name}"
        for unet, module in task.modules.items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    ]
    assert sorted(found) == sorted(trained)
    assert all(gradient.any() for gradient in found.values())


class Seen:
    """Keeps what the two UNets of a task are given, and what the try-on UNet answers."""

    def __init__(self, networks: Networks) -> None:
        self.outfitting: list[tuple[Any, Any]] = []
        self.tryon: list[tuple[Any, Any]] = []
        networks.outfitting_unet.register_forward_pre_hook(
            lambda _unet, inputs, named: self.outfitting.append(
                (inputs[0], named["encoder_hidden_states"])
            ),
            with_kwargs=True,
        )
        networks.tryon_unet.register_forward_hook(
            lambda _unet, inputs, output: self.tryon.append((inputs, output[0]))
        )


def test_every_network_sees_what_the_paper_says() -> None:
    """Dropout blanks the garment alone; the rest of a sample is there for each of its noises."""
    networks = tiny_networks()
    seen = Seen(networks)
    source = Drawn(6, unusable=(10,))
    task = TryOnTask(
        networks,
        source,
        outfitting_dropout=0.5,
        noises_per_garment=2,
        snr_weight_min=0.1,
        snr_weight_max=3.0,
        seed=3,
    )
    loss, figures = task.loss(1)
    draws = source.batch(1)
    chances = [
        draw_chance(
            3, draw.number, shape=torch.Size((4, 8, 6)), noises=2, timesteps=1000,
            outfitting_dropout=0.5,
        )
        for draw in draws
    ]  # fmt: skip
    kept = [chance.keeps_garment for chance in chances]
    assert 0 < sum(kept) < 6
    ((garment, outfitting_prompt),) = seen.outfitting
    for row, (draw, keeps) in enumerate(zip(draws, kept, strict=True)):
        assert torch.equal(garment[row], draw.latents.garment * keeps)
        assert torch.equal(outfitting_prompt[row], draw.latents.prompt), "dropout leaves the prompt"
    (((person, timesteps, prompt), predicted),) = seen.tryon
    noises = torch.cat([chance.noise for chance in chances])
    assert torch.equal(timesteps, torch.cat([chance.timesteps for chance in chances]))
    alphas = task.noise_schedule.alphas_cumprod[timesteps]
    errors: list[Tensor] = []
    for row in range(12):
        latents, alpha = draws[row // 2].latents, alphas[row]
        noisy = alpha.sqrt() * latents.target + (1 - alpha).sqrt() * noises[row]
        assert torch.allclose(person[row, :4], noisy, atol=1e-5)
        assert torch.equal(person[row, 4:], latents.agnostic)
        assert torch.equal(prompt[row], latents.prompt)
        errors.append((predicted[row] - noises[row]).square().mean() * draws[row // 2].counts)
    weights = ((1 - alphas) / alphas).clamp(0.1, 3.0)
    assert loss.item() == pytest.approx((weights * torch.stack(errors)).mean().item(), rel=1e-5)
    assert figures["error"] == pytest.approx(torch.stack(errors).sum().item() / 10, rel=1e-5)


def test_an_unusable_sample_counts_neither_in_the_loss_nor_in_the_figure() -> None:
    task = TryOnTask(tiny_networks(), Drawn(3, unusable=(1,)), noises_per_garment=2)
    alone = TryOnTask(tiny_networks(), Drawn(3, unusable=(1, 2)), noises_per_garment=2)
    other = TryOnTask(tiny_networks(), Drawn(3, unusable=(0, 1)), noises_per_garment=2)
    loss, figures = task.loss(0)
    first, second = alone.loss(0)[1]["error"], other.loss(0)[1]["error"]
    assert figures["error"] == pytest.approx((first + second) / 2, rel=1e-5)
    assert loss.item() == pytest.approx((first + second) / 3, rel=1e-5)
