"""The small random checkpoint of the reference data, loaded once."""

from functools import cache
from pathlib import Path

from ootd_core.categories import Variant
from ootd_core.checkpoints.networks import Networks, load_networks

FOLDER = Path(__file__).parents[1] / "golden" / "A" / "checkpoints"


@cache
def small_networks() -> Networks:
    """Full-body networks of random weights in the published layout, float32 on the CPU."""
    return load_networks(FOLDER, Variant.FULL_BODY)
