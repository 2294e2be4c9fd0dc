from pathlib import Path

import torch
from transformers import CLIPTokenizer

from ootd_core.categories import LABEL_PROMPTS
from ootd_core.training.mini import (
    PROMPT_CHANNELS,
    build_clip_towers,
    build_unets,
    save_image_processor,
    save_tokenizer,
    vocabulary,
)


def test_each_label_has_a_first_token_of_its_own(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
    seen: set[int] = set()
    for label in LABEL_PROMPTS.values():
        ids = tokenizer(label, padding="max_length", max_length=3, truncation=True).input_ids
        assert ids[0] == len(vocabulary()) - 2 and ids[2] == len(vocabulary()) - 1
        seen.add(ids[1])
    assert len(seen) == 3


def test_the_further_channels_start_without_effect() -> None:
    torch.manual_seed(0)
    outfitting, tryon = build_unets()
    latents, prompt = torch.randn(1, 4, 8, 8), torch.randn(1, 4, PROMPT_CHANNELS)
    person = torch.cat([latents, torch.randn(1, 4, 8, 8)], dim=1)
    with torch.inference_mode():
        alone = outfitting(latents, 100, prompt).sample
        widened = tryon(person, 100, prompt).sample
    assert torch.equal(alone, widened)


def test_both_towers_speak_to_the_unets(tmp_path: Path) -> None:
    text, vision = build_clip_towers()
    save_image_processor(tmp_path)
    assert text.config.hidden_size == vision.config.projection_dim == PROMPT_CHANNELS
    assert (tmp_path / "preprocessor_config.json").is_file()
