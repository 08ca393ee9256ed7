"""Beyond: what a space's records say that this version does not know, and how those say it who stand in its way.

Flow: Membership, KeyRing -> words for errors
Never: judges whether it was meant: a newer version raises a level in earnest, and an admin who turned does it too.
"""

from __future__ import annotations

from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.members.membership import Membership
from ropewalk.spaces.members.people import Names

__all__ = ["why_read_only"]

MOST_NAMED = 8  # devices in one message


def why_read_only(membership: Membership, keys: KeyRing) -> tuple[str, str]:
    """The message and the hint of an error, of a space that this version may only read: who made it so."""
    names = Names(membership, keys)
    by = sorted(names.whose(device) for device in membership.beyond)
    listed = ", ".join(by[:MOST_NAMED]) + (f" and {len(by) - MOST_NAMED} more" if len(by) > MOST_NAMED else "")
    why = f"the space has membership records that this version does not know, of {listed}"
    hint = "upgrade ropewalk; if they were not meant, an admin takes them back by putting out who made them: "
    return why, hint + "`ropewalk member remove`, or `ropewalk device revoke` for a device of one's own"
