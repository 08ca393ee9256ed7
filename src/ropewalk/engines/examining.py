"""Examining: what an engine does that a store's calls do not show: conditions under a race, capital letters, its clock.

Flow: passport -> ObjectStore.examine -> Bucket, in threads
Never: leaves what it put there to look at, unless the engine went meanwhile; no listing of a store shows it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ropewalk.engines.bucket import Bucket
from ropewalk.spaces.store import Examined, StoreGone

__all__ = ["RACERS", "examine_bucket"]

RACERS = 16  # creates of one key at once
_LOOKED_AT = "_ropewalk-look-"  # how keys begin that are put for a moment

Run = Callable[[Callable[[], Any]], Awaitable[Any]]  # in a thread of the store


async def examine_bucket(bucket: Bucket, run: Run) -> Examined:
    """What an engine shows of itself.

    Raises:
        StoreFull, StoreReadOnly, StoreGone.
    """
    key = _LOOKED_AT + secrets.token_hex(8)
    try:
        made = await asyncio.gather(*[run(partial(bucket.create, key, b"%d" % turn)) for turn in range(RACERS)])
        return await run(partial(_looked, bucket, key, made.count(True)))  # type: ignore[no-any-return]
    finally:
        with suppress(StoreGone):
            await run(partial(bucket.delete, key))


def _looked(bucket: Bucket, key: str, made: int) -> Examined:
    if not made:  # it knows no conditions
        bucket.put(key, b"")
    return Examined(creates_once=made == 1, folds_case=bucket.size(key.upper()) is not None, time=bucket.modified(key))
