import numpy as np
import pytest
import torch

from mini.autoencoder import (
    AutoencoderTask,
    build_autoencoder,
    latent_scale,
    masked,
    picture_batch,
    reconstruction_psnr,
    start_as_colour_map,
)
from mini.doll_latents import Phase
from ootd_core.datasets.paper_dolls.sample import draw_sample

SMALL = Phase(steps=1, batch=4, height=64, width=48)


def test_the_start_keeps_colours() -> None:
    torch.manual_seed(0)
    pictures = picture_batch(0, SMALL)
    autoencoder = build_autoencoder()
    random = reconstruction_psnr(autoencoder, pictures)
    start_as_colour_map(autoencoder)
    assert reconstruction_psnr(autoencoder, pictures) > random + 5
    assert 0.5 < latent_scale(autoencoder, pictures) < 4


def test_the_start_needs_pairs_of_channels() -> None:
    with pytest.raises(ValueError, match="at least 64"):
        start_as_colour_map(build_autoencoder((32, 32, 32, 32)))


def test_a_step_has_a_gradient_everywhere() -> None:
    torch.manual_seed(0)
    autoencoder = build_autoencoder((32, 32, 32, 32))
    task = AutoencoderTask(autoencoder, (SMALL,))
    loss, figures = task.loss(0)
    loss.backward()
    assert 0 < figures["psnr"] < 20 and figures["kl"] >= 0
    assert all(parameter.grad is not None for parameter in autoencoder.parameters())


def test_masked_people_are_grey_where_their_clothes_were() -> None:
    doll = draw_sample(0, height=64, width=48)
    picture = masked(doll, np.random.default_rng(0))
    assert (picture[np.isin(doll.labels, [4, 5, 6, 7])] == 127).all()
    assert (picture == doll.person).all(2).mean() > 0.3
