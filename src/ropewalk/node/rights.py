"""Rights: whether a key may do something with an object, by the grants and by what its space says of it.

Flow: key, name, act -> the space in the name -> Skeleton, grants -> who pays, or NotGranted with the reason
Never: tells who else may.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ropewalk.errors import Refused
from ropewalk.node.grants import OUTSIDE, Act, Grant, Standing, paying
from ropewalk.node.skeleton import Skeleton
from ropewalk.spaces.members import Role, records_prefix
from ropewalk.spaces.passport import left_prefix, prefix_of
from ropewalk.spaces.store import object_name

__all__ = ["NotGranted", "Rights", "is_of_records", "space_of"]

_HEX = frozenset("0123456789abcdef")


class NotGranted(Refused):
    """No grant lets this key do this here."""

    code = "node.not-granted"


def space_of(name: str) -> bytes | None:
    """The space that an object belongs to by its name, or None."""
    first, slash, _ = name.partition("/")
    if not slash or len(first) != 64 or not _HEX.issuperset(first):
        return None
    return bytes.fromhex(first)


def is_of_records(name: str) -> bool:
    """Whether a name is that of a membership record."""
    space = space_of(name)
    return space is not None and name.startswith(records_prefix(space))


class Rights:
    """Those at one offer.

    Args:
        offer: Its name.
        store: The store's id, from which follows where a device looks what the store does.
        skeleton: Of the store's spaces.
        grants: All of the node, as they are now, the oldest first.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        offer: str,
        store: bytes,
        skeleton: Skeleton,
        grants: Callable[[], Sequence[Grant]],
        now: Callable[[], float],
    ) -> None:
        self._offer, self._store, self._skeleton, self._grants, self._now = offer, store, skeleton, grants, now

    def given(self, key: bytes) -> list[Grant]:
        """What this key was given itself."""
        now = self._now()
        return [
            grant for grant in self._grants() if grant.offer == self._offer and key in grant.keys and grant.holds(now)
        ]

    async def payers(self, key: bytes, space: bytes | None, act: Act) -> list[Grant]:
        """The grants by which a key may do something with a space, those that pay first; none: it may not.

        Raises:
            Unavailable: The space's records cannot be read now.
        """
        standing = await self._standing(space, key)
        payers = paying(self._grants(), self._offer, key, space, standing, act, self._now())
        if not payers and space is not None and space.hex() in self._grounds(key):
            return [grant for grant in await self._writing(key) if act in grant.may]
        return payers

    def _grounds(self, key: bytes) -> tuple[str, str]:
        return prefix_of(key, self._store), left_prefix(key, self._store)

    async def _writing(self, key: bytes) -> list[Grant]:
        """The grants by which a key may put into any of the spaces that are followed."""
        found: dict[str, Grant] = {}
        for space in self._skeleton.spaces_of(key):
            standing = await self._standing(space, key)
            for grant in paying(self._grants(), self._offer, key, space, standing, Act.PUT, self._now()):
                found.setdefault(grant.id, grant)
        return list(found.values())

    async def let(self, key: bytes, name: str, act: Act) -> list[Grant]:
        """`payers`, of which there are some.

        Raises:
            NotGranted, Unavailable.
            Misuse: The name is not fit.
        """
        space = space_of(object_name(name))
        if payers := await self.payers(key, space, act):
            return payers
        raise await self.refusal(key, space, act)

    async def let_admin(self, key: bytes, space: bytes) -> None:
        """Go on only for an admin of a space who may do something here.

        Raises:
            NotGranted, Unavailable.
        """
        if (await self._standing(space, key)).role is not Role.ADMIN or not await self.payers(key, space, Act.GET):
            raise NotGranted("only an admin of the space may look into its trash here", hint="ask one of them")

    async def refusal(self, key: bytes, space: bytes | None, act: Act) -> NotGranted:
        """Why a key may not do something."""
        if (await self._standing(space, key)).put_out:
            return NotGranted("this device was put out of the space")
        whose = "" if space is not None else " outside of spaces"  # an id tells nobody which, and may be no space's
        return NotGranted(f"this key may not {act.value} objects{whose} here")

    async def _standing(self, space: bytes | None, key: bytes) -> Standing:
        return OUTSIDE if space is None else await self._skeleton.standing(space, key)
