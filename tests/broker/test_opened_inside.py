"""A session that is opened inside of a deadline is not part of it, and what comes by it goes the short way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ropewalk import broker, loops
from tests.broker.hosts import DEADLINE, House, served


class Bell(broker.Object):
    """What the client shows."""

    @broker.remote
    def left(self) -> float | None:
        """Seconds until a deadline."""
        return broker.remaining()


class Ringing(broker.Perspective):
    """Calls back."""

    @broker.remote
    async def ring(self, bell: Any) -> Any:
        """What the bell says, outside of all deadlines."""
        return await asyncio.get_running_loop().create_task(_rung(bell))


async def _rung(bell: Any) -> Any:
    return await bell.left()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_session_opened_inside_of_a_deadline_is_not_part_of_it(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(DEADLINE),
            served(House(make=lambda _visit: Ringing()), "tcp://127.0.0.1:0") as listener,
        ):
            async with broker.deadline(1000):
                session = await broker.opened(str(listener.endpoint))
            slow: list[object] = []
            monkeypatch.setattr(session.broker.answering, "call", slow.append)
            me: Any = await broker.login(session)
            assert await me.ring(Bell()) is None
            assert slow == []
            session.close()
            await session.wait_closed()

    loops.run(main(), loop=loop)
