"""What tests of the console share: an application with a few services, and somebody who asks it things."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from ropewalk.auth import Identity
from ropewalk.console import Ask, Commands, Interpreter, Operator, Outcome, Right
from ropewalk.console.acting import ACTING
from ropewalk.console.looking import LOOKING
from ropewalk.service import Application, NoConfig, Plan, Service

ALL = LOOKING.with_those_of(ACTING)
EVERYTHING = Operator(frozenset(Right))


class Shop(msgspec.Struct, frozen=True):
    listen: str = "tcp://ann:geheim@localhost:1"
    password: str = "geheim"
    goods: tuple[str, ...] = ("nails", "rope")


class Fine(Service):
    def statistics(self) -> dict[str, float]:
        return {"sold_today": 3}


class Broken(Service):
    async def run(self) -> None:
        raise ValueError("it fell \x1b[2J down")


def plans() -> list[Plan]:
    return [
        Plan("data", Fine, NoConfig()),
        Plan("web", Fine, Shop(), ("data",)),
        Plan("bad", Broken, NoConfig()),
    ]


@asynccontextmanager
async def shop(*more: Plan) -> AsyncIterator[Application]:
    """An application that is up."""
    application = Application("shop", [*plans(), *more], deadline=3)
    async with asyncio.timeout(30):
        run = asyncio.create_task(application.run())
        try:
            await _up(application)
            yield application
        finally:
            application.stop()
            await run


async def _up(application: Application) -> None:
    """All but the one that never is for long."""
    await application._board.until(
        lambda: (
            {one.name for one in application.standings if one.state == "up"}
            >= set(application.control.names()) - {"bad"}
            != set()
        )
    )


class Asker:
    """Gives lines, as an operator of some rights."""

    def __init__(
        self,
        application: Application,
        *rights: Right,
        by: str = "ssh",
        service: str = "",
        commands: Commands = ALL,
    ) -> None:
        found = frozenset(rights or Right)
        self.ask = Ask(application.control, Identity("ann"), found, by, commands, "192.0.2.1", service)
        self.interpreter = Interpreter(self.ask)

    async def __call__(self, line: str, width: int = 100) -> Outcome:
        return await self.interpreter.line(line, width)

    async def json(self, line: str) -> object:
        outcome = await self(f"{line} --json")
        return msgspec.json.decode(outcome.text)


class Audit(logging.Handler):
    """Keeps what is audited."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        told = {key: record.__dict__[key] for key in ("who", "by", "address", "outcome")}
        self.lines.append({**told, "line": record.getMessage()})
