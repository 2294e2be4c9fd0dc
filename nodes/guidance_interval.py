"""Guidance for a part of the sampling alone, whoever samples: a wrapper of ComfyUI's conditions.

Outside of the interval the half that sees no garment is not computed; the garment's half stands in
for it, so that nothing is left of the guidance whatever cfg says (arXiv 2404.07724).
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import comfy.model_patcher
import comfy.patcher_extension
from comfy_api.latest import io
from torch import Tensor

from ..ootd_core.conditioning import guidance_bounds
from .wiring import FUSED

_KEY = "ootd_guidance_interval"
Conditions = list[dict[str, Any]] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GuidanceInterval:
    """first_sigma, last_sigma: the noise levels between which there is guidance."""

    first_sigma: float
    last_sigma: float

    @classmethod
    def of(cls, model: comfy.model_patcher.ModelPatcher, start: float, end: float) -> Any:
        """Of shares of the sampling, as `guidance_bounds` takes and refuses them."""
        sampling = model.get_model_object("model_sampling")
        first, last = (sampling.percent_to_sigma(each) for each in guidance_bounds(start, end))
        return cls(first_sigma=float(first), last_sigma=float(last))

    def attach(self, model: comfy.model_patcher.ModelPatcher) -> None:
        """Put this wrapper into `model` (a clone), in the place of an earlier one."""
        kind = comfy.patcher_extension.WrappersMP.CALC_COND_BATCH
        model.remove_wrappers_with_key(kind, _KEY)
        model.add_wrapper_with_key(kind, _KEY, self)

    def __call__(
        self,
        executor: Any,
        model: Any,
        conditions: list[Conditions],
        x: Tensor,
        timestep: Tensor,
        model_options: dict[str, Any],
    ) -> list[Tensor]:
        seeing = [place for place, each in enumerate(conditions) if each and not _is_blind(each)]
        if self.last_sigma < float(timestep.max()) <= self.first_sigma or not seeing:
            return executor(model, conditions, x, timestep, model_options)
        left: list[Conditions] = [None if each and _is_blind(each) else each for each in conditions]
        predicted = executor(model, left, x, timestep, model_options)
        return [
            predicted[seeing[0]] if each and mine is None else one
            for each, mine, one in zip(conditions, left, predicted, strict=True)
        ]


def _is_blind(conditions: list[dict[str, Any]]) -> bool:
    """Fused Denoiser's negative, which sees no garment."""
    return all(FUSED in each and not each[FUSED].sees_garment for each in conditions)


def interval_inputs() -> list[io.Float.Input]:
    """The inputs guidance_start and guidance_end."""
    shown: dict[str, Any] = {}
    if "advanced" in inspect.signature(io.Float.Input.__init__).parameters:
        shown = {"advanced": True}
    return [
        io.Float.Input(
            name,
            optional=True,
            default=default,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip=f"Where in the sampling guidance (cfg) {verb}. Steps outside take half the "
            "time and show the garment as at cfg 1.",
            **shown,
        )
        for name, default, verb in (
            ("guidance_start", 0.0, "begins"),
            ("guidance_end", 1.0, "ends"),
        )
    ]
