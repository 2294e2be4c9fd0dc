"""`python -m benchmarks.queue`: a thousand API prompts in one ComfyUI, and what its memory does.

Every prompt has another seed and the next of several garments, at half the mini checkpoint's size
and with few steps. All are queued at once, as a batch user would, and every one must leave a
picture. Resident memory is read before, in the middle and after.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.comfyui_prompt import tryon_prompt
from benchmarks.comfyui_server import PACK, comfyui_server, find_comfyui

SAMPLES = PACK / "demo" / "samples"
SIZE = (128, 96)
WARM_UP = 20


def main(
    prompts: Annotated[int, typer.Option(min=2)] = 1000,
    steps: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Queue them all, wait, count the pictures. Exit code 1 if one is missing."""
    comfyui, python = find_comfyui()
    with (
        tempfile.TemporaryDirectory() as folder,
        comfyui_server(comfyui, python, Path(folder)) as server,
    ):
        shutil.copytree(SAMPLES, Path(folder) / "input", dirs_exist_ok=True)
        garments = sorted(path.name for path in SAMPLES.glob("*-upper-garment.png"))

        def queue(number: int) -> str:
            return server.queue(
                tryon_prompt(
                    "1-upper-person.png",
                    garments[number % len(garments)],
                    "upper",
                    shrink_to=SIZE,
                    seed=number,
                    steps=steps,
                    prefix="queued",
                )
            )

        def megabytes() -> float:
            return server.resident_bytes() / 2**20

        def saved() -> int:
            return len(list((Path(folder) / "output").glob("queued_*.png")))

        for number in range(WARM_UP):  # so that what is loaded once does not count as growth
            server.wait(queue(number))
        before, first = megabytes(), saved()
        started = time.monotonic()
        ids = [queue(WARM_UP + number) for number in range(prompts)]
        server.wait(ids[prompts // 2], seconds=3600)
        middle = megabytes()
        server.wait(ids[-1], seconds=3600)
        seconds, after = time.monotonic() - started, megabytes()
        pictures = saved() - first
    typer.echo(
        f"{prompts} prompts, {pictures} pictures, {seconds:.0f} s ({seconds / prompts:.2f} s each)"
    )
    typer.echo(f"resident MiB: before {before:.0f}, middle {middle:.0f}, after {after:.0f}")
    if pictures != prompts:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
