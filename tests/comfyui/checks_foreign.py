# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""What other nodes do to the denoiser: samplers, LoRA, ControlNet, attention, interruption."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from worker import Inside


def _fused(inside: Inside) -> tuple[Any, ...]:
    return inside.fused(*inside.small_doll())


def _apply(inside: Inside, model: Any, kind: str, **inputs: Any) -> Any:
    """A node's patched MODEL, of either schema."""
    node = inside.nodes[kind]
    if hasattr(node, "execute"):
        result = node.execute(model, **inputs)
        return result.args[0] if hasattr(result, "args") else result[0]
    return getattr(node(), node.FUNCTION)(model, **inputs)[0]


def check_attention_packs_run(inside: Inside) -> str:
    fused = _fused(inside)
    plain = inside.sample(fused)
    figures = []
    for kind, inputs in (
        ("PerturbedAttentionGuidance", {"scale": 3.0}),
        ("SelfAttentionGuidance", {"scale": 0.5, "blur_sigma": 2.0}),
        ("FreeU_V2", {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}),
        ("RescaleCFG", {"multiplier": 0.7}),
        ("HyperTile", {"tile_size": 64, "swap_size": 2, "max_depth": 1, "scale_depth": False}),
        ("TomePatchModel", {"ratio": 0.3}),
        ("ModelSamplingDiscrete", {"sampling": "lcm", "zsnr": False}),
        (
            "PatchModelAddDownscale",
            {
                "block_number": 3,
                "downscale_factor": 2.0,
                "start_percent": 0.0,
                "end_percent": 0.35,
                "downscale_after_skip": True,
                "downscale_method": "bicubic",
                "upscale_method": "bicubic",
            },
        ),
    ):
        patched = _apply(inside, fused[0], kind, **inputs)
        samples = inside.sample((patched, *fused[1:]))
        assert samples.isfinite().all(), kind
        difference = float((samples - plain).abs().mean())
        # FreeU tells its blocks by widths of 4 and 2 times the first, which the mini does not have.
        assert difference > 0 or kind == "FreeU_V2", f"{kind} changes nothing"
        assert difference < 3, f"{kind}: {difference}"
        figures.append(f"{kind} {difference:.3f}")
    return ", ".join(figures)


def check_torch_compile_gives_the_same_picture(inside: Inside) -> str:
    """What Torch Compile Model does, to one block and with dynamo alone: all take minutes."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    fused = _fused(inside)
    plain = inside.sample(fused)
    compiled = fused[0].clone()
    keys = ["diffusion_model.middle_block.1.transformer_blocks.0"]
    set_torch_compile_wrapper(model=compiled, backend="eager", keys=keys)
    samples = inside.sample((compiled, *fused[1:]))
    error = float((samples - plain).abs().max())
    assert error < 1e-3, error
    assert torch.equal(plain, inside.sample(fused)), "compiling stayed in the model"
    return f"{error:.1e}"


def check_loras_change_the_picture(inside: Inside) -> str:
    """Keys as kohya's trainer and as old diffusers wrote them, made here."""
    import comfy.sd

    person, mask, garment = inside.small_doll()
    plain = inside.sample(_fused(inside))
    generator = torch.Generator().manual_seed(0)
    block = "down_blocks_0_attentions_0_transformer_blocks_0_attn1"
    old = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor"
    down, up = torch.randn(4, 64, generator=generator), torch.randn(64, 4, generator=generator)
    kohya = {
        f"lora_unet_{block}_{name}.{key}": value
        for name in ("to_q", "to_k", "to_v", "to_out_0")
        for key, value in (
            ("lora_down.weight", down),
            ("lora_up.weight", up * 0.05),
            ("alpha", torch.tensor(4.0)),
        )
    }
    diffusers = {
        f"{old}.{name}_lora.{key}": value
        for name in ("to_q", "to_k", "to_v", "to_out")
        for key, value in (("down.weight", down), ("up.weight", up * 0.05))
    }
    figures = []
    for name, lora in (("kohya", kohya), ("old diffusers", diffusers)):
        model, _ = comfy.sd.load_lora_for_models(inside.loaded()[0], None, lora, 1.0, 0.0)
        loaded = sum(len(patches) for patches in model.patches.values())
        assert loaded == 4, f"{name}: {loaded} of 4 layers patched"
        changed = inside.sample(inside.fused(person, mask, garment, denoiser=model))
        difference = float((changed - plain).abs().mean())
        assert difference > 1e-4, f"{name} changes nothing"
        figures.append(f"{name} {difference:.4f}")
    assert torch.equal(plain, inside.sample(_fused(inside))), "the LoRA stayed in the model"
    return ", ".join(figures)


def check_a_controlnet_reaches_the_unet(inside: Inside) -> str:
    """A real ControlNet of ComfyUI, of the mini's widths, with random weights."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops

    fused = _fused(inside)
    unet_config = dict(fused[0].model.model_config.unet_config)
    for name in ("out_channels", "transformer_depth_output", "disable_unet_model_creation"):
        unet_config.pop(name, None)
    torch.manual_seed(0)
    network = comfy.cldm.cldm.ControlNet(
        **{**unet_config, "in_channels": 4, "hint_channels": 3, "dtype": torch.float32},
        operations=comfy.ops.disable_weight_init,
        device="cpu",
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    control = comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"))
    apply = inside.nodes["ControlNetApplyAdvanced"]()
    hint = torch.rand(1, 128, 96, 3)
    positive, negative = apply.apply_controlnet(fused[1], fused[2], control, hint, 1.0, 0.0, 1.0)
    plain = inside.sample(fused)
    controlled = inside.sample((fused[0], positive, negative, fused[3]))
    difference = float((controlled - plain).abs().mean())
    assert controlled.isfinite().all() and difference > 1e-3, difference
    return f"{difference:.3f}"


def check_custom_sampling_equals_ksampler(inside: Inside) -> str:
    model, positive, negative, latent = fused = _fused(inside)
    wanted = inside.sample(fused, sampler_name="dpmpp_2m", seed=7, steps=4)

    def made(kind: str, *inputs: Any) -> Any:
        node = inside.nodes[kind]
        if hasattr(node, "execute"):
            result = node.execute(*inputs)
            return result.args[0] if hasattr(result, "args") else result[0]
        return getattr(node(), node.FUNCTION)(*inputs)[0]

    found = made(
        "SamplerCustomAdvanced",
        made("RandomNoise", 7),
        made("CFGGuider", model, positive, negative, 2.0),
        made("KSamplerSelect", "dpmpp_2m"),
        made("BasicScheduler", model, "normal", 4, 1.0),
        latent,
    )["samples"]
    error = float((found - wanted).abs().max())
    assert error < 1e-5, error
    return f"{error:.1e}"


def check_interruption_leaves_models_usable(inside: Inside) -> None:
    import comfy.model_management
    import comfy.samplers

    fused = _fused(inside)
    wanted = inside.sample(fused, steps=4)
    interrupted = comfy.model_management.InterruptProcessingException
    attention = inside.module("nodes.garment_attention").GarmentAttention
    calls = 0
    original = attention.__call__

    def stop_at_the_third(self: Any, *inputs: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            comfy.model_management.interrupt_current_processing()
        comfy.model_management.throw_exception_if_processing_interrupted()
        return original(self, *inputs, **named)

    attention.__call__ = stop_at_the_third
    try:
        inside.sample(fused, steps=4)
    except interrupted:
        pass
    else:
        raise AssertionError("it was not interrupted")
    finally:
        attention.__call__ = original
        comfy.model_management.interrupt_current_processing(False)
    assert torch.equal(wanted, inside.sample(fused, steps=4))


def check_an_interrupted_garment_pass_leaves_no_hook(inside: Inside) -> None:
    import comfy.model_management

    _, outfitting, _, _ = inside.loaded()
    comfy.model_management.interrupt_current_processing()
    try:
        inside.call(
            "OOTD_OutfittingUNet",
            outfitting_unet=outfitting,
            conditioning=[[torch.randn(1, 4, 64), {}]],
            garment_latent={"samples": torch.randn(1, 4, 16, 12)},
        )
    except comfy.model_management.InterruptProcessingException:
        pass
    else:
        raise AssertionError("it was not interrupted")
    finally:
        comfy.model_management.interrupt_current_processing(False)
    hooks = [m for m in outfitting.model.modules() if m._forward_pre_hooks]
    assert not hooks, hooks


def check_garment_tokens_are_normalised_once(inside: Inside) -> str:
    """norm1 of a block sees the person at every step, the garment once for each half."""
    fused = _fused(inside)
    native = inside.module("nodes.native_networks")
    (block, *_) = native.native_blocks(fused[0].model.diffusion_model).values()
    calls = []
    hook = block.norm1.register_forward_pre_hook(lambda _module, inputs: calls.append(inputs[0]))
    try:
        inside.sample(fused, steps=5)
    finally:
        hook.remove()
    assert len(calls) == 5 + 2, f"{len(calls)} calls of norm1 in 5 steps"
    wrapper = fused[0].get_wrappers("diffusion_model", "ootd_garment_attention")[0]
    assert not wrapper._normalised, "tokens stay in memory after sampling"
    return f"{len(calls)} calls in 5 steps"


def check_previews_show_the_picture(inside: Inside) -> str:
    """The measured colours bring an encoded picture back, at an eighth of its size."""
    import latent_preview

    model, _, _, vae = inside.loaded()
    latent_format = model.model.latent_format
    previewer = latent_preview.Latent2RGBPreviewer(
        latent_format.latent_rgb_factors, latent_format.latent_rgb_factors_bias
    )
    person, _, _ = inside.dressed_doll()
    shown = previewer.decode_latent_to_preview(latent_format.process_in(vae.encode(person)))
    small = torch.nn.functional.interpolate(person.movedim(-1, 1), (32, 24), mode="area")
    found = torch.tensor(list(shown.getdata()), dtype=torch.float32).reshape(32, 24, 3) / 255
    error = float(((found - small[0].movedim(0, -1)) ** 2).mean())
    psnr = 10 * math.log10(1 / error)
    assert psnr > 15, psnr
    return f"{psnr:.1f} dB"
