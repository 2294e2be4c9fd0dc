"""Where BlazePose's files are for the tests that run it: OOTD_BLAZEPOSE, or the usual folder."""

import importlib.util
import os
from pathlib import Path

import pytest

from ootd_core.checkpoints.blazepose import BLAZEPOSE

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("OOTD_BLAZEPOSE", ROOT / "checkpoints"))
DETECTOR, LANDMARKS = (FOLDER / file.path for file in BLAZEPOSE.files)


def lacking(*modules: str) -> str | None:
    """Why BlazePose cannot run here; None if it can, and `modules` are there, too."""
    for module in ("ai_edge_litert", *modules):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed"
    absent = [path for path in (DETECTOR, LANDMARKS) if not path.is_file()]
    if absent:
        return f"no {absent[0]}: `download --part blazepose`, or name its folder in OOTD_BLAZEPOSE"
    return None


needs_blazepose = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))
needs_astronaut = pytest.mark.skipif(lacking("skimage") is not None, reason=str(lacking("skimage")))
"""BlazePose, and the photograph of an astronaut (NASA, public domain) that scikit-image brings."""
