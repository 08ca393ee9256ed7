"""Keeping: what a store promises, out of what an engine does.

Where the engine creates on condition, it settles who was first.  Where it does not know of conditions, each put looks
first, puts, and reads back: then two writers that put different bytes under one name at the same moment may both be
told that theirs is kept, and the first one's is gone.  Names commit to their bytes, so one of the two was lying, and a
reader passes over what does not match its name.  Within this process such puts take turns.

Flow: ObjectStore, in a thread -> Keeper -> Bucket
Never: takes an engine's word for knowing conditions: it is tried, on an object of our own, and again after an hour.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from ropewalk.engines.bucket import Bucket
from ropewalk.engines.order import HELD, in_order, start_of, wanted
from ropewalk.errors import Misuse
from ropewalk.spaces.store import (
    Listed,
    NameTaken,
    NoSuchObject,
    ObjectName,
    Parts,
    StoreGone,
    object_name,
    size_of,
)
from ropewalk.spaces.store.marker import LONGEST_MARKER, MARKER, parse_marker
from ropewalk.spaces.store.parts import checked_hint

__all__ = ["BELIEVED_FOR", "TRIED", "Keeper", "read_identity"]

BELIEVED_FOR = 3600.0  # seconds; a process may run for months, and its engine be changed or moved meanwhile
TRIED = "_ropewalk-create"  # the object that conditions are tried on; no name of a store's object begins so
_MOST_FOLDERS = 65536  # folders that are remembered not to be objects, some 10 MB; more are looked at again
_HELD_UNORDERED = 1 << 20  # names, some 250 MB, of an engine that lists in no order: then all must be held


class Keeper:
    """The store ``identity`` in a bucket.  Safe to call from several threads.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, bucket: Bucket, identity: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        self.bucket, self.identity, self._clock = bucket, identity, clock
        self._conditional: tuple[bool, float] | None = None  # and when it was found out
        self._turns = threading.Condition()
        self._under_way: set[str] = set()  # names that are being put; of several at once, one has its turn
        self._folders: set[str] = set()

    def confirm(self) -> None:
        """Raises StoreGone unless the bucket is still the store it was."""
        if (found := read_identity(self.bucket)) != self.identity:
            raise StoreGone(
                f"store at {self.bucket.where} is another one: want {self.identity.hex()}, got {found.hex()}",
                hint="is this the bucket and prefix it was?",
            )

    def conditional(self) -> bool:
        """Whether the engine keeps to the condition that there be nothing under a name yet."""
        known, now = self._conditional, self._clock()
        if known is None or now - known[1] >= BELIEVED_FOR:
            # Kept at the first try, it may have been missing; the second finds it, unless the condition is ignored.
            # Several threads may try at once, with the same result: if they took turns, one silent engine would keep
            # each of them waiting for all those before.
            known = any(self.bucket.create(TRIED, b"") is False for _ in range(2)), now
            self._conditional = known
        return known[0]

    def doubt(self) -> None:
        """Believe nothing of what was found out about conditions: it is looked at anew."""
        self._conditional = None

    def put(self, name: ObjectName, parts: Parts, abandoned: Callable[[], bool]) -> None:
        """Keep one object; `confirm` is left to the caller, once for many."""
        path = fit(name)
        size_of(parts)
        body = _joined(parts)
        if abandoned():  # what was joined may be torn
            return
        conditional = self.conditional()
        with self._turn(path):
            if not conditional:
                self._look_and_put(path, body)
            elif not self.bucket.create(path, body):
                self._compare(path, body)

    def replace(self, name: ObjectName, parts: Parts, abandoned: Callable[[], bool]) -> None:
        """Keep a hint."""
        checked_hint(name, parts)
        body = _joined(parts)
        if abandoned():
            return
        conditional = self.conditional()
        with self._turn(name):
            if not conditional:
                self._check_place(name)
                # An engine over a folder was seen to give a reader the size of the old one with bytes of the new.
                if self.bucket.size(name) is not None:
                    self.bucket.delete(name)
            self.bucket.put(name, body)
        self.confirm()

    def get(self, name: ObjectName, offset: int, length: int | None) -> bytes:
        """The range."""
        if (found := self.bucket.read(fit(name), offset, length)) is None:
            self.confirm()
            raise NoSuchObject(f"no object {name} in the store at {self.bucket.where}")
        return found

    def delete(self, name: ObjectName) -> None:
        """Take the name away."""
        # Looked at first: rclone, asked to delete what lies below an object and is not there, takes the object.
        if self.bucket.size(fit(name)) is not None:
            self.bucket.delete(name)
        self.confirm()

    def walk(self, prefix: str, after: str) -> Iterator[Listed]:
        """What `page` takes its listing from."""
        if (start := start_of(prefix, after)) is None:
            return
        bucket = self.bucket
        found = wanted(bucket.names(*start), prefix, after, ordered=bucket.ordered)
        yield from in_order(found, start[0], held=HELD if bucket.ordered else _HELD_UNORDERED, ordered=bucket.ordered)

    def page(self, found: Iterator[Listed], most: int) -> Sequence[Listed]:
        """The next of a listing, at most ``most``; fewer at its end."""
        page = list(islice(found, most))
        if len(page) < most:
            self.confirm()  # a bucket that is empty, or another, must not pass for the end of the listing
        return page

    def _look_and_put(self, path: str, body: bytes) -> None:
        held = self.bucket.read(path)
        if held is None:
            self._check_place(path)
            self.bucket.put(path, body)
            held = self.bucket.read(path)
        if held is None:
            raise StoreGone(f"object {path} was put into the store at {self.bucket.where} and is not there")
        if held != body:
            raise self._taken(path)

    def _check_place(self, path: str) -> None:
        """Refuse a name above or below an object: engines over folders were seen to remove the one for the other."""
        if next(self.bucket.names(path), None) is not None:
            raise NameTaken(f"name {path} is taken in the store at {self.bucket.where}: objects lie below it")
        for end, character in enumerate(path):
            if character == "/" and (folder := path[:end]) not in self._folders:
                if self.bucket.size(folder) is not None:
                    raise NameTaken(f"name {path} is taken in the store at {self.bucket.where}: it is below an object")
                if len(self._folders) >= _MOST_FOLDERS:
                    self._folders.clear()
                self._folders.add(folder)
        self._folders.discard(path)

    def _compare(self, path: str, body: bytes) -> None:
        held = self.bucket.read(path)
        if held is None and next(self.bucket.names(path), None) is None:
            raise StoreGone(
                f"store at {self.bucket.where} has something under {path}, and shows nothing", hint="try again"
            )
        if held != body:
            raise self._taken(path)

    def _taken(self, path: str) -> NameTaken:
        return NameTaken(f"name {path} is taken by other bytes in the store at {self.bucket.where}")

    @contextmanager
    def _turn(self, name: str) -> Iterator[None]:
        # Where the engine settles it too: one was seen to keep each of several that race waiting for a second.
        with self._turns:
            self._turns.wait_for(lambda: name not in self._under_way)
            self._under_way.add(name)
        try:
            yield
        finally:
            with self._turns:
                self._under_way.discard(name)
                self._turns.notify_all()


def read_identity(bucket: Bucket) -> bytes:
    """The identity that the marker in a bucket tells.

    Raises:
        StoreGone, StoreDamaged, UnknownStoreFormat.
    """
    if (text := bucket.read(MARKER, 0, LONGEST_MARKER)) is None:
        raise StoreGone(
            f"no store at {bucket.where}: want an object named {MARKER} in it",
            hint="is this the bucket and prefix it was?",
        )
    return parse_marker(text, bucket.where)


def fit(name: ObjectName) -> str:
    """The key of an object of this name.

    Raises:
        Misuse: The name is not fit.
    """
    if object_name(name).partition("/")[0] == MARKER:
        raise Misuse(f"object name {name!r} is not fit: {MARKER} is the store's own")
    return name


def _joined(parts: Parts) -> bytes:
    """The object in memory of its own: whoever gave the parts may use theirs again once he has given up."""
    if len(parts) == 1 and isinstance(parts[0], bytes):
        return parts[0]
    return b"".join(parts)
