"""Last training of the mini checkpoint: the decoder alone, on what the finished UNets make.

The autoencoder saw latents of true pictures only. A try-on's latents differ from those: softer, and
with mistakes between neighbours that no picture encodes to. Encoder and UNets stay as they are, so
the latents mean what they meant.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mini.autoencoder import decibel
from mini.doll_latents import TRAINING_SEEDS, inference_mask
from ootd_core.checkpoints.networks import Networks
from ootd_core.datasets.paper_dolls.sample import DollSample, draw_sample
from ootd_core.images.tensors import to_tensor
from ootd_core.latents import decode, encode_scaled
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from ootd_core.sampling import Speed, sampling_of

FIRST_DOLL = TRAINING_SEEDS + 60_000
"""UNets paint a doll that they were trained on too well: these come behind theirs."""
GUIDANCE_SCALES = (1.0, 1.5, 2.0)
"""Of the try-ons, so that the decoder knows weak and usual guidance."""


class DecoderTask:
    """Error (smooth L1) of dolls decoded from latents: half from a try-on's, half from true ones.

    `dolls` people are dressed once, when they are first needed, and come again in later passes.
    """

    def __init__(
        self, networks: Networks, *, batch: int, dolls: int, height: int, width: int
    ) -> None:
        """batch: an even number of pictures [height, width] (multiples of 8) in a step."""
        self.networks = networks
        self.half = batch // 2
        self.dolls = dolls
        self.size = (height, width)
        vae = cast(Any, networks.vae)  # modules whose types diffusers leaves open
        self.modules: dict[str, nn.Module] = {
            "decoder": vae.decoder,
            "post_quant_conv": vae.post_quant_conv,
        }
        for module in self.modules.values():
            module.requires_grad_(True)  # loaded for inference
        self._dressed: dict[int, Tensor] = {}

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a step's pictures, and the PSNR of either half of them."""
        numbers = range(step * self.half, (step + 1) * self.half)
        dressed = [self._draw(number % self.dolls) for number in numbers]
        others = [self._draw(self.dolls + number) for number in numbers]
        truths = torch.cat([to_tensor(doll.truth) for doll in (*dressed, *others)])
        with torch.no_grad():
            encoded = encode_scaled(self.networks.vae, truths[self.half :])
        decoded = decode(self.networks.vae, torch.cat([self._try_ons(dressed), encoded]))
        halves = zip(decoded.split(self.half), truths.split(self.half), strict=True)
        try_on, true = (decibel(F.mse_loss(made, truth).item()) for made, truth in halves)
        loss = F.smooth_l1_loss(decoded, truths, beta=0.2)
        return loss, {"psnr_try_on": try_on, "psnr_true": true}

    def _draw(self, number: int) -> DollSample:
        height, width = self.size
        return draw_sample(FIRST_DOLL + number, height=height, width=width)

    def _try_ons(self, dolls: list[DollSample]) -> Tensor:
        new = [doll for doll in dolls if doll.seed not in self._dressed]
        if new:
            latents = dress_to_latents(self.networks, new)
            self._dressed |= {doll.seed: one for doll, one in zip(new, latents, strict=True)}
        return torch.stack([self._dressed[doll.seed] for doll in dolls])


@torch.no_grad()
def dress_to_latents(networks: Networks, dolls: list[DollSample]) -> Tensor:
    """Dress dolls of one size, under the masks of the UNets' training: scaled latents [B, 4, h, w].

    All at once, with a guidance scale that the first one's seed chooses.
    """
    pipeline = TryOnPipeline(networks)
    guidance_scale = GUIDANCE_SCALES[dolls[0].seed % len(GUIDANCE_SCALES)]
    encoded = [
        pipeline.encode(
            TryOnRequest(
                person=doll.person,
                garment=doll.garment,
                mask=inference_mask(doll, networks.variant),
                category=doll.category,
                seed=doll.seed,
                guidance_scale=guidance_scale,
                **sampling_of(Speed.FAST),
            )
        )
        for doll in dolls
    ]
    return pipeline.denoise_batch(encoded).clone()  # out of inference mode
