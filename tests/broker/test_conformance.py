"""The conformance suite, against our own server over everything that carries bytes, and against servers that err."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ropewalk import broker
from ropewalk.auth import Channel, HeldKey, Identity, KeyChallenge, ed25519_blob
from ropewalk.broker.answering import Answering
from ropewalk.broker.broker import Broker
from ropewalk.broker.objects import Objects
from ropewalk.broker.shared import Shares
from ropewalk.broker.weigh import weigh
from ropewalk.broker.wires import NONE, Wire
from ropewalk.errors import Missing, Misuse
from ropewalk.testing import broker_conformance
from ropewalk.testing.broker_conformance import GROUPS, tried
from ropewalk.testing.broker_object import LIMITS, Conformance, Known, serving
from tests.broker.hosts import simulated
from tests.net.peers import certificate

Patch = pytest.MonkeyPatch

MEMORY = {"memory": "memory://conformance", "ws over memory": "ws+memory://conformance"}
URLS = {
    "unix": "unix://{folder}/s",
    "tcp": "tcp://127.0.0.1:0",
    "tls": "tls://127.0.0.1:0?cert={cert}&key={key}&ca={ca}",
    "ws": "ws://127.0.0.1:0",
}
SOON = msgspec.structs.replace(LIMITS, hello=0.5, login=1.0, unread=0.5)
FOREVER = 1e6  # seconds


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return certificate(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


def outcomes(
    *only: str, url: str = "memory://conformance", limits: broker.Limits = LIMITS
) -> list[broker_conformance.Outcome]:
    """Of our own server, in simulated time."""
    found = []

    async def main() -> None:
        async with serving(url, limits=limits) as where:
            for one in only:
                found.extend([outcome async for outcome in tried(where, only=one)])

    simulated(main)
    return found


def wrong(*only: str, url: str = "memory://conformance", limits: broker.Limits = LIMITS) -> set[str]:
    """The cases that it fails."""
    return {outcome.name for outcome in outcomes(*only, url=url, limits=limits) if outcome.wrong}


@pytest.mark.parametrize("kind", MEMORY)
def test_our_own_server_conforms(kind: str) -> None:
    found = outcomes("", url=MEMORY[kind])
    assert [outcome for outcome in found if outcome.wrong] == []
    assert [outcome.name for outcome in found] == [f"{group}: {what}" for group in GROUPS for what in GROUPS[group]]


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("group", ["friendly", "login", "hostile"])
@pytest.mark.parametrize("kind", URLS)
async def test_our_own_server_conforms_over(kind: str, group: str, tmp_path: Path, files: dict[str, str]) -> None:
    async with asyncio.timeout(120), serving(URLS[kind].format(folder=tmp_path, **files)) as url:
        found = [outcome async for outcome in tried(url, only=f"{group}: ")]
    assert [outcome for outcome in found if outcome.wrong] == []
    assert len(found) == len(GROUPS[group])


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("kind", ["tcp", "ws"])
async def test_our_own_server_keeps_its_bounds_over(kind: str) -> None:
    async with asyncio.timeout(120), serving(URLS[kind], limits=SOON) as url:
        found = [outcome async for outcome in tried(url, only="bounds: ")]
    assert [outcome for outcome in found if outcome.wrong] == []
    assert len(found) == len(GROUPS["bounds"])


# Servers that err, each in one thing.


def _counts_no_references(patch: Patch) -> None:
    patch.setattr(Objects, "release", lambda self, number, count: None)


def _loses_the_order(patch: Patch) -> None:
    def loses(self: Any, held: Any, key: int) -> None:
        if held.needs:
            queued(self, held, -(2**40) - held.open.question)
        else:
            self._begin(held)

    queued = Answering._queue
    patch.setattr(Answering, "_queue", loses)


def _takes_a_number_twice(patch: Patch) -> None:
    def call(self: Any, message: Any) -> None:
        self.answers.pop(message.question, None)
        called(self, message)

    called = Answering.call
    patch.setattr(Answering, "call", call)


def _tells_too_much(patch: Patch) -> None:
    patch.setattr(Conformance, "limits", msgspec.structs.replace(LIMITS, traces=True))


def _weighs_nothing(patch: Patch) -> None:
    patch.setattr("ropewalk.broker.broker.weigh", lambda body, most: weigh(body, 1 << 62))


def _takes_any_key_of_a_map(patch: Patch) -> None:
    patch.setattr("ropewalk.broker.broker.check_keys", lambda body: None)


def _takes_any_number_of_questions(patch: Patch) -> None:
    def lax(self: Any, limits: broker.Limits) -> None:
        ours(self, limits)
        if limits.questions > 8:
            self._most = 1 << 40
            self.answering.ours = msgspec.structs.replace(limits, questions=1 << 40)

    ours = Broker._ours
    patch.setattr(Broker, "_ours", lax)


def _heeds_no_updates(patch: Patch) -> None:
    patch.setattr(Shares, "update", lambda self, number, version, changes: None)


def _takes_any_signature(patch: Patch) -> None:
    patch.setattr(KeyChallenge, "answered", lambda self, name, key, signature: HeldKey(name, ed25519_blob(key)))


def _signs_nothing(patch: Patch) -> None:
    patch.setattr("ropewalk.broker.host.node_proof", lambda *_, **__: bytes(64))


def _takes_any_secret(patch: Patch) -> None:
    async def check(self: Known, credentials: Any) -> Identity:
        return Identity("conformance")

    patch.setattr(Known, "check", check)


def _takes_no_secret(patch: Patch) -> None:
    patch.setattr(Known, "takes", (HeldKey,))


def _takes_many_frames_in_a_message(patch: Patch) -> None:
    patch.setattr("ropewalk.broker.session.size_of", len)


ERRING: dict[Callable[[Patch], None], list[str]] = {
    _counts_no_references: [
        "friendly: references",
        "hostile: RELEASE of nothing",
        "hostile: RELEASE of the door",
        "hostile: RELEASE of more than was sent",
    ],
    _loses_the_order: ["friendly: order"],
    _takes_a_number_twice: ["hostile: a question in use", "hostile: a question that is answered and in use"],
    _tells_too_much: ["friendly: errors"],
    _weighs_nothing: ["hostile: a body that is too heavy"],
    _takes_any_key_of_a_map: ["hostile: a map of 64 with a key that is an array"],
    _takes_any_number_of_questions: ["hostile: questions without end"],
    _heeds_no_updates: [
        "friendly: watched",
        "hostile: a gap in the changes of a shared object",
        "hostile: a change that leads nowhere",
    ],
    _takes_any_signature: ["login: wrong keys"],
    _signs_nothing: ["login: anonymous", "login: key"],
    _takes_any_secret: ["login: wrong secrets"],
    _takes_no_secret: ["login: password", "login: token"],
}


@pytest.mark.parametrize("errs", ERRING, ids=lambda errs: errs.__name__)
def test_a_server_is_found_that(errs: Callable[[Patch], None], monkeypatch: Patch) -> None:
    errs(monkeypatch)
    found = wrong(*ERRING[errs])
    monkeypatch.undo()
    assert found == set(ERRING[errs])
    assert wrong(*ERRING[errs]) == set()


def test_a_server_that_takes_two_frames_in_a_message_is_found(monkeypatch: Patch) -> None:
    _takes_many_frames_in_a_message(monkeypatch)
    assert wrong("one frame a message", url=MEMORY["ws over memory"]) == {"friendly: one frame a message"}


async def test_a_server_that_takes_secrets_over_any_channel_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr("ropewalk.broker.session.wire_of", lambda transport: Wire(Channel(verified=True), NONE))
    async with asyncio.timeout(60), serving(URLS["tcp"]) as url:
        found = {outcome.name async for outcome in tried(url, only="login: ") if outcome.wrong}
    assert found == {"login: password", "login: token", "login: wrong secrets"}


@pytest.mark.parametrize(
    ("lax", "found"),
    [
        ({"chain": 1 << 30}, "bounds: chain"),
        ({"queued": 1 << 30}, "bounds: queue"),
        ({"hello": FOREVER}, "bounds: silent"),
        ({"login": FOREVER}, "bounds: silent"),
        ({"unread": FOREVER}, "bounds: never reads"),
        ({"weight": 1 << 30}, "friendly: hello"),
    ],
)
def test_a_server_without_this_bound_is_found(lax: dict[str, Any], found: str) -> None:
    assert wrong("bounds", "friendly: hello", limits=msgspec.structs.replace(LIMITS, **lax)) == {found}


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
            for nowhere, exit_status in (
                (f"unix://{tmp_path}/nobody", Missing.status),
                ("nonsense", Misuse.status),
            ):
                status, said = await _ran(*module, nowhere)
                assert (status, said) == (exit_status, "")  # and not each case with the same words
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
