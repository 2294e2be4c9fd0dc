from functools import cache

import pytest

from benchmarks.random_networks import TINY
from benchmarks.training_memory import Need, training_need

pytestmark = pytest.mark.slow


@cache
def need(batch: int = 1, *, checkpointing: bool = False, lora_rank: int = 0) -> Need:
    return training_need(TINY, 128, 96, batch, checkpointing=checkpointing, lora_rank=lora_rank)


def test_activations_grow_with_the_batch() -> None:
    one, two, three = (need(batch).activations for batch in (1, 2, 3))
    assert three - two == pytest.approx(two - one, rel=0.02)
    assert need(1).fixed == need(3).fixed


def test_checkpointing_keeps_less() -> None:
    grown, plain = need(3, checkpointing=True), need(3)
    assert grown.fixed == plain.fixed
    assert grown.activations < 0.7 * plain.activations


def test_a_lora_has_no_gradients_of_the_unets() -> None:
    assert need(lora_rank=4).fixed < 0.4 * need().fixed
