# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""ComfyUI's own UNet, hooked, equals the headless one on the same weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from worker import Inside

TIMESTEPS = (1, 261, 981)
FORWARD = 1e-5  # largest difference over the largest value
PICTURE = 40.0  # dB, over the same noise levels
OWN_LEVELS = 33.0  # dB, over those of KSampler's `normal`, which lie elsewhere


def check_native_forward_equals_headless(inside: Inside) -> str:
    figures = [
        _forward(inside, "mini", inside.pack / "demo" / "checkpoints", "full body (dc)"),
        _forward(inside, "random_dc", inside.folder / "random", "full body (dc)"),
        _forward(inside, "random_hd", inside.folder / "random", "half body (hd)"),
    ]
    return ", ".join(figures)


def _forward(inside: Inside, name: str, folder: Path, variant: str) -> str:
    import comfy.model_management

    stored = load_file(inside.reference)
    get = {key.removeprefix(f"{name}."): stored[key] for key in stored if key.startswith(name)}
    denoiser, outfitting = _unets(inside, folder, variant)
    (features,) = inside.call(
        "OOTD_OutfittingUNet",
        outfitting_unet=outfitting,
        conditioning=[[get["prompt"], {}]],
        garment_latent={"samples": get["garment"]},
    )
    attention = inside.module("nodes.garment_attention")
    wrapper = attention.GarmentAttention()
    comfy.model_management.load_models_gpu([denoiser])
    unet = denoiser.model.diffusion_model
    options = {"wrappers": {"diffusion_model": {"test": [wrapper]}}}
    worst = 0.0
    with torch.inference_mode():
        for half, tokens in (
            ("positive", features.conditional),
            ("negative", features.unconditional),
        ):
            for timestep in TIMESTEPS:
                found = unet(
                    get["person"],
                    torch.tensor([float(timestep)]),
                    context=get["prompt"],
                    transformer_options=dict(options),
                    ootd_garment=(attention.GarmentCondition(tokens),),
                )
                wanted = get[f"{half}.{timestep}"]
                error = float((found - wanted).abs().max() / wanted.abs().max())
                assert error <= FORWARD, f"{name} {half} t={timestep}: {error:.2e} > {FORWARD}"
                worst = max(worst, error)
    return f"{name} {worst:.1e}"


def _unets(inside: Inside, folder: Path, variant: str) -> tuple[Any, Any]:
    files = inside.module("ootd_core.checkpoints.locating")
    native = inside.module("nodes.native_networks")
    chosen = inside.module("nodes.loader").VARIANTS[variant]
    paths = files.locate(folder, chosen)
    return (
        native.load_unet(paths.tryon_unet, paths, torch.float32),
        native.load_unet(paths.outfitting_unet, paths, torch.float32),
    )


def check_whole_run_equals_headless(inside: Inside) -> str:
    """The same picture over the same noise levels; with KSampler's own levels nearly the same."""
    person, mask, garment = inside.small_doll()
    fused = inside.fused(person, mask, garment)
    stored = load_file(inside.reference)

    def psnr(samples: torch.Tensor, sampler: str) -> float:
        return _likeness(inside, samples, stored[f"run.{sampler}"])

    same = {}
    for sampler in ("uni_pc", "euler", "dpmpp_2m"):
        sigmas = stored[f"sigmas.{sampler}"]
        same[sampler] = psnr(_over(inside, fused, sampler, sigmas), sampler)
    own = psnr(inside.sample(fused, steps=20, sampler_name="uni_pc"), "uni_pc")
    text = ", ".join(f"{name} {same[name]:.1f} dB" for name in same) + f", normal {own:.1f} dB"
    assert min(same.values()) >= PICTURE, text
    assert own >= OWN_LEVELS, text
    return text


def _likeness(inside: Inside, samples: torch.Tensor, wanted: torch.Tensor) -> float:
    """PSNR of what latents decode to."""
    vae = inside.loaded()[3]
    latent = {"samples": samples}
    picture = inside.call("OOTD_VAEDecode", latent=latent, vae=vae, feather=0.0)[0]
    error = float((((picture[0] * 255).round() - wanted.float()) ** 2).mean())
    return 10 * math.log10(255**2 / max(error, 1e-9))


def check_guidance_for_an_interval(inside: Inside) -> str:
    """Outside of it the UNet runs one half; the picture is the headless pipeline's, as without."""
    person, mask, garment = inside.small_doll()
    stored = load_file(inside.reference)
    whole = inside.fused(person, mask, garment)
    asked = inside.fused(person, mask, garment, guidance_start=0.0, guidance_end=1.0)
    start, end = 0.2, 0.65  # reference.INTERVAL
    fused = inside.fused(person, mask, garment, guidance_start=start, guidance_end=end)
    unet = fused[0].model.diffusion_model
    sizes: list[int] = []
    hook = unet.register_forward_pre_hook(lambda _m, inputs: sizes.append(len(inputs[0])))
    try:
        samples = _over(inside, fused, "uni_pc", stored["sigmas.uni_pc"])
    finally:
        hook.remove()
    steps = [2 if start <= step / 20 < end else 1 for step in range(20)]
    assert sizes == steps[: len(sizes)] and len(sizes) >= 19, sizes
    likeness = _likeness(inside, samples, stored["interval.uni_pc"])
    other = _likeness(inside, samples, stored["run.uni_pc"])
    text = f"{likeness:.1f} dB (guided throughout {other:.1f})"
    assert likeness >= PICTURE and other < likeness - 3, text
    for sampler in ("heun", "euler_ancestral"):
        plain, named = (inside.sample(each, sampler_name=sampler) for each in (whole, asked))
        assert torch.equal(plain, named), "the whole interval is not what was there before"
    never = inside.fused(person, mask, garment, guidance_start=0.999, guidance_end=1.0)
    assert torch.allclose(inside.sample(never, steps=1), inside.sample(whole, steps=1, cfg=1.0))
    for start, end in ((0.5, 0.5), (0.7, 0.2)):
        try:
            inside.fused(person, mask, garment, guidance_start=start, guidance_end=end)
        except ValueError as error:
            assert f"from {start} to {end}" in str(error), error
        else:
            raise AssertionError("an empty interval was not refused")
    return text


def _over(inside: Inside, fused: tuple[Any, ...], sampler: str, sigmas: torch.Tensor) -> Any:
    """Sampled over noise levels of one's own, as SamplerCustom does."""
    model, positive, negative, latent = fused
    (chosen,) = inside.nodes["KSamplerSelect"]().get_sampler(sampler)
    result = inside.nodes["SamplerCustom"]().sample(
        model, True, 0, 2.0, positive, negative, chosen, sigmas, latent
    )
    return result[0]["samples"]


def check_one_wrapper_leaves_no_trace(inside: Inside) -> None:
    denoiser = inside.loaded()[0]
    before = _plain(denoiser)
    person, mask, garment = inside.small_doll()
    fused = inside.fused(person, mask, garment)
    once = inside.sample(fused)
    again = inside.sample(inside.fused(person, mask, garment, denoiser=fused[0]))
    assert torch.equal(once, again), "Fused Denoiser after Fused Denoiser changes the result"
    assert torch.equal(before, _plain(denoiser)), "the loaded MODEL is not as it was"
    assert not denoiser.wrappers, denoiser.wrappers


def _plain(denoiser: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        return denoiser.model.diffusion_model(
            torch.randn(1, 8, 16, 12, generator=generator),
            torch.tensor([500.0]),
            context=torch.randn(1, 4, 64, generator=generator),
            transformer_options={},
        )


def check_strength_scales_the_garments_share(inside: Inside) -> str:
    person, mask, garment = inside.small_doll()

    def sampled(**inputs: float) -> torch.Tensor:
        return inside.sample(inside.fused(person, mask, garment, **inputs), steps=2)

    full, none = sampled(), sampled(garment_strength=0.0)
    nearly = sampled(garment_strength=1.0 + 1e-6)
    distances = [
        float((sampled(garment_strength=strength) - full).abs().mean())
        for strength in (0.9, 0.5, 0.1)
    ]
    distances.append(float((none - full).abs().mean()))
    text = f"distance to strength 1: {[f'{value:.4f}' for value in distances]}"
    assert float((nearly - full).abs().max()) < 1e-3, "the scaled share at 1 is not plain attention"
    assert distances == sorted(distances) and distances[0] > 0, text
    late = sampled(start_percent=0.5)
    assert not torch.equal(late, full) and not torch.equal(late, none)
    assert torch.equal(sampled(start_percent=0.0, end_percent=1.0), full)
    fused = inside.fused(person, mask, garment)
    plain = [[prompt, dict(entries)] for prompt, entries in fused[1]]
    for key in ("model_conds", "hooks"):
        plain[0][1].pop(key)
    without = inside.sample((inside.loaded()[0], plain, plain, fused[3]), steps=2)
    both = inside.fused(person, mask, garment, garment_strength=0.0)
    positive_only = inside.sample((both[0], both[1], both[1], both[3]), steps=2)
    assert torch.equal(without, positive_only), "strength 0 is not the UNet without a garment"
    return text
