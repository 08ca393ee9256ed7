"""All lies there are, by their numbers in the table of lies, and all operations that they are tried on.

Flow: the families of lies -> LIES; the families of operations -> SCENARIOS; both -> the matrix, the table
Never: holds a lie that cannot be told yet.
"""

from __future__ import annotations

from ropewalk.testing.liars import (
    lies_bytes,
    lies_devices,
    lies_heads,
    lies_hints,
    lies_lists,
    lies_mailbox,
    lies_puts,
    lies_records,
    lies_shares,
    lies_time,
)
from ropewalk.testing.liars.liar import Lie
from ropewalk.testing.liars.scenario import Scenario
from ropewalk.testing.liars.scenarios import FILES
from ropewalk.testing.liars.scenarios_group import GROUPS

__all__ = ["LIES", "SCENARIOS"]

_FAMILIES = (
    lies_bytes,
    lies_devices,
    lies_heads,
    lies_hints,
    lies_lists,
    lies_mailbox,
    lies_puts,
    lies_records,
    lies_shares,
    lies_time,
)

SCENARIOS: tuple[Scenario, ...] = (*FILES, *GROUPS)


def _order(lie: type[Lie]) -> tuple[int, str]:
    digits = "".join(letter for letter in lie.number if letter.isdigit())
    return int(digits), lie.number


def _lies() -> list[type[Lie]]:
    exported = [getattr(family, name) for family in _FAMILIES for name in family.__all__]
    return sorted(
        (one for one in exported if isinstance(one, type) and issubclass(one, Lie) and one.number), key=_order
    )


LIES: tuple[type[Lie], ...] = tuple(_lies())
