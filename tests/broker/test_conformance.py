"""The conformance suite, against our own server over everything that carries bytes, and against servers that err."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ropewalk import broker
from ropewalk.broker.answering import Answering
from ropewalk.broker.objects import Objects
from ropewalk.testing import broker_conformance
from ropewalk.testing.broker_conformance import tried
from ropewalk.testing.broker_friendly import FRIENDLY
from ropewalk.testing.broker_object import Conformance, serving
from ropewalk.testing.broker_unfriendly import HOSTILE
from tests.net.peers import certificate

URLS = {
    "memory": "memory://conformance",
    "ws over memory": "ws+memory://conformance",
    "unix": "unix://{folder}/s",
    "tcp": "tcp://127.0.0.1:0",
    "tls": "tls://127.0.0.1:0?cert={cert}&key={key}&ca={ca}",
    "ws": "ws://127.0.0.1:0",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return certificate(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


@pytest.mark.parametrize("kind", URLS)
async def test_our_own_server_conforms(kind: str, tmp_path: Path, files: dict[str, str]) -> None:
    async with asyncio.timeout(120), serving(URLS[kind].format(folder=tmp_path, **files)) as url:
        outcomes = [outcome async for outcome in tried(url)]
    assert [outcome for outcome in outcomes if outcome.wrong] == []
    assert len(outcomes) == len(FRIENDLY) + len(HOSTILE)


async def _wrong(only: str = "", deadline: float = 0.3) -> set[str]:
    async with asyncio.timeout(120), serving("memory://errs") as url:
        return {outcome.name async for outcome in tried(url, only=only, deadline=deadline) if outcome.wrong}


async def test_a_server_that_does_not_count_references_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Objects, "release", lambda self, number, count: None)
    wrong = await _wrong("RELEASE") | await _wrong("references")
    assert {"friendly: references", "hostile: RELEASE of nothing", "hostile: RELEASE of more than was sent"} <= wrong


async def test_a_server_that_loses_the_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def loses(self: Any, held: Any, key: int) -> None:
        if held.needs:
            queued(self, held, -(2**40) - held.open.question)
        else:
            self._begin(held)

    queued = Answering._queue
    monkeypatch.setattr(Answering, "_queue", loses)
    assert await _wrong("friendly") == {"friendly: order"}


async def test_a_server_that_takes_a_number_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    called = Answering.call

    def call(self: Any, message: Any) -> None:
        self.answers.pop(message.question, None)
        called(self, message)

    monkeypatch.setattr(Answering, "call", call)
    assert "hostile: a question in use" in await _wrong("a question")


async def test_a_server_that_tells_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conformance, "limits", broker.Limits(traces=True))
    assert "friendly: errors" in await _wrong("friendly: errors")


@pytest.mark.slow
@pytest.mark.system
async def test_the_command(tmp_path: Path) -> None:
    module = ["-m", broker_conformance.__name__]
    url = f"unix://{tmp_path}/s"
    serves = await asyncio.create_subprocess_exec(sys.executable, *module, "--serve", url, stdout=subprocess.PIPE)
    try:
        async with asyncio.timeout(60):
            assert serves.stdout is not None
            where = (await serves.stdout.readline()).decode().strip()
            status, said = await _ran(*module, where, "--only", "friendly: p", "--json")
            assert status == 0
            assert {one["name"] for one in json.loads(said)} >= {"friendly: pings", "friendly: pipelined"}
            status, said = await _ran(*module, where, "--only", "errors")
            assert (status, said.splitlines()) == (0, ["ok     friendly: errors", "1 cases, 0 wrong"])
            status, said = await _ran(*module, f"unix://{tmp_path}/nobody", "--only", "pings")
            assert status == 1
            assert said.startswith("WRONG  friendly: pings\n")
            status, _ = await _ran(*module, where, "--only", "no such case")
            assert status == 1
    finally:
        serves.terminate()
        await serves.wait()


async def _ran(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()
