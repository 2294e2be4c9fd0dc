"""Fusion against the literal form of the paper: concatenate, attend over both, keep half."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ootd_core.fusion import Fusion, append_garment, prepare, record, transformer_blocks
from tests.ootd_core.small_unets import PROMPT_CHANNELS, drawn, small_unet

OUTFITTING = small_unet(4, seed=1)
TRYON = small_unet(8, seed=2)
GARMENTS = drawn(2, 4, 16, 8, seed=3)
PERSONS = drawn(4, 8, 16, 16, seed=4)
PROMPTS = drawn(2, 3, PROMPT_CHANNELS, seed=5)


def run(unet: nn.Module, inputs: Tensor, prompt: Tensor) -> Tensor:
    with torch.no_grad():
        return unet(inputs, 500, prompt, return_dict=False)[0]


def fused(persons: Tensor, garments: Tensor, prompts: Tensor) -> Tensor:
    with torch.no_grad(), Fusion(TRYON) as fusion:
        fusion.set(prepare(TRYON, record(OUTFITTING, garments, prompts)))
        samples = len(persons) // len(garments)
        return run(TRYON, persons, prompts.repeat_interleave(samples, 0))


def literal_block(block: Any, garment: Tensor) -> Callable[..., Tensor]:
    """Forward of a transformer block that attends as the paper's figure draws it."""

    def forward(person: Tensor, *, encoder_hidden_states: Tensor, **_: object) -> Tensor:
        both = torch.cat([person, garment], dim=1)
        person = person + block.attn1(block.norm1(both))[:, : person.shape[1]]
        person = person + block.attn2(block.norm2(person), encoder_hidden_states)
        return person + block.ff(block.norm3(person))

    return forward


def literal(
    monkeypatch: pytest.MonkeyPatch, persons: Tensor, garments: Tensor, prompts: Tensor
) -> Tensor:
    with torch.no_grad():
        features = record(OUTFITTING, garments, prompts)
    for block, feature in zip(transformer_blocks(TRYON), features, strict=True):
        monkeypatch.setattr(block, "forward", literal_block(block, feature))
    result = run(TRYON, persons, prompts)
    monkeypatch.undo()
    return result


def relative(ours: Tensor, reference: Tensor) -> float:
    return float((ours.float() - reference).abs().max() / reference.abs().max())


def inputs_seen(unet: nn.Module, act: Callable[[], object]) -> list[tuple[Any, Tensor]]:
    """(block, its input) in the order of a run."""
    seen: list[tuple[Any, Tensor]] = []
    hooks = [
        block.register_forward_pre_hook(lambda block, inputs: seen.append((block, inputs[0])))
        for block in transformer_blocks(unet)  # pyright: ignore[reportArgumentType]
    ]
    act()
    for hook in hooks:
        hook.remove()
    return seen


def processors(unet: Any) -> Sequence[object]:
    return list(unet.attn_processors.values())


def test_blocks_are_listed_in_execution_order() -> None:
    blocks = transformer_blocks(TRYON)
    seen = inputs_seen(TRYON, lambda: run(TRYON, PERSONS, PROMPTS.repeat(2, 1, 1)))
    assert len(blocks) == 16
    assert [id(block) for block, _ in seen] == [id(block) for block in blocks]
    assert blocks[6] is TRYON.mid_block.attentions[0].transformer_blocks[0]  # pyright: ignore


def test_record_keeps_what_enters_each_block() -> None:
    with torch.no_grad():
        features = record(OUTFITTING, GARMENTS, PROMPTS)
    seen = inputs_seen(
        OUTFITTING,
        lambda: OUTFITTING(GARMENTS, torch.tensor(0), PROMPTS),
    )
    assert [feature.shape for feature in features[:1]] == [(2, 16 * 8, 16)]
    for feature, (_, entered) in zip(features, seen, strict=True):
        assert torch.equal(feature, entered)


def test_record_stops_before_the_last_attention() -> None:
    runs = [0] * 16
    attentions = [block.attn1 for block in transformer_blocks(OUTFITTING)]

    def count(index: int) -> Callable[..., None]:
        def hook(*_: object) -> None:
            runs[index] += 1

        return hook

    hooks = [attn.register_forward_hook(count(i)) for i, attn in enumerate(attentions)]
    record(OUTFITTING, GARMENTS, PROMPTS)
    for hook in hooks:
        hook.remove()
    assert runs == [1] * 15 + [0]


@pytest.mark.parametrize("broken", [False, True])
def test_record_leaves_no_hook_behind(broken: bool) -> None:
    if broken:
        with pytest.raises(RuntimeError):
            record(OUTFITTING, GARMENTS, PROMPTS[..., :-1])
    else:
        record(OUTFITTING, GARMENTS, PROMPTS)
    assert not any(block._forward_pre_hooks for block in transformer_blocks(OUTFITTING))


@pytest.mark.parametrize("garment_width", [8, 24])
def test_fused_equals_literal(monkeypatch: pytest.MonkeyPatch, garment_width: int) -> None:
    garments = drawn(2, 4, 16, garment_width, seed=6)
    reference = literal(monkeypatch, PERSONS[:2], garments, PROMPTS)
    assert relative(fused(PERSONS[:2], garments, PROMPTS), reference) < 1e-5
    without = run(TRYON, PERSONS[:2], PROMPTS)
    assert relative(without, reference) > 1e-2, "the garment makes no difference in this test"


def test_samples_share_their_garment() -> None:
    together = fused(PERSONS, GARMENTS, PROMPTS)
    for garment in range(2):
        pair = slice(2 * garment, 2 * garment + 2)
        one = slice(garment, garment + 1)
        for person, expected in zip(PERSONS[pair], together[pair], strict=True):
            alone = fused(person[None], GARMENTS[one], PROMPTS[one])
            assert relative(alone, expected[None]) < 1e-5


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    garment = prepare(TRYON, record(OUTFITTING, GARMENTS, PROMPTS))
    with Fusion(TRYON) as fusion, pytest.raises(ValueError, match="batch of 3 cannot share 2"):
        fusion.set(garment)
        run(TRYON, PERSONS[:3], PROMPTS[:1].expand(3, -1, -1))


def test_without_a_garment_it_is_plain_self_attention() -> None:
    plain = run(TRYON, PERSONS[:2], PROMPTS)
    with Fusion(TRYON) as fusion:
        fusion.set(None)
        assert relative(run(TRYON, PERSONS[:2], PROMPTS), plain) < 1e-6


def test_eject_leaves_no_trace() -> None:
    before, output = processors(TRYON), run(TRYON, PERSONS[:2], PROMPTS)
    with pytest.raises(KeyboardInterrupt), Fusion(TRYON) as fusion:
        fusion.set(prepare(TRYON, record(OUTFITTING, GARMENTS, PROMPTS)))
        assert not torch.equal(run(TRYON, PERSONS[:2], PROMPTS), output)
        raise KeyboardInterrupt
    after = processors(TRYON)
    assert all(now is then for now, then in zip(after, before, strict=True))
    assert torch.equal(run(TRYON, PERSONS[:2], PROMPTS), output)
    fusion.eject()
    assert all(now is then for now, then in zip(processors(TRYON), before, strict=True))


def test_eject_lets_go_of_the_garment() -> None:
    plain = run(TRYON, PERSONS[:2], PROMPTS)
    with Fusion(TRYON) as fusion:
        fusion.set(prepare(TRYON, record(OUTFITTING, GARMENTS, PROMPTS)))
    with fusion:
        assert relative(run(TRYON, PERSONS[:2], PROMPTS), plain) < 1e-6


def test_a_second_inject_is_refused() -> None:
    before = processors(TRYON)
    with Fusion(TRYON) as fusion:
        with pytest.raises(RuntimeError, match="fused already"):
            Fusion(TRYON).inject()
        with pytest.raises(RuntimeError, match="fused already"):
            fusion.inject()
    assert all(now is then for now, then in zip(processors(TRYON), before, strict=True))


def test_unets_of_different_depth_are_refused() -> None:
    features = record(OUTFITTING, GARMENTS, PROMPTS)
    with pytest.raises(ValueError, match=r"15 transformer blocks .* has 16"):
        prepare(TRYON, features[:-1])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.01), (torch.bfloat16, 0.06)])
def test_half_precision_stays_near(dtype: torch.dtype, tolerance: float) -> None:
    reference = fused(PERSONS, GARMENTS, PROMPTS)
    outfitting, tryon = small_unet(4, seed=1), small_unet(8, seed=2)
    for unet in (outfitting, tryon):
        unet.to(dtype=dtype)  # pyright: ignore[reportCallIssue] - diffusers hides nn.Module's
    prompts = PROMPTS.to(dtype)
    with torch.no_grad(), Fusion(tryon) as fusion:
        fusion.set(prepare(tryon, record(outfitting, GARMENTS.to(dtype), prompts)))
        result = run(tryon, PERSONS.to(dtype), prompts.repeat_interleave(2, 0))
    assert result.dtype == dtype
    assert relative(result, reference) < tolerance


def test_gradients_reach_both_unets() -> None:
    outfitting, tryon = small_unet(4, seed=1).train(), small_unet(8, seed=2).train()
    with Fusion(tryon) as fusion:
        fusion.set(prepare(tryon, record(outfitting, GARMENTS, PROMPTS)))
        predicted = tryon(PERSONS[:2], torch.tensor(500), PROMPTS, return_dict=False)[0]
        predicted.square().mean().backward()
    blocks = transformer_blocks(outfitting)
    for weight in (
        outfitting.conv_in.weight,
        blocks[0].attn1.to_q.weight,
        blocks[-2].ff.net[2].weight,
        tryon.conv_in.weight,
        transformer_blocks(tryon)[0].attn1.to_k.weight,
    ):
        assert weight.grad is not None
        assert weight.grad.abs().max() > 0
    assert blocks[-1].attn1.to_q.weight.grad is None, "nothing uses the last block's output"


def test_the_garment_comes_behind_the_person_each_for_its_samples() -> None:
    person = torch.arange(8.0).reshape(4, 2, 1)
    garment = torch.tensor([10.0, 20.0]).reshape(2, 1, 1)
    both = append_garment(person, garment)
    assert both[..., 0].tolist() == [[0, 1, 10], [2, 3, 10], [4, 5, 20], [6, 7, 20]]
