"""Latents on disk: encoded once, then read.

A file is named by a hash of everything that determines its content: with a changed picture, mask
option or autoencoder it has another name, so nothing outdated is ever read. Files are moved into
place whole; two processes that encode the same sample write the same content, which does no harm.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ..checkpoints.networks import Networks
from ..checkpoints.writing import write_whole
from .latents import TryOnLatents

logger = logging.getLogger(__name__)
STORED = torch.float16
"""Half the size of float32; its rounding is far below the noise that is added."""


class LatentCache:
    """A folder of encoded samples, by key."""

    def __init__(self, folder: Path | None) -> None:
        """folder: None keeps nothing, with the same results."""
        self.folder = folder

    def read(self, key: bytes) -> TryOnLatents | None:
        """Return the latents of a key, float32 on the CPU, None if they are not there."""
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            return _unpacked(load_file(path))
        except (SafetensorError, TypeError) as error:
            logger.warning("%s is damaged (%s) and is made again.", path, error)
            return None

    def keep(self, key: bytes, latents: TryOnLatents) -> TryOnLatents:
        """Write the latents of a key; return them as `read` will, rounded to the stored type."""
        stored = {
            field.name: getattr(latents, field.name).to("cpu", STORED).contiguous()
            for field in fields(latents)
        }
        path = self._path(key)
        if path is not None:
            write_whole(path, lambda temporary: save_file(stored, temporary))
        return _unpacked(stored)

    def _path(self, key: bytes) -> Path | None:
        name = key.hex()
        return None if self.folder is None else self.folder / name[:2] / f"{name}.safetensors"


def _unpacked(stored: Mapping[str, torch.Tensor]) -> TryOnLatents:
    return TryOnLatents(**{name: value.float() for name, value in stored.items()})


def key_of(*parts: Any) -> bytes:
    """Return the key of JSON values that together determine a sample's latents."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).digest()


def encoders_fingerprint(networks: Networks) -> str:
    """Return a hash of everything in the networks that latents and prompts come from."""
    digest = hashlib.sha256()
    modules: tuple[nn.Module, ...] = (
        networks.vae,
        networks.text_encoder,
        networks.image_encoder,
    )
    for module in modules:
        for name, value in sorted(module.state_dict().items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    settings = (
        networks.variant,
        networks.vae.config["scaling_factor"],
        networks.image_processor.to_dict(),
        networks.tokenizer.get_vocab(),
    )
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    return digest.hexdigest()
