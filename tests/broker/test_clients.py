"""The conformance suite's side of the server: our own client over what carries bytes, and clients that err."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ropewalk import broker
from ropewalk.auth import Channel
from ropewalk.broker.asking import Asking
from ropewalk.broker.broker import Broker
from ropewalk.broker.outbox import Outbox
from ropewalk.broker.shared import View
from ropewalk.broker.wires import NONE, Wire
from ropewalk.testing import broker_conformance, broker_program
from ropewalk.testing.broker_clients import GROUPS, playing
from ropewalk.testing.broker_outcome import Outcome
from ropewalk.testing.broker_program import run
from tests.broker.hosts import simulated
from tests.net.peers import certificate

Patch = pytest.MonkeyPatch
NAMES = [f"{group}: {what}" for group in GROUPS for what in GROUPS[group]]


async def outcomes(url: str, *only: str, pins: bool = True) -> list[Outcome]:
    """Of our own client; ``pins``: it heeds the key that it was told."""
    found = []
    for one in only:
        async with playing(url) as plays:
            program = asyncio.ensure_future(run(plays.url, plays.node if pins else None))
            try:
                found += [outcome async for outcome in plays.outcomes(only=one)]
            finally:
                program.cancel()
                await asyncio.gather(program, return_exceptions=True)
    return found


def wrong(*only: str, **options: Any) -> set[str]:
    """The cases that it fails, in simulated time."""
    found: set[str] = set()

    async def main() -> None:
        came = await outcomes("memory://clients", *only, **options)
        found.update(outcome.name for outcome in came if outcome.wrong)

    simulated(main)
    return found


@pytest.mark.parametrize("url", ["memory://clients", "ws+memory://clients"])
def test_our_own_client_conforms(url: str) -> None:
    found: list[Outcome] = []

    async def main() -> None:
        found.extend(await outcomes(url, ""))

    simulated(main)
    assert [outcome for outcome in found if outcome.wrong] == []
    assert [outcome.name for outcome in found] == [*NAMES, "the end"]


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("kind", ["tcp", "tls", "ws", "unix"])
async def test_our_own_client_conforms_over(kind: str, tmp_path: Path) -> None:
    if kind == "tls":
        files = certificate(tmp_path, "localhost", "127.0.0.1")
        url = "tls://127.0.0.1:0?cert={cert}&key={key}&ca={ca}".format(**files)
    else:
        url = f"unix://{tmp_path}/s" if kind == "unix" else f"{kind}://127.0.0.1:0"
    async with asyncio.timeout(120):
        found = await outcomes(url, "")
    assert [outcome for outcome in found if outcome.wrong] == []
    assert len(found) == len(NAMES) + 1


# Clients that err, each in one thing.


def _never_says(kind: int) -> Callable[[Patch], None]:
    def errs(patch: Patch) -> None:
        def lossy(self: Any, message: Any) -> Any:
            return None if message[0] == kind else say(self, message)

        say = Outbox.say
        patch.setattr(Outbox, "say", lossy)

    return errs


def _takes_an_answer_twice(patch: Patch) -> None:
    class Lenient(dict[Any, Any]):
        last: Any = None

        def pop(self, key: Any, default: Any = None) -> Any:
            self.last = super().pop(key, self.last)
            return self.last

    def begun(self: Any, *arguments: Any) -> None:
        made(self, *arguments)
        self.questions = Lenient()

    made = Asking.__init__
    patch.setattr(Asking, "__init__", begun)


def _takes_any_proof(patch: Patch) -> None:
    patch.setattr("ropewalk.broker.client.check_node", lambda *_, **__: None)


def _does_not_heed_goaway(patch: Patch) -> None:
    patch.setattr(Asking, "leave", lambda self, error: None)


def _applies_changes_over_a_gap(patch: Patch) -> None:
    def applies(self: Any, version: int, changes: Any) -> None:
        apply(self, min(version, self.version + len(changes)), changes)

    apply = View._apply
    patch.setattr(View, "_apply", applies)


def _takes_frames_of_any_size(patch: Patch) -> None:
    def lax(self: Any, limits: broker.Limits) -> None:
        ours(self, limits)
        self.reader.limit = 1 << 40

    ours = Broker._ours
    patch.setattr(Broker, "_ours", lax)


def _takes_no_limits(patch: Patch) -> None:
    def ignores(self: Any, got: object) -> None:
        theirs(self, {"questions": 4096, "stream_window": 1 << 20})

    theirs = Broker._theirs
    patch.setattr(Broker, "_theirs", ignores)


def _sends_anything_inline(patch: Patch) -> None:
    patch.setattr("ropewalk.broker.packing.PIECE", 1 << 30)


def _always_says_the_same_nonce(patch: Patch) -> None:
    patch.setattr(broker, "opened", partial(broker.opened, random=bytes))


def _signs_for_no_session(patch: Patch) -> None:
    patch.setattr("ropewalk.broker.logins.Hellos.challenge", lambda self, wanted, bound: bytes(32))


def _tells_no_deadline(patch: Patch) -> None:
    def call(self: Any, message: Any) -> Any:
        return say(self, message[:5] if message[0] == 0 else message)

    say = Outbox.say
    patch.setattr(Outbox, "say", call)


ERRING: dict[str, tuple[Callable[[Patch], None], list[str]]] = {
    "never releases": (_never_says(3), ["caller: references", "caller: shared", "caller: cancelled"]),
    "never finishes": (_never_says(4), ["caller: calls", "caller: cancelled", "caller: deadlines"]),
    "never grants": (_never_says(5), ["caller: stream"]),
    "never closes a stream": (_never_says(8), ["caller: stream", "caller: stopped stream"]),
    "never answers a ping": (_never_says(11), ["caller: pings"]),
    "takes an answer twice": (_takes_an_answer_twice, ["trap: an answer twice", "trap: an answer and an error"]),
    "takes any proof": (
        _takes_any_proof,
        ["trap: no proof", "trap: a proof of zeros", "trap: a proof of another session"],
    ),
    "does not heed GOAWAY": (_does_not_heed_goaway, ["caller: goodbye"]),
    "applies changes over a gap": (_applies_changes_over_a_gap, ["trap: a gap in the changes"]),
    "takes frames of any size": (_takes_frames_of_any_size, ["trap: a frame over its limit"]),
    "takes no limits": (_takes_no_limits, ["caller: questions", "caller: filled stream"]),
    "sends anything inline": (_sends_anything_inline, ["caller: binary"]),
    "signs for no session": (_signs_for_no_session, ["caller: key"]),
}


@pytest.mark.parametrize("errs", ERRING)
def test_a_client_is_found_that(errs: str, monkeypatch: Patch) -> None:
    patch, cases = ERRING[errs]
    patch(monkeypatch)
    found = wrong(*cases)
    monkeypatch.undo()
    assert found >= set(cases)
    assert wrong(*cases) == set()


def test_a_client_that_does_not_look_who_is_there_is_found() -> None:
    cases = ["trap: another node", "trap: no node", "trap: no proof", "trap: a proof of zeros"]
    assert wrong(*cases, pins=False) == set(cases)


def test_a_client_that_always_says_the_same_nonce_is_found(monkeypatch: Patch) -> None:
    _always_says_the_same_nonce(monkeypatch)
    assert wrong("caller: p", "caller: v") == {"the end"}
    assert "caller: stopped stream" in wrong("stream")


async def test_a_client_that_sends_secrets_over_any_channel_is_found(monkeypatch: Patch) -> None:
    monkeypatch.setattr("ropewalk.broker.session.wire_of", lambda transport: Wire(Channel(verified=True), NONE))
    async with asyncio.timeout(60):
        found = await outcomes("tcp://127.0.0.1:0", "caller: secrets")
    assert [outcome.name for outcome in found if outcome.wrong] == ["caller: secrets"]


@pytest.mark.slow
@pytest.mark.system
async def test_the_commands(tmp_path: Path) -> None:
    suite = [
        sys.executable,
        "-m",
        broker_conformance.__name__,
        "--clients",
        f"unix://{tmp_path}/s",
        "--only",
        "trap: a",
    ]
    plays = await asyncio.create_subprocess_exec(*suite, stdout=subprocess.PIPE)
    assert plays.stdout is not None
    try:
        async with asyncio.timeout(60):
            where = (await plays.stdout.readline()).decode().split()
            program = await asyncio.create_subprocess_exec(sys.executable, "-m", broker_program.__name__, *where)
            said = (await plays.stdout.read()).decode().splitlines()
            assert await program.wait() == 0
            await plays.wait()
    finally:
        if plays.returncode is None:
            plays.terminate()
            await plays.wait()
    assert [line for line in said if not line.startswith("ok  ")] == said[-1:]
    assert said[-2:] == ["ok     the end", f"{sum('trap: a' in name for name in NAMES) + 1} cases, 0 wrong"]
