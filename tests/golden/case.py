"""The result of one comparison with the reference: a number, and how large it may be.

Every set (A networks and pipeline, B masks, C human parsing, D pose) reports in this form, so that
one loop can run, print and count all of them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResult:
    """`error` is what was measured (0 is perfect, inf or NaN when nothing could be measured),
    `tolerance` the largest error that still passes, `note` what a reader of the line should know.
    """

    name: str
    error: float
    tolerance: float
    note: str = ""

    @property
    def failed(self) -> bool:
        return not self.error <= self.tolerance  # written so that NaN fails


def failed_case(name: str, error: Exception, *, tolerance: float = 0.0) -> CaseResult:
    """The result of a case that raised `error` before it could measure anything."""
    logger.debug("case %s raised", name, exc_info=error)
    note = f"{type(error).__name__}: {error}"
    return CaseResult(name=name, error=float("inf"), tolerance=tolerance, note=note)


def measured_case(name: str, measure: Callable[[], float], *, tolerance: float) -> CaseResult:
    """Runs `measure` (which returns the error); an exception in it becomes a failed case."""
    try:
        error = measure()
    except Exception as problem:  # one broken case must not hide the others
        return failed_case(name, problem, tolerance=tolerance)
    return CaseResult(name=name, error=error, tolerance=tolerance)
