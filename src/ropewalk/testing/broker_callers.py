"""What a client of the broker must do with a server that keeps the rules: calls, logins and ends.

Flow: Guest -> a case of CALLERS: what the program is told, what its client then says -> nothing, or NotAsSpecified
Never: asks for anything but what docs/spec/broker.md and its annex B promise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ropewalk.testing.broker_caller_flows import CALLER_FLOWS
from ropewalk.testing.broker_friendly import MOST
from ropewalk.testing.broker_guest import ACCEPTS, ME, Guest, public
from ropewalk.testing.broker_logins import NAME, PASSWORD, SEED, TOKEN, challenge, proof
from ropewalk.testing.broker_peer import (
    CALL,
    CLOSE,
    END,
    ERROR,
    FINISH,
    GOAWAY,
    ITEM,
    LIMITS,
    PING,
    PONG,
    RELEASE,
    RETURN,
    NotAsSpecified,
    ext,
    failed,
    frame,
    same,
    unpacked,
)

__all__ = ["CALLERS"]

_LEAST = {"frame": 65_536, "questions": 256, "blob": 300_000}


async def hello(guest: Guest) -> None:
    """Its hello, and that it logs in first."""
    await guest.entered()
    told = guest.hello or {}
    same([told.get("ropewalk"), told.get("version"), told.get("least")], ["broker", 1, 1], "the hello")
    for name, most in MOST.items():
        limit = guest.limits.get(name, most)
        if type(limit) is not int or not _LEAST.get(name, 0) <= limit <= most:
            raise NotAsSpecified(f"limit {name} is {limit!r:.40}, expected {_LEAST.get(name, 0):,} to {most:,}")


async def calls(guest: Guest) -> None:
    """Calls and their answers; each number is finished once."""
    await guest.entered()
    for number in range(20):
        call = await guest.asked("a", number, "x")
        same(call[2:5], [ME, "take", [number, "x"]], "a call")
        guest.say([RETURN, call[1], {"n": number}])
        same(await guest.does("answer", "a"), ["value", {"n": number}], "an answer")
    await guest.settled()


async def errors(guest: Guest) -> None:
    """What fails over here fails over there."""
    await guest.entered()
    for family, code, expected in (
        ("misuse", "suite.wrong", "misuse"),
        ("refused", "suite.no", "refused"),
        ("unavailable", "broker.busy", "unavailable"),
        ("of the future", "suite.later", "failed"),
    ):
        call = await guest.asked("a")
        guest.say([ERROR, call[1], family, code, "no", {"hint": "ask another", "later": [1]}])
        same(await guest.does("answer", "a"), ["error", expected, code], "what the caller gets")
    call = await guest.asked("a")
    guest.say([RETURN, call[1], ext(5, ["suite.nobody-registered-this", {}])])
    same(await guest.does("answer", "a"), ["error", "misuse", "broker.unknown-type"], "what the caller gets")
    await guest.settled()


async def values(guest: Guest) -> None:
    """Values of all kinds come and go."""
    await guest.entered()
    plain: list[Any] = [
        None,
        True,
        -1,
        2**64 - 1,
        -(2**63),
        1.5,
        "text \U0001f600",
        b"\0\xff",
        [[1], []],
        {"a": {1: None}},
    ]
    for value in plain:
        call = await guest.asked("a")
        guest.say([RETURN, call[1], value])
        same(await guest.does("answer", "a"), ["value", value], "a value that came back")
    for code, content in (
        (7, (2**64).to_bytes(9, "big")),
        (8, [1, "x", [2]]),
        (11, [1]),
        (12, "-12.50"),
        (13, bytes(range(16))),
        (14, "2026-11-22"),
        (15, "2026-11-22T01:02:03.000004"),
        (16, -86_400_000_001),
    ):
        call = await guest.asked("a")
        guest.say([RETURN, call[1], ext(code, content)])
        _, back = await guest.does("answer", "a")
        same([getattr(back, "code", None), unpacked(back)], [code, content], f"a value of extension {code}")


async def references(guest: Guest) -> None:
    """An object is called by its number, goes back as what it is, and is let go of as often as it came."""
    await guest.entered()
    await guest.given("thing", ext(2, [5, "Thing"]))
    await guest.given("again", ext(2, [5, "Thing"]))
    call = await guest.asked("a", target="thing")
    same(call[2], 5, "the target of a call")
    guest.say([RETURN, call[1], None])
    call = await guest.asked("b", "$thing")
    same([call[4][0].code, unpacked(call[4][0])], [3, 5], "an object that goes back")
    guest.say([RETURN, call[1], None])
    for key in ("a", "b"):
        same(await guest.does("answer", key), ["value", None], "an answer")
    await guest.does("drop", "again")
    await guest.settled()
    await guest.until(lambda: guest.released[5] == 2, "RELEASE of both sendings")


async def callbacks(guest: Guest) -> None:
    """Its object can be called, and is gone when it is released."""
    await guest.entered()
    mine = await guest.lent()
    same(await guest.value(mine, "echo", [[1, "x"]]), [1, "x"], "an echo of the program's object")
    failed(await guest.call(mine, "nothing", []), "missing", "broker.no-method")
    question = guest.ask(mine, "never", [])
    await guest.still_there()
    guest.say([FINISH, [question]])
    failed(await guest.answer(question), "unavailable", "broker.cancelled")
    if "echo" not in (await guest.value(mine, "@describe", []))["methods"]:
        raise NotAsSpecified("@describe does not tell of echo")
    guest.say([CALL, 1, mine, "total", [ext(9, 3)]], *[[ITEM, 3, [bytes([number])]] for number in range(10)], [END, 3])
    same((await guest.answer(1))[2], 45, "the sum of a stream")
    await guest.message(lambda one: one == [CLOSE, 3], "CLOSE")
    guest.say([RELEASE, [mine], [1]])
    failed(await guest.call(mine, "echo", [1]), "missing", "broker.no-object")
    failed(await guest.call(0, "echo", [1]), "missing", "broker.no-method")


async def pings(guest: Guest) -> None:
    """PING is answered."""
    await guest.entered()
    for number in (0, -1, 2**63):
        guest.say([PING, number])
        await guest.message(lambda one, number=number: one == [PONG, number], "PONG")  # type: ignore[misc]


async def cut_anywhere(guest: Guest) -> None:
    """Where bytes are cut means nothing."""
    await guest.entered()
    call = await guest.asked("a")
    data = frame([[RETURN, call[1], "x" * 300]])
    if guest.whole_frames:
        guest.give(data)
    else:
        for at in range(0, len(data), 7):
            guest.give(data[at : at + 7])
            await asyncio.sleep(0)
    guest.answered(call[1])
    same(await guest.does("answer", "a"), ["value", "x" * 300], "an answer")


async def questions(guest: Guest) -> None:
    """It keeps within the questions that this end takes, holds back the others in order, and heeds LIMITS."""
    await guest.entered(questions=8)
    held = [(await guest.asked(f"h{number}"))[1] for number in range(7)]
    guest.command("call", "h7", "", "take", [], None)
    held.append((await guest.expects(ME, "take"))[1])
    await guest.still_there()
    if any(one[0] == CALL for one in guest.heard):
        raise NotAsSpecified("a ninth call was sent, where 8 questions are taken")
    guest.say([RETURN, held[0], None])
    same(await guest.stepped(), None, "what comes of a call")
    guest.say([LIMITS, ACCEPTS])
    held += [(await guest.asked(f"m{number}"))[1] for number in range(20)]
    guest.say(*([RETURN, question, question] for question in held[1:]))
    same(await guest.does("answer", "m19"), ["value", held[-1]], "an answer")


async def cancelled(guest: Guest) -> None:
    """A call that is cancelled is finished, once, and what its answer shows is released."""
    await guest.entered()
    call = await guest.asked("a")
    await guest.does("cancel", "a")
    await guest.until(lambda: "finished" in guest.open.get(call[1], ()), "FINISH of a cancelled call")
    guest.say([RETURN, call[1], ext(2, [8, ""])])
    await guest.until(lambda: guest.released[8] == 1, "RELEASE of what a cancelled call gave")


async def deadlines(guest: Guest) -> None:
    """A deadline is told, and does not need this end to end the call."""
    await guest.entered()
    call = await guest.asked("a", deadline=200)
    about = call[6] if len(call) == 7 else {}
    if not 0 < about.get("deadline", 0) <= 200:
        raise NotAsSpecified(f"a call with a deadline of 200 ms is about {about!r:.100}")
    same(await guest.does("answer", "a"), ["error", "unavailable", "broker.deadline"], "what the caller gets")
    await guest.until(lambda: "finished" in guest.open.get(call[1], ()), "FINISH of a call that is late")
    guest.say([ERROR, call[1], "unavailable", "broker.deadline", "late"])
    await guest.still_there()


async def key(guest: Guest) -> None:
    """A login by key is signed for this session and this channel."""
    await guest.entered()
    guest.command("login", "key")
    call = await guest.expects(0, "login")
    kind, sent, wanted = call[4]
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    same([kind, wanted, sent["name"], sent["key"]], ["key", "", NAME, public(private)], "a login by key")
    same(sent["bound"], guest.private, "whether it is bound")
    bound = challenge(guest.nonce, (guest.hello or {})["nonce"], public(guest.node), "", bound=sent["bound"])
    signed = proof("client", guest.binding if sent["bound"] else bytes(32), bound, NAME, public(private))
    try:
        Ed25519PublicKey.from_public_bytes(public(private)).verify(sent["signature"], signed)
    except (InvalidSignature, TypeError):
        raise NotAsSpecified("the signature of a login by key is wrong") from None
    guest.say([RETURN, call[1], [ext(2, [2, ""]), guest.proof()]])
    same(await guest.stepped(), ["value", None], "what comes of a login")


async def secrets(guest: Guest) -> None:
    """A secret goes over a private channel, and over no other."""
    await guest.entered()
    for kind, credentials in (("password", {"name": NAME, "password": PASSWORD}), ("token", {"token": TOKEN})):
        guest.command("login", kind)
        if guest.private:
            call = await guest.expects(0, "login")
            same(call[4], [kind, credentials, ""], f"a login by {kind}")
            guest.say([ERROR, call[1], "refused", "auth.denied", "login failed"])
            same(await guest.stepped(), ["error", "refused", "auth.denied"], "what comes of a login")
        else:
            call = await guest.message(lambda one: one[0] == CALL, "CALL")
            if call[3] == "login":
                raise NotAsSpecified(f"a {kind} was sent over a channel that is not private")
            guest.heard.insert(0, call)
            same((await guest.stepped())[:2], ["error", "refused"], f"what comes of a login by {kind} here")


async def goodbye(guest: Guest) -> None:
    """After GOAWAY it begins nothing new, has its answers, and closes."""
    await guest.entered()
    call = await guest.asked("a")
    guest.say([GOAWAY, "that was all"])
    guest.command("call", "b", "", "take", [], None)
    await guest.still_there()
    if any(one[0] == CALL for one in guest.heard):
        raise NotAsSpecified("a call was sent after GOAWAY")
    if guest.lost:
        raise NotAsSpecified("the session was closed with a question open")
    guest.say([RETURN, call[1], None])
    await guest.closed()


async def leaving(guest: Guest) -> None:
    """It leaves in peace."""
    await guest.entered()
    call = await guest.asked("a")
    guest.say([RETURN, call[1], None])
    await guest.does("answer", "a")
    guest.command("leave")
    await guest.until(lambda: guest.lost or any(one[0] == GOAWAY for one in guest.heard), "GOAWAY or end")
    guest.transport.close()
    await guest.closed()


CALLERS: dict[str, Callable[[Guest], Awaitable[None]]] = {
    "hello": hello,
    "calls": calls,
    "errors": errors,
    "values": values,
    "references": references,
    "callbacks": callbacks,
    "pings": pings,
    "cut anywhere": cut_anywhere,
    "questions": questions,
    "cancelled": cancelled,
    "deadlines": deadlines,
    "key": key,
    "secrets": secrets,
    "goodbye": goodbye,
    "leaving": leaving,
} | CALLER_FLOWS
