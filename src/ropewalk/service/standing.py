"""Standing: how a service is, in one value.

Flow: Unit -> Standing -> logs, panels, consoles
Never: changes; whoever wants to know how it is now asks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Standing", "State"]


class State(StrEnum):
    """How a service is."""

    WAITING = "waiting"  # for what it needs
    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"
    PAUSING = "pausing"  # between a failure and the next start
    ENDED = "ended"  # by itself
    FAILED = "failed"  # and is not started again
    STOPPED = "stopped"  # with its application, or since an operator said so


@dataclass(frozen=True, slots=True)
class Standing:
    """How a service is, for people and panels.

    Attributes:
        why: What its last failure was, "" without one.
        since: When it came into this state, in the loop's seconds.
    """

    name: str
    state: State
    why: str
    starts: int
    failures: int
    since: float
    statistics: Mapping[str, float]
