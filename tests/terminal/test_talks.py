"""Talks named in a configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from ropewalk.metrics import Registry
from ropewalk.service import Context
from ropewalk.terminal import BadTalk, Host, Terminal, check_talk, hosted

HERE = "tests.terminal.test_talks"
CONTEXT = Context("desk", "shop", Registry())
NOT_A_FUNCTION = 5
left: list[str] = []


async def talk(terminal: Terminal) -> None:
    """Says nothing."""


def plain(context: Context) -> Host:
    return Host(talk, greeting="its own\n")


def bare(context: Context) -> object:
    return talk


async def later(context: Context) -> Host:
    await asyncio.sleep(0)
    return Host(talk)


@asynccontextmanager
async def owned(context: Context) -> AsyncIterator[object]:
    yield talk
    left.append(context.name)


def nothing(context: Context) -> None:
    """Gives none."""


@pytest.mark.parametrize(
    ("name", "greeting"), [("plain", "its own\n"), ("bare", "hi\n"), ("later", "hi\n"), ("owned", "hi\n")]
)
async def test_each_way_to_give_one_gives_a_host(name: str, greeting: str) -> None:
    left.clear()
    async with AsyncExitStack() as stack:
        host = await hosted(f"{HERE}:{name}", CONTEXT, stack, greeting="hi")
        assert (host.talk, host.greeting) == (talk, greeting)
        assert left == []
    assert left == (["desk"] if name == "owned" else [])


async def test_what_is_none_is_told() -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(BadTalk, match="gave a NoneType, expected a Host or a talk"):
            await hosted(f"{HERE}:nothing", CONTEXT, stack)


@pytest.mark.parametrize("where", ["nowhere", "no.such.module:talk", f"{HERE}:no_such", f"{HERE}:NOT_A_FUNCTION"])
def test_what_is_not_there_is_told_before_anything_starts(where: str) -> None:
    with pytest.raises(BadTalk):
        check_talk(where)
