"""A try-on from beginning to end: `TryOnPipeline(networks)(request)`.

The steps are those of the paper's figure 2, one method each: the prompt, the garment's share in the
attention, the person's latents, the denoising, the decoding. Whatever the networks' device and
dtype, pictures come in and go out as uint8. `batch` denoises the requests of several persons and
garments in one forward; what is encoded is encoded one by one, so that it may be kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .categories import check_category
from .conditioning import encode_prompt
from .fusion import Fusion, KeysAndValues, prepare, record
from .images.tensors import to_images, to_tensor
from .latents import (
    agnostic_image,
    binary_mask,
    decode,
    encode,
    encode_scaled,
    latent_mask,
    shrink_to_latents,
)
from .request import TryOnRequest
from .sampling import OnStep, denoise, draw_noise, is_guided, make_scheduler

if TYPE_CHECKING:
    from .checkpoints.networks import Networks


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonLatents:
    """The person as the denoiser sees it, float32.

    agnostic: unscaled latents of the person with the mask in grey [1, 4, h, w].
    original: scaled latents of the person [1, 4, h, w].
    mask: 1 where to repaint [1, 1, h, w].
    """

    agnostic: Tensor
    original: Tensor
    mask: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedRequest:
    """A request as the denoiser needs it. garment: None where fusion is switched off."""

    request: TryOnRequest
    prompt: Tensor
    garment: list[KeysAndValues] | None
    person: PersonLatents


class TryOnPipeline:
    """Dresses people in garments with one set of networks. Keeps nothing from call to call."""

    def __init__(self, networks: "Networks") -> None:
        self.networks = networks

    def __call__(self, request: TryOnRequest, on_step: OnStep | None = None) -> NDArray[np.uint8]:
        """The person in the garment: uint8 RGB [samples, H, W, 3].

        `on_step` is called after every sampling step and may raise to cancel. Raises ValueError if
        the networks do not take the category.
        """
        return self.batch([request], on_step)[0]

    @torch.inference_mode()
    def batch(
        self, requests: Sequence[TryOnRequest], on_step: OnStep | None = None
    ) -> list[NDArray[np.uint8]]:
        """Dress the persons of several requests in one forward a step.

        Each gets the noise that it would get alone. Returns uint8 RGB [samples, H, W, 3] for each.
        Raises ValueError as `__call__`, or for requests that are not `alike`.
        """
        encoded: list[EncodedRequest] = []
        for request in requests:
            same = (each for each in encoded if _share_a_garment(each.request, request))
            encoded.append(self.encode(request, next(same, None)))
        latents = self.denoise_batch(encoded, on_step=on_step)
        # One sample at a time: what decoding needs does not grow with the batch.
        self.networks.bring("vae")
        pictures = [to_images(decode(self.networks.vae, sample)) for sample in latents.split(1)]
        samples = requests[0].num_images_per_prompt
        return [
            np.concatenate(pictures[first : first + samples])
            for first in range(0, len(pictures), samples)
        ]

    def encode(
        self, request: TryOnRequest, of_same_garment: EncodedRequest | None = None
    ) -> EncodedRequest:
        """Everything that comes before the denoising; the garment's may come from another."""
        # In this order each large network comes to the device once, where they are offloaded.
        person = self.encode_person(request)
        if of_same_garment is None:
            prompt = self.encode_prompt(request)
            garment = self.read_garment(request, prompt)
        else:
            prompt, garment = of_same_garment.prompt, of_same_garment.garment
        return EncodedRequest(request=request, prompt=prompt, garment=garment, person=person)

    def encode_prompt(self, request: TryOnRequest) -> Tensor:
        """The prompt of both UNets [1, tokens, channels]."""
        networks = self.networks
        check_category(networks.variant, request.category)
        networks.bring("text_encoder", "image_encoder")
        return encode_prompt(
            networks.variant,
            request.category,
            request.garment,
            text_encoder=networks.text_encoder,
            tokenizer=networks.tokenizer,
            image_encoder=networks.image_encoder,
            image_processor=networks.image_processor,
        )

    def read_garment(self, request: TryOnRequest, prompt: Tensor) -> list[KeysAndValues] | None:
        """The garment's share in every attention, or None if the request switches fusion off.

        With guidance a batch of [garment, unconditional], else of the garment alone; the number of
        samples does not matter.
        """
        if not request.fusion:
            return None
        features = self.record_garment(request, prompt)
        self.networks.bring("tryon_unet")
        return prepare(self.networks.tryon_unet, features)

    def record_garment(self, request: TryOnRequest, prompt: Tensor) -> list[Tensor]:
        """What the outfitting UNet makes of the garment, as `record` returns it."""
        networks = self.networks
        latents = self.encode_garment(request)
        nothing = torch.zeros_like(latents)
        if request.zero_garment:
            latents = nothing
        if is_guided(request.guidance_scale):
            latents = torch.cat([latents, nothing])
        networks.bring("outfitting_unet")
        return record(
            networks.outfitting_unet,
            latents.to(networks.dtype),
            prompt.to(networks.dtype).expand(len(latents), -1, -1),
        )

    def encode_garment(self, request: TryOnRequest) -> Tensor:
        """The garment's unscaled latents [1, 4, h, w]."""
        self.networks.bring("vae")
        return encode(self.networks.vae, to_tensor(shrink_to_latents(request.garment)))

    def encode_person(self, request: TryOnRequest) -> PersonLatents:
        """The person's latents, with and without what the mask covers."""
        mask = binary_mask(request.mask)
        return PersonLatents(
            agnostic=self.encode_agnostic(request),
            original=self.encode_original(request),
            mask=latent_mask(mask, request.repaint).to(self.networks.device),
        )

    def encode_agnostic(self, request: TryOnRequest) -> Tensor:
        """Unscaled latents of the person with the mask in grey, float32 [1, 4, h, w]."""
        self.networks.bring("vae")
        agnostic = agnostic_image(request.person, binary_mask(request.mask))
        return encode(self.networks.vae, to_tensor(agnostic)).float()

    def encode_original(self, request: TryOnRequest) -> Tensor:
        """Scaled latents of the person, float32 [1, 4, h, w]."""
        self.networks.bring("vae")
        return encode_scaled(self.networks.vae, to_tensor(request.person)).float()

    def denoise(
        self,
        request: TryOnRequest,
        prompt: Tensor,
        garment: list[KeysAndValues] | None,
        person: PersonLatents,
        *,
        noise: Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """The dressed person's scaled latents [samples, 4, h, w], float32.

        `noise` [samples, 4, h, w] takes the place of the noise that the seed draws.
        """
        encoded = EncodedRequest(request=request, prompt=prompt, garment=garment, person=person)
        return self.denoise_batch([encoded], noise=noise, on_step=on_step)

    def denoise_batch(
        self,
        encoded: Sequence[EncodedRequest],
        *,
        noise: Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Scaled latents of requests that are `alike`, float32 [requests * samples, 4, h, w].

        `noise`, of the same shape, takes the place of the noise that the seeds draw. Raises
        ValueError for requests that are not `alike`.
        """
        networks, request = self.networks, encoded[0].request
        check_alike([each.request for each in encoded])
        samples, (height, width) = request.num_images_per_prompt, encoded[0].person.mask.shape[2:]
        generators = [torch.Generator().manual_seed(each.request.seed) for each in encoded]
        if noise is None:
            noise = torch.cat([draw_noise(samples, height, width, each) for each in generators])
        a_sample_each = [each for each in generators for _ in range(samples)]
        both = _joined_garments([each.garment for each in encoded])
        alone = both
        if both is not None and is_guided(request.guidance_scale):
            alone = [_first_half(share) for share in both]

        def rows(tensors: Sequence[Tensor]) -> Tensor:
            return torch.cat([each.expand(samples, *each.shape[1:]) for each in tensors])

        networks.bring("tryon_unet")
        with Fusion(networks.tryon_unet) as fusion:
            return denoise(
                unet=networks.tryon_unet,
                scheduler=make_scheduler(request.scheduler, networks.scheduler_config),
                num_inference_steps=request.num_inference_steps,
                noise_levels=request.noise_levels,
                guidance_scale=request.guidance_scale,
                noise=noise.to(networks.device),
                agnostic=rows([each.person.agnostic for each in encoded]),
                person=rows([each.person.original for each in encoded]),
                mask=rows([each.person.mask for each in encoded]),
                prompt=rows([each.prompt for each in encoded]),
                guidance_start=request.guidance_start,
                guidance_end=request.guidance_end,
                generator=generators[0] if len(encoded) == 1 else a_sample_each,
                on_halves=lambda halves: fusion.set(both if halves == 2 else alone),
                on_step=on_step,
            )


def alike(request: TryOnRequest) -> tuple[object, ...]:
    """Equal for requests that go through the networks in one batch: sizes, steps, guidance."""
    return (
        request.person.shape,
        request.garment.shape,
        request.num_inference_steps,
        request.num_images_per_prompt,
        request.guidance_scale,
        request.guidance_start,
        request.guidance_end,
        request.scheduler,
        request.noise_levels,
        request.fusion,
    )


def check_alike(requests: Sequence[TryOnRequest]) -> None:
    """Raises ValueError, one sentence, if requests are not `alike`."""
    first, *others = map(alike, requests)
    for other in others:
        for mine, theirs in zip(first, other, strict=True):
            if mine != theirs:
                raise ValueError(
                    "The requests of a batch must have pictures of one size and the same steps, "
                    f"samples, guidance, scheduler, noise levels and fusion, but one has {mine} "
                    f"and another {theirs}: put them into batches of their own."
                )


def _share_a_garment(one: TryOnRequest, other: TryOnRequest) -> bool:
    return (
        one.category is other.category
        and one.zero_garment == other.zero_garment
        and alike(one) == alike(other)
        and (one.garment is other.garment or np.array_equal(one.garment, other.garment))
    )


def _joined_garments(
    garments: Sequence[list[KeysAndValues] | None],
) -> list[KeysAndValues] | None:
    """One batch of all garments, then of all unconditional halves if there is guidance.

    A garment that all requests share stays one: the attention repeats it for its samples.
    """
    first = garments[0]
    if first is None or all(each is first for each in garments):
        return first
    shares = zip(*(each for each in garments if each is not None), strict=True)
    return [
        KeysAndValues(
            _interleaved([each.keys for each in share]),
            _interleaved([each.values for each in share]),
        )
        for share in shares
    ]


def _interleaved(tensors: Sequence[Tensor]) -> Tensor:
    """[halves, tokens, channels] of each garment -> [halves * garments, tokens, channels]."""
    return torch.stack(list(tensors), dim=1).flatten(0, 1)


def _first_half(share: KeysAndValues) -> KeysAndValues:
    return KeysAndValues(*(states[: len(states) // 2] for states in (share.keys, share.values)))
