"""The benchmark compares two forms of one computation, and counts what is published."""

import pytest
import torch
import typer
from torch import Tensor

from benchmarks import fusion, machine, random_networks
from benchmarks.literal import literal_fusion
from benchmarks.random_networks import FULL, TINY

HEIGHT, WIDTH = 128, 64


@torch.inference_mode()
def test_literal_and_fused_attention_agree_and_both_see_the_garment() -> None:
    torch.manual_seed(0)
    outfitting_unet = random_networks.make_outfitting_unet(TINY)
    tryon_unet = random_networks.make_tryon_unet(TINY)
    features = fusion.read_garment(outfitting_unet, HEIGHT, WIDTH)
    with literal_fusion(tryon_unet, features):
        literal = fusion.step(tryon_unet, HEIGHT, WIDTH)
    with fusion.fused(tryon_unet, features):
        fused = fusion.step(tryon_unet, HEIGHT, WIDTH)
    alone = fusion.step(tryon_unet, HEIGHT, WIDTH)
    assert _difference(fused, literal) <= 1e-5
    assert _difference(alone, literal) >= 1e-3


@torch.inference_mode()
def test_a_comparison_times_both_forms() -> None:
    features = fusion.read_garment(random_networks.make_outfitting_unet(TINY), 64, 64)
    result = fusion.compare(random_networks.make_tryon_unet(TINY), features, 64, 64, repeats=1)
    assert result.difference <= 1e-5
    assert result.literal_seconds > 0
    assert result.fused_seconds > 0


@torch.inference_mode()
def test_the_flops_of_a_full_size_step() -> None:
    literal, fused = fusion.count_flops(FULL, 512, 384)
    assert literal / 1e12 == pytest.approx(1.640, abs=5e-4)
    assert fused / 1e12 == pytest.approx(1.287, abs=5e-4)


def test_sizes_are_heights_and_widths() -> None:
    assert machine.parse_sizes("512x384, 1024x768") == [(512, 384), (1024, 768)]


@pytest.mark.parametrize("text", ["", "512", "512x", "axb", "500x384", "0x0", "512x384x3"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        machine.parse_sizes(text)


def test_the_dtype_suits_the_device() -> None:
    assert machine.choose_dtype(torch.device("cpu"), "") == torch.float32
    assert machine.choose_dtype(torch.device("cuda"), "") == torch.float16
    assert machine.choose_dtype(torch.device("cuda"), "float32") == torch.float32
    with pytest.raises(typer.BadParameter):
        machine.choose_dtype(torch.device("cpu"), "float31")


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())
