"""Where a stream is cut makes no difference: the same conversation, whatever pieces it comes in."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.ssh.limits import SshLimits
from tests.ssh.place import gone, served


class Cutting(asyncio.Protocol):
    """Gives a protocol what comes in other pieces, more than one in a turn of the loop."""

    def __init__(self, inner: Any, sizes: random.Random, most: int) -> None:
        self.inner, self._sizes, self._most = inner, sizes, most
        for name in ("connection_made", "connection_lost", "pause_writing", "resume_writing", "eof_received", "close"):
            setattr(self, name, getattr(inner, name))

    def data_received(self, data: bytes) -> None:
        while data:
            size = self._sizes.randint(1, self._most)
            self.inner.data_received(data[:size])
            data = data[size:]


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), most=st.sampled_from([1, 2, 7, 100, 5000]), lines=st.lists(st.text(max_size=200)))
def test_a_conversation_in_any_pieces_is_the_same(seed: int, most: int, lines: list[str]) -> None:
    said = ["".join(character for character in line if character.isprintable()) for line in lines]

    async def talk() -> str:
        sizes = random.Random(seed)
        with tempfile.TemporaryDirectory() as folder:
            around = lambda inner: Cutting(inner, sizes, most)  # noqa: E731
            async with served(Path(folder), around=around, limits=SshLimits(rekey_bytes=4000)) as place:
                connection = await place.client()
                process = await connection.create_process(term_type=None)
                for line in said:
                    process.stdin.write(f"{line}\n")
                process.stdin.write_eof()
                out = (await process.wait()).stdout
                await gone(connection)
                return str(out)

    expected = "hello ann\n" + "".join(f"{line} {line}\n" for line in said)
    assert asyncio.run(talk()) == expected
