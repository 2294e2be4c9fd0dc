"""Held-out dolls: drawn people that no training saw, whose true picture is known.

Each doll gives up to four pictures. "full": the try-on. "ceiling": the true picture encoded and
decoded, the best that any denoiser over these latents can reach. "no fusion": the garment is known
by its prompt alone. "no garment": the outfitting UNet reads zeros. Masks come from the drawn label
maps and keypoints, so that only the denoising networks are measured, or, as in a try-on, from what
the model's parser and pose network see. That parser also says where the garment is in a picture
made.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..categories import Category
from ..checkpoints.networks import Networks
from ..datasets.paper_dolls.sample import DollSample, draw_sample
from ..datasets.photographs import Perception
from ..datasets.sample import UnusableSample
from ..images.tensors import to_images, to_tensor
from ..latents import SCALE, decode, encode_scaled
from ..masks.agnostic import MaskMode, agnostic_mask
from ..masks.labels import Label
from ..pipeline import TryOnPipeline
from ..request import TryOnRequest
from ..sampling import NoiseLevels, Scheduler
from .features import FeatureNetworks
from .scores import Judged, Scorer

logger = logging.getLogger(__name__)
ABLATIONS = ("full", "no fusion", "no garment")
COLUMNS = ("ceiling", *ABLATIONS)
GARMENT_LABELS: dict[Category, tuple[Label, ...]] = {
    Category.UPPER: (Label.UPPER_CLOTHES,),
    Category.LOWER: (Label.PANTS, Label.SKIRT),
    Category.DRESS: (Label.DRESS,),
}
"""The labels of a category's garments in a drawn label map."""
SEEN_LABELS = GARMENT_LABELS | {
    Category.DRESS: (Label.DRESS, Label.UPPER_CLOTHES, Label.SKIRT),
}
"""What a parser may call them: a skirt for trousers, a top and a skirt for a dress. That is another
name for the same area, and the area is what is asked."""
OnDoll = Callable[[DollSample, dict[str, NDArray[np.uint8]]], None]
"""Called with each doll and the pictures of `dress_doll`."""


def measure_dolls(
    networks: Networks,
    seeds: range,
    features: FeatureNetworks,
    *,
    num_inference_steps: int,
    guidance_scale: float,
    mask_mode: MaskMode,
    ablations: bool,
    scheduler: Scheduler = Scheduler.UNIPC,
    noise_levels: NoiseLevels = NoiseLevels.EVEN,
    perception: Perception | None = None,
    perceive: bool = False,
    on_doll: OnDoll | None = None,
) -> dict[str, Scorer]:
    """Dress the dolls of these seeds and judge the pictures, by the names in COLUMNS.

    Colour is measured where the garment is drawn inside the mask; dolls that show nothing of it
    there are left out. perception: sees where the garment is in the pictures made; None leaves
    its shape out. perceive: masks are made from what it sees, too.

    A doll of which it sees too little for a mask is left out with a warning.
    """
    height = SCALE * int(networks.tryon_unet.config["sample_size"])
    scorers = {name: Scorer(features) for name in COLUMNS}
    for seed in seeds:
        doll = draw_sample(seed, height=height, width=height * 3 // 4)
        try:
            pictures = dress_doll(
                networks,
                doll,
                num_inference_steps,
                guidance_scale,
                mask_mode,
                ablations=ablations,
                scheduler=scheduler,
                noise_levels=noise_levels,
                perception=perception if perceive else None,
            )
        except UnusableSample as error:
            logger.warning("%s", error)
            continue
        mask = pictures["mask"].astype(bool)
        worn = np.isin(doll.truth_labels, garment_labels(doll))
        if (worn & mask).any():
            changed = (doll.person != doll.truth).any(-1)
            called = SEEN_LABELS[doll.category]
            for name in set(scorers) & set(pictures):
                seen = None if perception is None else perception.labels(pictures[name])
                scorers[name].add(
                    Judged(
                        name=f"doll-{seed}",
                        category=doll.category,
                        picture=pictures[name],
                        person=doll.person,
                        truth=doll.truth,
                        mask=mask,
                        region=worn & mask,
                        changed=changed,
                        worn=worn,
                        worn_seen=None if seen is None else np.isin(seen, called),
                    )
                )
        if on_doll is not None:
            on_doll(doll, pictures)
    return {name: scorer for name, scorer in scorers.items() if scorer.samples}


def garment_labels(doll: DollSample) -> list[Label]:
    """Return the labels of a garment of the doll's category."""
    return list(GARMENT_LABELS[doll.category])


def dress_doll(
    networks: Networks,
    doll: DollSample,
    num_inference_steps: int,
    guidance_scale: float,
    mask_mode: MaskMode,
    *,
    ablations: bool,
    scheduler: Scheduler = Scheduler.UNIPC,
    noise_levels: NoiseLevels = NoiseLevels.EVEN,
    perception: Perception | None = None,
) -> dict[str, NDArray[np.uint8]]:
    """Return pictures uint8 RGB [H, W, 3] by name, and the mask uint8 [H, W] (0, 1) as "mask".

    perception: sees the person; None takes the drawn label map and keypoints. Raises UnusableSample
    if what is seen gives no mask.
    """
    labels, keypoints = doll.labels, doll.keypoints
    if perception is not None:
        labels, keypoints = perception.labels(doll.person), perception.keypoints(doll.person)
    try:
        mask = agnostic_mask(
            labels,
            keypoints,
            category=doll.category,
            variant=networks.variant,
            mode=mask_mode,
            garment=doll.garment,
        ).mask
    except ValueError as error:
        raise UnusableSample(f"Doll {doll.seed} is left out: {error}") from error
    request = TryOnRequest(
        person=doll.person,
        garment=doll.garment,
        mask=mask,
        category=doll.category,
        num_inference_steps=num_inference_steps,
        guidance_scale=guidance_scale,
        seed=doll.seed,
        scheduler=scheduler,
        noise_levels=noise_levels,
    )
    truth = decode(networks.vae, encode_scaled(networks.vae, to_tensor(doll.truth)))
    pictures = {"mask": mask.astype(np.uint8), "ceiling": to_images(truth)[0]}
    pipeline = TryOnPipeline(networks)
    pictures["full"] = pipeline(request)[0]
    if ablations:
        pictures["no fusion"] = pipeline(replace(request, fusion=False))[0]
        pictures["no garment"] = pipeline(replace(request, zero_garment=True))[0]
    return pictures
