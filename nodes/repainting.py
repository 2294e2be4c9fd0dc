"""Repainting around the mask, whoever samples and however often.

ComfyUI's samplers keep what lies outside a noise mask: at every step they put the original there,
with the noise that they themselves began with. That fails where a sampler continues another one's
latents and adds no noise (the person is clean around a noisy inside, which the networks never saw,
and the garment becomes coloured noise), and where a node has dropped the noise mask. `Repainting`
gives every sampler the three things that it needs, before it starts: the person, the mask, and
noise outside that is as strong as inside. For a sampler that has them already nothing changes, to
the last bit.
"""

from __future__ import annotations

from typing import Any

import comfy.model_patcher
import comfy.patcher_extension
import comfy.utils
import torch
from torch import Tensor

from .wiring import Fused, check_conditions, warn

_KEY = "ootd_repainting"
_WEAK = 0.5  # root mean square of what is no full noise, which has 1
_OTHER = 0.5  # share of the variance; enlarged or encoded anew the same person has up to 0.35


class Repainting:
    """A wrapper of samplers; see `Fused` for what it finds in their conditioning."""

    def attach(self, model: comfy.model_patcher.ModelPatcher) -> None:
        """Put this wrapper into `model` (a clone), in the place of an earlier one."""
        kind = comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE
        model.remove_wrappers_with_key(kind, _KEY)
        model.add_wrapper_with_key(kind, _KEY, self)

    def __call__(
        self,
        executor: Any,
        guider: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Tensor,
        latent_image: Tensor | None = None,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        given = torch.zeros_like(noise) if latent_image is None else latent_image
        fused = check_conditions(guider.conds, getattr(guider, "cfg", None))
        _check_batch(fused, len(noise))
        mask = comfy.utils.reshape_mask(fused.mask, noise.shape).to(noise)
        scaling = _Scaling(guider, sigmas, executor.class_obj)
        has_noise = _strength(noise, 1 - mask) >= _WEAK
        original = _around(fused, given, mask, continued=not has_noise)
        if not has_noise:
            noise = _noise_of(scaling, noise, given, original, mask, extra_args.get("seed"))
        if denoise_mask is not None:
            mask = torch.minimum(mask, denoise_mask)
            if not mask.any():
                warn(
                    "The noise mask and the mask of Fused Denoiser have no place in common, so "
                    "nothing is redrawn: connect Fused Denoiser's latent to the sampler."
                )
        return executor(guider, sigmas, extra_args, callback, noise, original, mask, disable_pbar)


class _Scaling:
    """What a sampler begins with: latents and noise, as it adds them at its first noise level."""

    def __init__(self, guider: Any, sigmas: Tensor, sampler: Any) -> None:
        self._scale = guider.inner_model.model_sampling.noise_scaling
        self._sigma = sigmas[0]
        self._is_first = sampler.max_denoise(guider, sigmas)

    def noisy(self, latents: Tensor, noise: Tensor) -> Tensor:
        return self._scale(self._sigma, noise, latents, self._is_first)

    def noise_in(self, noisy: Tensor, latents: Tensor) -> Tensor:
        """The inverse: with which noise `latents` become `noisy`."""
        zero = torch.zeros_like(noisy)
        factor = self.noisy(zero, torch.ones_like(noisy))
        return (noisy - self.noisy(latents, zero)) / factor


def _around(fused: Fused, given: Tensor, mask: Tensor, *, continued: bool) -> Tensor:
    """What a sampler takes for the original: the person outside the mask. All are [B, 4, h, w].

    continued: `given` is noisy, so it is no original anywhere; the noise makes up for it, see
    `_noise_of`. Else it is what sampling begins with inside the mask. Larger latents of a second
    pass show more around it than the person enlarged: those stay.
    """
    person = comfy.utils.repeat_to_batch_size(fused.person, len(given))
    resized = person.shape[2:] != given.shape[2:]
    if resized:
        height, width = given.shape[2:]
        person = comfy.utils.common_upscale(person, width, height, "bilinear", "disabled")
    person = person.to(given)
    if continued:
        return person
    if given.any():
        _check_person(given, person, 1 - mask)
        if resized:
            return given
    return given * mask + person * (1 - mask)


def _noise_of(
    scaling: _Scaling,
    noise: Tensor,
    given: Tensor,
    original: Tensor,
    mask: Tensor,
    seed: int | None,
) -> Tensor:
    """The noise that makes of `original` what the sampler would have begun with.

    Latents of a sampler that left noise in them have it outside the mask too. Where they have
    none, it is drawn.
    """
    found = scaling.noise_in(scaling.noisy(given, noise), original)
    if _strength(found, 1 - mask) < _WEAK:
        generator = torch.Generator().manual_seed(seed or 0)
        drawn = torch.randn(noise.shape, generator=generator).to(noise)
        found = found * mask + drawn * (1 - mask)
    return found


def _strength(noise: Tensor, weight: Tensor) -> float:
    """Root mean square over a region; 1 where the region is empty."""
    total = float(weight.sum())
    return 1.0 if total == 0 else float(((noise**2 * weight).sum() / total).sqrt())


def _check_batch(fused: Fused, batch: int) -> None:
    joined = len(fused.person)
    if joined not in (1, batch):
        raise ValueError(
            f"Fused Denoiser joined {joined} pictures, but the sampler got latents of {batch}, so "
            "that they would be paired wrongly: sample the whole batch and choose from it after "
            "the sampler, or choose person and garment before Fused Denoiser."
        )


def _check_person(given: Tensor, person: Tensor, outside: Tensor) -> None:
    """Warn where latents show somebody else around the mask."""
    total = outside.sum((1, 2, 3)).clamp(min=1)
    error = ((given - person) ** 2 * outside).sum((1, 2, 3)) / total
    mean = (person * outside).sum((1, 2, 3)) / total
    variance = ((person - mean[:, None, None, None]) ** 2 * outside).sum((1, 2, 3)) / total
    others = [number for number, other in enumerate(error > _OTHER * variance) if other]
    if others:
        which = ", ".join(str(number + 1) for number in others)
        warn(
            f"Latents {which} of {len(given)} show another picture around the mask than the person "
            "of Fused Denoiser, who is drawn instead: connect the sampler's latent and "
            "conditioning to the same Fused Denoiser."
        )
