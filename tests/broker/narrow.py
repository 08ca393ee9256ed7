"""Narrow: limits that a test reaches soon."""

from __future__ import annotations

import msgspec

from ropewalk.broker.limits import BEFORE_LOGIN

__all__ = ["NARROW"]

_MORE = {"frame": 80_000, "depth": 20, "questions": 20, "references": 100, "streams": 6, "stream_window": 20_000}
_BINARY = {"window": 200_000, "blob": 150_000, "blobs": 5}
NARROW = msgspec.structs.replace(BEFORE_LOGIN, **_MORE, **_BINARY, queued=10, chain=5)
