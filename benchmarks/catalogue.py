"""Rows an hour of `batch`, against one try-on after the other, and over one and two workers.

    python -m benchmarks.catalogue [--persons 4] [--garments 3] [--steps 10] [--device cpu]

Drawn people and dresses, all with all, each way in a process of its own, from its start to its end,
networks loaded: `tryon` called for each pair; `TryOn` called for each pair in one program; `batch`
on one device and, with --workers 2, on as many processes. Beside the rows an hour by the wall's
clock stands what the processors did for a row, in which other programs do not count.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from ootd_core.categories import Category
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.datasets.paper_dolls.sample import DollSample, draw_sample
from ootd_core.images.files import save_image

ROOT = Path(__file__).resolve().parents[1]
HELD_OUT = 1000  # the first doll that is looked at
CATEGORY = Category.DRESS


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One way to dress so many rows. seconds: of the wall. processor_seconds: of all processes."""

    name: str
    rows: int
    seconds: float
    processor_seconds: float

    def line(self) -> str:
        return (
            f"  {self.name:<24} {3600 * self.rows / self.seconds:9.1f} rows an hour  "
            f"{self.processor_seconds / self.rows:8.2f} processor-seconds a row"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Folders of people and of garments, all of one category."""

    persons: Path
    garments: Path

    def pairs(self) -> list[tuple[Path, Path]]:
        """Everybody in everything."""
        return list(product(sorted(self.persons.iterdir()), sorted(self.garments.iterdir())))


def draw_pictures(folder: Path, persons: int, garments: int, height: int) -> Pictures:
    """Paper dolls' pictures, `height` pixels high."""
    pictures = Pictures(persons=folder / "persons", garments=folder / "garments")
    dolls = _dolls(max(persons, garments), height)
    for number, doll in enumerate(dolls):
        if number < persons:
            save_image(pictures.persons / f"{number:04}.png", doll.person)
        if number < garments:
            save_image(pictures.garments / f"{number:04}.png", doll.garment)
    return pictures


def _dolls(count: int, height: int) -> list[DollSample]:
    found: list[DollSample] = []
    seed = HELD_OUT
    while len(found) < count:
        doll = draw_sample(seed, height=height, width=height * 3 // 4)
        if doll.category is CATEGORY:
            found.append(doll)
        seed += 1
    return found


def commands(
    pictures: Pictures, out: Path, settings: Sequence[str], device: str, workers: int
) -> dict[str, list[list[str]]]:
    """What is run for each way: its processes, one after the other."""
    cli = [sys.executable, "-m", "cli"]
    tryon = [
        [
            *(*cli, "tryon", "--person", str(person), "--garment", str(garment)),
            *("--category", CATEGORY, "--out", str(out / f"tryon-{number}.png")),
            *("--device", device, *settings),
        ]
        for number, (person, garment) in enumerate(pictures.pairs())
    ]

    def batch(devices: int) -> list[str]:
        return [
            *(*cli, "batch", "--persons", str(pictures.persons)),
            *("--garments", str(pictures.garments), "--category", CATEGORY, "--quiet"),
            *("--out", str(out / f"batch-{devices}"), "--device", ",".join([device] * devices)),
            *settings,
        ]

    folders = [str(pictures.persons), str(pictures.garments)]
    loop = [sys.executable, "-m", "benchmarks.catalogue", "--loop", *folders, str(out)]
    ways = {
        "tryon, for each pair": tryon,
        "TryOn, in one program": [[*loop, "--device", device, *settings]],
        "batch, one worker": [batch(1)],
    }
    if workers > 1:
        ways[f"batch, {workers} workers"] = [batch(workers)]
    return ways


def measure(name: str, rows: int, processes: Sequence[Sequence[str]]) -> Measured:
    """Run them. Raises RuntimeError, with what it said, where one fails."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for process in processes:
        ended = subprocess.run(process, cwd=ROOT, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{name} failed: {ended.stderr[-2000:]}")
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(name=name, rows=rows, seconds=seconds, processor_seconds=spent)


def loop_over(pictures: Pictures, out: Path, model: Path, steps: int, device: str) -> None:
    """Dress all pairs with one `TryOn`."""
    from ootd_core.checkpoints.acceleration import AUTO, choose_dtype
    from ootd_core.checkpoints.networks import DTYPES
    from tryon import TryOn

    tryon = TryOn.from_pretrained(model).to(device, DTYPES[choose_dtype(AUTO, device)])
    for number, (person, garment) in enumerate(pictures.pairs()):
        result = tryon(person, garment, CATEGORY, num_inference_steps=steps)
        save_image(out / f"loop-{number}.png", result.images[0])


def main(
    persons: Annotated[int, typer.Option(min=1)] = 4,
    garments: Annotated[int, typer.Option(min=1)] = 3,
    steps: Annotated[int, typer.Option(min=1, help="sampling steps")] = 10,
    device: Annotated[str, typer.Option(help="of each worker")] = "cpu",
    workers: Annotated[int, typer.Option(min=1, help="processes of the last way")] = 2,
    model: Annotated[Path, typer.Option(help="a full-body model folder")] = MINI_CHECKPOINT,
    height: Annotated[int, typer.Option(help="of the pictures")] = 256,
    loop: Annotated[
        tuple[Path, Path, Path] | None,
        typer.Option(hidden=True, help="persons, garments, results: one way, in this process"),
    ] = None,
) -> None:
    """Measure rows an hour."""
    if loop is not None:
        pictures = Pictures(persons=loop[0], garments=loop[1])
        loop_over(pictures, loop[2], model, steps, device)
        return
    with tempfile.TemporaryDirectory() as folder:
        pictures = draw_pictures(Path(folder), persons, garments, height)
        settings = ("--steps", str(steps), "--model", str(model))
        ways = commands(pictures, Path(folder, "out"), settings, device, workers)
        print(f"{persons} persons x {garments} garments, {steps} steps, {device}:", flush=True)
        for name, processes in ways.items():
            print(measure(name, persons * garments, processes).line(), flush=True)


if __name__ == "__main__":
    typer.run(main)
