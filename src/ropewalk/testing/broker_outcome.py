"""Outcome: of one case of the broker's conformance suite.

Flow: a case -> Outcome -> a line, or an entry of JSON
Never: judges.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one case.

    Attributes:
        name: Its group and what it is, as "hostile: no hello".
        wrong: What was not as it should be; "" where nothing was.
    """

    name: str
    wrong: str = ""
