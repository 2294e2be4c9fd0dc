from pathlib import Path

import torch
from transformers import CLIPTokenizer

from mini.networks import (
    PASSAGE,
    PROMPT_CHANNELS,
    build_clip_towers,
    build_unets,
    save_image_processor,
    save_tokenizer,
    vocabulary,
)
from ootd_core.categories import LABEL_PROMPTS


def test_each_label_has_a_first_token_of_its_own(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
    seen: set[int] = set()
    for label in LABEL_PROMPTS.values():
        ids = tokenizer(label, padding="max_length", max_length=3, truncation=True).input_ids
        assert ids[0] == len(vocabulary()) - 2 and ids[2] == len(vocabulary()) - 1
        seen.add(ids[1])
    assert len(seen) == 3


def test_untrained_unets_answer_with_the_noise_they_are_given() -> None:
    torch.manual_seed(0)
    latents, prompt = torch.randn(2, 4, 32, 24), torch.randn(2, 4, PROMPT_CHANNELS)
    person = torch.cat([latents, torch.randn(2, 4, 32, 24)], dim=1)
    for unet, inputs in zip(build_unets(), (latents, person), strict=True):
        with torch.inference_mode():
            answer = unet(inputs, 999, prompt).sample
        assert (answer - latents).square().mean() < 0.01


def test_the_untrained_tryon_unet_sees_the_agnostic_picture() -> None:
    torch.manual_seed(0)
    _, tryon = build_unets()
    weights = tryon.conv_in.weight[:, 4:].abs().sum((1, 2, 3))
    assert (weights[:PASSAGE] == 0).all() and (weights[PASSAGE:] > 0).all()


def test_both_towers_speak_to_the_unets(tmp_path: Path) -> None:
    text, vision = build_clip_towers()
    save_image_processor(tmp_path)
    assert text.config.hidden_size == vision.config.projection_dim == PROMPT_CHANNELS
    assert (tmp_path / "preprocessor_config.json").is_file()
