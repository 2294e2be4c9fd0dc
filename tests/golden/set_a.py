"""Set A: prompts, both UNets, the whole pipeline and a call from a seed, on small random networks.

The reference ran its pipeline in the channels_last memory format and its single UNet passes in the
contiguous one. On a CPU, GroupNorm rounds differently in the two, and where a group is nearly
constant (flat grey, a garment of zeros) that grows to 1e-4; so each is repeated in its own format.
So it does where several threads share a sum, which is why every case runs on one.
"""

import json
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from ootd_core.categories import LABEL_PROMPTS, Category, Variant
from ootd_core.checkpoints.networks import Networks, load_networks
from ootd_core.conditioning import combine, encode_garment_image, encode_label
from ootd_core.fusion import Fusion, prepare, record
from ootd_core.images.tensors import to_tensor
from ootd_core.latents import Repaint, agnostic_image, binary_mask, decode, encode
from ootd_core.pipeline import PersonLatents, TryOnPipeline
from ootd_core.request import TryOnRequest
from tests.golden.case import CaseResult, failed_case

PROMPT = 1e-5
UNET = 1e-5
LATENTS = 1e-4
IMAGE = 2e-4
ONE_LEVEL = 1 / 255


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One comparison of a case; `tolerance` is of the same unit as `error`."""

    what: str
    error: float
    tolerance: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """An entry of the manifest, its tensors, and the networks in a given memory format."""

    entry: dict[str, Any]
    tensors: dict[str, Tensor]
    checkpoints: Path

    @property
    def variant(self) -> Variant:
        return Variant(self.entry["model_type"])

    @property
    def category(self) -> Category:
        labels = {label: category for category, label in LABEL_PROMPTS.items()}
        return labels[self.entry["category"]]

    def networks(self, memory_format: torch.memory_format) -> Networks:
        return _networks(self.checkpoints, self.variant, memory_format)

    def picture(self, name: str) -> np.ndarray:
        return self.tensors[name].numpy()


@cache
def _encoders(folder: Path) -> Networks:
    """Both variants read the same encoders; a folder may hold the UNets of only one."""
    present = next(v for v in Variant if (folder / "ootd" / f"ootd_{v}").is_dir())
    return _networks(folder, present, torch.contiguous_format)


@cache
def _networks(folder: Path, variant: Variant, memory_format: torch.memory_format) -> Networks:
    networks = load_networks(folder, variant)
    for module in (networks.vae, networks.outfitting_unet, networks.tryon_unet):
        module.to(memory_format=memory_format)  # pyright: ignore[reportCallIssue] - it has one
    return networks


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """The largest absolute difference over the largest absolute reference; inf if shapes differ."""
    if ours.shape != reference.shape:
        return float("inf")
    return float((ours.float() - reference).abs().max() / reference.abs().max())


def check_prompt(case: Case) -> Iterator[Measure]:
    networks = _encoders(case.checkpoints)
    tensors = case.tensors
    garment = case.picture("garment_image")
    text = encode_label(case.variant, case.category, networks.text_encoder, networks.tokenizer)
    image = encode_garment_image(garment, networks.image_encoder, networks.image_processor)
    ours = {
        "text_hidden": text,
        "image_embeds": image,
        "prompt_embeds": combine(case.variant, text, image),
    }
    pixels = networks.image_processor(images=garment, return_tensors="pt").pixel_values
    for name in tensors:
        if stride := re.fullmatch(r"pixel_values_stride(\d+)", name):
            step = int(stride[1])
            ours[name] = pixels[..., ::step, ::step]
    for name, tensor in ours.items():
        if name in tensors:
            yield Measure(what=name, error=relative_error(tensor, tensors[name]), tolerance=PROMPT)


def check_outfitting_unet(case: Case) -> Iterator[Measure]:
    unet = case.networks(torch.contiguous_format).outfitting_unet
    tensors = case.tensors
    sample, prompt = tensors["sample"], tensors["prompt_embeds"]
    names = sorted(name for name in tensors if name.startswith("feat."))
    features = record(unet, sample, prompt)
    yield Measure(
        what=f"{len(names)} lists",
        error=relative_error(_joined(features), _joined([tensors[name] for name in names])),
        tolerance=UNET,
    )
    whole = unet(sample, case.entry["timestep"], prompt, return_dict=False)[0]
    error = relative_error(whole, tensors["out_sample"])
    yield Measure(what="undisturbed", error=error, tolerance=UNET)


def check_tryon_unet(case: Case) -> Iterator[Measure]:
    networks = case.networks(torch.contiguous_format)
    tensors, unet = case.tensors, networks.tryon_unet
    prompt = tensors["prompt_embeds"]
    features = record(networks.outfitting_unet, tensors["garm_sample"], prompt)
    with Fusion(unet) as fusion:
        fusion.set(prepare(unet, features))
        for timestep in case.entry["timesteps"]:
            predicted = unet(tensors["sample"], timestep, prompt, return_dict=False)[0]
            error = relative_error(predicted, tensors[f"out.t{timestep}"])
            yield Measure(what=f"t{timestep}", error=error, tolerance=UNET)


def check_pipeline(case: Case) -> Iterator[Measure]:
    networks = case.networks(torch.channels_last)
    tensors, entry = case.tensors, case.entry
    request = _request(
        case,
        num_inference_steps=entry["steps"],
        guidance_scale=entry["image_guidance_scale"],
        num_images_per_prompt=entry["num_images_per_prompt"],
    )
    pipeline = TryOnPipeline(networks)
    latents_per_step: list[Tensor] = []
    noise_predicted: list[Tensor] = []
    hook = networks.tryon_unet.register_forward_hook(
        lambda _unet, _inputs, output: noise_predicted.append(output[0])
    )
    try:
        prompt = pipeline.encode_prompt(request)
        latents = pipeline.denoise(
            request,
            prompt,
            pipeline.read_garment(request, prompt),
            _person(pipeline, request, case),
            noise=tensors["initial_latents"],
            on_step=lambda _step, _total, latents: latents_per_step.append(latents),
        )
    finally:
        hook.remove()
    image = (decode(networks.vae, latents) / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)

    yield Measure(
        what="prompt", error=relative_error(prompt, tensors["prompt_embeds"]), tolerance=PROMPT
    )
    compared = {
        # The garment's half comes first, and at a guidance of 1 is all that is run here.
        "first noise": (noise_predicted[0], tensors["noise_pred_first"][: len(noise_predicted[0])]),
        "last noise": (noise_predicted[-1], tensors["noise_pred_last"][: len(noise_predicted[0])]),
        "latents": (torch.stack(latents_per_step), tensors["latents_per_step"]),
    }
    for what, (ours, reference) in compared.items():
        yield Measure(what=what, error=relative_error(ours, reference), tolerance=LATENTS)
    yield Measure(what="image", error=relative_error(image, tensors["image"]), tolerance=IMAGE)


def check_call(case: Case) -> Iterator[Measure]:
    entry = case.entry
    request = _request(
        case,
        num_inference_steps=entry["steps"],
        guidance_scale=entry["image_scale"],
        num_images_per_prompt=entry["num_samples"],
        seed=entry["seed"],
    )
    images = TryOnPipeline(case.networks(torch.channels_last))(request)
    difference = np.abs(images.astype(np.int16) - case.picture("images").astype(np.int16))
    yield Measure(what="uint8", error=float(difference.max()) / 255, tolerance=ONE_LEVEL)


def _request(case: Case, **settings: Any) -> TryOnRequest:
    return TryOnRequest(
        person=case.picture("person_image"),
        garment=case.picture("garment_image"),
        mask=case.picture("mask"),
        category=case.category,
        repaint=Repaint.CORNER,
        **settings,
    )


def _person(pipeline: TryOnPipeline, request: TryOnRequest, case: Case) -> PersonLatents:
    """The reference was handed its agnostic picture: it need not be the one that the mask makes."""
    person = pipeline.encode_person(request)
    given = case.picture("person_masked_image")
    if np.array_equal(given, agnostic_image(request.person, binary_mask(request.mask))):
        return person
    return replace(person, agnostic=encode(pipeline.networks.vae, to_tensor(given)))


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


KINDS: dict[str, Callable[[Case], Iterator[Measure]]] = {
    "prompt_embeds": check_prompt,
    "unet_garm": check_outfitting_unet,
    "unet_vton": check_tryon_unet,
    "pipeline": check_pipeline,
    "class_call": check_call,
}


def check(folder: Path) -> Iterator[CaseResult]:
    """One result a case of `folder`: its measure that comes closest to the tolerance, all noted."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for entry in manifest["cases"]:
        try:
            yield _result(folder, folder / manifest["checkpoints"], entry)
        except Exception as problem:  # one broken case must not hide the others
            yield failed_case(entry["id"], problem)


@contextmanager
def _one_thread() -> Generator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_one_thread()
@torch.inference_mode()
def _result(folder: Path, checkpoints: Path, entry: dict[str, Any]) -> CaseResult:
    if entry["kind"] not in KINDS:
        raise ValueError(f"no check is known for the kind '{entry['kind']}'")
    case = Case(entry=entry, tensors=load_file(folder / entry["file"]), checkpoints=checkpoints)
    measures = list(KINDS[entry["kind"]](case))
    worst = max(measures, key=lambda measure: measure.error / measure.tolerance)
    return CaseResult(
        name=entry["id"],
        error=worst.error,
        tolerance=worst.tolerance,
        note=", ".join(f"{measure.what} {measure.error:.1e}" for measure in measures),
    )
