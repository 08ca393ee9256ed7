"""Cases of docs/spec/broker.md that are conversations: how numbers live, and streams, blobs and shared objects.

Flow: what the peer says, what must be said to it -> the reference reads along -> steps -> make.py
Never: writes what the reference would not say of it; takes a byte from ropewalk.
"""

from __future__ import annotations

import re
from typing import Any, Self

from docs.spec.vectors.cases_broker import refusal
from docs.spec.vectors.reference_broker import frame, pack, unpack
from docs.spec.vectors.reference_broker_session import BEFORE, Ledger, message

__all__ = ["CANCELLED", "RUN", "Talk", "call", "cases", "table"]

RUN = "0011223344556677"
THING = {"object": [1, "Thing"]}
CANCELLED = ["unavailable", "broker.cancelled"]


def call(question: int, method: str, *arguments: Any, of: Any = 0) -> list[Any]:
    """A CALL."""
    return [0, question, of, method, list(arguments)]


def table(**entries: Any) -> dict[str, Any]:
    """A map."""
    return {"map": [list(entry) for entry in entries.items()]}


class Talk:
    """One conversation."""

    def __init__(self, why: str) -> None:
        self.why, self.steps = why, list[dict[str, Any]]()
        self._ledger = Ledger(BEFORE)

    def _frame(self, data: bytes, refused: str = "") -> Self:
        code = refusal(lambda: self._ledger.frame("peer", data))
        assert code == refused, (self.why, code)
        parts = [part for part in re.split(rb"(\x00{64,})", data) if part]
        self.steps.append(
            {"get": [[0, len(part)] if part.count(0) == len(part) >= 64 else part.hex() for part in parts]}
        )
        return self

    def get(self, *messages: Any, segments: list[bytes] | None = None) -> Self:
        """The peer says this, in one frame."""
        return self._frame(frame(pack(list(messages)), segments))

    def piece(self, number: int, total: int, data: bytes) -> Self:
        """The peer sends a piece of a blob."""
        return self._frame(frame(pack([number, total]), [data], 1))

    def say(self, *messages: Any) -> Self:
        """This end says this, and no other calls, answers, items, ends or updates."""
        for one in messages:
            full = [*one, "text"] if one[0] in (2, 7, 14) and len(one) > 1 + (one[0] == 7) else one
            full = unpack(pack(full))
            message(full)
            assert refusal(lambda full=full: self._ledger.say("we", full)) == "", self.why  # type: ignore[misc]
        self.steps.append({"say": list(messages)})
        return self

    def do(self, what: str, name: str, *more: Any) -> Self:
        """The program at this end does this."""
        self.steps.append({"do": [what, name, *more]})
        return self

    def bad(self, code: str, *messages: Any, data: bytes | None = None, seen: bool = True) -> Self:
        """The peer says this, upon which this end aborts; ``seen``: the reference sees why."""
        self._frame(data if data is not None else frame(pack(list(messages))), code if seen else "")
        self.steps.append({"abort": code})
        return self


def _answers() -> list[Talk]:
    held = Talk("FINISH before the answer cancels, and the answer still comes").get(call(1, "hold")).say()
    held.get([4, [1]]).say([2, 1, *CANCELLED])
    return [
        Talk("an answer, after whose FINISH the number is free again")
        .get(call(1, "echo", 5))
        .say([1, 1, 5])
        .get([4, [1]], call(1, "echo", "again"))
        .say([1, 1, "again"]),
        Talk("several calls in one frame are answered in order").get(*(call(n, "echo", n) for n in range(1, 9)))
        .say(*([1, n, n] for n in range(1, 9))),
        Talk("a number in use").get(call(1, "echo", 5)).say([1, 1, 5]).bad("broker.message", call(1, "echo", 5)),
        Talk("a number in use that has no answer yet").get(call(1, "hold")).bad("broker.message", call(1, "hold")),
        Talk("more questions than are taken").get(*(call(n, "hold") for n in range(1, 9)))
        .bad("broker.limit", call(9, "hold")),
        Talk("FINISH of a number that is not in use").bad("broker.message", [4, [1]]),
        Talk("FINISH twice").get(call(1, "echo", 5)).say([1, 1, 5]).get([4, [1]]).bad("broker.message", [4, [1]]),
        Talk("FINISH twice in one message").get(call(1, "echo", 5)).say([1, 1, 5]).bad("broker.message", [4, [1, 1]]),
        held.get(call(1, "echo", 5)).say([1, 1, 5]),
        Talk("FINISH after a cancellation").get(call(1, "hold"), [4, [1]]).say([2, 1, *CANCELLED])
        .bad("broker.message", [4, [1]]),
        Talk("an error").get(call(1, "fail")).say([2, 1, "refused", "vectors.refused"]),
        Talk("a method that is not there").get(call(1, "nothing")).say([2, 1, "missing", "broker.no-method"]),
        Talk("names of the language are no methods").get(call(1, "__class__"), call(2, "toString"))
        .say([2, 1, "missing", "broker.no-method"], [2, 2, "missing", "broker.no-method"]),
        Talk("too many arguments").get(call(1, "echo", 1, 2)).say([2, 1, "misuse", "broker.arguments"]),
        Talk("a named argument").get([*call(1, "echo"), table(value=5)]).say([1, 1, 5]),
        Talk("a name that the method does not take").get([*call(1, "echo"), table(other=5)])
        .say([2, 1, "misuse", "broker.arguments"]),
        Talk("a copyable that nobody knows harms its call alone")
        .get(call(1, "echo", {"copy": ["vectors.unknown", table(a=1)]}), call(2, "echo", 5))
        .say([2, 1, "misuse", "broker.unknown-type"], [1, 2, 5]),
    ]  # fmt: skip


def _pipelining() -> list[Talk]:
    return [
        Talk("a call of what an answer will be").get(call(1, "thing"), call(2, "echo", 7, of=[1]))
        .say([1, 1, THING], [1, 2, 7]),
        Talk("a call of a part of an answer").get(call(1, "nest"), call(2, "echo", 7, of=[1, "things", 0]))
        .say([1, 1, table(things=[THING])], [1, 2, 7]),
        Talk("a path that leads to nothing").get(call(1, "nest"), call(2, "echo", 7, of=[1, "x"]))
        .say([1, 1, table(things=[THING])], [2, 2, "missing", "broker.no-path"]),
        Talk("an index that is too large, and one that is negative")
        .get(call(1, "nest"), call(2, "echo", 7, of=[1, "things", 1]), call(3, "echo", 7, of=[1, "things", -1]))
        .say([1, 1, table(things=[THING])], *([2, n, "missing", "broker.no-path"] for n in (2, 3))),
        Talk("a path to what is no reference").get(call(1, "nest"), call(2, "echo", 7, of=[1, "things"]))
        .say([1, 1, table(things=[THING])], [2, 2, "misuse", "broker.no-reference"]),
        Talk("an answer as an argument").get(call(1, "echo", [5, 6]), call(2, "echo", {"answer": [1, 1]}))
        .say([1, 1, [5, 6]], [1, 2, 6]),
        Talk("an error is the answer of all that need it")
        .get(call(1, "fail"), call(2, "echo", 1, of=[1]), call(3, "echo", [{"answer": [1]}]))
        .say(*([2, n, "refused", "vectors.refused"] for n in (1, 2, 3))),
        Talk("an answer that was finished").get(call(1, "echo", 5), [4, [1]], call(2, "echo", {"answer": [1]}))
        .say([1, 1, 5], [2, 2, "missing", "broker.no-answer"]),
        Talk("an answer to what was never asked").get(call(1, "echo", 1, of=[7]))
        .say([2, 1, "missing", "broker.no-answer"]),
        Talk("what waits holds back its own target alone")
        .get(call(1, "hold"), call(2, "echo", 1, of=[1]), call(3, "echo", 5)).say([1, 3, 5])
        .get([4, [1]]).say([2, 1, *CANCELLED], [2, 2, *CANCELLED]),
        Talk("a call that is held back holds back the later ones with its target")
        .get(call(1, "same"), call(2, "hold")).say([1, 1, THING])
        .get(call(3, "echo", {"answer": [2]}, of=1), call(4, "echo", 4, of=1), call(5, "echo", 5, of=[1]))
        .say([1, 5, 5]).get([4, [2]]).say([2, 2, *CANCELLED], [2, 3, *CANCELLED], [1, 4, 4]),
        Talk("a call of the caller's own object, through an answer")
        .get(call(1, "echo", {"object": [1, ""]}), call(2, "ask", 7, of=[1]))
        .say([1, 1, {"own": 1}], [0, 1, 1, "ask", [7]])
        .get([1, 1, 8]).say([1, 2, 8]),
        Talk("what is not there yet is named in calls alone").do("call", "a", "x").say(call(1, "x"))
        .bad("broker.message", [1, 1, {"answer": [1]}]),
    ]  # fmt: skip


def _references() -> list[Talk]:
    gone = ["missing", "broker.no-object"]
    return [
        Talk("the same object has the same number, and each sending counts")
        .get(call(1, "same"), call(2, "same")).say([1, 1, THING], [1, 2, THING])
        .get([3, [1], [1]], call(3, "echo", 1, of=1)).say([1, 3, 1])
        .get([4, [1, 2]], [3, [1], [1]], call(4, "echo", 1, of=1)).say([2, 4, *gone]),
        Talk("RELEASE of more than were sent").get(call(1, "same")).say([1, 1, THING])
        .bad("broker.message", [3, [1], [2]]),
        Talk("RELEASE twice").get(call(1, "same")).say([1, 1, THING]).get([3, [1], [1]])
        .bad("broker.message", [3, [1], [1]]),
        Talk("RELEASE of what was not shown").bad("broker.message", [3, [5], [1]]),
        Talk("RELEASE of the door").bad("broker.message", [3, [0], [1]]),
        Talk("a number that is free is used again").get(call(1, "thing"), [4, [1]]).say([1, 1, THING])
        .get([3, [1], [1]], call(1, "thing")).say([1, 1, THING]),
        Talk("a target that is not there").get(call(1, "echo", 1, of=9)).say([2, 1, *gone]),
        Talk("an own object that is not shown").get(call(1, "echo", {"own": 9})).say([2, 1, *gone]),
        Talk("an object that was shown comes back as itself").get(call(1, "same")).say([1, 1, THING])
        .get(call(2, "echo", [{"own": 1}])).say([1, 2, [THING]]),
        Talk("an object of the peer's comes back as its own").get(call(1, "echo", {"object": [5, "Peer"]}))
        .say([1, 1, {"own": 5}]),
        Talk("more objects than are taken")
        .bad("broker.limit", call(1, "echo", [{"object": [n, ""]} for n in range(1, 66)])),
    ]  # fmt: skip


def _questions() -> list[Talk]:
    return [
        Talk("an answer to what was not asked").bad("broker.message", [1, 1, 5]),
        Talk("an error for what was not asked").bad("broker.message", [2, 1, "failed", "a", "b"]),
        Talk("an answer").do("call", "a", "x", 5).say(call(1, "x", 5)).get([1, 1, 6]).do("outcome", "a", 6),
        Talk("two answers").do("call", "a", "x").say(call(1, "x")).get([1, 1, 6]).bad("broker.message", [1, 1, 6]),
        Talk("an answer and an error").do("call", "a", "x").say(call(1, "x"))
        .bad("broker.message", [1, 1, 6], [2, 1, "failed", "a", "b"]),
        Talk("an error").do("call", "a", "x").say(call(1, "x")).get([2, 1, "missing", "a.b", "no"])
        .do("fails", "a", "missing", "a.b"),
        Talk("an error of a family that is not known").do("call", "a", "x").say(call(1, "x"))
        .get([2, 1, "later", "a.b", "no"]).do("fails", "a", "failed", "a.b"),
        Talk("a cancellation is told, and the answer to it is taken").do("call", "a", "x").say(call(1, "x"))
        .do("cancel", "a").say([4, [1]]).get([2, 1, *CANCELLED, "no"]).bad("broker.message", [2, 1, *CANCELLED, "no"]),
        Talk("a cancellation may cross the answer").do("call", "a", "x").say(call(1, "x"))
        .do("cancel", "a").say([4, [1]]).get([1, 1, {"object": [1, ""]}], [10, 3]).say([11, 3]),
        Talk("a copyable that nobody knows, in an answer").do("call", "a", "x").say(call(1, "x"))
        .get([1, 1, {"copy": ["vectors.unknown", table()]}]).do("fails", "a", "misuse", "broker.unknown-type"),
        Talk("PING is answered").get([10, 7]).say([11, 7]),
        Talk("after ABORT nothing is answered").get(call(1, "hold")).bad("", [14, "broker.message", "no"]),
    ]  # fmt: skip


def _streams() -> list[Talk]:
    block = [6, 1, {"zeros": 3000}]
    five = Talk("items wait for credit").get(call(1, "blocks", 7)).say([1, 1, {"stream": 1}], *[block] * 5)
    kept = Talk("the window, and no more").get(call(1, "keep", {"stream": 1})).say()
    return [
        Talk("items, the end, and the number again").get(call(1, "count", 2))
        .say([1, 1, {"stream": 1}], [6, 1, [{"bin": "00"}]], [6, 1, [{"bin": "01"}]], [7, 1])
        .get([8, 1], call(2, "count", 0)).say([1, 2, {"stream": 1}], [7, 1]),
        five.get([5, 1, 3064]).say(block).get([5, 1, 3064 * 5]).say(block, [7, 1]),
        Talk("CREDIT for more than was sent").get(call(1, "blocks", 1)).say([1, 1, {"stream": 1}], block, [7, 1])
        .bad("broker.message", [5, 1, 3065]),
        Talk("CREDIT for a stream that was not shown").bad("broker.message", [5, 1, 1]),
        Talk("CLOSE stops a stream").get(call(1, "blocks", 99)).say([1, 1, {"stream": 1}], *[block] * 5)
        .get([8, 1]).say([7, 1]),
        Talk("CLOSE twice").get(call(1, "blocks", 1)).say([1, 1, {"stream": 1}], block, [7, 1]).get([8, 1])
        .bad("broker.message", [8, 1]),
        Talk("CLOSE of what was not shown").bad("broker.message", [8, 1]),
        Talk("a stream as an argument").get(call(1, "total", {"stream": 1}))
        .get([6, 1, [{"bin": "05"}]], [6, 1, {"bin": "00"}], [7, 1]).say([1, 1, 2], [8, 1]),
        Talk("a stream that ends with an error").get(call(1, "total", {"stream": 1}), [7, 1, "missing", "a.b", "no"])
        .say([2, 1, "missing", "a.b"], [8, 1]),
        Talk("a number that is in use").get(call(1, "keep", {"stream": 1}))
        .bad("broker.message", call(2, "keep", {"stream": 1})),
        Talk("ITEM of what was not shown").bad("broker.message", [6, 1, {"bin": "00"}]),
        Talk("ITEM after END").get(call(1, "keep", {"stream": 1}), [7, 1]).bad("broker.message", [6, 1, {"bin": "00"}]),
        Talk("END twice").get(call(1, "keep", {"stream": 1}), [7, 1]).bad("broker.message", [7, 1]),
        Talk("END of what was not shown").bad("broker.message", [7, 1]),
        kept.get(*[[6, 1, {"zeros": 3000}]]).get(block).get(block).get(block).get(block).bad("broker.limit", block),
        Talk("more streams than are taken").get(*(call(n, "keep", {"stream": n}) for n in range(1, 5)))
        .bad("broker.limit", call(5, "keep", {"stream": 5})),
        Talk("a segment in the encoded form of an item").get(call(1, "total", {"stream": 1}))
        .bad("broker.value", [6, 1, [{"bin": pack({"segment": 0}).hex()}]], seen=False),
        Talk("an item that is no MessagePack").get(call(1, "total", {"stream": 1}))
        .bad("broker.frame", [6, 1, [{"bin": "c1"}]], seen=False),
    ]  # fmt: skip


def _blobs() -> list[Talk]:
    def piece(number: int, total: int, data: bytes) -> bytes:
        return frame(pack([number, total]), [data], 1)

    use = call(1, "echo", {"blob": 1})
    return [
        Talk("pieces, with others between them").piece(1, 4, b"ab").piece(2, 1, b"x")
        .get(call(2, "echo", 5)).say([1, 2, 5])
        .piece(1, 4, b"cd").get(use).say([1, 1, {"bin": b"abcd".hex()}])
        .get(call(3, "echo", {"blob": 2})).say([1, 3, {"bin": "78"}]),
        Talk("the number is free again when it was used").piece(1, 1, b"a").get(use, [4, [1]])
        .say([1, 1, {"bin": "61"}]).piece(1, 2, b"bc").get(use).say([1, 1, {"bin": "6263"}]),
        Talk("a blob that is given up").piece(1, 4, b"ab").piece(1, 0, b"").piece(1, 1, b"c").get(use)
        .say([1, 1, {"bin": "63"}]),
        Talk("a blob that is not whole").piece(1, 4, b"ab").bad("broker.message", use),
        Talk("a blob that was not begun").bad("broker.message", use),
        Talk("a blob that is used twice").piece(1, 1, b"a").bad("broker.message", call(1, "echo", [{"blob": 1}] * 2)),
        Talk("an empty piece").bad("broker.message", data=piece(1, 4, b"")),
        Talk("more bytes than it has").piece(1, 4, b"ab").bad("broker.message", data=piece(1, 4, b"cde")),
        Talk("another total").piece(1, 4, b"ab").bad("broker.message", data=piece(1, 5, b"c")),
        Talk("a piece of one that is whole").piece(1, 2, b"ab").bad("broker.message", data=piece(1, 2, b"c")),
        Talk("giving up what was not begun").bad("broker.message", data=piece(1, 0, b"")),
        Talk("giving up with bytes").piece(1, 2, b"a").bad("broker.message", data=piece(1, 0, b"b")),
        Talk("a blob that is too long").bad("broker.limit", data=piece(1, 16_385, b"a")),
        Talk("blobs that are too long together").piece(1, 10_000, b"a").bad("broker.limit", data=piece(2, 6_385, b"a")),
        Talk("more blobs than are taken").piece(1, 9, b"a").piece(2, 9, b"a").piece(3, 9, b"a").piece(4, 9, b"a")
        .bad("broker.limit", data=piece(5, 9, b"a")),
        Talk("a piece without a number").bad("broker.frame", data=frame(pack([None, 1]), [b"a"], 1)),
        Talk("a blob with the number 0").bad("broker.frame", data=piece(0, 1, b"a")),
        Talk("a negative total").bad("broker.frame", data=piece(1, -1, b"a")),
    ]  # fmt: skip


def _shared() -> list[Talk]:
    board = {"shared": [1, "Board", RUN, 0, table(a=1)]}
    theirs = {"shared": [1, "", RUN, 3, table(a=[1])]}

    def held(why: str) -> Talk:
        return Talk(why).do("call", "a", "x").say(call(1, "x")).get([1, 1, theirs]).do("state", "a", 3, table(a=[1]))

    return [
        Talk("a state, and then its changes").get(call(1, "board")).say([1, 1, board])
        .get(call(2, "put", 5)).say([1, 2, None], [9, 1, 1, [[["a"], 5]]]),
        Talk("no more changes after the last RELEASE").get(call(1, "board")).say([1, 1, board])
        .get([3, [1], [1]], call(2, "put", 5)).say([1, 2, None]),
        held("changes are applied in order").get([9, 1, 5, [[["a", 1], 2], [["b"], None]]])
        .do("state", "a", 5, table(a=[1, 2], b=None)).get([9, 1, 6, [[["a", 0]]]])
        .do("state", "a", 6, table(a=[2], b=None)),
        held("changes that are there already are passed over").get([9, 1, 4, [[["a"], 9], [["a"], 7]]])
        .do("state", "a", 4, table(a=7)).get([9, 1, 3, [[["a"], 8]]]).do("state", "a", 4, table(a=7)),
        held("the whole state in place of changes").get([9, 1, 9, [[[], 5]]]).do("state", "a", 9, 5),
        held("changes that begin too late").bad("broker.message", [9, 1, 5, [[["a"], 9]]]),
        held("a path that leads nowhere").bad("broker.message", [9, 1, 4, [[["b", "c"], 9]]], seen=False),
        held("an index after the end").bad("broker.message", [9, 1, 4, [[["a", 2], 9]]], seen=False),
        held("removing what is not there").bad("broker.message", [9, 1, 4, [[["b"]]]], seen=False),
        held("a copyable that nobody knows, in a change")
        .bad("broker.value", [9, 1, 4, [[["a"], {"copy": ["vectors.unknown", table()]}]]], seen=False),
        held("what is not there yet, in a change").bad("broker.message", [9, 1, 4, [[["a"], {"answer": [1]}]]]),
        held("removing the whole").bad("broker.message", [9, 1, 4, [[[]]]], seen=False),
        Talk("changes of what is not held are passed over").get([9, 7, 1, [[["a"], 1]]], [10, 1]).say([11, 1]),
    ]  # fmt: skip


def cases() -> dict[str, list[dict[str, Any]]]:
    """By file."""
    groups = {
        "answers": _answers() + _pipelining(),
        "questions": _questions(),
        "references": _references(),
        "streams": _streams(),
        "blobs": _blobs(),
        "shared": _shared(),
    }
    return {name: [{"why": talk.why, "steps": talk.steps} for talk in talks] for name, talks in groups.items()}
