"""Offered: one store that a node offers, asked by somebody who has shown a key.

Flow: key, call -> rights by grants and by the space's records -> register (room) -> the store in the folder
Never: speaks with a network; answers a call for a space before all of its records that were put are heeded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from ropewalk.errors import Misuse, Refused, RopewalkError
from ropewalk.node.books import Books
from ropewalk.node.counts import OfferCounts, Sizes
from ropewalk.node.grants import Act, Grant
from ropewalk.node.held import Held
from ropewalk.node.notices import Notices
from ropewalk.node.pieces import PIECE, gathered, hastened
from ropewalk.node.register import OverQuota, Register, Trashed
from ropewalk.node.rights import NotGranted, Rights, is_of_records, space_of
from ropewalk.node.skeleton import Skeleton
from ropewalk.spaces.members import is_record
from ropewalk.spaces.members.records import parse
from ropewalk.spaces.store import (
    LARGEST_HINT,
    DiskStore,
    Listed,
    NoSuchObject,
    ObjectName,
    Room,
    hint_name,
    object_name,
)

__all__ = ["LONGEST_VETO", "Offered", "Vetoed"]

LONGEST_VETO = 90 * 24 * 3600.0  # seconds


class Vetoed(Refused):
    """An admin of the space wants nothing of it deleted for now."""

    code = "node.vetoed"


class Offered:
    """An offer.

    Args:
        name: What the owner calls it.
        store: The folder.
        register: Who pays for what.
        skeleton: Of this store's spaces.
        grants: All of the node, as they are now, the oldest first.
        quota: Bytes for all guests, or None, as it is now.
        keep: Seconds that what is deleted stays, as it is now.
        now: Seconds since 1970.
        counts: What happens here.
    """

    def __init__(
        self,
        name: str,
        store: DiskStore,
        register: Register,
        skeleton: Skeleton,
        *,
        grants: Callable[[], Sequence[Grant]],
        quota: Callable[[], int | None],
        keep: Callable[[], float],
        now: Callable[[], float],
        counts: OfferCounts,
    ) -> None:
        self.name, self.store, self.counts = name, store, counts
        self.notices = Notices(store)
        self._register, self._skeleton = register, skeleton
        self._quota, self._keep = quota, keep
        self._rights = Rights(name, store.identity, skeleton, grants, now)
        self.books = Books(name, store, register)
        self.account = self.books.account

    async def settle(self) -> None:
        """After a crash: what the register and the folder say is made one."""
        await self.books.settle(self._keep())

    @property
    def sizes(self) -> Sizes:
        """What is used of it now."""
        return Sizes(self._register.used(self.account), self._register.trashed_bytes(self.account), self._quota())

    async def look(self) -> None:
        """Heed records that came into the folder without the node.

        Raises:
            StoreGone.
        """
        await self._skeleton.look()

    # -- reading ---------------------------------------------------------------------------------------------------

    async def get(self, key: bytes, name: str, offset: int, length: int) -> bytes:
        """A range of at most `PIECE`.

        Raises:
            NotGranted, NoSuchObject, StoreGone, StoreDamaged, Misuse.
        """
        await self._rights.let(key, name, Act.GET)
        if length > PIECE:
            raise Misuse(f"{length} bytes are asked for in one answer, expected at most {PIECE}", hint="read a stream")
        return await self._got(name, offset, length)

    async def read(self, key: bytes, name: str, offset: int, length: int | None) -> AsyncIterator[bytes]:
        """A range, piece by piece; whoever loses the right meanwhile gets no more.

        Raises:
            NotGranted, NoSuchObject, StoreGone, StoreDamaged, Misuse.
        """
        left = length
        while left is None or left > 0:
            await self._rights.let(key, name, Act.GET)
            wanted = PIECE if left is None else min(PIECE, left)
            piece = await self._got(name, offset, wanted)
            if piece:
                yield piece
            if len(piece) < wanted:
                return
            offset += wanted
            if left is not None:
                left -= wanted

    async def _got(self, name: str, offset: int, length: int) -> bytes:
        try:
            return await self.store.get(object_name(name), offset, length)
        except NoSuchObject:
            await self.books.missed(name)
            raise

    async def page(self, key: bytes, prefix: str, after: str, most: int) -> list[Listed]:
        """What is there and may be read by who asks, by name; fewer than ``most`` only at the end.

        Raises:
            NotGranted: All of it is of one space, which may not be read; an empty list would say that it is gone.
            StoreGone.
        """
        if (asked := space_of(prefix)) is not None and not await self._rights.payers(key, asked, Act.GET):
            raise await self._rights.refusal(key, asked, Act.GET)
        found: list[Listed] = []
        seen: tuple[bytes | None, bool] | None = None  # the space before, and whether it may be read
        start: str | None = after
        while start is not None:
            listing, start = self.store.list(prefix, start), None
            async for listed in listing:
                space = space_of(listed.name)
                if seen is None or seen[0] != space:
                    seen = space, bool(await self._rights.payers(key, space, Act.GET))
                if seen[1]:
                    found.append(listed)
                    if len(found) >= most:
                        return found
                elif space is not None:
                    start = f"{space.hex()}0"  # behind all of its names: "0" follows "/"
                    break
        return found

    async def wait_changed(self, key: bytes, name: str, mark: bytes) -> bytes:
        """As `Store.wait_changed`, for a while.

        Raises:
            NotGranted, NodeBusy, StoreGone, Misuse.
        """
        hint = hint_name(name)
        await self._rights.let(key, name, Act.GET)
        return await self.notices.wait(hint, mark)

    async def room(self, key: bytes) -> Room | None:
        """What is left for who asks, as far as that can be said without naming a space; a stranger is told nothing."""
        if not self._rights.given(key) and not self.meets(key):
            return None
        room = await self.store.room()
        total, free = (room.total, room.free) if room is not None else (1 << 62, 1 << 62)
        own = self._rights.given(key)
        bounds = [(self._quota(), self._register.used(self.account))]
        if own and all(grant.quota is not None for grant in own):
            used = sum(self._register.used(self.account, grant.id) for grant in own)
            bounds.append((sum(grant.quota or 0 for grant in own), used))
        for quota, used in bounds:
            if quota is not None:
                total, free = min(total, quota), min(free, max(quota - used, 0))
        return Room(total, free) if total < 1 << 62 else None

    # -- writing ---------------------------------------------------------------------------------------------------

    async def put(self, key: bytes, name: str, size: int, pieces: AsyncIterator[bytes]) -> None:
        """`Store.put` of what comes piece by piece.

        Raises:
            NotGranted, OverQuota, NameTaken, StoreFull, StoreReadOnly, StoreGone, StoreDamaged, Misuse.
        """
        payers = await self._rights.let(key, name, Act.PUT)
        if is_of_records(name):
            data = await gathered(name, size, pieces)
            (error,) = await self.put_small(key, [(name, data)])
            if error is not None:
                raise error
            return
        with await self._reserve(name, size, payers) as held:
            async with self.store.receive(object_name(name), size) as incoming:
                async for piece in hastened(pieces):
                    await incoming.write(piece)
                await self._rights.let(key, name, Act.PUT)  # it may have taken long
                await self.books.keep(held, name, size, incoming.finish)

    async def put_small(self, key: bytes, objects: Sequence[tuple[str, bytes]]) -> list[RopewalkError | None]:
        """Put several; of each, why it was not kept."""
        outcomes: list[RopewalkError | None] = []
        for name, data in objects:
            try:
                payers = await self._rights.let(key, name, Act.PUT)
                if is_of_records(name) and not (is_record(name, data) and parse(data) is not None):
                    raise NotGranted(f"{name} is no membership record, and only these are taken there")
                with await self._reserve(name, len(data), payers) as held:
                    await self.books.keep(held, name, len(data), partial(self._put_whole, name, data))
            except RopewalkError as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
        return outcomes

    async def replace(self, key: bytes, name: str, data: bytes) -> None:
        """`Store.replace`.

        Raises:
            NotGranted, OverQuota, NameTaken, StoreFull, StoreReadOnly, StoreGone, Misuse.
        """
        payers = await self._rights.let(key, name, Act.PUT)
        put = partial(self.store.replace, hint_name(name), (data,))
        with await self._reserve(name, LARGEST_HINT, payers) as held:  # whatever it is replaced by
            await self.books.keep(held, name, LARGEST_HINT, put)

    async def _put_whole(self, name: str, data: bytes) -> None:
        await self.store.put(object_name(name), (data,))
        self._was_put(name)

    async def aclose(self) -> None:
        """Let what is under way end, and close the folder."""
        await self.notices.aclose()
        await self.books.aclose()
        await self.store.aclose()

    async def _reserve(self, name: str, size: int, payers: Sequence[Grant]) -> AbstractContextManager[Held]:
        try:
            self._register.payer(self.account, size, payers, self._quota())
        except OverQuota:
            if not await self._register.counts(self.account, name):
                raise
            return nullcontext(self._register.nothing(self.account, payers[0]))  # what is put again costs no more
        return self._register.reserve(self.account, size, payers, self._quota())

    def _was_put(self, name: str) -> None:
        space = space_of(name)
        if space is not None and is_of_records(name):
            self._skeleton.put(space, ObjectName(name))

    # -- deleting --------------------------------------------------------------------------------------------------

    async def delete(self, key: bytes, name: str) -> None:
        """`Store.delete`, into the trash.

        Raises:
            NotGranted, Vetoed, StoreFull, StoreReadOnly, StoreGone, Misuse.
        """
        await self._rights.let(key, name, Act.DELETE)
        space = space_of(name)
        if is_of_records(name):
            raise NotGranted("membership records are not deleted here: who was put out would be in again")
        if space is not None and (left := await self._register.vetoed(self.account, space)) > 0:
            raise Vetoed(
                f"nothing of this space is deleted for the next {left / 86_400:.1f} days: an admin of it wants that"
            )
        worth = await self._worth_keeping(key, space)
        await (self.books.set_aside(name, space, self._keep()) if worth else self.books.delete(name))

    async def _worth_keeping(self, key: bytes, space: bytes | None) -> bool:
        """Whether an admin might take it back: of a space that there are, or lately were, records of."""
        if space is None:
            return False
        if (await self._skeleton.standing(space, key)).known:
            return True
        return bool(await self._register.trash(self.account, space, "", 1))

    async def trash(self, key: bytes, space: bytes, after: str, most: int) -> list[Trashed]:
        """What was deleted of a space and is kept, by label.

        Raises:
            NotGranted: Who asks is no admin of it.
        """
        await self._rights.let_admin(key, space)
        return await self._register.trash(self.account, space, after, most)

    async def take_back(self, key: bytes, space: bytes, labels: Iterable[str]) -> int:
        """Undo deletions; how many came back.

        Raises:
            NotGranted: Who asks is no admin of it.
            StoreFull, StoreReadOnly, StoreGone.
        """
        await self._rights.let_admin(key, space)
        count = 0
        for label in labels:
            if (found := await self._register.trashed(self.account, space, label)) is None:
                continue
            if await self.books.take_back(label, found.name):
                self._was_put(found.name)
                count += 1
        return count

    async def veto(self, key: bytes, space: bytes, seconds: float) -> None:
        """For so long nothing of a space is deleted.

        Raises:
            NotGranted: Who asks is no admin of it.
            Misuse: Too long.
        """
        await self._rights.let_admin(key, space)
        if not 0 <= seconds <= LONGEST_VETO:
            raise Misuse(f"a veto of {seconds} s, expected 0 to {LONGEST_VETO:.0f}")
        await self._register.veto(self.account, space, seconds)

    # -- who asks --------------------------------------------------------------------------------------------------

    def given(self, key: bytes) -> list[Grant]:
        """What this key was given itself."""
        return self._rights.given(key)

    def meets(self, key: bytes) -> bool:
        """Whether a key stands in one of the spaces that are followed by now."""
        return self._skeleton.meets(key)

    def offer(self, key: bytes) -> dict[str, object]:
        """What somebody is told of this store (docs/spec/node.md 2)."""
        own = self._rights.given(key)
        bounded = bool(own) and all(grant.quota is not None for grant in own)
        spaces = (
            None if any(grant.spaces is None for grant in own) else [one for grant in own for one in grant.spaces or ()]
        )
        ends = (
            None if any(grant.until is None for grant in own) else max((grant.until or 0 for grant in own), default=0)
        )
        return {
            "name": self.name,
            "id": self.store.identity,
            "quota": sum(grant.quota or 0 for grant in own) if bounded else None,
            "used": sum(self._register.used(self.account, grant.id) for grant in own),
            "may": sorted({act.value for grant in own for act in grant.may}),
            "spaces": spaces,
            "until": ends,
        }
