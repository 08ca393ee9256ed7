"""Kept: passports in the home, one for each store, and looking at a store anew.

Flow: renew -> store opened, looked at; with what was known joined, signed -> state/passports/<id> -> load -> terms
Never: takes another's for more than nothing, or what cannot be read for nothing; looks at one store twice at once.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.spaces.home import Home, StoreSetting, write_file
from ropewalk.spaces.identity import DeviceKeys, PublicKeys
from ropewalk.spaces.passport.ground import PATIENCE, within
from ropewalk.spaces.passport.joining import joined
from ropewalk.spaces.passport.looking import look, sweep_left
from ropewalk.spaces.passport.record import LARGEST_PASSPORT, Passport, PassportDamaged, open_passport, sign
from ropewalk.spaces.passport.terms import terms
from ropewalk.spaces.places import OpenStore, scheme_of
from ropewalk.spaces.store import Terms

__all__ = ["BeingLookedAt", "keep", "kind_of", "load", "mark", "renew", "terms_of"]

FOLDER = "passports"


class BeingLookedAt(Unavailable):
    """Another process of this user looks at the store now."""

    code = "passport.being-looked-at"


def load(home: Home, identity: bytes, device: bytes | None) -> Passport | None:
    """What is known of a store; None where nothing is, or what is was found by another device.

    Args:
        home: Where it is kept.
        identity: The store's.
        device: The Ed25519 key of this device; None only to show what is kept.

    Raises:
        PassportDamaged: There is something, and nobody knows what it said.
    """
    try:
        with open(_path(home, identity), "rb") as file:
            data = file.read(LARGEST_PASSPORT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PassportDamaged(f"passport cannot be read: {(error.strerror or str(error)).lower()}") from None
    passport = open_passport(data, identity, None)
    return passport if device in (None, passport.device) else None


def terms_of(home: Home, setting: StoreSetting, device: PublicKeys) -> Terms:
    """On what terms a store is used, by what this device has seen of it."""
    try:
        return terms(load(home, bytes.fromhex(setting.id), device.ed25519))
    except PassportDamaged as error:  # it may have refused the store
        return Terms(refused=f"its passport is damaged: {error}")


def mark(home: Home, identity: bytes) -> tuple[int, ...]:
    """Differs once the passport of a store was renewed; costs next to nothing."""
    try:
        found = _path(home, identity).stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def keep(home: Home, passport: Passport, device: DeviceKeys) -> Passport:
    """Join a passport with what is known, sign it and keep it, durably; what is kept."""
    known = _known(home, passport.store, device.public().ed25519)
    kept = joined(known, passport)
    if kept != known:
        path = _path(home, passport.store)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(path, sign(kept, device))
    return kept


def _known(home: Home, identity: bytes, device: bytes) -> Passport | None:
    try:
        return load(home, identity, device)
    except PassportDamaged:
        return None  # the store was looked at, or is: what comes of that takes its place


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
    """Look at a store, and keep what was found; what is kept.

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
    async with within(PATIENCE, "store did not open within"):
        store = await open_store(setting.path, bytes.fromhex(setting.id))
    try:
        identity = bytes.fromhex(home.store(name).id)  # which may have been put down just now, behind a URL
        with _alone(home, identity):
            before = _known(home, identity, key)
            passport = await look(
                store,
                identity,
                key,
                kind_of(setting),
                clock=clock,
                now=now,
                chance=chance,
                before=before,
                quick=quick,
                leaving=leaving,
                restarted=restarted,
            )
            kept = keep(home, passport, device)
            # Not before: what the home says to be there must be there, or a restart would be blamed.
            with suppress(RopewalkError):
                await sweep_left(store, identity, key, kept.left, clock=clock, now=now)
            return kept
    finally:
        await store.aclose()


def kind_of(setting: StoreSetting) -> str:
    """What a store is reached by."""
    return scheme_of(setting.path) or "folder"


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
