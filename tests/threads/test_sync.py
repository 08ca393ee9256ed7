"""The blocking face of asynchronous objects, of a space above all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from ropewalk.errors import Misuse
from ropewalk.loops import run
from ropewalk.spaces.space import Space
from ropewalk.threads import Portal, Sync, portal, sync
from tests.spaces.making import World, a_space


@pytest.fixture
def door() -> Iterator[Portal]:
    with portal() as opened:
        yield opened


class Child:
    def __init__(self, name: str) -> None:
        self.name = name

    async def shout(self) -> str:
        return self.name.upper()


class Plain:
    def get(self) -> str:
        return "plain"


class Thing:
    """Of everything one."""

    kind = "thing"

    def __init__(self) -> None:
        self.child = Child("attribute")
        self.opened = 0

    def plain(self) -> int:
        return threading.get_ident()

    def later(self) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(7)
        return future

    async def find(self, name: str) -> Child:
        await asyncio.sleep(0)
        return Child(name)

    async def name_of(self, child: Child, *, twice: Child | None = None) -> str:
        return child.name + (twice.name if twice else "")

    async def things(self) -> list[Child | Plain]:
        return [Child("in a list"), Plain()]

    async def fails(self) -> None:
        raise LookupError("meant")

    async def children(self) -> AsyncIterator[Child]:
        for name in "ab":
            yield Child(name)

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Child]:
        yield Child("changed")

    async def __aenter__(self) -> Self:
        self.opened += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.opened -= 1

    def __aiter__(self) -> AsyncIterator[Child]:
        return self.children()


def test_methods_block_and_attributes_pass_through(door: Portal) -> None:
    thing = Thing()
    face = sync(thing, door)
    assert face.kind == "thing"
    assert face.plain() != threading.get_ident()  # in the loop's thread, where the object lives
    assert face.later() == 7
    assert face.find("x").shout() == "X"
    assert face.child.shout() == "ATTRIBUTE"
    assert face.name_of(face.find("y"), twice=face.child) == "yattribute"
    with pytest.raises(LookupError, match="meant"):
        face.fails()
    with pytest.raises(AttributeError):
        face.nothing()
    listed, plain = face.things()
    assert (type(listed), type(plain)) == (Child, Plain)  # containers are not looked into
    assert face.find.__name__ == "find"


def test_iterators_and_context_managers(door: Portal) -> None:
    thing = Thing()
    face = sync(thing, door)
    children = face.children()
    assert next(children).shout() == "A"
    children.close()
    assert [child.shout() for child in face] == ["A", "B"]
    with face.change() as child:
        assert child.shout() == "CHANGED"
    with face as same:
        assert same is face
        with face:
            assert thing.opened == 2
    assert thing.opened == 0
    for wrong in (iter, lambda value: value.__enter__()):
        with pytest.raises(Misuse):
            wrong(face.child)


def test_a_face_looks_like_what_is_behind_it(door: Portal) -> None:
    thing = Thing()
    face = sync(thing, door)
    assert isinstance(face, Sync)
    assert face == thing == sync(thing, door)
    assert hash(face) == hash(thing)
    assert "find" in dir(face)
    assert repr(face).startswith("<sync <")


@contextmanager
def opened(world: World) -> Iterator[Any]:
    """As `ropewalk.open_sync` does it."""
    with portal() as door, door.enter(world.open()) as space:
        yield sync(space, door)


def test_a_space_in_a_plain_program(tmp_path: Path) -> None:
    world = run(a_space(tmp_path))
    with opened(world) as space:
        space.make_folder("trip")
        space.write("trip/one.txt", b"first")
        with space.change("two at once") as change:
            change.write("trip/two.txt", b"second")
            change.write("trip/three.txt", b"third")
        assert [info.path for info in space.list("trip")] == ["one.txt", "three.txt", "two.txt"]
        assert space.read("trip/two.txt") == b"second"
        with space.file("trip/three.txt") as file:
            assert (file.size, file.pread(1, 3)) == (5, b"hir")
        before = space.current()
        space.remove("trip/one.txt")
        assert before.read("trip/one.txt") == b"first"
        assert next(before.walk()) is not None  # the rest is not asked for
        assert len(space.log()) >= 1
        with pytest.raises(Exception, match=r"one\.txt"):
            space.read("trip/one.txt")
        assert isinstance(space.core, object)
        assert space.name == "photos"
    with opened(world) as space:
        assert space.read("trip/three.txt") == b"third"
        assert not isinstance(space, Space)
