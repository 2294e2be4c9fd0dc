# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# ComfyUI is not installed where types are checked.
"""Runs under ComfyUI's Python: loads ComfyUI and the pack once, then every check.

    python worker.py COMFYUI PACK REFERENCE FOLDER [CHECK...]

Prints one JSON line for each check. A check is a function `check_*` of a module `checks_*.py`
beside this file and takes an `Inside`.
"""

import asyncio
import importlib
import inspect
import json
import logging
import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MINI = "mini (built in)"
FULL_BODY = "full body (dc)"


class _Server:
    """What ComfyUI's executor needs of its server."""

    client_id = last_node_id = last_prompt_id = None

    def send_sync(self, event: str, data: Any, sid: object = None) -> None:
        """There is nobody to tell."""


@dataclass
class Inside:
    """The loaded ComfyUI. nodes: classes by id. folder: temporary, with input, output, models."""

    pack: Path
    folder: Path
    reference: Path
    nodes: dict[str, Any]
    held: tuple[Any, ...] = ()

    def module(self, name: str) -> Any:
        """A module of the pack, such as "nodes.pictures"."""
        return sys.modules[f"{self.pack}.{name}".replace(".py", "")]

    def call(self, kind: str, **inputs: Any) -> tuple[Any, ...]:
        """A node's outputs."""
        result = self.nodes[kind].execute(**inputs)
        return result.args

    def loaded(self) -> tuple[Any, ...]:
        """The mini's networks; held, as ComfyUI's cached outputs would hold them."""
        self.held = self.call(
            "OOTD_ModelLoader", checkpoint=MINI, variant=FULL_BODY, weight_dtype="auto"
        )
        return self.held

    def mask(self, image: Any, **inputs: Any) -> tuple[Any, ...]:
        """Generate Try-On Mask with its defaults."""
        defaults = {
            "category": "upper",
            "variant": FULL_BODY,
            "mode": "robust",
            "grow": 0,
            "feather": 0.0,
            "keep_hair": False,
            "keep_arms": False,
            "keep_legs": False,
            "keep_scarf": False,
            "mask_use": "replace",
        }
        return self.call("OOTD_MaskGenerator", image=image, **{**defaults, **inputs})

    def fused(self, person: Any, mask: Any, garment: Any, **inputs: Any) -> tuple[Any, ...]:
        """Everything from the garment's picture to Fused Denoiser: its four outputs."""
        denoiser, outfitting, encoder, vae = self.loaded()
        prompt, latent = self.call(
            "OOTD_GarmentEncoder",
            garment=garment,
            vae=vae,
            garment_encoder=encoder,
            category="upper",
        )
        (features,) = self.call(
            "OOTD_OutfittingUNet",
            outfitting_unet=outfitting,
            conditioning=prompt,
            garment_latent=latent,
        )
        settings = {"garment_strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
        return self.call(
            "OOTD_FusedDenoiser",
            denoiser=inputs.pop("denoiser", denoiser),
            garment_features=features,
            conditioning=prompt,
            vae=vae,
            person=person,
            mask=mask,
            **{**settings, **inputs},
        )

    def sample(self, fused: tuple[Any, ...], **inputs: Any) -> Any:
        """KSampler over Fused Denoiser's outputs: samples [B,4,h,w]."""
        model, positive, negative, latent = fused
        settings = {"seed": 0, "steps": 3, "cfg": 2.0, "sampler_name": "euler"}
        settings |= {"scheduler": "normal", "denoise": 1.0}
        result = self.nodes["KSampler"]().sample(
            model=model,
            positive=positive,
            negative=negative,
            latent_image=latent,
            **{**settings, **inputs},
        )
        return result[0]["samples"]

    def picture(self, name: str) -> Any:
        """A sample picture as IMAGE [1,H,W,3]."""
        import numpy as np
        import torch
        from PIL import Image

        pixels = np.asarray(Image.open(self.pack / "demo" / "samples" / name).convert("RGB"))
        return torch.from_numpy(pixels.astype(np.float32) / 255)[None]

    def dressed_doll(self) -> tuple[Any, Any, Any]:
        """person, mask and garment of the first demo person."""
        import torch

        person = self.picture("1-upper-person.png")
        mask = torch.zeros(1, 256, 192)
        mask[:, 60:180, 40:150] = 1
        return person, mask, self.picture("1-upper-garment.png")

    def small_doll(self) -> tuple[Any, Any, Any]:
        """The same at 128x96: a quarter of the work."""
        person, mask, garment = self.dressed_doll()
        return person[:, ::2, ::2], mask[:, ::2, ::2], garment[:, ::2, ::2]

    def executor(self) -> Any:
        """An executor of prompts, with its caches."""
        import execution

        return execution.PromptExecutor(_Server(), **_cache_options())

    def run(self, prompt: dict[str, Any], executor: Any = None) -> list[str]:
        """Execute a prompt in API format; returns the error messages, none if it succeeded.

        executor: one that ran prompts before; a new one by default.
        """
        import execution

        valid, problem, outputs, node_errors = asyncio.run(
            execution.validate_prompt("test", prompt, None)
        )
        if not valid:
            return [json.dumps([problem, node_errors])]
        executor = executor or self.executor()
        executor.execute(prompt, "test", {}, outputs)
        errors = [
            data["exception_message"].strip()
            for event, data in executor.status_messages
            if event == "execution_error"
        ]
        return errors or ([] if executor.success else ["failed without a message"])


def _cache_options() -> dict[str, Any]:
    """What newer executors must be told: they look at memory before every node."""
    import execution

    if "cache_args" not in inspect.signature(execution.PromptExecutor).parameters:
        return {}
    return {"cache_args": {"ram": 0.0, "ram_inactive": 0.0}}


def load(comfyui: Path, pack: Path, reference: Path, folder: Path) -> Inside:
    """Load ComfyUI in the order that it needs, with folders of our own."""
    os.chdir(comfyui)
    sys.path.insert(0, str(comfyui))
    sys.path.append(str(HERE))
    sys.argv = sys.argv[:1]
    importlib.import_module("utils.install_util")
    from comfy.cli_args import args

    args.cpu = True
    import folder_paths

    for name in ("input", "output", "temp", "user"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        getattr(folder_paths, f"set_{name}_directory")(str(folder / name))
    folder_paths.models_dir = str(folder / "models")
    import nodes

    async def load_nodes() -> bool:
        await nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False)
        return await nodes.load_custom_node(str(pack), module_parent="custom_nodes")

    if not asyncio.run(load_nodes()):
        raise RuntimeError("ComfyUI could not load the pack; see above.")
    return Inside(pack=pack, folder=folder, reference=reference, nodes=nodes.NODE_CLASS_MAPPINGS)


def main(arguments: list[str]) -> None:
    comfyui, pack, reference, folder = (Path(argument) for argument in arguments[:4])
    inside = load(comfyui, pack, reference, folder)
    import torch

    logging.disable(logging.INFO)
    for path in sorted(HERE.glob("checks_*.py")):
        module = importlib.import_module(path.stem)
        for name, check in list(vars(module).items()):
            if name.startswith("check_") and (not arguments[4:] or name in arguments[4:]):
                started = time.monotonic()
                try:
                    with torch.inference_mode():  # as ComfyUI executes a graph
                        report = {"ok": True, "text": str(check(inside) or "")}
                except Exception:
                    report = {"ok": False, "text": traceback.format_exc()}
                report |= {"check": name, "seconds": round(time.monotonic() - started, 2)}
                print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
