"""Stretches of a training at one picture size: small pictures first cost a quarter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """`steps` steps of `batch` pictures, height x width pixels (multiples of 8)."""

    steps: int
    batch: int
    height: int
    width: int


def phase_of(phases: tuple[Phase, ...], step: int) -> tuple[Phase, int]:
    """Return the phase of a step (0-based) and the step's number within it; past the end the last
    phase goes on."""
    for phase in phases[:-1]:
        if step < phase.steps:
            return phase, step
        step -= phase.steps
    return phases[-1], step
