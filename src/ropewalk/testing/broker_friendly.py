"""What an implementation of the broker must do with a peer that keeps the rules: calls, answers and references.

Flow: Peer, after a login -> a case of FRIENDLY -> nothing, or NotAsSpecified
Never: asks for anything but what docs/spec/broker.md and its annex A promise.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

from ropewalk.testing.broker_flows import FLOWS
from ropewalk.testing.broker_peer import (
    CALL,
    ERROR,
    FINISH,
    RELEASE,
    RETURN,
    NotAsSpecified,
    Peer,
    ext,
    failed,
    frame,
    reference,
    same,
    unpacked,
)

__all__ = ["FRIENDLY", "MOST"]

Case = Callable[[Peer], Awaitable[None]]
MOST = {
    "frame": 1 << 20,
    "depth": 64,
    "weight": 16 << 20,
    "questions": 4_096,
    "window": 64 << 20,
    "references": 250_000,
    "streams": 256,
    "stream_window": 1 << 20,
    "blob": 64 << 20,
    "blobs": 1_024,
}


async def hello(peer: Peer) -> None:
    """Its hello and the LIMITS of the perspective."""
    told = peer.hello or {}
    same([told.get("ropewalk"), told.get("version"), told.get("least")], ["broker", 1, 1], "the hello")
    if not peer.limits or any(type(value) is not int for value in peer.limits.values()):
        raise NotAsSpecified(f"the limits are {peer.limits}")
    if peer.limits.get("frame", 0) < 65_536 or peer.limits.get("questions", 0) < 256:
        raise NotAsSpecified("after a login, frames of 64 KiB and 256 questions must do for this suite")
    over = {name: peer.limits[name] for name, most in MOST.items() if peer.limits.get(name, 0) > most}
    if over:
        raise NotAsSpecified(f"limits are {over}, expected at most the defaults")


async def plain_values(peer: Peer) -> None:
    """Values of MessagePack come back as they went."""
    values: list[Any] = [None, True, False, 0, 127, 128, -1, -32, -33, 2**64 - 1, -(2**63), 1.5, "", "text \U0001f600"]
    values += [b"", b"\0\xff", [], [1, [2, [3]]], {}, {"a": {1: None}, b"b": [True]}]
    values.append(dt.datetime(2026, 1, 2, 3, 4, 5, 678900, dt.UTC))
    for value in values:
        same(await peer.value(peer.me, "echo", [value]), value, "an echo")


async def other_values(peer: Peer) -> None:
    """So do those of extensions."""
    for code, content in (
        (7, (2**64).to_bytes(9, "big")),
        (7, (-(2**63) - 1).to_bytes(9, "big", signed=True)),
        (8, [1, "x", [2]]),
        (8, []),
        (11, [1]),
        (12, "-12.50"),
        (12, "NaN"),
        (12, "-Infinity"),
        (13, bytes(range(16))),
        (14, "2026-11-22"),
        (15, "2026-11-22T01:02:03.000004"),
        (16, -86_400_000_001),
    ):
        back = await peer.value(peer.me, "echo", [ext(code, content)])
        same(getattr(back, "code", None), code, "the kind of an echo")
        same(unpacked(back), content, f"the content of extension {code}")


async def named_arguments(peer: Peer) -> None:
    """Arguments by name, and messages with and without what may be left out."""
    same(await peer.value(peer.me, "add", [1], {"other": 2}), 3, "a sum")
    same(await peer.value(peer.me, "add", [], {"other": 5, "one": 2}), 7, "a sum")
    same(await peer.value(peer.me, "add", [1, 2], None), 3, "a sum")
    same(await peer.value(peer.me, "add", [1, 2], None, None), 3, "a sum")
    same(await peer.value(peer.me, "add", [1, 2], {}, {"not known": [1]}), 3, "a sum")


async def errors(peer: Peer) -> None:
    """What fails, fails as it should."""
    failed(await peer.call(peer.me, "fail", []), "misuse", "conformance.wrong")
    bug = await peer.call(peer.me, "bug", [])
    if bug[0] != ERROR or bug[2] != "failed" or "secret" in str(bug):
        raise NotAsSpecified(f"a bug is told as {bug!r:.300}, expected family failed and nothing of its text")
    failed(await peer.call(peer.me, "nothing", []), "missing", "broker.no-method")
    failed(await peer.call(peer.me, "__init__", []), "missing", "broker.no-method")
    failed(await peer.call(peer.me, "add", [1]), "misuse", "broker.arguments")
    failed(await peer.call(peer.me, "add", [1, 2], {"third": 3}), "misuse", "broker.arguments")
    failed(await peer.call(2**31 - 1, "add", [1, 2]), "missing", "broker.no-object")
    unknown = ext(5, ["conformance.nobody-registered-this", {}])
    failed(await peer.call(peer.me, "echo", [unknown]), "misuse", "broker.unknown-type")
    failed(await peer.call(peer.me, "echo", [ext(3, 2**31 - 1)]), "missing", "broker.no-object")


async def cut_anywhere(peer: Peer) -> None:
    """Where bytes are cut means nothing."""
    if not peer.whole_frames:
        data = frame([[CALL, 1, peer.me, "echo", ["a" * 300]]]) + frame([[CALL, 2, peer.me, "echo", [2]]])
        for at in range(0, len(data), 7):
            peer.give(data[at : at + 7])
            await asyncio.sleep(0)
        same((await peer.answer(1))[2], "a" * 300, "an echo")
        same((await peer.answer(2))[2], 2, "an echo")


async def many_in_a_frame(peer: Peer) -> None:
    """Several messages of a frame are taken in order."""
    peer.say(*[[CALL, number, peer.me, "note", [number]] for number in range(1, 7)], [CALL, 7, peer.me, "noted", []])
    same((await peer.answer(7))[2], [1, 2, 3, 4, 5, 6], "what was noted")


async def numbers_again(peer: Peer) -> None:
    """A number is free when its answer and its FINISH have passed."""
    for number in range(20):
        peer.say([CALL, 1, peer.me, "echo", [number]])
        same((await peer.answer(1))[2], number, "an echo")
        peer.say([FINISH, [1]])


async def cancelled(peer: Peer) -> None:
    """FINISH before the answer stops the work, and the number is free when the answer has come."""
    question = peer.ask(peer.me, "never", [])
    for _ in range(5):  # it has begun by then, whatever runs first over there
        await peer.value(peer.me, "echo", [1])
    peer.say([FINISH, [question]])
    failed(await peer.answer(question), "unavailable", "broker.cancelled")
    peer.say([CALL, question, peer.me, "stopped", []])
    same((await peer.answer(question))[2], 1, "how many calls were stopped")


async def pipelined(peer: Peer) -> None:
    """Calls on answers that are not there yet, and such answers as arguments."""
    peer.say(
        [CALL, 1, peer.me, "thing", [5]],
        [CALL, 2, [1], "thing", []],
        [CALL, 3, [2], "number", []],
        [CALL, 4, peer.me, "echo", [{"parts": [1, {"n": 7}]}]],
        [CALL, 5, peer.me, "add", [ext(4, [4, "parts", 1, "n"]), ext(4, [3])]],
    )
    same((await peer.answer(3))[2], 6, "what a chain gives")
    same((await peer.answer(5))[2], 13, "a sum of answers")
    peer.say([FINISH, [1, 2, 3, 4, 5]])


async def pipelined_failures(peer: Peer) -> None:
    """What needs a failure fails with it; a path may lead nowhere."""
    peer.say(
        [CALL, 1, peer.me, "fail", []],
        [CALL, 2, [1], "thing", []],
        [CALL, 3, peer.me, "echo", [[ext(4, [2])]]],
        [CALL, 4, peer.me, "echo", [{"a": 1}]],
        [CALL, 5, [4, "b"], "thing", []],
        [CALL, 6, [4, "a"], "thing", []],
        [CALL, 7, [99], "thing", []],
        [CALL, 8, peer.me, "thing", [1]],
        [CALL, 9, [8, "_number"], "thing", []],
    )
    for question, family, code in (
        (2, "misuse", "conformance.wrong"),
        (3, "misuse", "conformance.wrong"),
        (5, "missing", "broker.no-path"),
        (6, "misuse", "broker.no-reference"),
        (7, "missing", "broker.no-answer"),
        (9, "missing", "broker.no-path"),
    ):
        failed(await peer.answer(question), family, code)


async def order(peer: Peer) -> None:
    """A call that waits holds back later ones of its target and no others, and means what it meant when it was sent."""
    thing = reference(await peer.value(peer.me, "thing", [1]))
    peer.say(
        [CALL, 1, peer.me, "never", []],
        [CALL, 2, peer.me, "echo", ["kept"]],
        [CALL, 3, peer.me, "note", [[ext(4, [1]), ext(4, [2])]]],
        [CALL, 4, peer.me, "note", ["behind"]],
        [FINISH, [2]],
        [CALL, 5, thing, "number", []],
    )
    same((await peer.answer(5))[2], 1, "a call to another target")
    await peer.still_there()
    if any(one[0] in (RETURN, ERROR) and one[1] in (3, 4) for one in peer.heard):
        raise NotAsSpecified("a call that waits for an answer did not hold back those after it")
    peer.say([FINISH, [1]])  # what it waits for fails, and so does it
    failed(await peer.answer(3), "unavailable", "broker.cancelled")
    await peer.answer(4)
    same(await peer.value(peer.me, "noted", []), ["behind"], "what was noted")


async def meaning(peer: Peer) -> None:
    """What a call names is settled when it comes: what is finished and released later is not taken from it."""
    thing = reference(await peer.value(peer.me, "thing", [1]))
    holder = reference(await peer.value(peer.me, "holder", []))
    peer.say(
        [CALL, 1, holder, "later", ["gate"]],
        [CALL, 2, peer.me, "echo", [5]],
        [CALL, 3, thing, "plus", [ext(4, [2]), ext(4, [1])]],
        [FINISH, [2]],
        [RELEASE, [thing], [1]],
        [CALL, 4, holder, "open", ["gate"]],
    )
    same((await peer.answer(3))[2], [1, 5, "gate"], "what a call gives that waited")


async def references(peer: Peer) -> None:
    """An object keeps its number while it is held, comes back as itself, and is gone when it is released."""
    first = reference(await peer.value(peer.me, "same", []))
    second = reference(await peer.value(peer.me, "same", []))
    same(first, second, "the number of one object")
    same(await peer.value(peer.me, "is_same", [ext(3, first)]), True, "whether an object comes back as itself")
    peer.say([RELEASE, [first], [1]])
    same(await peer.value(first, "number", []), 0, "the number of an object that is held once more")
    peer.say([RELEASE, [first], [1]])
    failed(await peer.call(first, "number", []), "missing", "broker.no-object")
    failed(await peer.call(peer.me, "is_same", [ext(3, first)]), "missing", "broker.no-object")


async def callbacks(peer: Peer) -> None:
    """It calls objects of ours, keeps our numbers, finishes its questions and releases our objects."""
    question = peer.ask(peer.me, "call", [ext(2, [9, "Mine"]), "greet", [1, "x"]])
    call = await peer.message(lambda one: one[0] == CALL, "CALL")
    same(call[2:5], [9, "greet", [1, "x"]], "what is called")
    if call[1] > 8:
        raise NotAsSpecified(f"its first question is {call[1]}, which should be the smallest number that is free")
    peer.say([RETURN, call[1], "greeted"])
    same((await peer.answer(question))[2], "greeted", "what a callback gave")
    peer.say([FINISH, [question]])
    await peer.message(lambda one: one[0] == FINISH and call[1] in one[1], "FINISH")
    await peer.message(lambda one: one[0] == RELEASE and 9 in one[1], "RELEASE")
    question = peer.ask(peer.me, "call", [ext(2, [9, "Mine"]), "greet", []])
    call = await peer.message(lambda one: one[0] == CALL, "CALL")
    peer.say([ERROR, call[1], "refused", "conformance.mine", "no", {"hint": "ask another"}])
    failed(await peer.answer(question), "refused", "conformance.mine")
    # An object of ours comes back as ours, by extension 3.
    back = await peer.value(peer.me, "echo", [ext(2, [11, "Mine"])])
    same([getattr(back, "code", None), unpacked(back)], [3, 11], "an object of ours")


async def deadlines(peer: Peer) -> None:
    """A deadline stops the work."""
    answer = await peer.call(peer.me, "never", [], None, {"deadline": 20})
    failed(answer, "unavailable", "broker.deadline")
    same(await peer.value(peer.me, "stopped", []), 1, "how many calls were stopped")


async def described(peer: Peer) -> None:
    """Every object says what it offers, and the door too."""
    told = await peer.value(peer.me, "@describe", [])
    if not isinstance(told, dict) or not {"name", "methods"} <= told.keys():
        raise NotAsSpecified(f"@describe gives {told!r:.200}")
    add = told["methods"].get("add", {})
    same([one.get("name") for one in add.get("arguments", [])], ["one", "other"], "the arguments of add")
    if "login" not in (await peer.value(0, "@describe", []))["methods"]:
        raise NotAsSpecified("the door does not describe login")


async def pings(peer: Peer) -> None:
    """PING is answered."""
    for number in (0, -1, 2**63):
        peer.say([10, number])
        await peer.message(lambda one, number=number: one == [11, number], "PONG")  # type: ignore[misc]


async def goodbye(peer: Peer) -> None:
    """After our GOAWAY it answers what is open and closes."""
    question = peer.ask(peer.me, "echo", ["last"])
    peer.say([13, "that was all"])
    same((await peer.answer(question))[2], "last", "an echo")
    peer.say([FINISH, [question]])
    await peer.closed()


FRIENDLY: dict[str, Case] = {
    "hello": hello,
    "plain values": plain_values,
    "other values": other_values,
    "named arguments": named_arguments,
    "errors": errors,
    "cut anywhere": cut_anywhere,
    "many in a frame": many_in_a_frame,
    "numbers again": numbers_again,
    "cancelled": cancelled,
    "pipelined": pipelined,
    "pipelined failures": pipelined_failures,
    "order": order,
    "meaning": meaning,
    "references": references,
    "callbacks": callbacks,
    "deadlines": deadlines,
    "described": described,
    "pings": pings,
    "goodbye": goodbye,
} | FLOWS
