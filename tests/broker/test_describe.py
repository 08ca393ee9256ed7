"""Describe: what a stranger with a JSON Schema reader learns of an object."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from ropewalk import broker as rope
from ropewalk.errors import Misuse, RopewalkError
from tests.broker.pair import Pair

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]


class Size(enum.Enum):
    """Of a shirt."""

    SMALL = "s"
    LARGE = "l"


@rope.copyable("described.receipt")
@dataclasses.dataclass
class Receipt:
    """Knows another, and an account."""

    total: int
    of: Account | None = None
    before: Receipt | None = None


class Account(rope.Object):
    """Money of one person.

    And more words.
    """

    @rope.remote
    def transfer(self, to: Account, amount: Annotated[int, Meta(gt=0)], *, note: str = "") -> Receipt:
        """Give some away."""
        return Receipt(amount)

    @rope.remote
    async def history(self, most: int | None = None) -> AsyncIterator[Receipt]:
        yield Receipt(1)

    @rope.remote
    def load(self, items: AsyncIterator[bytes], /) -> AsyncIterator[int]:
        raise NotImplementedError

    @rope.remote
    def any(self, it, *rest: str, **others: float):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        return it

    @rope.remote
    def nested(self, it: dict[str, list[Account]], pair: tuple[Account, int], many: tuple[Account, ...]) -> set[int]:
        return set()

    @rope.remote
    def kinds(
        self,
        a: bytes,
        b: decimal.Decimal,
        c: uuid.UUID,
        d: dt.datetime,
        e: dt.timedelta,
        f: Size,
        g: str | int | None,
        h: rope.Reference,
    ) -> dict[str, float]:
        return {}

    @rope.remote
    def unknown(self, fine: int, it: Unknown) -> Unknown:
        return it

    def local(self) -> None:
        raise AssertionError


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair(Account(), Account())
    yield made
    await made.stop()


REFERENCE = {"ropewalk": "reference", "name": "Account"}
RECEIPT = {
    "ropewalk": "copyable",
    "name": "described.receipt",
    "type": "object",
    "properties": {
        "total": {"type": "integer"},
        "of": {"anyOf": [REFERENCE, {"type": "null"}]},
        "before": {"anyOf": [{"ropewalk": "copyable", "name": "described.receipt"}, {"type": "null"}]},
    },
    "required": ["total"],
}


async def test_a_class_is_told_of_as_it_is_offered(pair: Pair) -> None:
    told = await pair.got(rope.describe(pair.me))
    assert (told["name"], told["about"]) == ("Account", "Money of one person.\n\nAnd more words.")
    assert list(told["methods"]) == ["any", "history", "kinds", "load", "nested", "transfer", "unknown"]
    assert told["methods"]["transfer"] == {
        "about": "Give some away.",
        "arguments": [
            {"name": "to", "type": REFERENCE, "optional": False},
            {"name": "amount", "type": {"type": "integer", "exclusiveMinimum": 0}, "optional": False},
            {"name": "note", "type": {"type": "string"}, "optional": True, "kind": "named"},
        ],
        "returns": RECEIPT,
        "yields": False,
    }


async def test_what_nobody_wrote_about_a_class_is_nothing() -> None:
    """It was what its base says of itself: of ours, or of the program's."""

    class Silent(rope.Perspective):
        @rope.remote
        def method(self) -> None: ...

    class Quiet(Account):
        pass

    for kind in (Silent, Quiet):
        made = Pair(kind())
        told = await made.got(rope.describe(made.me))
        assert (told["name"], told["about"]) == (kind.__name__, "")
        await made.stop()


async def test_streams_are_told_of_by_their_items(pair: Pair) -> None:
    methods = (await pair.got(rope.describe(pair.me)))["methods"]
    assert (methods["history"]["yields"], methods["history"]["returns"]) == (True, RECEIPT)
    assert methods["load"]["yields"] is False
    assert methods["load"]["returns"] == {"ropewalk": "stream", "of": {"type": "integer"}}
    (argument,) = methods["load"]["arguments"]
    assert (argument["kind"], argument["type"]["ropewalk"]) == ("positional", "stream")


async def test_containers_of_references_and_other_kinds(pair: Pair) -> None:
    methods = (await pair.got(rope.describe(pair.me)))["methods"]
    assert [one["type"] for one in methods["nested"]["arguments"]] == [
        {"type": "object", "additionalProperties": {"type": "array", "items": REFERENCE}},
        {
            "type": "array",
            "prefixItems": [REFERENCE, {"type": "integer"}],
            "items": False,
            "minItems": 2,
            "maxItems": 2,
        },
        {"type": "array", "items": REFERENCE},
    ]
    assert methods["nested"]["returns"] == {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    kinds = {one["name"]: one["type"] for one in methods["kinds"]["arguments"]}
    assert kinds["a"] == {"type": "string", "contentEncoding": "base64"}
    assert (kinds["b"]["format"], kinds["c"]["format"], kinds["e"]["format"]) == ("decimal", "uuid", "duration")
    assert kinds["d"]["type"] == "string"
    assert kinds["f"]["$ref"] == "#/$defs/Size"
    assert kinds["g"] == {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}
    assert kinds["h"] == {"ropewalk": "reference", "name": ""}
    assert [(one["type"], one["optional"], one.get("kind")) for one in methods["any"]["arguments"]] == [
        ({}, False, None),
        ({"type": "string"}, True, "rest"),
        ({"type": "number"}, True, "others"),
    ]


async def test_an_annotation_that_cannot_be_read_is_any_value(pair: Pair) -> None:
    """One of them, and nothing could be told of the whole class."""
    unknown = (await pair.got(rope.describe(pair.me)))["methods"]["unknown"]
    assert [one["type"] for one in unknown["arguments"]] == [{"type": "integer"}, {}]
    assert unknown["returns"] == {}


async def test_what_a_promise_will_be_can_be_described_too(pair: Pair) -> None:
    class Maker(rope.Object):
        @rope.remote
        def account(self) -> Account:
            return Account()

        @rope.remote
        def both(self) -> list[Account]:
            return [Account()]

    made = Pair(Maker())
    assert (await made.got(rope.describe(made.me.account())))["name"] == "Account"
    assert (await made.got(rope.describe(made.me.both()[0])))["name"] == "Account"
    account = await made.got(made.me.account())
    assert (await made.got(rope.describe(account)))["name"] == "Account"
    await made.stop()


async def test_only_references_are_described(pair: Pair) -> None:
    no_references: list[Any] = [5, None, Account()]
    for it in no_references:
        with pytest.raises(Misuse, match="expected a reference"):
            await rope.describe(it)
    with pytest.raises(RopewalkError, match=r"no arguments|takes no"):
        await pair.got(getattr(pair.me, "@describe")(1))


async def test_all_of_it_can_be_written_as_json(pair: Pair) -> None:
    told = await pair.got(rope.describe(pair.me))
    assert msgspec.json.decode(msgspec.json.encode(told)) == told
