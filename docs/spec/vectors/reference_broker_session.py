"""Hellos, messages, the life of numbers, and login proofs of docs/spec/broker.md once more, from the document alone.

Flow: frames of both ends, in order -> `Ledger.frame` -> nothing, or Refused with the code that the receiver aborts with
Never: imports ropewalk.
"""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from docs.spec.vectors.reference_broker import Map, Refused, frames, single, unpack, weight

__all__ = ["BEFORE", "DEFAULTS", "Ledger", "hello", "login", "message"]

BEFORE = {
    "frame": 4096,
    "depth": 16,
    "weight": 2_097_152,
    "questions": 8,
    "window": 16_384,
    "references": 64,
    "streams": 4,
    "stream_window": 16_384,
    "blob": 16_384,
    "blobs": 4,
}
DEFAULTS = {
    "frame": 1_048_576,
    "depth": 64,
    "weight": 16_777_216,
    "questions": 4096,
    "window": 67_108_864,
    "references": 250_000,
    "streams": 256,
    "stream_window": 1_048_576,
    "blob": 67_108_864,
    "blobs": 1024,
}


def _need(held: bool, code: str = "broker.message") -> None:
    if not held:
        raise Refused(code)


def hello(data: bytes) -> dict[str, Any]:
    """Its version and limits (section 2)."""
    found = frames(data, 4096)
    _need(len(found) == 1 and found[0][0] == 0 and not found[0][2], "broker.frame")
    value = single(found[0][1])
    _need(isinstance(value, Map), "broker.frame")
    held = {key: one for key, one in value if type(key) is str}
    _need(held.get("ropewalk") == "broker", "broker.frame")
    _need(all(type(held.get(key)) is int for key in ("version", "least")), "broker.frame")
    _need(type(held.get("nonce")) is bytes and len(held["nonce"]) == 32, "broker.frame")
    _need("node" not in held or (type(held["node"]) is bytes and len(held["node"]) == 32), "broker.frame")
    limits = held.get("limits", Map())
    _need(isinstance(limits, Map), "broker.frame")
    told = dict(limits)
    _need(all(type(told.get(key, 0)) is int and told.get(key, 0) >= 0 for key in DEFAULTS), "broker.frame")
    version = min(1, held["version"])
    _need(version >= 1 and version >= held["least"], "broker.version")
    return {"version": version, "limits": {key: told[key] for key in DEFAULTS if key in told}}


# Messages (section 3).


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def _is_error(fields: list[Any]) -> bool:
    return len(fields) in (3, 4) and all(type(one) is str for one in fields[:3]) and all(map(_is_map, fields[3:]))


def _is_map(value: Any) -> bool:
    return isinstance(value, dict) and "map" in value


def _is_named(value: Any) -> bool:
    return value is None or (_is_map(value) and all(type(key) is str for key, _ in value["map"]))


def _is_about(value: Any) -> bool:
    if value is None:
        return True
    if not _is_map(value):
        return False
    about = {key: one for key, one in value["map"] if type(key) is str}
    deadline, trace = about.get("deadline"), about.get("trace")
    return (deadline is None or _is_number(deadline)) and (trace is None or type(trace) is str)


def _is_target(value: Any) -> bool:
    if type(value) is list:
        return len(value) > 0 and _is_number(value[0]) and all(type(step) in (int, str) for step in value[1:])
    return type(value) is int and 0 <= value < 2**31


def _is_bin(value: Any) -> bool:
    return isinstance(value, dict) and bool({"bin", "segment", "blob"} & value.keys())


def _is_change(value: Any) -> bool:
    return type(value) is list and len(value) in (1, 2) and type(value[0]) is list


def message(fields: Any) -> None:  # noqa: C901 - a case for each kind
    """Return if it is one, whatever came before."""
    _need(type(fields) is list and len(fields) > 0 and type(fields[0]) is int)
    kind, *rest = fields
    size = len(rest)
    match kind:
        case 0:
            _need(4 <= size <= 6 and _is_number(rest[0]) and _is_target(rest[1]) and type(rest[2]) is str)
            _need(1 <= len(rest[2]) <= 128 and type(rest[3]) is list)
            _need(all(map(_is_named, rest[4:5])) and all(map(_is_about, rest[5:])))
        case 1:
            _need(size == 2 and _is_number(rest[0]))
        case 2:
            _need(size >= 1 and _is_number(rest[0]) and _is_error(rest[1:]))
        case 3:
            _need(size == 2 and all(type(one) is list and all(map(_is_number, one)) for one in rest))
            _need(len(rest[0]) == len(rest[1]))
        case 4:
            _need(size == 1 and type(rest[0]) is list and all(map(_is_number, rest[0])))
        case 5:
            _need(size == 2 and all(map(_is_number, rest)))
        case 6:
            _need(size == 2 and _is_number(rest[0]))
            array = type(rest[1]) is list and len(rest[1]) == 1 and isinstance(rest[1][0], dict) and "bin" in rest[1][0]
            _need(array or _is_bin(rest[1]))
        case 7:
            _need(size >= 1 and _is_number(rest[0]) and (size == 1 or _is_error(rest[1:])))
        case 8:
            _need(size == 1 and _is_number(rest[0]))
        case 9:
            _need(size == 3 and _is_number(rest[0]) and type(rest[1]) is int and rest[1] >= 0)
            _need(type(rest[2]) is list and all(map(_is_change, rest[2])))
        case 10 | 11:
            _need(size == 1 and type(rest[0]) is int)
        case 12:
            _need(size == 1)
            told = {str(key): one for key, one in rest[0]["map"]} if _is_map(rest[0]) else {"frame": -1}
            _need(all(type(told.get(key, 0)) is int and told.get(key, 0) >= 0 for key in DEFAULTS))
        case 13:
            _need(size == 1 and type(rest[0]) is str)
        case 14:
            _need(size == 2 and type(rest[0]) is str and type(rest[1]) is str)
        case _:
            raise Refused("broker.message")


# What numbers mean by then (sections 4, 5 and 8).


class _Half:
    """What one end has begun."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits = limits  # that the other end accepts
        self.questions: dict[int, set[str]] = {}  # "answered", "finished"
        self.shown: dict[int, int] = {}
        self.streams: dict[int, dict[str, int]] = {}  # that it fills
        self.blobs: dict[int, list[int]] = {}  # total, bytes so far
        self.versions: dict[int, int] = {}


class Ledger:
    """A session as somebody sees it who reads along; `peer` and `we` name the ends."""

    def __init__(self, limits: dict[str, int] | None = None) -> None:
        self.halves = {end: _Half(DEFAULTS | (limits or {})) for end in ("peer", "we")}

    def frame(self, end: str, data: bytes) -> None:
        """Frames that this end says."""
        me = self.halves[end]
        for flags, body, segments in frames(data, me.limits["frame"]):
            if flags:
                self._piece(me, single(body), len(segments[0]))
                continue
            _need(weight(body) <= me.limits["weight"], "broker.limit")
            messages = unpack(body, segments)
            _need(type(messages) is list and len(messages) > 0, "broker.frame")
            for one in messages:
                message(one)
                self.say(end, one)

    def _piece(self, me: _Half, head: Any, size: int) -> None:
        whole = type(head) is list and len(head) == 2 and all(type(one) is int for one in head)
        _need(whole and _is_number(head[0]) and head[1] >= 0, "broker.frame")
        number, total = head
        if total == 0:
            _need(size == 0 and number in me.blobs)
            del me.blobs[number]
            return
        if number not in me.blobs:
            held = sum(blob[0] for blob in me.blobs.values())
            _need(total <= me.limits["blob"] and held + total <= me.limits["window"], "broker.limit")
            _need(len(me.blobs) < me.limits["blobs"], "broker.limit")
            me.blobs[number] = [total, 0]
        blob = me.blobs[number]
        _need(blob[0] == total and 0 < size <= min(256 * 1024, total - blob[1]))
        blob[1] += size

    def say(self, end: str, fields: list[Any]) -> None:  # noqa: C901 - a case for each kind
        """A message of this end, which is one by its form."""
        me, other = self.halves[end], self.halves["we" if end == "peer" else "peer"]
        kind, *rest = fields
        if kind in (0, 1, 6, 9):
            self._values(me, rest, calls=kind == 0)
        match kind:
            case 0:
                _need(rest[0] not in me.questions)
                me.questions[rest[0]] = set()
                _need(len(me.questions) <= me.limits["questions"], "broker.limit")
            case 1 | 2:
                self._pass(other.questions, rest[0], "answered")
            case 4:
                for number in rest[0]:
                    self._pass(me.questions, number, "finished")
            case 3:
                for number, count in zip(*rest, strict=True):
                    _need(other.shown.get(number, 0) >= count)
                    other.shown[number] -= count
            case 5:
                stream = other.streams.get(rest[0])
                _need(stream is not None and 0 < rest[1] <= stream["owed"])
                assert stream is not None
                stream["owed"] -= rest[1]
            case 6:
                self._item(me, rest[0], rest[1])
            case 7:
                _need(rest[0] in me.streams and not me.streams[rest[0]]["ended"])
                self._settle(me, rest[0], "ended")
            case 8:
                _need(rest[0] in other.streams and not other.streams[rest[0]]["closed"])
                self._settle(other, rest[0], "closed")
            case 9 if me.shown.get(rest[0]):
                full = len(rest[2]) == 1 and len(rest[2][0]) == 2 and not rest[2][0][0]
                _need(full or rest[1] - len(rest[2]) <= me.versions[rest[0]])
                me.versions[rest[0]] = max(rest[1], me.versions[rest[0]])
            case 12:
                for name, value in rest[0]["map"]:
                    other.limits[name] = max(value, other.limits.get(name, 0))
            case 14:
                raise Refused("")

    def _values(self, me: _Half, value: Any, *, calls: bool) -> None:
        """What is shown, begun or used somewhere in a message."""
        if isinstance(value, list):
            for one in value:
                self._values(me, one, calls=calls)
        if not isinstance(value, dict):
            return
        ((kind, inside),) = value.items()
        match kind:
            case "object" | "shared":
                me.shown[inside[0]] = me.shown.get(inside[0], 0) + 1
                if kind == "shared" and me.shown[inside[0]] == 1:
                    me.versions[inside[0]] = inside[3]
                held = sum(1 for count in me.shown.values() if count)
                _need(held <= me.limits["references"], "broker.limit")
            case "stream":
                _need(inside not in me.streams)
                me.streams[inside] = {"owed": 0, "ended": 0, "closed": 0}
                _need(len(me.streams) <= me.limits["streams"], "broker.limit")
            case "blob":
                _need(inside in me.blobs and me.blobs[inside][0] == me.blobs[inside][1])
                del me.blobs[inside]
            case "answer":
                _need(calls)
        if kind in ("map", "copy", "tuple", "set", "shared"):
            self._values(me, inside, calls=calls)

    def _pass(self, questions: dict[int, set[str]], number: int, what: str) -> None:
        _need(number in questions and what not in questions[number])
        questions[number].add(what)
        if len(questions[number]) == 2:
            del questions[number]

    def _item(self, me: _Half, number: int, item: Any) -> None:
        stream = me.streams.get(number)
        _need(stream is not None and not stream["ended"])
        assert stream is not None
        data = item[0] if isinstance(item, list) else item
        cost = 64 + len(next(iter(data.values()))) // 2
        _need(not stream["owed"] or stream["owed"] + cost <= me.limits["stream_window"], "broker.limit")
        stream["owed"] += cost

    def _settle(self, filler: _Half, number: int, what: str) -> None:
        stream = filler.streams[number]
        stream[what] = 1
        if stream["ended"] and stream["closed"]:
            del filler.streams[number]


# Login (section 6.2).


def login(case: dict[str, Any]) -> dict[str, str]:
    """Challenge, proofs and signatures of both ends."""
    server, client = (bytes.fromhex(case[name]) for name in ("server_nonce", "client_nonce"))
    node_seed, client_seed = (case.get(name) for name in ("node_seed", "client_seed"))
    node = _key(node_seed)[1] if node_seed else b""
    bound = b"\x01" if case["bound"] else b"\x00"
    binding = bytes.fromhex(case["binding"])
    head = b"ropewalk broker login 1\x00" + server + client + (node or bytes(32)) + bound
    challenge = hashlib.sha256(head + case["wanted"].encode()).digest()
    found = {"challenge": challenge.hex()}
    for side, seed, name in (("client", client_seed, case["name"]), ("server", node_seed, "")):
        if not seed:
            continue
        private, public = _key(seed)
        parts = (b"ropewalk login 1", side.encode(), binding, challenge, name.encode(), public)
        proof = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        found |= {
            f"{side}_key": public.hex(),
            f"{side}_proof": proof.hex(),
            f"{side}_signature": private.sign(proof).hex(),
        }
    return found


def _key(seed: str) -> tuple[Ed25519PrivateKey, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    return private, private.public_key().public_bytes_raw()
