"""Precision, memory format, offloading and torch.compile, without a GPU: who is asked what."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ootd_core.categories import Category, Variant
from ootd_core.checkpoints import acceleration
from ootd_core.checkpoints.acceleration import (
    check_compile,
    check_offload,
    choose_dtype,
    compile_denoiser,
    use_channels_last,
)
from ootd_core.checkpoints.networks import OFFLOADED, load_networks
from ootd_core.fusion import transformer_blocks
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from tests.ootd_core.small_networks import FOLDER, small_networks


def request(**changes: Any) -> TryOnRequest:
    random = np.random.default_rng(0)
    mask = np.zeros((64, 48), bool)
    mask[16:48, 8:40] = True
    settings: dict[str, Any] = {
        "person": random.integers(0, 256, (64, 48, 3), np.uint8),
        "garment": random.integers(0, 256, (64, 48, 3), np.uint8),
        "mask": mask,
        "category": Category.UPPER,
        "num_inference_steps": 2,
    }
    return TryOnRequest(**(settings | changes))


@pytest.mark.parametrize(
    ("name", "device", "chosen"),
    [
        ("auto", "cpu", "fp32"),
        ("auto", "cuda", "fp16"),
        ("auto", "cuda:1", "fp16"),
        ("auto", "mps", "fp16"),
        ("auto", "xpu", "fp16"),
        ("bf16", "cuda", "bf16"),
        ("fp16", "cpu", "fp16"),
        ("fp32", "cuda", "fp32"),
    ],
)
def test_half_precision_where_it_is_quicker(name: str, device: str, chosen: str) -> None:
    assert choose_dtype(name, device) == chosen


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(ValueError, match="dtype is 'fp8', but must be one of auto, fp32"):
        choose_dtype("fp8", "cpu")


def test_weights_lie_channels_last_on_cuda_alone() -> None:
    networks = load_networks(FOLDER, Variant.FULL_BODY)
    last = torch.channels_last
    weight = networks.tryon_unet.conv_in.weight
    use_channels_last(networks)
    assert not weight.is_contiguous(memory_format=last)
    use_channels_last(replace(networks, device=torch.device("cuda")))
    for network in (networks.tryon_unet, networks.outfitting_unet, networks.vae.encoder):
        weight = network.conv_in.weight
        assert weight.is_contiguous(memory_format=last)
    picture = TryOnPipeline(networks)(request()).astype(int)
    assert np.abs(picture - TryOnPipeline(small_networks())(request())).max() <= 1


def test_offloaded_networks_are_there_when_they_run_and_gone_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same picture, and never the two UNets side by side."""
    networks = load_networks(FOLDER, Variant.FULL_BODY, offload=True)
    assert networks.offloaded
    there: set[str] = set()
    ran: list[str] = []

    def moved(name: str) -> Callable[..., None]:
        def to(place: str | torch.device) -> None:
            (there.discard if place == "cpu" and isinstance(place, str) else there.add)(name)

        return to

    def watch(name: str, module: nn.Module) -> None:
        def run(_module: nn.Module, _inputs: object) -> None:
            assert name in there, f"{name} runs, but lies in main memory"
            assert not {"tryon_unet", "outfitting_unet"} <= there, there
            ran.append(name)

        module.register_forward_pre_hook(run)

    for name in OFFLOADED:
        network = getattr(networks, name)
        monkeypatch.setattr(network, "to", moved(name))
        parts = [network.encoder, network.decoder] if name == "vae" else [network]
        for part in parts:
            watch(name, part)
    watch("tryon_unet", transformer_blocks(networks.tryon_unet)[0].norm1)
    picture = TryOnPipeline(networks)(request())
    assert np.array_equal(picture, TryOnPipeline(small_networks())(request()))
    assert set(ran) == set(OFFLOADED)
    assert there == {"vae"}


def test_networks_stay_where_they_are_unless_offloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = small_networks()
    monkeypatch.setattr(networks.vae, "to", lambda *_: pytest.fail("was moved"))
    networks.bring("vae")
    networks.bring("tryon_unet")


def test_there_is_nothing_to_offload_on_a_cpu() -> None:
    check_offload("cuda:0")
    with pytest.raises(ValueError, match="networks are to run on the CPU: name the GPU"):
        check_offload("cpu")


def test_what_cannot_be_compiled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*_: object) -> str:
        return "there"

    def missing(*_: object) -> None:
        return None

    monkeypatch.setattr(shutil, "which", found)
    monkeypatch.setattr(acceleration, "find_spec", found)
    check_compile("cpu")
    check_compile("cuda:1")
    with pytest.raises(ValueError, match="for CUDA and CPUs, not for mps"):
        check_compile("mps")
    monkeypatch.setattr(shutil, "which", missing)
    monkeypatch.setattr(acceleration, "find_spec", missing)
    with pytest.raises(ValueError, match=r"C\+\+ compiler on a CPU.*none of g\+\+"):
        check_compile("cpu")
    with pytest.raises(ValueError, match="needs Triton on a GPU"):
        check_compile("cuda")


@pytest.mark.slow
def test_the_compiled_denoiser_is_compiled_once() -> None:
    """For a whole run, and for the next garment: the garment's tokens are inputs, not constants."""
    networks = load_networks(FOLDER, Variant.FULL_BODY)
    graphs: list[object] = []

    def backend(graph: Any, _inputs: object) -> Any:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compile_denoiser(networks, backend)
    plain, compiled = TryOnPipeline(small_networks()), TryOnPipeline(networks)
    other = request(garment=255 - request().garment, seed=4)
    assert np.abs(compiled(request()).astype(int) - plain(request())).max() <= 1
    compiled_once = len(graphs)
    assert compiled_once
    assert np.abs(compiled(other).astype(int) - plain(other)).max() <= 1
    assert len(graphs) == compiled_once, "the second garment was compiled anew"
    torch.compiler.reset()
