"""One line of the doctor's report."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """GOOD: works. NOTE: costs one feature, or is merely said. BAD: something asked for fails."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """subject: what was looked at. text: what was found, and for BAD the command that helps."""

    subject: str
    state: State
    text: str
