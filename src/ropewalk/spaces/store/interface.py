"""The store: one place that keeps opaque objects under names, and the errors it may raise.

Flow: pool -> Store -> a folder, a node, a bucket
Never: looks inside an object, or is trusted for secrecy, integrity or freshness.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

from ropewalk.errors import Damaged, Missing, Misuse, Refused, Unavailable

__all__ = [
    "LARGEST_OBJECT",
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
    "object_name",
]

ObjectName = NewType("ObjectName", str)
Parts = Sequence[bytes | bytearray | memoryview]  # the object is their concatenation; saves a copy of large ones

LARGEST_OBJECT = 64 * 1024 * 1024  # bytes; twice a full pack, so that no listing of sizes can ask us for more memory
LONGEST_NAME = 200  # characters in all; leaves room for a bucket's prefix below the 255 of the narrowest file system
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*\Z")


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
    """The five calls every store answers.  ``ropewalk.testing.check_store`` is the contract in full."""

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


def object_name(name: str) -> ObjectName:
    """``name`` once it is known to be fit for every engine.

    Raises:
        Misuse: Not lower-case letters, digits, ``. _ -`` in non-empty segments, or too long.
    """
    if len(name) > LONGEST_NAME or not _NAME.match(name):
        raise Misuse(f"object name {name[:80]!r} is not fit: want [a-z0-9._-] segments, at most {LONGEST_NAME} long")
    return ObjectName(name)
