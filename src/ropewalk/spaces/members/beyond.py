"""Beyond: what a space's records say that this version does not know, and how those say it who stand in its way.

Flow: Membership, KeyRing -> words for errors
Never: judges whether it was meant: a newer version raises a level in earnest, and an admin who turned does it too.
"""

from __future__ import annotations

from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.members.membership import Membership, NotAMember
from ropewalk.spaces.members.people import Names

__all__ = ["UNRELEASED", "check_released", "told_of_unreleased", "why_read_only"]

MOST_NAMED = 8  # devices in one message
UNRELEASED = "the space was made by an unreleased version of ropewalk"
GET_OUT = "get the files out with `ropewalk get` of that version, and make a new space"


def why_read_only(membership: Membership, keys: KeyRing) -> tuple[str, str]:
    """The message and the hint of an error, of a space that this version may only read: who made it so."""
    listed = _by(membership, keys)
    if membership.unreleased:
        why, hint = f"{UNRELEASED}: it has membership records of that, of {listed}", GET_OUT
    else:
        why, hint = f"the space has membership records that this version does not know, of {listed}", "upgrade ropewalk"
    hint += "; if they were not meant, an admin takes them back by putting out who made them: "
    return why, hint + "`ropewalk member remove`, or `ropewalk device revoke` for a device of one's own"


def check_released(membership: Membership, device: bytes) -> None:
    """Return unless this device is unknown where some members are left out.

    Raises:
        NotAMember: It is.
    """
    if membership.unreleased and device not in membership.devices:
        raise NotAMember(f"{UNRELEASED}, and this device is not known to have come in otherwise", hint=GET_OUT)


def told_of_unreleased(membership: Membership, keys: KeyRing) -> list[str]:
    """What to tell people of a space some of whose members this version leaves out, if it does."""
    if not membership.unreleased:
        return []
    by = _by(membership, keys)
    return [f"{UNRELEASED}, by {by}: who came by that is left out, and nothing can be changed; {GET_OUT}"]


def _by(membership: Membership, keys: KeyRing) -> str:
    names = Names(membership, keys)
    by = sorted(names.whose(device) for device in membership.beyond)
    return ", ".join(by[:MOST_NAMED]) + (f" and {len(by) - MOST_NAMED} more" if len(by) > MOST_NAMED else "")
