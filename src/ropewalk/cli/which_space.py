"""Which space is meant: stores can make one of their own for anybody's keys, so that keys open it says nothing.

Flow: id as people copy it <-> digits; spaces found in stores, ids given or known -> those that are meant
Never: takes a space for the one that is meant because it is there, or because of what it says of itself.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.asking import agreed
from ropewalk.cli.output import Voice, count, date, shown
from ropewalk.errors import Misuse
from ropewalk.spaces.discover import FoundSpace
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.members import Names, open_ring, people

__all__ = ["WHY", "Ids", "NotConfirmed", "choose", "matches", "parse_id", "shown_id"]

FEWEST_DIGITS = 32  # 128 bits: nobody makes another genesis whose id begins with them
DIGITS = 64
MOST_NAMES = 8  # of members that are shown

WHY = "stores can make another space that the same keys open, and only its id tells it from yours"

Ids = Annotated[
    list[str] | None,
    Parameter(
        name="--id",
        metavar="DIGITS",
        help="Its id, which is taken without asking: the 32 digits that were shown with it, or all 64. `ropewalk space"
        " list` shows it where the space is known.",
        negative="",
    ),
]


class NotConfirmed(Misuse):
    """Nobody says that a space which was found is the one that is meant."""

    code = "space.not-confirmed"


def shown_id(space_id: bytes | str) -> str:
    """As many digits of an id as tell it from all others, in groups that people can copy."""
    digits = (space_id if isinstance(space_id, str) else space_id.hex())[:FEWEST_DIGITS]
    return "-".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def parse_id(text: str) -> str:
    """The digits of an id, or enough of its first ones.

    Raises:
        Misuse: It is none, or too short to tell one space from all others.
    """
    digits = "".join(char for char in text.lower() if char not in "-: ")
    if any(char not in "0123456789abcdef" for char in digits) or not FEWEST_DIGITS <= len(digits) <= DIGITS:
        raise Misuse(
            f"--id is {text!r}, expected {FEWEST_DIGITS} to {DIGITS} hex digits",
            hint="`ropewalk space list` shows ids where the space is known; with fewer digits it could be another",
        )
    return digits


def matches(space_id: bytes, digits: Collection[str]) -> bool:
    """Whether this space is meant by any of these ids."""
    return any(space_id.hex().startswith(one) for one in digits)


def choose(
    found: Sequence[FoundSpace],
    keys: DeviceKeys,
    voice: Voice,
    *,
    told: Collection[str] = (),
    what: str,
    single: bool = False,
) -> list[FoundSpace]:
    """Those of some spaces that are meant; somebody is asked where there is one, and no id was told.

    Args:
        found: Spaces that the keys open; at least one.
        keys: The keys.
        voice: Of the command; nobody is asked where it speaks to a program.
        told: Ids that people gave, or that an invite did.
        what: What opens them, as in "these words open".
        single: Whether one alone can be meant.

    Raises:
        NotConfirmed: It is not known which are meant.
    """
    chosen = [space for space in found if matches(space.id, told)]
    if chosen and not (single and len(chosen) > 1):
        return chosen
    if len(found) == 1 and sys.stdin.isatty() and not voice.json:
        if _is_meant(found[0], keys):
            return list(found)
        raise NotConfirmed("it was not confirmed that this is the space that is meant", hint="nothing was changed")
    ids = ", ".join(shown_id(space.id) for space in found)
    raise NotConfirmed(
        f"the stores hold {count(len(found), 'space')} that {what}, and nobody has said that"
        f" {'it is' if len(found) == 1 else 'any of them is'} meant: {ids}",
        hint=f"{WHY}: compare it with what was written down, or with `ropewalk space list` on another machine, and"
        " give it: --id DIGITS",
    )


def _is_meant(space: FoundSpace, keys: DeviceKeys) -> bool:
    ring, membership = open_ring(space.membership.epochs, keys).ring, space.membership
    names = [one.called for one in people(membership, ring, keys.public().id)]
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    maker = Names(membership, ring).whose(membership.records[0].author)
    for line in (
        f"There is a space in {', '.join(space.stores)}:",
        f"    id       {shown_id(space.id)}",
        f"    made     {date(membership.created)}, by {maker}",
        f"    members  {', '.join(names[:MOST_NAMES])}{more}",
    ):
        print(shown(line), file=sys.stderr)
    print(
        "Only the id can be relied on: stores can make another space for the same keys, with any names and dates.\n"
        "Look it up where it was written down, or on another machine with `ropewalk space list`.",
        file=sys.stderr,
    )
    return agreed("Is this the id of the space that you mean? (yes/no) ")
