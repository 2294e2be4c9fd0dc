# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""A sampling cut in two, a second pass, a lost noise mask: the picture stays what it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from worker import Inside

STEPS = 12
SAME = 40.0  # dB, of a picture sampled in one and in two
SLACK = 1.0  # dB, by which a cut may be worse than that of stock Stable Diffusion
OTHER_NOISE = 20.0  # dB, where the second half had another noise outside
SECOND = 25.0  # dB, between a picture and what a second pass makes of it


def _advanced(inside: Inside, fused: tuple[Any, ...], **inputs: Any) -> dict[str, Any]:
    """KSampler (Advanced) over Fused Denoiser's outputs: a LATENT."""
    model, positive, negative, latent = fused
    settings = {"noise_seed": 3, "steps": STEPS, "cfg": 2.0, "sampler_name": "euler"}
    settings |= {"scheduler": "normal", "add_noise": "enable", "start_at_step": 0}
    settings |= {"end_at_step": STEPS, "return_with_leftover_noise": "disable"}
    return inside.nodes["KSamplerAdvanced"]().sample(
        model=model,
        positive=positive,
        negative=negative,
        latent_image=latent,
        **{**settings, **inputs},
    )[0]


def _cut(inside: Inside, fused: tuple[Any, ...], sampler: str, between: Any = None) -> Any:
    """Half of the steps and the other half: `between` is what happens to the LATENT in between."""
    half = _advanced(
        inside,
        fused,
        sampler_name=sampler,
        end_at_step=STEPS // 2,
        return_with_leftover_noise="enable",
    )
    half = half if between is None else between(half)
    return _advanced(
        inside,
        (*fused[:3], half),
        sampler_name=sampler,
        noise_seed=99,
        start_at_step=STEPS // 2,
        add_noise="disable",
    )


def _psnr(inside: Inside, one: Any, other: Any, region: Any = None) -> float:
    """Between decoded latents, inside the mask."""
    vae = inside.loaded()[3]
    first, second = (vae.decode(each["samples"]).clamp(0, 1) for each in (one, other))
    error = (first - second) ** 2
    if region is not None:
        error = error[region > 0]
    return 10 * math.log10(1 / max(float(error.mean()), 1e-12))


def check_a_sampling_cut_in_two_is_one(inside: Inside) -> str:
    """At worst as near as a cut of stock Stable Diffusion, of which some samplers lose history."""
    person, mask, garment = inside.small_doll()
    fused = inside.fused(person, mask, garment)
    plain = _plain(inside, garment)
    figures, fell = [], []
    for sampler in ("euler", "dpmpp_2m", "uni_pc"):
        whole = _advanced(inside, fused, sampler_name=sampler)
        found = _psnr(inside, whole, _cut(inside, fused, sampler), mask)
        wanted = SAME
        if sampler != "euler":
            stock = _advanced(inside, plain, sampler_name=sampler)
            wanted = _psnr(inside, stock, _cut(inside, plain, sampler)) - SLACK
        figures.append(f"{sampler} {found:.1f} dB (wanted {wanted:.1f})")
        fell += [sampler] if found < wanted else []
    text = ", ".join(figures)
    assert not fell, text
    return text


def check_a_cut_needs_neither_noise_mask_nor_noise_outside(inside: Inside) -> str:
    """What nodes between two samplers drop, and noise that was made for the inside alone."""
    person, mask, garment = inside.small_doll()
    fused = inside.fused(person, mask, garment)
    region = fused[3]["noise_mask"]
    whole = _advanced(inside, fused)

    def clean_outside(half: dict[str, Any]) -> dict[str, Any]:
        return {**half, "samples": half["samples"] * region + fused[3]["samples"] * (1 - region)}

    figures = {
        name: _psnr(inside, whole, _cut(inside, fused, "euler", change), mask)
        for name, change in (
            ("mask dropped", lambda half: {"samples": half["samples"]}),
            ("white mask", lambda half: {**half, "noise_mask": torch.ones_like(region)}),
        )
    }
    other = _psnr(inside, whole, _cut(inside, fused, "euler", clean_outside), mask)
    text = f"{figures}, other noise outside {other:.1f} dB"
    assert min(figures.values()) >= SAME and other >= OTHER_NOISE, text
    plain = inside.sample(fused)
    for latent in (
        {"samples": fused[3]["samples"]},
        {"samples": torch.zeros_like(fused[3]["samples"])},
        {**fused[3], "noise_mask": torch.ones(1, 64, 48)},
    ):
        assert torch.equal(plain, inside.sample((*fused[:3], latent))), latent.keys()
    return text


def check_sigmas_split_in_two_are_one(inside: Inside) -> str:
    """Refiner chains of custom samplers: Split Sigmas, and Disable Noise for the second."""
    person, mask, garment = inside.small_doll()
    model, positive, negative, latent = inside.fused(person, mask, garment)

    def made(kind: str, *inputs: Any) -> Any:
        node = inside.nodes[kind]
        if hasattr(node, "execute"):
            result = node.execute(*inputs)
            return result.args if hasattr(result, "args") else result
        return getattr(node(), node.FUNCTION)(*inputs)

    (sigmas,) = made("BasicScheduler", model, "karras", STEPS, 1.0)
    high, low = made("SplitSigmas", sigmas, STEPS // 2)
    (guider,) = made("CFGGuider", model, positive, negative, 2.0)
    (sampler,) = made("KSamplerSelect", "euler")

    def sampled(noise: Any, levels: Any, given: Any) -> Any:
        return made("SamplerCustomAdvanced", noise, guider, sampler, levels, given)[0]

    (noise,), (none,) = made("RandomNoise", 3), made("DisableNoise")
    whole = sampled(noise, sigmas, latent)
    found = _psnr(inside, whole, sampled(none, low, sampled(noise, high, latent)), mask)
    assert found >= SAME, found
    added = made("AddNoise", model, noise, sigmas, {"samples": latent["samples"]})[0]
    before = _psnr(inside, whole, sampled(none, sigmas, added), mask)
    assert before >= SAME, before
    return f"split {found:.1f} dB, noise added before {before:.1f} dB"


def check_a_second_pass_keeps_the_garment(inside: Inside) -> str:
    """High-resolution fix: latents enlarged, clean or with leftover noise, and sampled again; and a
    second pass of the same size over a picture encoded anew."""
    person, mask, garment = inside.small_doll()
    fused = inside.fused(person, mask, garment)
    first = _advanced(inside, fused)
    enlarge = inside.nodes["LatentUpscaleBy"]().upscale
    (large,) = enlarge(first, "bilinear", 1.5)
    clean = inside.sample((*fused[:3], large), steps=8, denoise=0.4)
    lost = inside.sample((*fused[:3], {"samples": large["samples"]}), steps=8, denoise=0.4)
    assert torch.equal(clean, lost), "the second pass rests on the noise mask"
    half = _advanced(inside, fused, end_at_step=STEPS // 2, return_with_leftover_noise="enable")
    (noisy,) = enlarge(half, "nearest-exact", 1.5)
    bare = fused[0].clone()
    bare.remove_wrappers_with_key("sampler_sample", "ootd_repainting")
    rest, coloured = (
        _advanced(
            inside, (model, *fused[1:3], noisy), start_at_step=STEPS // 2, add_noise="disable"
        )
        for model in (fused[0], bare)
    )
    rough = [_roughness(inside, each) for each in (clean, rest["samples"], coloured["samples"])]
    vae = inside.loaded()[3]
    again = {"samples": vae.encode(vae.decode(first["samples"]))}
    again["samples"] = inside.sample((*fused[:3], again), steps=8, denoise=0.4)
    same = _psnr(inside, first, again, mask)
    text = f"roughness {[f'{value:.4f}' for value in rough]}, same size {same:.1f} dB"
    assert rough[1] < 1.25 * rough[0] < rough[2], text
    assert same >= SECOND, text
    return text


def _roughness(inside: Inside, samples: Any) -> float:
    """Mean difference of neighbours in the decoded picture: noise has much of it."""
    shown = inside.loaded()[3].decode(samples).clamp(0, 1)
    return float((shown[:, 1:] - shown[:, :-1]).abs().mean())


def _plain(inside: Inside, garment: torch.Tensor) -> tuple[Any, ...]:
    """The same UNet as stock Stable Diffusion: a prompt, no garment, no person, no mask."""
    denoiser, _, encoder, vae = inside.loaded()
    prompt, _ = inside.call(
        "OOTD_GarmentEncoder", garment=garment, vae=vae, garment_encoder=encoder, category="upper"
    )
    return denoiser, prompt, prompt, {"samples": torch.zeros(1, 4, 16, 12)}
