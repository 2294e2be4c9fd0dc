"""`python -m benchmarks.samplers`: every sampler of KSampler on the mini checkpoint, as a table.

All combinations run in one ComfyUI server, on the same doll and seed; the figures are the server's
processor-seconds, which other programs do not stretch, and the PSNR inside the mask against the
true picture. What fails is a line of the table too, and --out is written after every line.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from benchmarks.comfyui_prompt import tryon_prompt
from benchmarks.comfyui_server import PACK, ComfyUIServer, comfyui_server, find_comfyui

SCHEDULERS = ("normal", "karras", "simple")
SAMPLES = PACK / "demo" / "samples"


def main(
    steps: Annotated[int, typer.Option(min=1)] = 20,
    doll: Annotated[str, typer.Option(help="a sample person of demo/samples")] = "1-upper",
    only: Annotated[str, typer.Option(help="samplers, separated by commas; all by default")] = "",
    out: Annotated[Path | None, typer.Option(help="Markdown file for the table")] = None,
) -> None:
    """Print the table and, with --out, write it."""
    comfyui, python = find_comfyui()
    with (
        tempfile.TemporaryDirectory() as folder,
        comfyui_server(comfyui, python, Path(folder)) as server,
    ):
        shutil.copytree(SAMPLES, Path(folder) / "input", dirs_exist_ok=True)
        inputs = server.get("/object_info/KSampler")["KSampler"]["input"]["required"]
        samplers = only.split(",") if only else _options(inputs["sampler_name"])
        lines = [
            "# Every sampler of KSampler",
            "",
            "Written by `python -m benchmarks.samplers` on the mini checkpoint: "
            f"{steps} steps, cfg 2, doll `{doll}`. Processor-seconds of a whole prompt, and PSNR "
            "inside the mask against the true picture.",
            "",
            "| sampler | " + " | ".join(f"{name}: s / dB" for name in SCHEDULERS) + " |",
            "|---" * (len(SCHEDULERS) + 1) + "|",
        ]
        _run(server, doll, "euler", "normal", 1)  # loads everything
        for sampler in samplers:
            cells = [_run(server, doll, sampler, scheduler, steps) for scheduler in SCHEDULERS]
            lines.append(f"| {sampler} | " + " | ".join(cells) + " |")
            typer.echo(lines[-1])
            if out is not None:
                out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _run(server: ComfyUIServer, doll: str, sampler: str, scheduler: str, steps: int) -> str:
    prompt = tryon_prompt(
        f"{doll}-person.png",
        f"{doll}-garment.png",
        doll.split("-")[1],
        steps=steps,
        sampler=sampler,
        scheduler=scheduler,
    )
    prompt["mask_picture"] = {"class_type": "MaskToImage", "inputs": {"mask": ["mask", 0]}}
    prompt["mask_saved"] = {
        "class_type": "SaveImage",
        "inputs": {"images": ["mask_picture", 0], "filename_prefix": "mask"},
    }
    before = server.processor_seconds()
    entry = server.wait(server.queue(prompt), seconds=1800)
    seconds = server.processor_seconds() - before
    if entry["status"]["status_str"] != "success":
        return f"failed: {_error(entry)}"
    picture, mask = (_picture(server, entry, node) for node in ("saved", "mask_saved"))
    truth = np.asarray(Image.open(SAMPLES / f"{doll}-truth.png").convert("RGB"), np.float64)
    inside = mask[..., 0] >= 127
    error = float(np.mean((picture[inside] - truth[inside]) ** 2))
    return f"{seconds:.1f} / {10 * np.log10(255**2 / max(error, 1e-9)):.1f}"


def _picture(server: ComfyUIServer, entry: dict[str, Any], node: str) -> NDArray[np.float64]:
    (content,) = server.images({"outputs": {node: entry["outputs"][node]}})
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.float64)


def _options(widget: Sequence[Any]) -> list[str]:
    """The choices of a combo, in the older and the newer form of /object_info."""
    return list(widget[0]) if isinstance(widget[0], list) else list(widget[1]["options"])


def _error(entry: dict[str, Any]) -> str:
    messages = dict(entry["status"]["messages"])
    return str(messages.get("execution_error", {}).get("exception_message", "?")).splitlines()[0]


if __name__ == "__main__":
    typer.run(main)
