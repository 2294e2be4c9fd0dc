"""The untrained networks of a mini checkpoint: Stable Diffusion 1.5's architecture, only narrower.

Four levels, two layers, 16 transformer blocks, CLIP towers and a byte-pair tokenizer: every
mapping and test that holds for this network holds for the published one. Channels are multiples of
32 because Stable Diffusion's group norms have 32 groups.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from ootd_core.checkpoints.writing import save_json, write_whole
from ootd_core.training.start import widened

UNET_CHANNELS = (64, 64, 64, 64)
HEADS = 2
PASSAGE = 8
"""Channels that carry the input to the output at the start: a pair for each of four."""
PROMPT_CHANNELS = 64
CLIP_PIXELS = 64
WORDS = ("upper", "lower", "body</w>", "dress</w>")
BEGIN, END = "<|startoftext|>", "<|endoftext|>"

SCHEDULER_CONFIG: dict[str, Any] = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}
"""Stable Diffusion 1.5's noise schedule, as it is published."""


def build_unet(in_channels: int) -> UNet2DConditionModel:
    """Return an untrained UNet: 4 input channels for the garment, 8 for the person."""
    return UNet2DConditionModel(
        in_channels=in_channels,
        block_out_channels=UNET_CHANNELS,
        attention_head_dim=HEADS,  # diffusers reads it as their number, as in SD 1.5's config
        cross_attention_dim=PROMPT_CHANNELS,
        sample_size=32,
    )


@torch.no_grad()
def build_unets() -> tuple[UNet2DConditionModel, UNet2DConditionModel]:
    """Return (outfitting, try-on), alike but for the try-on UNet's four further input channels.

    As in the paper both start from one network. There the further channels start at zero, since the
    network is a trained one; here all but the first layers' passage of noise (`start_as_noise`)
    sees them from the beginning.
    """
    outfitting = build_unet(4)
    start_as_noise(outfitting)
    tryon = widened(outfitting)
    first = tryon.conv_in.weight
    first[PASSAGE:, 4:] = torch.randn_like(first[PASSAGE:, 4:]) * first[:, :4].std()
    return outfitting, tryon.requires_grad_(True).train()


@torch.no_grad()
def start_as_noise(unet: UNet2DConditionModel) -> None:
    """Set the weights so that the untrained network answers with its own (normalised) input.

    Where noise outweighs the picture that is nearly the right answer, and an error of a hundredth
    there is a large one of the picture; a network this narrow takes hundreds of steps to learn to
    let noise through its group norms. As in the autoencoder's `start_as_colour_map` each latent
    channel travels as a pair (c, -c), here through the outermost skip connection, and every
    residual branch starts at zero.
    """
    parts = cast(Any, unet)  # modules whose types diffusers leaves open
    for name, module in parts.named_modules():
        if name.endswith((".conv2", ".proj_out")):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    skip = parts.up_blocks[-1].resnets[-1].conv_shortcut  # of [hidden, conv_in's output]
    width = skip.in_channels - parts.conv_in.out_channels
    last = parts.conv_out
    last.weight *= 0.1
    nn.init.zeros_(last.bias)
    for channel in range(PASSAGE):
        sign = 1 - 2.0 * (channel % 2)
        for weight in (parts.conv_in.weight[channel], skip.weight[channel]):
            nn.init.zeros_(weight)
        parts.conv_in.bias[channel] = skip.bias[channel] = 0
        parts.conv_in.weight[channel, channel // 2, 1, 1] = sign
        skip.weight[channel, width + channel] = 1
        last.weight[:, channel] = 0
    for channel in range(PASSAGE):
        last.weight[channel // 2, channel, 1, 1] = 1 - 2.0 * (channel % 2)


def build_clip_towers() -> tuple[CLIPTextModel, CLIPVisionModelWithProjection]:
    """Return small CLIP towers (text, vision) whose outputs have the prompt's width.

    They are never trained, so their weights come from a seed of their own: always the same.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _random_clip_towers()


def _random_clip_towers() -> tuple[CLIPTextModel, CLIPVisionModelWithProjection]:
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocabulary()),
            hidden_size=PROMPT_CHANNELS,
            intermediate_size=2 * PROMPT_CHANNELS,
            projection_dim=PROMPT_CHANNELS,
            num_hidden_layers=2,
            num_attention_heads=2,
            bos_token_id=len(vocabulary()) - 2,
            eos_token_id=len(vocabulary()) - 1,
            pad_token_id=len(vocabulary()) - 1,
        )
    )
    vision = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=PROMPT_CHANNELS,
            intermediate_size=2 * PROMPT_CHANNELS,
            projection_dim=PROMPT_CHANNELS,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=CLIP_PIXELS,
            patch_size=16,
        )
    )
    return text, vision


def vocabulary() -> dict[str, int]:
    """Return the tokenizer's tokens: every byte, alone and ending a word, then the merges."""
    letters = [chr(number) for number in _printable_bytes()]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["".join(pair) for pair in merges()]
    return {token: index for index, token in enumerate([*tokens, BEGIN, END])}


def merges() -> list[tuple[str, str]]:
    """Return the byte pairs that spell the label prompts, letter by letter."""
    pairs: list[tuple[str, str]] = []
    for word in WORDS:
        ending = "</w>" if word.endswith("</w>") else ""
        letters = word.removesuffix("</w>")
        whole = letters[0]
        for index, letter in enumerate(letters[1:], start=2):
            right = letter + (ending if index == len(letters) else "")
            if (whole, right) not in pairs:
                pairs.append((whole, right))
            whole += right
    return pairs


def _printable_bytes() -> list[int]:
    """Byte-level BPE writes each byte as a printable character (Radford et al., GPT-2, 2019)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return printable + [256 + index for index in range(256 - len(printable))]


def save_tokenizer(folder: Path) -> None:
    """Write vocab.json, merges.txt and the two configuration files of a CLIP tokenizer."""
    save_json(folder / "vocab.json", vocabulary())
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges())]
    write_whole(folder / "merges.txt", lambda path: path.write_text("\n".join(lines) + "\n"))
    special = {"bos_token": BEGIN, "eos_token": END, "pad_token": END, "unk_token": END}
    save_json(folder / "special_tokens_map.json", special)
    save_json(
        folder / "tokenizer_config.json",
        {**special, "tokenizer_class": "CLIPTokenizer", "model_max_length": 77},
    )


def save_image_processor(folder: Path) -> None:
    """Write preprocessor_config.json: CLIP's own, at the small tower's size."""
    save_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessor",
            "crop_size": {"height": CLIP_PIXELS, "width": CLIP_PIXELS},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "resample": 3,
            "rescale_factor": 1 / 255,
            "size": {"shortest_edge": CLIP_PIXELS},
        },
    )
