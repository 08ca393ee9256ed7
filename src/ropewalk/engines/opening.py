"""Opening: an empty bucket or prefix becomes a store, a store's bucket is recognised.

Flow: places -> open_engine -> Bucket, Keeper -> ObjectStore
Never: makes a store where anything lies already, or makes a bucket.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

from ropewalk.engines.address import EngineAddress
from ropewalk.engines.bucket import Bucket
from ropewalk.engines.credentials import find_credentials
from ropewalk.engines.keeping import TRIED, Keeper, read_identity
from ropewalk.engines.objects import THREADS, ObjectStore
from ropewalk.errors import Misuse
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.store import StoreReadOnly
from ropewalk.spaces.store.marker import IDENTITY, MARKER, marker_bytes
from ropewalk.spaces.store.threads import Threads

__all__ = ["create_engine", "open_engine", "open_place"]


async def open_engine(url: str, identity: bytes | None = None, *, home: Home) -> ObjectStore:
    """The store in a bucket, which must be ``identity`` where that is given.

    Args:
        url: As `EngineAddress` takes it.
        identity: Of the store, 16 bytes.
        home: Whose folder for settings may have credentials in it.

    Raises:
        StoreGone: There is no store there, or it is another one, or the engine does not answer.
        StoreDamaged, UnknownStoreFormat: The marker cannot be understood.
        BadEngineAddress, EnginesMissing, NoCredentials, CredentialsUnfit.
    """
    address = EngineAddress.parse(url)

    def made() -> Keeper:
        bucket = Bucket(address, find_credentials(address, home.config))
        keeper = Keeper(bucket, identity if identity is not None else read_identity(bucket))
        if identity is not None:
            keeper.confirm()
        return keeper

    return await _made(made)


async def open_place(place: str, identity: bytes | None, home: Home, _device: DeviceKeys) -> ObjectStore:
    """`open_engine`, as places are opened."""
    return await open_engine(place, identity, home=home)


async def create_engine(url: str, *, home: Home) -> ObjectStore:
    """Make an empty bucket, or an empty prefix of one, a store, and open it.

    Raises:
        Misuse: It is a store, or is not empty.
        StoreReadOnly, StoreFull: It cannot be written.
        StoreGone: The engine does not answer, or has no such bucket.
        BadEngineAddress, EnginesMissing, NoCredentials, CredentialsUnfit.
    """
    address = EngineAddress.parse(url)
    if address.read_only:
        raise StoreReadOnly(f"no store can be made at {address}: {address.scheme}:// is only read")
    return await _made(partial(_created, address, home))


def _created(address: EngineAddress, home: Home) -> Keeper:
    bucket = Bucket(address, find_credentials(address, home.config))
    if bucket.size(MARKER) is not None:
        raise Misuse(f"{address} is a store already", hint="open it, or choose another prefix")
    # What conditions are tried on is there where making a store was cut short.
    if held := next((key for key, _ in bucket.everything() if key != TRIED), ""):
        raise Misuse(f"{address} is not empty: {held[:80]!r} is in it", hint="choose an empty bucket or prefix")
    keeper = Keeper(bucket, secrets.token_bytes(IDENTITY))
    if keeper.conditional():
        first = bucket.create(MARKER, marker_bytes(keeper.identity))
    else:
        bucket.put(MARKER, marker_bytes(keeper.identity))
        first = read_identity(bucket) == keeper.identity
    if not first:
        raise Misuse(f"{address} is a store already", hint="someone else made it just now")
    return keeper


async def _made(make: Callable[[], Keeper]) -> ObjectStore:
    threads = Threads(THREADS, "ropewalk-engine")
    try:
        return ObjectStore(await threads.run(make), threads)
    except BaseException:
        threads.stop()
        raise
