"""Kept: passports in the home, one for each store, and looking at a store anew.

Flow: renew -> store opened, looked at, signed -> state/passports/<identity> -> load -> terms
Never: takes what cannot be read, or is another's, for more than nothing; looks at one store twice at once.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.spaces.home import Home, write_file
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.passport.looking import look, sweep_left
from ropewalk.spaces.passport.record import LARGEST_PASSPORT, Passport, PassportDamaged, open_passport, sign
from ropewalk.spaces.passport.terms import due, terms
from ropewalk.spaces.places import OpenStore, scheme_of

__all__ = ["BeingLookedAt", "keep", "load", "renew"]

FOLDER = "passports"


class BeingLookedAt(Unavailable):
    """Another process of this user looks at the store now."""

    code = "passport.being-looked-at"


def load(home: Home, identity: bytes, device: bytes | None) -> Passport | None:
    """What is known of a store.

    Args:
        home: Where it is kept.
        identity: The store's.
        device: The Ed25519 key of this device; None only to show what is kept.
    """
    try:
        with open(_path(home, identity), "rb") as file:
            data = file.read(LARGEST_PASSPORT + 1)
        return open_passport(data, identity, device)
    except (OSError, PassportDamaged):
        return None


def keep(home: Home, passport: Passport, device: DeviceKeys) -> bool:
    """Sign a passport and keep it, durably; False where a fuller one that is not due stays."""
    known = load(home, passport.store, device.public().ed25519)
    if known is not None and passport.quick and not due(known, passport.time) and not terms(passport).refused:
        lasting = known.left, known.finding("durability")
        if lasting == (passport.left, passport.finding("durability")):
            return False
    path = _path(home, passport.store)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_file(path, sign(passport, device))
    return True


async def renew(
    home: Home,
    name: str,
    device: DeviceKeys,
    open_store: OpenStore,
    *,
    clock: Callable[[], float],
    now: Callable[[], int],
    chance: Callable[[int], bytes] = os.urandom,
    quick: bool = False,
    leaving: bool = False,
    restarted: bool = False,
) -> Passport:
    """Look at a store, and keep what was found.

    Args:
        home: Where it is kept.
        name: The user's name for the store.
        device: Signs.
        open_store: Opens a store at a place.
        clock, now, chance, quick, leaving, restarted: As `look` takes them.

    Raises:
        Unavailable: It does not answer, or stopped doing so; what was known of it stays.
        UnknownName, NothingLeft, BeingLookedAt.
    """
    setting, key = home.store(name), device.public().ed25519
    store = await open_store(setting.path, bytes.fromhex(setting.id))
    try:
        identity = bytes.fromhex(home.store(name).id)  # which may have been put down just now, behind a URL
        with _alone(home, identity):
            before = load(home, identity, key)
            passport = await look(
                store,
                identity,
                key,
                scheme_of(setting.path) or "folder",
                clock=clock,
                now=now,
                chance=chance,
                before=before,
                quick=quick,
                leaving=leaving,
                restarted=restarted,
            )
            keep(home, passport, device)
            # Not before: what the home says to be there must be there, or a restart would be blamed.
            with suppress(RopewalkError):
                await sweep_left(store, identity, key, passport.left, clock=clock, now=now)
            return passport
    finally:
        await store.aclose()


@contextmanager
def _alone(home: Home, identity: bytes) -> Iterator[None]:
    """Two looks at once would sweep away each other's objects, and call the store a liar for it."""
    path = _path(home, identity).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BeingLookedAt(
                "this store is being looked at by another process", hint="wait until it is done"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _path(home: Home, identity: bytes) -> Path:
    return home.state / FOLDER / f"{identity.hex()}.passport"
