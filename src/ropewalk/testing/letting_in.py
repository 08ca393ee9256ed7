"""Letting in: members and devices whose private keys are at hand, so that no ceremony is needed for their consent.

Flow: keys, a group or an author -> consents -> records
Never: is for anything but tests: who holds the keys of others can say anything for them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ropewalk.spaces.group import Group, Written
from ropewalk.spaces.identity import DEVICE, DeviceKeys, PublicKeys
from ropewalk.spaces.members import Consent, Role, consent, member_id, named_together, ticket

__all__ = ["SALT", "consents", "let_in", "let_in_device", "member_with"]

SALT = bytes(16)


def consents(
    space_id: bytes, pledge: bytes, role: int, keys: Sequence[DeviceKeys], beside: Sequence[PublicKeys] = ()
) -> list[Consent]:
    """Of the devices among keys that come together, to be the new member of a pledge; with role 0, one more device."""
    agreed, public = [ticket(space_id, pledge, role)], [*(one.public() for one in keys), *beside]
    return [
        consent(one, [other for other in public if other != one.public()], SALT, os.urandom(32), agreed)
        for one in keys
        if one.kind == DEVICE
    ]


def member_with(pledge: bytes, *keys: PublicKeys) -> bytes:
    """The id of the member that comes with these keys, by consents of ours."""
    return member_id(pledge, named_together(keys), SALT)


async def let_in(
    group: Group,
    role: Role,
    name: str,
    *keys: DeviceKeys,
    beside: Sequence[PublicKeys] = (),
    nonce: bytes | None = None,
) -> tuple[bytes, Written]:
    """A new member with these keys, and with paper keys beside; its id."""
    nonce = nonce or os.urandom(16)
    agreed = consents(group.space_id, group.pledge(nonce), role, keys, beside)
    return await group.add(role, name, [*(one.public() for one in keys), *beside], nonce, agreed)


async def let_in_device(group: Group, name: str, keys: DeviceKeys) -> Written:
    """One more device of the member whose device the group is open with."""
    return await group.add_device(name, keys.public(), consents(group.space_id, group.member, 0, [keys]))
