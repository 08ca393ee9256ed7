"""A bucket in memory, with the habits of engines that were met.

Flow: a test -> FakeBucket, in place of `Bucket`
Never: is kinder than they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from ropewalk.engines.bucket import Bucket
from ropewalk.engines.keeping import Keeper
from ropewalk.spaces.store import Listed, ObjectName
from ropewalk.spaces.store.marker import MARKER, marker_bytes

__all__ = ["IDENTITY", "FakeBucket", "keeper"]

IDENTITY = bytes(range(16))


class FakeBucket:
    """What `Keeper` asks of a bucket.

    Attributes:
        conditions: Whether it creates on condition, ignores that, or refuses it.
        tree: Whether it lists as one walks a tree of folders, or by the bytes of whole names.
        before: Told of each call before it does anything.
    """

    where = "s3://fake"
    ordered = True

    def __init__(self, conditions: bool | None = True, *, tree: bool = False) -> None:
        self.conditions, self.tree = conditions, tree
        self.objects = {MARKER: marker_bytes(IDENTITY)}
        self.calls: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda call, name: None
        self.listed = 0

    def _called(self, call: str, name: str) -> None:
        self.calls.append((call, name))
        self.before(call, name)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes | None:
        self._called("read", name)
        held = self.objects.get(name)
        return held if held is None else held[offset:][:length]

    def size(self, name: str) -> int | None:
        self._called("size", name)
        held = self.objects.get(name)
        return held if held is None else len(held)

    def modified(self, name: str) -> int | None:
        self._called("modified", name)
        return None

    def put(self, name: str, body: bytes) -> None:
        self._called("put", name)
        self.objects[name] = body

    def create(self, name: str, body: bytes) -> bool | None:
        self._called("create", name)
        if self.conditions is None:
            return None
        if self.conditions and name in self.objects:
            return False
        self.objects[name] = body
        return True

    def delete(self, name: str) -> None:
        self._called("delete", name)
        self.objects.pop(name, None)

    def names(self, folder: str, begin: str = "") -> Iterator[Listed]:
        self._called("names", folder)
        below = [name for name in self.objects if name.startswith(f"{folder}/") or not folder]
        if self.tree:
            below.sort(key=lambda name: name.split("/"))
            start = begin.rstrip("/").split("/")
            # What begins after a name leaves out all that is below it, where it is a folder's.
            below = [name for name in below if not begin or name.split("/")[: len(start)] > start]
        else:
            below = sorted(name for name in below if name > begin)
        for name in below:
            self.listed += 1
            yield Listed(ObjectName(name), len(self.objects.get(name, b"")))


def keeper(bucket: FakeBucket) -> Keeper:
    """What keeps a store in it."""
    return Keeper(cast(Bucket, bucket), IDENTITY)
