"""The store: one place that keeps opaque objects under names, and the errors it may raise.

Flow: pool -> Store -> a folder, a node, a bucket
Never: looks inside an object, or is trusted for secrecy, integrity or freshness.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol, runtime_checkable

from ropewalk.errors import Damaged, Missing, Misuse, Refused, Unavailable

__all__ = [
    "LARGEST_HINT",
    "LARGEST_OBJECT",
    "GivesMany",
    "Listed",
    "NameTaken",
    "NoSuchObject",
    "ObjectName",
    "Parts",
    "Room",
    "Store",
    "StoreDamaged",
    "StoreFull",
    "StoreGone",
    "StoreReadOnly",
    "Tells",
    "TellsNothing",
    "hint_name",
    "object_name",
    "wait_changed",
]

ObjectName = NewType("ObjectName", str)
Parts = Sequence[bytes | bytearray | memoryview]  # the object is their concatenation; saves a copy of large ones

LARGEST_OBJECT = 64 * 1024 * 1024  # bytes; twice a full pack, so that no listing of sizes can ask us for more memory
LARGEST_HINT = 64 * 1024  # bytes; a hint is read again and again, by everybody
LONGEST_NAME = 200  # characters in all; leaves room for a bucket's prefix below the 255 of the narrowest file system
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*\Z")
_HINT = re.compile(r"[0-9a-f]{64}/hints/[0-9a-f]{32}\Z")


class NoSuchObject(Missing):
    """The store answers, and has no object of this name."""

    code = "store.no-such-object"


class NameTaken(Refused):
    """The name holds other bytes; they were left as they are."""

    code = "store.name-taken"


class StoreFull(Unavailable):
    """No room: nothing of the object was kept."""

    code = "store.full"


class StoreReadOnly(Refused):
    """The place cannot be written: nothing of the object was kept."""

    code = "store.read-only"


class StoreGone(Unavailable):
    """The place does not answer, or is not the store it was.

    Not known whether a put was kept; trying again is safe.
    """

    code = "store.gone"


class StoreDamaged(Damaged):
    """The place gave an error, or fewer bytes than it lists, for an object it does list."""

    code = "store.damaged"


class TellsNothing(Refused):
    """This store cannot say when a hint has changed: it has to be read every now and then."""

    code = "store.tells-nothing"


@dataclass(frozen=True, slots=True)
class Listed:
    """One object in a listing."""

    name: ObjectName
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Room:
    """How much a store can hold, in bytes."""

    total: int
    free: int


class Store(Protocol):
    """The calls every store answers.  ``ropewalk.testing.check_store`` is the contract in full."""

    async def put(self, name: ObjectName, parts: Parts) -> None:
        """Keep an object; once this returns it outlasts a power cut.

        A name that is taken by the same bytes is made durable and is a success; nothing is ever overwritten, and
        a reader sees the whole object or none of it.  The parts stay as they are until this returns or is cancelled;
        a cancelled put keeps the whole object or none of it.

        Raises:
            NameTaken: Other bytes lie under the name; or it is below another object's name, or above one, and this
                store cannot hold both (``a`` and ``a/b``).
            StoreFull, StoreReadOnly: Nothing was kept.
            StoreGone: Not known whether it was kept.
            StoreDamaged: What lies under the name cannot be read.
            Misuse: The name is not fit, or the object is larger than ``LARGEST_OBJECT``.
        """

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        """``put`` each; all are durable once this returns, for fewer waits than one by one.

        The first error is raised, and any of the others may have been kept.
        """

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        """Keep a hint in the place of what its name held, if anything (docs/spec/store.md 1).

        A reader sees the old bytes or the new ones, whole; a store that cannot do that shows none in between.  Of
        several at once any may be the last.  After a power cut the name may hold anything, or nothing.

        Raises:
            NameTaken: It is below an object's name, or above one.
            StoreFull, StoreReadOnly: What was there still is.
            StoreGone: Not known whether it was kept.
            Misuse: The name is no hint's, or there is more than ``LARGEST_HINT``.
        """

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes from ``offset``, ``length`` of them or all the rest; fewer where the object ends before.

        Raises:
            NoSuchObject, StoreGone, StoreDamaged.
            Misuse: ``offset`` or ``length`` is below 0.
        """

    def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        """The objects whose names start with ``prefix`` and are greater than ``after``, by name in byte order.

        What is put or deleted while the listing runs may or may not be in it; all else is, once.
        """

    async def delete(self, name: ObjectName) -> None:
        """Forget an object, durably; one that is not there is a success."""

    async def room(self) -> Room | None:
        """What is left, or None where the store cannot say."""

    async def aclose(self) -> None:
        """Let go of what the store holds open; calls under way end first.

        Closing twice is harmless; any other call after it is Misuse.
        """


@runtime_checkable
class Tells(Protocol):
    """What some stores can do besides: tell that a hint has changed."""

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        """Wait until a hint may be another one than it was at ``mark``; the mark it is at now.

        At once for a mark that is empty, or not this store's.  It may come too often, and not for each of several
        changes; what the hint is now, ``get`` says.

        Raises:
            StoreGone.
            TellsNothing: This store cannot, after all.
            Misuse: The name is no hint's; or the store was closed.
        """


@runtime_checkable
class GivesMany(Protocol):
    """What some stores can do besides: give many small objects for less than one by one."""

    async def get_many(self, names: Sequence[ObjectName], most: int) -> list[bytes | None]:
        """The first ``most`` bytes of each object; None for one that is to be asked for alone, whatever ails it.

        Raises:
            Misuse: ``most`` is below 0, or the store was closed.
        """


async def wait_changed(store: Store, name: ObjectName, mark: bytes) -> bytes:
    """As `Tells.wait_changed`, of any store.

    Raises:
        TellsNothing: It cannot tell.
        StoreGone, Misuse.
    """
    if not isinstance(store, Tells):
        raise TellsNothing("this store does not tell of changes", hint="read the hint every now and then")
    return await store.wait_changed(name, mark)


def hint_name(name: str) -> ObjectName:
    """``name`` once it is known to be a hint's: ``<64 hex digits>/hints/<32 hex digits>``.

    Raises:
        Misuse: It is not.
    """
    if not _HINT.match(name):
        raise Misuse(f"object {name[:80]!r} cannot be replaced: want a hint, <64 hex>/hints/<32 hex>")
    return ObjectName(name)


def object_name(name: str) -> ObjectName:
    """``name`` once it is known to be fit for every engine.

    Raises:
        Misuse: Not lower-case letters, digits, ``. _ -`` in non-empty segments, or too long.
    """
    if len(name) > LONGEST_NAME or not _NAME.match(name):
        raise Misuse(f"object name {name[:80]!r} is not fit: want [a-z0-9._-] segments, at most {LONGEST_NAME} long")
    return ObjectName(name)
