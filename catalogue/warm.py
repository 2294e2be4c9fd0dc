"""`TryOn` and its pipeline, with everything kept that is made of a person or a garment alone.

Of P persons and G garments the parser, the pose network and the VAE on the whole person run P
times, CLIP, the VAE on the garment and the outfitting UNet G times; for each pair only the masked
person is encoded, once for each mask that is another. Keys are made from the pictures' pixels, so
it does not matter where a picture came from.
"""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalogue.cache import Cache, Entry, key_of
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.networks import Networks
from ootd_core.latents import binary_mask
from ootd_core.masks.agnostic import AgnosticMask, MaskMode
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from ootd_core.sampling import is_guided
from tryon.options import TryOnOptions
from tryon.perception import PersonNetworks, SeenPerson
from tryon.preparation import LabelMap, PoseNetwork
from tryon.try_on import TryOn

SEEN = tuple(field.name for field in fields(SeenPerson))
MASK_RECIPE = 3
"""Raised when masks are drawn otherwise, as `results.RECIPE` then is."""


class WarmPersonNetworks(PersonNetworks):
    """Sees a picture once."""

    def __init__(
        self,
        folder: Path,
        variant: Variant,
        *,
        device: str,
        pose_network: PoseNetwork,
        cache: Cache,
        stamp: str,
    ) -> None:
        super().__init__(folder, variant, device=device, pose_network=pose_network)
        self._cache = cache
        self._stamp = stamp

    def labels(self, person: NDArray[np.uint8]) -> LabelMap:
        """As that of PersonNetworks."""

        def see() -> Entry:
            seen = super(WarmPersonNetworks, self).labels(person)
            return {"labels": torch.from_numpy(np.array(seen))}

        def read(entry: Entry) -> LabelMap:
            return entry["labels"].numpy()

        return read(self._cache.once("labels", key_of(self._stamp, person), see, read))

    def see(self, person: NDArray[np.uint8]) -> list[SeenPerson]:
        """As that of PersonNetworks."""

        def look() -> Entry:
            found = super(WarmPersonNetworks, self).see(person)
            entry: Entry = {"people": torch.tensor(len(found))}
            for number, each in enumerate(found):
                for name in SEEN:
                    value = getattr(each, name)
                    if value is not None:
                        entry[f"{name} {number}"] = torch.from_numpy(np.array(value))
            return entry

        def read(entry: Entry) -> list[SeenPerson]:
            arrays = {name: value.numpy() for name, value in entry.items()}
            people: list[SeenPerson] = []
            for number in range(int(arrays["people"])):
                own = {name: arrays.get(f"{name} {number}") for name in SEEN}
                own["keypoints"] = arrays[f"keypoints {number}"]
                people.append(SeenPerson(**own))  # pyright: ignore[reportArgumentType]
            return people

        return read(self._cache.once("people", key_of(self._stamp, person), look, read))


class WarmTryOn(TryOn):
    """A `TryOn` that sees a person, and draws a mask, once."""

    cache: Cache
    stamp: str

    @cached_property
    def person_networks(self) -> PersonNetworks:
        """The human parser and the pose network."""
        return WarmPersonNetworks(
            self.folder,
            self.variant,
            device=str(self.device),
            pose_network=self.pose_network,
            cache=self.cache,
            stamp=self.stamp,
        )

    def _mask(
        self,
        label_map: LabelMap,
        subject: Any,
        garment: NDArray[np.uint8] | None,
        category: Category,
        options: TryOnOptions,
    ) -> AgnosticMask:
        def draw() -> Entry:
            drawn = super(WarmTryOn, self)._mask(label_map, subject, garment, category, options)
            said = json.dumps([drawn.missing, drawn.warnings]).encode()
            return {
                "mask": torch.from_numpy(drawn.mask.copy()),
                "new_garment": torch.from_numpy(drawn.new_garment.copy()),
                "said": torch.tensor(list(said), dtype=torch.uint8),
            }

        def read(entry: Entry) -> AgnosticMask:
            missing, warnings = map(tuple, json.loads(entry["said"].numpy().tobytes()))
            return AgnosticMask(
                mask=entry["mask"].numpy(),
                new_garment=entry["new_garment"].numpy(),
                missing=missing,
                warnings=warnings,
            )

        looks_at_garment = options.mask_mode is MaskMode.AUTO
        drawn_from = (
            self.variant,
            label_map,
            subject,
            garment if looks_at_garment else None,
            category,
            options.mask_mode,
            options.mask_length,
            options.mask_sleeves,
            options.mask_grow,
        )
        return read(self.cache.once("mask", key_of(MASK_RECIPE, drawn_from), draw, read))


class WarmPipeline(TryOnPipeline):
    """A pipeline that encodes a picture once."""

    def __init__(self, networks: Networks, cache: Cache, stamp: str) -> None:
        super().__init__(networks)
        self._cache = cache
        self._stamp = stamp

    def encode_prompt(self, request: TryOnRequest) -> Tensor:
        """As that of TryOnPipeline."""
        encode = super().encode_prompt
        return self._once("prompt", (request.garment, request.category), lambda: encode(request))

    def encode_garment(self, request: TryOnRequest) -> Tensor:
        """As that of TryOnPipeline."""
        encode = super().encode_garment
        return self._once("garment", (request.garment,), lambda: encode(request))

    def record_garment(self, request: TryOnRequest, prompt: Tensor) -> list[Tensor]:
        """As that of TryOnPipeline."""
        record = super().record_garment
        guided = is_guided(request.guidance_scale)
        key = key_of(self._stamp, request.garment, request.category, guided, request.zero_garment)

        def make() -> Entry:
            return {f"{i:02}": each for i, each in enumerate(record(request, prompt))}

        def read(entry: Entry) -> list[Tensor]:
            return [entry[f"{i:02}"] for i in range(max(1, len(entry)))]

        features = read(self._cache.once("features", key, make, read))
        return [each.to(self.networks.device) for each in features]

    def encode_agnostic(self, request: TryOnRequest) -> Tensor:
        """As that of TryOnPipeline."""
        encode, mask = super().encode_agnostic, binary_mask(request.mask)
        return self._once("agnostic", (request.person, mask), lambda: encode(request))

    def encode_original(self, request: TryOnRequest) -> Tensor:
        """As that of TryOnPipeline."""
        encode = super().encode_original
        return self._once("person", (request.person,), lambda: encode(request))

    def _once(self, kind: str, made_from: tuple[object, ...], make: Any) -> Tensor:
        key = key_of(self._stamp, made_from)
        entry = self._cache.once(kind, key, lambda: {"value": make()}, lambda kept: kept["value"])
        return entry["value"].to(self.networks.device)
