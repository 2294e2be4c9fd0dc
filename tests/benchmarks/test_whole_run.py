"""Both sides of a whole run go through the same stages and come to the same picture."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import machine, whole_run
from benchmarks.random_networks import TINY
from ootd_core.pipeline import TryOnPipeline

STAGES = ["prompt", "garment", "person", "denoise", "decode", "total"]


@pytest.fixture(scope="module")
def result() -> whole_run.StageComparison:
    networks = whole_run.make_networks(TINY, torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        return whole_run.compare(networks, (64, 64), 1, steps=2, samples=2, layout=TINY)


def test_both_sides_make_the_same_pictures(result: whole_run.StageComparison) -> None:
    assert result.difference <= 1


def test_every_stage_is_timed_counted_and_weighed(result: whole_run.StageComparison) -> None:
    for stages in (result.ours, result.literal):
        assert list(stages.medians()) == STAGES
        assert all(seconds > 0 for seconds in stages.medians().values())
        assert all(stages.flops[name] > 0 for name in STAGES[:-1])
        if machine.CLEAR_PEAK.exists():
            assert all(stages.memory[name] > 2**20 for name in STAGES[:-1])


def test_ours_leaves_out_what_the_other_computes_for_nothing(
    result: whole_run.StageComparison,
) -> None:
    """The garment once for both samples, its queries never; the rest is the same."""
    ours, literal = result.ours.flops, result.literal.flops
    assert all(ours[name] == literal[name] for name in ("prompt", "person", "decode"))
    assert ours["garment"] < literal["garment"]
    assert ours["denoise"] < literal["denoise"]


def test_what_is_counted_without_computing_is_what_is_computed(
    result: whole_run.StageComparison,
) -> None:
    networks = whole_run.make_networks(TINY, torch.device("cpu"), torch.float32)
    pipeline, request = TryOnPipeline(networks), whole_run.make_request(64, 64, 2, 2)
    # torch does not count the fused kernels of a CPU's attention.
    kernel = sdpa_kernel(SDPBackend.MATH)
    with kernel, FlopCounterMode(display=False) as counter, torch.inference_mode():
        pipeline(request)
    assert sum(result.ours.flops.values()) == counter.get_total_flops()


def test_the_table_names_sides_and_stages(result: whole_run.StageComparison) -> None:
    first, *lines, last = result.table().splitlines()
    assert first.startswith("64x64, 2 steps, 2 samples")
    assert [line.split()[:2] for line in lines] == [
        [side, stage] for side in ("ours", "literal") for stage in STAGES
    ]
    assert last.startswith("  ratio of the seconds 0.") or last.startswith(
        "  ratio of the seconds 1."
    )
    assert "of the operations 0." in last
