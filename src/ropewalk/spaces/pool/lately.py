"""Lately: which stores were slow when they were last used, so that the next command does not wait to find out.

Flow: Roster at its end -> a small file in the home's state, by the stores' ids -> Roster at its beginning
Never: says that a store is not to be asked, or is believed for longer than a short while.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["FILE", "HOLDS", "Lately"]

FILE = "slow.json"

HOLDS = 60.0  # seconds; then it is waited for once more, as any
LONGEST = 64 * 1024  # bytes of the file; more is none of ours
_SECOND = 10**9


class Lately:
    """What one home remembers; a file that is missing or wrong says nothing.

    Args:
        folder: Where the file lies.
        ids: Of stores, by their names.
        now: Nanoseconds since 1970.
    """

    def __init__(self, folder: Path, ids: Mapping[str, str], now: Callable[[], int]) -> None:
        self._path, self._ids, self._now = folder / FILE, dict(ids), now

    def slow(self) -> set[str]:
        """Names of stores that were slow a short while ago."""
        known = self._load()
        return {name for name, one in self._ids.items() if one in known}

    def note(self, used: Collection[str], slow: Collection[str]) -> None:
        """Remember which of the stores that were used were slow, and that the others were not."""
        known, at = self._load(), self._now() / _SECOND
        kept = known.copy()
        for name in used:
            if (one := self._ids.get(name)) is not None:
                kept.pop(one, None)
                if name in slow:
                    kept[one] = at
        if kept == known:
            return
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with suppress(OSError):  # then it is found out again
            new.write_text(json.dumps(kept))
            new.replace(self._path)

    def _load(self) -> dict[str, float]:
        try:
            with self._path.open("rb") as file:
                known = json.loads(file.read(LONGEST))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(known, dict):
            return {}
        at = self._now() / _SECOND
        times = {one: since for one, since in known.items() if isinstance(since, int | float)}
        return {one: since for one, since in times.items() if 0 <= at - since < HOLDS}
