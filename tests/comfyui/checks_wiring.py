# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""Wrong wirings: each is an error with what to connect, or a warning, and never silent."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from worker import Inside


@contextmanager
def _warnings(inside: Inside) -> Generator[list[str]]:
    """What the pack warns of, each one sentence or more, and nothing of anybody else's."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear, logger = Ear(), inside.module("nodes.wiring").logger
    logger.addHandler(ear)
    try:
        yield heard
    finally:
        logger.removeHandler(ear)


def _warned(inside: Inside, call: Callable[[], Any], *parts: str) -> str:
    with _warnings(inside) as heard:
        call()
    assert len(heard) == 1, heard
    text = heard[0]
    assert all(part in text for part in parts), f"{text!r} lacks one of {parts}"
    assert "\n" not in text and text.endswith("."), text
    return text


def _refused(call: Callable[[], object], *parts: str) -> str:
    try:
        call()
    except ValueError as error:
        text = str(error)
        assert all(part in text for part in parts), f"{text!r} lacks one of {parts}"
        assert "\n" not in text and text.endswith("."), text
        return text
    raise AssertionError(f"was not refused: {parts}")


def _garment(inside: Inside, picture: Any, category: str = "upper") -> tuple[Any, Any, Any]:
    """conditioning, garment latent and features."""
    _, outfitting, encoder, vae = inside.loaded()
    prompt, latent = inside.call(
        "OOTD_GarmentEncoder",
        garment=picture,
        vae=vae,
        garment_encoder=encoder,
        category=category,
    )
    (features,) = inside.call(
        "OOTD_OutfittingUNet",
        outfitting_unet=outfitting,
        conditioning=prompt,
        garment_latent=latent,
    )
    return prompt, latent, features


def check_a_right_wiring_is_silent(inside: Inside) -> None:
    """One picture, a batch, several latents of one, LoRA after Fused Denoiser, a second pass."""
    person, mask, garment = inside.small_doll()
    with _warnings(inside) as heard:
        fused = inside.fused(person, mask, garment)
        samples = inside.sample(fused, steps=2)
        inside.sample((fused[0].clone(), *fused[1:]), steps=1)
        many = {key: value.repeat(3, 1, 1, 1) for key, value in fused[3].items()}
        inside.sample((*fused[:3], many), steps=1)
        inside.sample(inside.fused(person, mask, garment.repeat(2, 1, 1, 1)), steps=1)
        vae = inside.loaded()[3]
        again = {"samples": vae.encode(vae.decode(samples))}
        inside.sample((*fused[:3], again), steps=2, denoise=0.5)
        larger = torch.nn.functional.interpolate(samples, scale_factor=1.5, mode="bicubic")
        inside.sample((*fused[:3], {"samples": larger}), steps=2, denoise=0.5)
        inside.sample((*fused[:3], {"samples": torch.zeros_like(samples)}), steps=1)
    assert not heard, heard


def check_a_model_that_skipped_fused_denoiser(inside: Inside) -> str:
    fused = inside.fused(*inside.small_doll())
    denoiser, outfitting, *_ = inside.loaded()
    text = _refused(
        lambda: inside.sample((denoiser, *fused[1:]), steps=1), "Fused Denoiser's output model"
    )
    _refused(lambda: inside.sample((outfitting, *fused[1:]), steps=1), "output model")
    assert inside.sample(fused, steps=1).isfinite().all()
    return text


def check_conditioning_of_another_node(inside: Inside) -> str:
    person, mask, garment = inside.small_doll()
    model, positive, negative, latent = fused = inside.fused(person, mask, garment)
    prompt, _, _ = _garment(inside, garment)
    texts = [
        _refused(
            lambda: inside.sample((model, positive, prompt, latent), steps=1),
            "negative conditioning",
            "output negative",
        ),
        _refused(
            lambda: inside.sample((model, prompt, negative, latent), steps=1),
            "positive conditioning",
            "output positive",
        ),
        _refused(
            lambda: inside.sample((model, negative, positive, latent), steps=1),
            "positive to positive",
        ),
    ]
    guided = inside.sample(fused, steps=2, cfg=1.0)
    other = inside.sample((model, positive, prompt, latent), steps=2, cfg=1.0)
    assert torch.equal(guided, other), "at cfg 1 the negative counts"
    return " ".join(texts)


def check_a_mask_of_another_category(inside: Inside) -> str:
    person, mask, garment = inside.small_doll()
    wiring = inside.module("nodes.wiring")
    category = inside.module("ootd_core.categories").Category
    lower = wiring.mark_mask(mask.clone(), category.LOWER)
    text = _warned(inside, lambda: inside.fused(person, lower, garment), "'lower'", "'upper'")
    with _warnings(inside) as heard:
        inside.fused(person, wiring.mark_mask(mask.clone(), category.UPPER), garment)
        inside.fused(person, lower * 1.0, garment)  # made by another node: nobody knows
    assert not heard, heard
    return text


def check_wrong_graphs_speak(inside: Inside) -> str:
    """As users queue them: a mask of another category, a sampler on the loader's MODEL."""
    path = inside.pack / "workflows" / "api" / "upper_body.json"
    kinds = ("OOTD_ModelLoader", "OOTD_MaskGenerator", "KSampler")

    def graph() -> tuple[dict[str, Any], list[str]]:
        prompt = json.loads(path.read_text(encoding="utf-8"))
        places = {node["class_type"]: place for place, node in prompt.items()}
        prompt[places["KSampler"]]["inputs"]["steps"] = 1
        return prompt, [places[kind] for kind in kinds]

    prompt, (loader, masks, sampler) = graph()
    prompt[masks]["inputs"]["category"] = "lower"
    with _warnings(inside) as heard:
        errors = inside.run(prompt)
    said = [text for text in heard if "generated for category 'lower'" in text]
    assert not errors and len(said) == 1, (errors, heard)
    prompt, (loader, masks, sampler) = graph()
    prompt[sampler]["inputs"]["model"] = [loader, 0]
    (error,) = inside.run(prompt)
    assert "did not go through Fused Denoiser" in error, error
    return error


def check_an_averaged_conditioning(inside: Inside) -> str:
    """Before Outfitting UNet, between it and Fused Denoiser, and after both."""
    person, mask, garment = inside.small_doll()
    other = inside.picture("2-upper-garment.png")[:, ::2, ::2]
    first, second = _garment(inside, garment), _garment(inside, other)
    average = inside.nodes["ConditioningAverage"]().addWeighted
    denoiser, outfitting, _, vae = inside.loaded()
    (mixed,) = average(first[0], second[0], 0.5)
    text = _warned(
        inside,
        lambda: inside.call(
            "OOTD_OutfittingUNet",
            outfitting_unet=outfitting,
            conditioning=mixed,
            garment_latent=first[1],
        ),
        "Conditioning Average",
        "cfg",
    )

    def fuse(conditioning: Any, features: Any) -> tuple[Any, ...]:
        return inside.call(
            "OOTD_FusedDenoiser",
            denoiser=denoiser,
            garment_features=features,
            conditioning=conditioning,
            vae=vae,
            person=person,
            mask=mask,
            garment_strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
        )

    _warned(inside, lambda: fuse(mixed, first[2]), "Outfitting UNet", "Encode Garment")
    _warned(inside, lambda: fuse(second[0], first[2]), "Outfitting UNet", "Encode Garment")
    one, two = fuse(first[0], first[2]), fuse(second[0], second[2])
    (positive,) = average(one[1], two[1], 0.5)
    _warned(
        inside,
        lambda: inside.sample((one[0], positive, *one[2:]), steps=1),
        "Conditioning Average",
    )
    return text


def check_batches_cut_after_fused_denoiser(inside: Inside) -> str:
    person, mask, garment = inside.small_doll()
    other = inside.picture("2-upper-person.png")[:, ::2, ::2]
    cut = inside.nodes["LatentFromBatch"]().frombatch
    texts = []
    for people, garments in ((1, 2), (2, 1), (2, 2)):
        pictures = torch.cat([person, other])[:people]
        fused = inside.fused(pictures, mask, garment.repeat(garments, 1, 1, 1))
        (second,) = cut(fused[3], 1, 1)
        texts.append(
            _refused(lambda: inside.sample((*fused[:3], second), steps=1), "joined 2", "of 1")  # noqa: B023
        )
        (repeated,) = inside.nodes["RepeatLatentBatch"]().repeat(fused[3], 2)
        _refused(lambda: inside.sample((*fused[:3], repeated), steps=1), "joined 2", "of 4")  # noqa: B023
    (parts,) = _outputs(inside.nodes["RebatchLatents"], latents=[fused[3]], batch_size=[1])
    for part in parts:
        _refused(lambda: inside.sample((*fused[:3], part), steps=1), "joined 2", "of 1")  # noqa: B023
    return texts[0]


def _outputs(node: Any, **inputs: Any) -> tuple[Any, ...]:
    """A node's outputs, of either schema."""
    if hasattr(node, "execute"):
        return node.execute(**inputs).args
    return getattr(node(), node.FUNCTION)(**inputs)


def check_latents_of_another_person(inside: Inside) -> str:
    """Two Fused Denoisers' latents in one batch, under one's conditioning."""
    person, mask, garment = inside.small_doll()
    other = inside.picture("2-upper-person.png")[:, ::2, ::2]
    one, two = (inside.fused(each, mask, garment) for each in (person, other))
    (both,) = _outputs(inside.nodes["LatentBatch"], samples1=one[3], samples2=two[3])
    text = _warned(
        inside, lambda: inside.sample((*one[:3], both), steps=1), "Latents 2 of 2", "same"
    )
    hole = {**one[3], "noise_mask": 1 - one[3]["noise_mask"]}
    _warned(inside, lambda: inside.sample((*one[:3], hole), steps=1), "nothing is redrawn")
    return text


def check_guidance_one_computes_one_half(inside: Inside) -> str:
    """ComfyUI leaves the negative out at cfg 1: half the work, as the original does."""
    fused = inside.fused(*inside.small_doll())
    (first, *_) = (
        inside.module("nodes.native_networks")
        .native_blocks(fused[0].model.diffusion_model)
        .values()
    )
    sizes: dict[float, set[int]] = {}
    for cfg in (1.0, 2.0):
        seen = sizes.setdefault(cfg, set())
        hook = first.attn1.register_forward_pre_hook(lambda _m, inputs: seen.add(len(inputs[0])))  # noqa: B023
        try:
            inside.sample(fused, steps=2, cfg=cfg)
        finally:
            hook.remove()
    assert sizes == {1.0: {1}, 2.0: {2}}, sizes
    return str(sizes)


def check_equal_pictures_are_encoded_once(inside: Inside) -> str:
    """One person with eight garments is two pictures; a batch of equal persons is, too."""
    person, mask, garment = inside.small_doll()
    other = inside.picture("2-upper-person.png")[:, ::2, ::2]
    vae = inside.loaded()[3]
    counts = {}
    for name, people, garments in (
        ("1 and 8", person, 8),
        ("8 and 1", person.repeat(8, 1, 1, 1), 1),
        ("1, 2, 1", torch.cat([person, other, person]), 1),
    ):
        pictures = [0]

        def count(_module: Any, inputs: tuple[Any, ...]) -> None:
            pictures[0] += len(inputs[0])  # noqa: B023

        fused = _counted(inside, vae, count, people, mask, garment.repeat(garments, 1, 1, 1))
        counts[name] = pictures[0]
        assert len(fused[3]["samples"]) == max(len(people), garments)
    assert counts == {"1 and 8": 2, "8 and 1": 2, "1, 2, 1": 4}, counts
    first, second, third = fused[3]["samples"]
    assert torch.equal(first, third) and not torch.equal(first, second)
    return str(counts)


def _counted(
    inside: Inside, vae: Any, count: Any, people: Any, mask: Any, garments: Any
) -> tuple[Any, ...]:
    """Fused Denoiser's outputs; `count` sees what its call sends through the VAE's encoder."""
    prompt, _, features = _garment(inside, garments)
    hook = vae.first_stage_model.encoder.register_forward_pre_hook(count)
    try:
        return inside.call(
            "OOTD_FusedDenoiser",
            denoiser=inside.loaded()[0],
            garment_features=features,
            conditioning=prompt,
            vae=vae,
            person=people,
            mask=mask,
            garment_strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
        )
    finally:
        hook.remove()
