# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""What ComfyUI's memory management and VAE nodes do to our networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from worker import Inside

MINI = "mini (built in)"
FULL_BODY = "full body (dc)"


def check_everything_may_leave_memory_between_nodes(inside: Inside) -> None:
    """After any stage ComfyUI may unload all models; the picture stays the same."""
    import comfy.model_management

    person, mask, garment = inside.small_doll()
    wanted = inside.sample(inside.fused(person, mask, garment))
    comfy.model_management.unload_all_models()
    fused = inside.fused(person, mask, garment)
    loaded = [each.model for each in comfy.model_management.current_loaded_models]
    outfitting = inside.loaded()[1]
    assert any(each is outfitting for each in loaded), (
        "the outfitting UNet is not ComfyUI's to move"
    )
    comfy.model_management.unload_all_models()
    assert not comfy.model_management.current_loaded_models
    assert torch.equal(wanted, inside.sample(fused))


def check_weights_may_stay_outside(inside: Inside) -> str:
    """Partial loading: weights that did not fit are brought in module by module."""
    fused = inside.fused(*inside.small_doll())
    wanted = inside.sample(fused)
    model: Any = fused[0]
    model.unpatch_model(model.offload_device)
    model.load(model.load_device, lowvram_model_memory=model.model_size() // 4)
    outside = _outside(model)
    assert outside > 50, f"only {outside} modules are outside"
    with torch.inference_mode():
        found = _denoised(inside, fused)
    model.unpatch_model(model.offload_device)
    model.load(model.load_device, full_load=True)
    assert _outside(model) == 0
    with torch.inference_mode():
        whole = _denoised(inside, fused)
    assert torch.equal(found, whole)
    assert torch.equal(wanted, inside.sample(fused))
    return f"{outside} modules outside"


def _outside(model: Any) -> int:
    """How many modules bring their weights in at every call."""
    modules = model.model.modules()
    return sum(getattr(module, "comfy_cast_weights", False) for module in modules)


def _denoised(inside: Inside, fused: tuple[Any, ...]) -> torch.Tensor:
    """One guided evaluation, without the sampler's own loading of models."""
    import comfy.conds
    import comfy.sampler_helpers
    import comfy.samplers

    model, positive, negative, latent = fused
    noise = torch.randn(latent["samples"].shape, generator=torch.Generator().manual_seed(3))
    conditions = comfy.samplers.process_conds(
        model.model,
        noise,
        {
            name: comfy.sampler_helpers.convert_cond(each)
            for name, each in (("positive", positive), ("negative", negative))
        },
        torch.device("cpu"),
    )
    model.pre_run()
    try:
        return comfy.samplers.sampling_function(
            model.model,
            noise,
            torch.tensor([5.0]),
            conditions["negative"],
            conditions["positive"],
            2.0,
            model_options=model.model_options,
        )
    finally:
        model.cleanup()


def check_every_precision_dresses(inside: Inside) -> str:
    person, mask, garment = inside.small_doll()
    wanted = inside.sample(inside.fused(person, mask, garment))
    figures = []
    for name in ("fp32", "bf16"):
        loaded = inside.call(
            "OOTD_ModelLoader", checkpoint=MINI, variant=FULL_BODY, weight_dtype=name
        )
        samples = inside.sample(inside.fused(person, mask, garment, denoiser=loaded[0]))
        error = float((samples - wanted).abs().mean() / wanted.abs().mean())
        assert error < 0.1, f"{name}: {error}"
        figures.append(f"{name} {error:.4f}")
    return ", ".join(figures)


def check_comfyuis_own_vae_nodes_do(inside: Inside) -> str:
    """VAE Decode equals Decode Try-On without an original; tiled decoding and encoding run."""
    person, mask, garment = inside.small_doll()
    vae = inside.loaded()[3]
    latent = {"samples": inside.sample(inside.fused(person, mask, garment))}
    (plain,) = inside.nodes["VAEDecode"]().decode(vae, latent)
    ours = inside.call("OOTD_VAEDecode", latent=latent, vae=vae, feather=0.0)[0]
    assert torch.equal(plain, ours)
    (tiled,) = inside.nodes["VAEDecodeTiled"]().decode(vae, latent, tile_size=128, overlap=32)
    error = float((tiled - plain).abs().mean())
    assert tiled.shape == plain.shape and error < 0.1, error
    (encoded,) = inside.nodes["VAEEncode"]().encode(vae, person)
    assert encoded["samples"].shape == latent["samples"].shape
    return f"tiled differs by {error:.4f}"
