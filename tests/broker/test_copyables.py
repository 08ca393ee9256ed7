"""Copyables: records of both kinds as they were, checked where they arrive."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from ropewalk import broker as rope
from ropewalk.broker import copyables
from ropewalk.broker.copyables import BadCopyable, copied, entry_of
from ropewalk.errors import Misuse
from tests.broker.pair import Pair


@rope.copyable("copy.struct")
class Struct(msgspec.Struct):
    """With a default and a bound."""

    name: str
    size: Annotated[int, Meta(ge=0)] = 5


@rope.copyable("copy.data")
@dataclasses.dataclass
class Data:
    """With another record, and things of all kinds."""

    inner: Struct
    more: list[Any] = dataclasses.field(default_factory=list)
    made: int = dataclasses.field(init=False, default=7)


@rope.copyable("copy.frozen")
@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """Cannot be changed."""

    at: tuple[int, int]


@rope.copyable("copy.sub")
class Sub(Struct):
    """One more field."""

    extra: bytes = b""


@rope.copyable("copy.renamed")
class Renamed(msgspec.Struct, rename="camel"):
    """Other languages like it so."""

    long_name: int
    desk: Any = None


@rope.copyable("copy.list")
class Listed(msgspec.Struct, array_like=True, tag=True):
    """Elsewhere it is an array."""

    a: int
    b: int = 2


@rope.copyable("copy.strict")
class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """Takes nothing else."""

    a: int


@rope.copyable("copy.tree")
@dataclasses.dataclass
class Tree:
    """Of itself."""

    left: Tree | None = None
    right: Tree | None = None


class Desk(rope.Object):
    """Takes records."""

    def __init__(self) -> None:
        self.got: Any = None

    @rope.remote
    def echo(self, it: Any) -> Any:
        self.got = it
        return it

    @rope.remote
    def struct(self, it: Struct) -> str:
        return type(it).__name__

    @rope.remote
    def either(self, it: Struct | Data | int, others: list[Data] | None = None) -> str:
        return type(it).__name__


@rope.copyable("copy.card")
@dataclasses.dataclass
class Card:
    """Has references."""

    owner: Desk
    others: list[Desk] = dataclasses.field(default_factory=list)


@pytest.fixture
async def desk() -> Desk:
    return Desk()


@pytest.fixture
async def pair(desk: Desk) -> AsyncIterator[Pair]:
    made = Pair(desk)
    yield made
    await made.stop()


@pytest.mark.parametrize(
    "record",
    [
        Struct("a"),
        Sub("a", 0, b"x" * 20_000),
        Data(Struct("b", 1), [Struct("c"), {"d": (1, 2)}, b"y" * 300_000]),
        Frozen((1, 2)),
        Renamed(5),
        Listed(1, 3),
        Strict(1),
        Tree(Tree(None, Tree()), Tree()),
    ],
)
async def test_records_come_as_they_were(pair: Pair, desk: Desk, record: Any) -> None:
    got = await pair.got(pair.me.echo(record))
    assert got == desk.got == record
    assert type(desk.got) is type(record)
    assert desk.got is not record
    assert await pair.got(pair.me.echo([{"a": (record,)}])) == [{"a": (record,)}]


async def test_fields_are_parts_by_the_names_that_they_have_outside(pair: Pair) -> None:
    promise = pair.me.echo([Renamed(5), Data(Struct("name"))])
    parts = pair.me.echo(promise[0].longName), pair.me.echo(promise[1].inner.name)
    assert [await pair.got(one) for one in parts] == [5, "name"]
    for part in (promise[0].long_name, promise[1].made, promise[1].__class__ and promise[1]["__class__"]):
        with pytest.raises(Exception, match="has no part"):
            await pair.got(pair.me.echo(part))


async def test_a_record_of_a_subclass_is_one_of_the_class(pair: Pair) -> None:
    assert await pair.got(pair.me.struct(Sub("a"))) == "Sub"
    assert await pair.got(pair.me.struct({"name": "a"})) == "Struct"  # from who has not registered it
    assert await pair.got(pair.me.either(Data(Struct("a")))) == "Data"
    assert await pair.got(pair.me.either(Struct("a"), [Data(Struct("a"))])) == "Struct"
    assert await pair.got(pair.me.either(5)) == "int"
    for call in (pair.me.struct(Frozen((1, 2))), pair.me.either(Frozen((1, 2)))):
        with pytest.raises(Misuse, match="argument it: expected"):
            await pair.got(call)


async def test_references_in_records_are_references(pair: Pair, desk: Desk) -> None:
    """A field of a class of objects took no object of the other end."""
    mine = Desk()
    assert await pair.got(pair.me.echo(Card(mine, [mine]))) == Card(mine, [mine])
    assert isinstance(desk.got.owner, rope.Remote)
    theirs = pair.me
    got = await pair.got(theirs.echo(Card(mine)))
    assert got.owner is mine


class Raw:
    """A copyable as somebody else writes it."""

    def __init__(self, name: str, fields: Any) -> None:
        self.name, self.fields = name, fields


UNFIT = {
    "a name that is not registered": ("copy.nothing", {}),
    "a field of another kind": ("copy.struct", {"name": 5}),
    "a field out of bounds": ("copy.struct", {"name": "a", "size": -1}),
    "a field missing": ("copy.struct", {}),
    "a field too many": ("copy.strict", {"a": 1, "b": 2}),
    "a field of a record in it": ("copy.data", {"inner": 5}),
    "no reference": ("copy.card", {"owner": 5}),
    "no reference in a list": ("copy.card", {"owner": None, "others": [5]}),
    "no field of one that is otherwise an array": ("copy.list", {"b": 1}),
}


@pytest.mark.parametrize(("name", "fields"), UNFIT.values(), ids=UNFIT.keys())
async def test_a_record_that_does_not_fit_harms_only_its_call(pair: Pair, name: str, fields: Any) -> None:
    class Wrong(msgspec.Struct):
        it: int = 0

    rope.copyable(f"copy.wrong.{name}")(Wrong)
    entry = copyables._by_kind[Wrong]
    copyables._by_kind[Wrong] = entry._replace(name=name, fields=dict.fromkeys(fields, "it"))
    values = iter(fields.values())

    class Fields(Wrong):
        """Gives the next value at each look."""

    wrong = Wrong()
    taken = {key: next(values) for key in fields}
    copyables._by_kind[Wrong] = _Fixed(name, Wrong, dict.fromkeys(fields, "it"), taken)  # type: ignore[assignment]
    with pytest.raises(Misuse) as caught:
        await pair.got(pair.me.echo(wrong))
    assert caught.value.code == "broker.unknown-type"
    assert await pair.got(pair.me.echo(1)) == 1


@dataclasses.dataclass
class _Fixed:
    name: str
    kind: type[Any]
    fields: dict[str, str]
    taken: dict[str, Any]

    def take(self, _record: object) -> dict[str, Any]:
        return self.taken


async def test_what_is_not_registered_cannot_cross(pair: Pair) -> None:
    class Unknown(msgspec.Struct):
        a: int

    with pytest.raises(rope.CannotSend, match="Unknown cannot cross") as caught:
        pair.me.echo(Unknown(1))
    assert "@copyable" in caught.value.hint


def test_what_cannot_be_registered_is_refused() -> None:
    with pytest.raises(BadCopyable, match=r"expected a msgspec.Struct or a dataclass"):
        rope.copyable("copy.plain")(type("Plain", (), {}))
    for name in ("", "x" * 129):
        with pytest.raises(BadCopyable, match="expected 1 to 128"):
            rope.copyable(name)(Struct)
    with pytest.raises(BadCopyable, match=r"copy.struct is already .*Struct"):
        rope.copyable("copy.struct")(Frozen)
    rope.copyable("copy.struct")(Struct)  # again, as when its module is loaded anew
    assert entry_of(Struct) is not None


def test_a_copy_has_nothing_in_common_but_objects() -> None:
    desk = Desk()
    value = {"a": [Data(Struct("x"), [1, desk])], "b": ({1}, bytearray(b"x"), Frozen((1, 2)))}
    made = copied(value)
    value["a"][0].more.append(2)  # type: ignore[union-attr]
    value["a"][0].inner.name = "y"  # type: ignore[union-attr]
    assert made == {"a": [Data(Struct("x"), [1, desk])], "b": ({1}, b"x", Frozen((1, 2)))}
    assert made["a"][0].more[1] is desk
