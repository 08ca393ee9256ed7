"""The page of the reference: what it shows runs, and what it lists is there."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ropewalk import broker, net, threads
from ropewalk.auth import AnonymousChecker, Perspectives, Portal
from ropewalk.broker.service import BrokerConfig
from ropewalk.errors import RopewalkError

PAGE = (Path(__file__).parents[2] / "docs/reference/broker.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Account(broker.Object):
    @broker.remote
    def deposit(self, amount: int) -> int:
        return amount


class Bank(broker.Perspective):
    @broker.remote
    def account(self, name: str) -> Account:
        return Account()

    @broker.remote
    def balance(self) -> int:
        return 100


def host() -> broker.Host:
    realm = Perspectives()
    realm.give(Bank, lambda _visit: Bank())
    return broker.Host(Portal(realm, [AnonymousChecker()]), {"": Bank})


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    _, _, below = PAGE.partition(f"\n## {heading}\n")
    _, _, table = below.partition("|---|")
    lines = [line for line in table.partition("\n\n")[0].splitlines() if line.startswith("| `")]
    assert lines, heading
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


@pytest.mark.parametrize("code", [body for kind, body in BLOCKS if kind == "python"])
def test_what_it_shows_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def start() -> net.Listener:
        return await net.listen("tcp://127.0.0.1:0", host().protocol)

    with threads.portal() as door:
        listener = door.call(start)
        with door.enter(listener):
            there: dict[str, Any] = {"broker": broker, "url": str(listener.endpoint.peer()), "credentials": None}
            made = eval(compile(code, "page", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), there)  # noqa: S307 - our own page
            if inspect.iscoroutine(made):
                asyncio.run(_awaited(made))
    assert capsys.readouterr().out == "100\n"


async def _awaited(made: Any) -> None:
    async with asyncio.timeout(60):
        await made


def test_its_configuration_is_one() -> None:
    (text,) = [body for kind, body in BLOCKS if kind == "toml"]
    (service,) = tomllib.loads(text)["services"].values()
    assert service.pop("kind") == "broker"
    service["host"] = f"{__name__}:host"
    config = msgspec.convert(service, BrokerConfig)
    assert config.host.endswith(":host")


def test_each_error_is_there_with_its_code() -> None:
    for classes, codes, *_ in rows("Errors"):
        for name, code in zip(quoted(classes), quoted(codes), strict=True):
            kind = getattr(broker, name)
            assert issubclass(kind, RopewalkError)
            assert kind.code == code


def test_each_limit_is_there() -> None:
    told = [name for cells in rows("Limits") for name in quoted(cells[0])]
    assert sorted(told) == sorted(broker.Limits.__struct_fields__)


def test_each_name_and_each_argument_is_there() -> None:
    for cells in rows("Serving and connecting"):
        for call in quoted(cells[0]):
            names, _, arguments = call.partition("(")
            if names.startswith("await "):
                names = names.removeprefix("await ")
            first, *more = names.split(".")
            found: Any = {"session": broker.Session}.get(first) or getattr(broker, first)
            for name in more:
                found = getattr(found, name, None) or found.__annotations__[name]
            for argument in re.findall(r"(\w+)=", arguments):
                assert argument in inspect.signature(found).parameters, call
