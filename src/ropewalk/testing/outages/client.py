"""A client as a process: started, heard, and killed at any time.

Flow: Home -> `writing` as a process -> its lines -> Known
Never: takes a line that was not finished for what was said, or waits for one without a bound.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ropewalk.spaces.home import Home
from ropewalk.testing.outages.load import Known, content

__all__ = ["ClientProcess"]

SAYS_WITHIN = 90.0  # seconds


@dataclass(slots=True)
class ClientProcess:
    """One that writes files all the while, each as a change.

    Attributes:
        known: What it was told goes there.
        said: How often it said each word: ``begin``, ``done``, ``queued``, ``refused``.
    """

    known: Known
    _process: asyncio.subprocess.Process
    said: Counter[str] = field(default_factory=Counter)

    @classmethod
    @asynccontextmanager
    async def started(cls, known: Known, home: Home, prefix: str) -> AsyncIterator[ClientProcess]:
        """One that runs as long as the block lasts, if nobody kills it before.

        Args:
            known: What clients know.
            home: Its settings and its memory.
            prefix: Of the paths that it writes; never used before.
        """
        words = [sys.executable, "-m", "ropewalk.testing.outages.writing", str(home.config), str(home.state), prefix]
        client = cls(known, await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE))
        try:
            yield client
        finally:
            await client.kill()

    async def wait_said(self, count: int, word: str = "") -> None:
        """Wait until it has said so many more of these words, or so many of any.

        Raises:
            TimeoutError: It says nothing of the kind.
            AssertionError: It ended.
        """
        assert self._process.stdout is not None
        left, before = count, self.said.copy()
        try:
            async with asyncio.timeout(SAYS_WITHIN):
                while left:
                    heard = self._heard(await self._process.stdout.readline())
                    left -= word in ("", heard)
        except TimeoutError:
            heard_of = dict(self.said - before)
            raise TimeoutError(f"want {count} more {word or 'words'} of a client, got {heard_of}") from None

    async def kill(self) -> None:
        """End it at once, and hear what it had said."""
        if self._process.returncode is None:
            self._process.kill()
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.endswith(b"\n"):
                self._heard(line)
        await self._process.wait()

    def _heard(self, line: bytes) -> str:
        word, _, path = line.decode().strip().partition("\t")
        assert word in ("begin", "done", "queued", "refused"), f"a client that was to be killed said {line!r}"
        self.said[word] += 1
        if word == "begin":
            self.known.begin(path, content(path))
        elif word == "refused":
            self.known.count["refused write"] += 1
        else:
            self.known.said(path, content(path), queued=word == "queued")
        return word
