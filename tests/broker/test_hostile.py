"""Hostile peers: each rule that one breaks ends its own session, and no other."""

from __future__ import annotations

import struct

import pytest

from ropewalk.broker.limits import BEFORE_LOGIN
from tests.broker.raw import ext, frame
from tests.broker.villains import ME, Attack, attacked, deep, gives, says

_ABORTED: dict[str, tuple[str, Attack]] = {
    "answers what was not asked": ("broker.message", says([1, 1, 5])),
    "fails what was not asked": ("broker.message", says([2, 1, "failed", "x", "y"])),
    "releases twice": ("broker.message", says([0, 2, ME, "desk", ["a"]], [3, [2], [1]], [3, [2], [1]])),
    "releases more than it was sent": ("broker.message", says([0, 2, ME, "desk", ["a"]], [3, [2], [9]])),
    "releases the door": ("broker.message", says([3, [0], [1]])),
    "releases what others hold": ("broker.message", says([3, [7], [1]])),
    "uses a question again": ("broker.message", says([0, 2, ME, "wait", []], [0, 2, ME, "wait", []])),
    "finishes twice": ("broker.message", says([0, 2, ME, "wait", []], [4, [2]], [4, [2]])),
    "finishes what was not asked": ("broker.message", says([4, [5]])),
    "grants what was not owed": ("broker.message", says([5, 1, 100])),
    "sends an item of no stream": ("broker.message", says([6, 1, b"x"])),
    "ends no stream": ("broker.message", says([7, 1])),
    "closes no stream": ("broker.message", says([8, 1])),
    "says nothing": ("broker.frame", says()),
    "says what is no message": ("broker.message", says(5)),
    "says an empty message": ("broker.message", says([])),
    "says an unknown message": ("broker.message", says([15, 1])),
    "says a negative one": ("broker.message", says([-1, 1])),
    "says one with a name": ("broker.message", says(["__init__", 1])),
    "says one that is nothing": ("broker.message", says([None])),
    "says one that is a list": ("broker.message", says([[0], 1])),
    "says true for a message": ("broker.message", says([True, 1, 1])),
    "says 1.0 for a message": ("broker.message", says([1.0, 1, 1])),
    "says too much in a message": ("broker.message", says([10, 1, 1])),
    "says a second hello": ("broker.frame", gives(frame({"ropewalk": "broker"}))),
    "says an unknown value": ("broker.value", says([0, 2, ME, "echo", [ext(99, 1)]])),
    "says a value of another kind": ("broker.value", says([0, 2, ME, "echo", [ext(3, "x")]])),
    "names a segment that is not there": ("broker.value", says([0, 2, ME, "echo", [ext(1, 0)]])),
    "names a blob that is not there": ("broker.message", says([0, 2, ME, "echo", [ext(10, 1)]])),
    "claims a body": ("broker.limit", gives(struct.pack(">IHH", 2**32 - 1, 0, 0))),
    "claims segments": ("broker.frame", gives(struct.pack(">IHH", 1, 2**16 - 1, 0))),
    "claims a segment": ("broker.limit", gives(struct.pack(">IHHI", 1, 1, 0, 2**32 - 1))),
    "claims a flag": ("broker.frame", gives(struct.pack(">IHH", 1, 0, 2))),
    "claims nothing": ("broker.frame", gives(struct.pack(">IHH", 0, 0, 0))),
    "claims an array": ("broker.frame", gives(frame(b"\x91\xdd\xff\xff\xff\xff"))),
    "claims a map": ("broker.frame", gives(frame(b"\x91\x93\x01\x05\xdf\xff\xff\xff\xff"))),
    "claims a text": ("broker.frame", gives(frame(b"\x91\xdb\xff\xff\xff\xff"))),
    "claims a blob": ("broker.limit", gives(frame([1, 2**31], (b"x",), 1))),
    "goes over its frame": ("broker.limit", gives(struct.pack(">IHH", 100_000, 0, 0))),
    "goes too deep": ("broker.limit", says([0, 2, ME, "echo", [deep(20)]])),
    "goes too deep in a message": ("broker.limit", says([0, 2, ME, "echo", [], {"value": deep(30)}])),
    "is too heavy": ("broker.limit", gives(frame(b"\x91\x95\x00\x02\x01\xa4echo\x91\xdc\xc0\x00" + b"\x80" * 0xC000))),
    "asks too much at once": (
        "broker.limit",
        says(*[[0, number, ME, "wait", []] for number in range(2, 23)]),
    ),
    "asks too much at once with great numbers": (
        "broker.limit",
        says(*[[0, number, ME, "echo", [1]] for number in range(1_000_000, 1_000_022)]),
    ),
    "shows too much": (
        "broker.limit",
        says([0, 2, ME, "say", [[ext(2, [number, "x"]) for number in range(1, 102)]]]),
    ),
    "opens too many streams": (
        "broker.limit",
        says([0, 2, ME, "say", [[ext(9, number) for number in range(1, 8)]]]),
    ),
    "begins too many blobs": (
        "broker.limit",
        gives(b"".join(frame([number, 1_000], (b"x",), 1) for number in range(1, 7))),
    ),
    "begins too much of blobs": (
        "broker.limit",
        gives(b"".join(frame([number, 120_000], (b"x",), 1) for number in range(1, 3))),
    ),
    "sends more of a stream than is granted": (
        "broker.limit",
        says([0, 2, ME, "say", [ext(9, 1)]], *[[6, 1, bytes(4_000)] for _ in range(6)]),
    ),
    "names the door": ("broker.value", says([0, 2, ME, "say", [ext(3, 0)]])),
    "shows a door": ("broker.value", says([0, 2, ME, "say", [ext(2, [0, "x"])]])),
}


@pytest.mark.parametrize("name", _ABORTED)
def test_who_breaks_a_rule_ends_its_own_session(name: str) -> None:
    code, attack = _ABORTED[name]
    attacked(attack, code)


_HELLO = frame({"ropewalk": "broker", "version": 1, "least": 1, "nonce": bytes(32)})
_BEFORE: dict[str, tuple[str, bytes]] = {
    "no hello": ("broker.frame", frame([[0, 1, 0, "login", ["anonymous", {}, ""]]])),
    "another protocol": ("broker.frame", b"GET / HTTP/1.1\r\n\r\n"),
    "a blob before the hello": ("broker.frame", frame([1, 5], (b"x",), 1)),
    "a version of its own": (
        "broker.version",
        frame({"ropewalk": "broker", "version": 9, "least": 9, "nonce": bytes(32)}),
    ),
    "a hello that is too long": ("broker.limit", struct.pack(">IHH", 4096, 0, 0)),
    "a frame that is too long": ("broker.limit", _HELLO + struct.pack(">IHH", 4096, 0, 0)),
    "too many questions": (
        "broker.limit",
        _HELLO + frame([[0, number, 0, "login", ["anonymous", {}, ""]] for number in range(1, 10)]),
    ),
    "too many references": (
        "broker.limit",
        _HELLO + frame([[0, 1, 0, "login", [[ext(2, [number, ""]) for number in range(1, 66)], {}, ""]]]),
    ),
    "too many streams": (
        "broker.limit",
        _HELLO + frame([[0, 1, 0, "login", [[ext(9, number) for number in range(1, 6)], {}, ""]]]),
    ),
    "a blob that is too long": ("broker.limit", _HELLO + frame([1, 16_385], (b"x",), 1)),
    "too many blobs": (
        "broker.limit",
        _HELLO + b"".join(frame([number, 10], (b"x",), 1) for number in range(1, 6)),
    ),
    "too deep": ("broker.limit", _HELLO + frame([[0, 1, 0, "login", ["x", {"k": deep(16)}, ""]]])),
}


@pytest.mark.parametrize("name", _BEFORE)
def test_who_breaks_a_rule_before_a_login_ends_its_own_session(name: str) -> None:
    code, data = _BEFORE[name]
    attacked(gives(data), code, login=False)


def test_the_limits_before_a_login_are_those_of_the_spec() -> None:
    assert (BEFORE_LOGIN.frame, BEFORE_LOGIN.questions, BEFORE_LOGIN.references, BEFORE_LOGIN.streams) == (
        4096,
        8,
        64,
        4,
    )
