"""Tests run in another tree than this one, in a process of their own."""

from __future__ import annotations

import multiprocessing
import multiprocessing.context
import os
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = (
    "cv2", "pytest", "hypothesis", "scipy.stats", "transformers.models.clip.modeling_clip",
    "diffusers.models.unets.unet_2d_condition", "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.schedulers", "torchmetrics.image", "accelerate", "PIL.Image",
)  # fmt: skip
"""Imported once and inherited by every run, where processes can be forked."""
PASSED, FAILED, STUCK = 0, 1, -1
"""pytest's exit codes, and ours for a run that was stopped. Others (2 to 5) mean that no test ran,
but for 2, which a fault that breaks an import gives."""


def run_tests(
    context: multiprocessing.context.BaseContext, tree: Path, tests: Iterable[str], timeout: float
) -> int:
    """Run tests in a tree, in a process of its own; return pytest's exit code."""
    process = context.Process(target=_pytest, args=(tree, list(tests)))  # pyright: ignore
    process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
        return STUCK
    return int(process.exitcode)


def output_of(tree: Path) -> Path:
    """The file with what pytest said in its last run in a tree."""
    return tree.with_suffix(".log")


def _pytest(tree: Path, tests: list[str]) -> None:
    """Run in the new process: forget the tree that this file came from, and test the other one."""
    ours = {path.name for path in ROOT.iterdir() if path.is_dir()}
    for name in [name for name in sys.modules if name.split(".")[0] in ours]:
        del sys.modules[name]
    sys.path[:] = [place for place in sys.path if Path(place or os.getcwd()).resolve() != ROOT]
    sys.dont_write_bytecode = True  # a file changed within a second would be taken for the old one
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.chdir(tree)
    with open(output_of(tree), "w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    import pytest

    code = pytest.main(
        ["-x", "-q", "--disable-warnings", "-p", "no:cacheprovider", f"--rootdir={tree}", *tests]
    )
    os._exit(int(code))


def process_context() -> multiprocessing.context.BaseContext:
    """How processes are started: forked off one that has imported what takes long, if possible."""
    if "forkserver" not in multiprocessing.get_all_start_methods():  # Windows
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context
