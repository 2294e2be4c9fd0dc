"""A try-on as a prompt in API format, made of the separate nodes; benchmarks vary its inputs."""

from __future__ import annotations

from benchmarks.comfyui_server import Prompt

MINI = "mini (built in)"
FULL_BODY = "full body (dc)"


def tryon_prompt(
    person: str,
    garment: str,
    category: str,
    *,
    size: str = "256x192",
    shrink_to: tuple[int, int] | None = None,
    seed: int = 0,
    steps: int = 20,
    cfg: float = 2.0,
    sampler: str = "uni_pc",
    scheduler: str = "normal",
    prefix: str = "tryon",
) -> Prompt:
    """person, garment: names of files in ComfyUI's input folder. shrink_to: height and width to
    which both are scaled instead of being fitted to `size`, for quick runs."""
    prompt: Prompt = {
        "person": _node("LoadImage", image=person),
        "garment": _node("LoadImage", image=garment),
        "loader": _node(
            "OOTD_ModelLoader", checkpoint=MINI, variant=FULL_BODY, weight_dtype="auto"
        ),
        "fitted": _node("OOTD_FitPerson", image=["person", 0], size=size, mode="pad"),
        "prepared": _node("OOTD_PrepareGarment", image=["garment", 0], size=size),
        "parsed": _node("OOTD_HumanParser", image=["fitted", 0], checkpoint=MINI),
        "pose": _node("OOTD_OpenPose", image=["fitted", 0], checkpoint=MINI),
        "mask": _node(
            "OOTD_MaskGenerator",
            image=["fitted", 0],
            category=category,
            variant=FULL_BODY,
            mode="robust",
            grow=0,
            feather=0.0,
            keep_hair=False,
            keep_arms=False,
            keep_legs=False,
            keep_scarf=False,
            mask_use="replace",
            label_map=["parsed", 0],
            pose_keypoint=["pose", 0],
        ),
        "encoded": _node(
            "OOTD_GarmentEncoder",
            garment=["prepared", 0],
            vae=["loader", 3],
            garment_encoder=["loader", 2],
            category=category,
        ),
        "outfitting": _node(
            "OOTD_OutfittingUNet",
            outfitting_unet=["loader", 1],
            conditioning=["encoded", 0],
            garment_latent=["encoded", 1],
        ),
        "fused": _node(
            "OOTD_FusedDenoiser",
            denoiser=["loader", 0],
            garment_features=["outfitting", 0],
            conditioning=["encoded", 0],
            vae=["loader", 3],
            person=["fitted", 0],
            mask=["mask", 0],
            garment_strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
        ),
        "sampler": _node(
            "KSampler",
            model=["fused", 0],
            positive=["fused", 1],
            negative=["fused", 2],
            latent_image=["fused", 3],
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler,
            scheduler=scheduler,
            denoise=1.0,
        ),
        "decoded": _node(
            "OOTD_VAEDecode",
            latent=["sampler", 0],
            vae=["loader", 3],
            original=["fitted", 0],
            mask=["mask", 0],
            feather=0.0,
        ),
        "saved": _node("SaveImage", images=["decoded", 0], filename_prefix=prefix),
    }
    if shrink_to is not None:
        height, width = shrink_to
        for name, source in (("fitted", "person"), ("prepared", "garment")):
            prompt[name] = _node(
                "ImageScale",
                image=[source, 0],
                upscale_method="lanczos",
                width=width,
                height=height,
                crop="disabled",
            )
    return prompt


def _node(kind: str, **inputs: object) -> dict[str, object]:
    return {"class_type": kind, "inputs": inputs}
