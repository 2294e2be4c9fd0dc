"""A try-on from beginning to end: `TryOnPipeline(networks)(request)`.

The steps are those of the paper's figure 2, one method each: the prompt, the garment's share in the
attention, the person's latents, the denoising, the decoding. Whatever the networks' device and
dtype, pictures come in and go out as uint8.
"""

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


class TryOnPipeline:
    """Dresses people in garments with one set of networks. Keeps nothing from call to call."""

    def __init__(self, networks: "Networks") -> None:
        self.networks = networks

    @torch.inference_mode()
    def __call__(self, request: TryOnRequest, on_step: OnStep | None = None) -> NDArray[np.uint8]:
        """The person in the garment: uint8 RGB [samples, H, W, 3].

        `on_step` is called after every sampling step and may raise to cancel. Raises ValueError if
        the networks do not take the category.
        """
        prompt = self.encode_prompt(request)
        garment = self.read_garment(request, prompt)
        person = self.encode_person(request)
        latents = self.denoise(request, prompt, garment, person, on_step=on_step)
        return to_images(decode(self.networks.vae, latents))

    def encode_prompt(self, request: TryOnRequest) -> Tensor:
        """The prompt of both UNets [1, tokens, channels]."""
        networks = self.networks
        check_category(networks.variant, request.category)
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
        networks = self.networks
        latents = encode(networks.vae, to_tensor(shrink_to_latents(request.garment)))
        nothing = torch.zeros_like(latents)
        if request.zero_garment:
            latents = nothing
        if is_guided(request.guidance_scale):
            latents = torch.cat([latents, nothing])
        features = record(
            networks.outfitting_unet,
            latents.to(networks.dtype),
            prompt.to(networks.dtype).expand(len(latents), -1, -1),
        )
        return prepare(networks.tryon_unet, features)

    def encode_person(self, request: TryOnRequest) -> PersonLatents:
        """The person's latents, with and without what the mask covers."""
        networks = self.networks
        mask = binary_mask(request.mask)
        agnostic = to_tensor(agnostic_image(request.person, mask))
        return PersonLatents(
            agnostic=encode(networks.vae, agnostic).float(),
            original=encode_scaled(networks.vae, to_tensor(request.person)).float(),
            mask=latent_mask(mask, request.repaint).to(networks.device),
        )

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
        networks = self.networks
        generator = torch.Generator().manual_seed(request.seed)
        if noise is None:
            height, width = person.mask.shape[2:]
            noise = draw_noise(request.num_images_per_prompt, height, width, generator)
        with Fusion(networks.tryon_unet) as fusion:
            fusion.set(garment)
            return denoise(
                unet=networks.tryon_unet,
                scheduler=make_scheduler(request.scheduler, networks.scheduler_config),
                num_inference_steps=request.num_inference_steps,
                guidance_scale=request.guidance_scale,
                noise=noise.to(networks.device),
                agnostic=person.agnostic,
                person=person.original,
                mask=person.mask,
                prompt=prompt,
                generator=generator,
                on_step=on_step,
            )
