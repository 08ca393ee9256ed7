"""`ropewalk node trash`, `take-back`, `veto`: what an admin of a space can do against deletions, at its nodes.

Flow: a space's stores at nodes, asked over the network -> lines; labels -> objects that are there again
Never: opens the space, whose keys may be what somebody has stolen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.amounts import span
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import LEFT_OUT
from ropewalk.cli.output import Voice, count, size
from ropewalk.cli.session import device_keys
from ropewalk.cli.store_url import is_node
from ropewalk.errors import Missing, Misuse, RopewalkError
from ropewalk.remote import RemoteStore, Trashed
from ropewalk.spaces.home import Home
from ropewalk.spaces.places import opener

__all__ = ["NotInTrash", "take_back", "trash", "veto"]

LONGEST_VETO = 90  # days, as nodes have it
SHORTEST_LABEL = 4  # hex digits
SHOWN = 8
MOST_LISTED = 1_000_000  # rows of one store's trash that are read

Space = Annotated[str, Parameter(name="SPACE", help="The space, of which you are an admin.")]


class NotInTrash(Missing):
    """Nothing that was deleted is called this."""

    code = "node.not-in-trash"


async def trash(space: Space, /, *, common: Keyed = KEYED) -> int:
    """List what was deleted of a space and is still kept, at each of its nodes.

    Exit status: 11 some nodes could not be asked.
    """
    asked = _Asked(space, common)
    rows = 0

    async def show(name: str, store: RemoteStore) -> None:
        nonlocal rows
        async for one in _listed(store, asked.id):
            rows += 1
            common.voice.line(
                f"{name:<12}  {one.label[:SHOWN]}  {size(one.size):>10}  {span(one.left)} left  {_short(one)}",
                {"store": name, "label": one.label, "object": one.name, "bytes": one.size, "seconds_left": one.left},
            )

    await asked.each(show)
    if not rows and not asked.left_out:
        common.voice.note("nothing that was deleted is kept")
    return asked.status


async def take_back(
    space: Space,
    /,
    *what: Annotated[str, Parameter(name="LABEL", help="First digits of labels that `ropewalk node trash` shows.")],
    everything: Annotated[bool, Parameter(name="--all", negative="", help="All that is kept.")] = False,
    common: Keyed = KEYED,
) -> int:
    """Bring back what was deleted of a space, at each of its nodes.

    Exit status: 11 some nodes could not be asked.
    """
    if everything == bool(what):
        raise Misuse("either labels or --all is needed", hint=f"`ropewalk node trash {space}` lists what there is")
    if short := [one for one in what if len(one) < SHORTEST_LABEL]:
        raise Misuse(f"label {short[0]!r} is too short, expected {SHORTEST_LABEL} digits or more")
    asked = _Asked(space, common)
    found, back = 0, 0

    async def bring(_: str, store: RemoteStore) -> None:
        nonlocal found, back
        labels = [one.label async for one in _listed(store, asked.id) if everything or one.label.startswith(what)]
        found += len(labels)
        back += await store.take_back(asked.id, labels)

    await asked.each(bring)
    if what and not found and not asked.left_out:
        raise NotInTrash(f"nothing that was deleted is called {', '.join(what)}")
    common.voice.done(
        f"{count(back, 'object')} of {space} back{f', and {found - back} could not be' if found > back else ''}",
        {"space": space, "back": back, "found": found, "left_out": asked.left_out},
    )
    if back:
        common.voice.note(f"`ropewalk check {space}` says what lacks still")
    return asked.status


async def veto(
    space: Space,
    days: Annotated[float, Parameter(help="For how long, 90 at most; 0 ends a veto.")],
    /,
    *,
    common: Keyed = KEYED,
) -> int:
    """Let nothing of a space be deleted for so many days, at each of its nodes.

    Nothing in their trash ends meanwhile, either.

    Exit status: 11 some nodes could not be asked.
    """
    if not 0 <= days <= LONGEST_VETO:
        raise Misuse(f"a veto of {days:g} days, expected 0 to {LONGEST_VETO}")
    asked = _Asked(space, common)
    done: list[str] = []

    async def forbid(name: str, store: RemoteStore) -> None:
        await store.veto(asked.id, days * 86_400)
        done.append(name)

    await asked.each(forbid)
    common.voice.done(
        f"nothing of {space} is deleted for {days:g} days at {', '.join(done) or 'no node'}"
        if days
        else f"what is deleted of {space} goes to the trash again at {', '.join(done) or 'no node'}",
        {"space": space, "days": days, "stores": done, "left_out": asked.left_out},
    )
    return asked.status


async def _listed(store: RemoteStore, space: bytes) -> AsyncIterator[Trashed]:
    rows = 0
    async for one in store.trash(space):
        yield one
        rows += 1
        if rows >= MOST_LISTED:
            return


def _short(one: Trashed) -> str:
    return one.name.partition("/")[2][:40]


class _Asked:
    """The nodes of a space, one after the other.

    Attributes:
        id: The space's.
        left_out: Names of stores that could not be asked.
    """

    def __init__(self, space: str, common: Keyed) -> None:
        home = Home.of_user()
        setting = home.space(space)
        self.id = bytes.fromhex(setting.id)
        self.left_out: list[str] = []
        self._voice: Voice = common.voice
        places = zip(setting.stores, home.stores(setting.stores), strict=True)
        self._nodes = [(name, one) for name, one in places if is_node(one.path)]
        if not self._nodes:
            raise Misuse(
                f"none of the stores of {space} is at a node", hint="what is deleted in a folder or a bucket is gone"
            )
        self._open = opener(home, device_keys(home, common))

    @property
    def status(self) -> int:
        """The exit status."""
        return LEFT_OUT if self.left_out else 0

    async def each(self, work: Callable[[str, RemoteStore], Awaitable[None]]) -> None:
        """Do something at each; those where it cannot be done are named, and left out.

        Raises:
            RopewalkError: It can be done at none of them.
        """
        problems: list[RopewalkError] = []
        for name, setting in self._nodes:
            try:
                async with self._opened(setting.path, setting.id) as store:
                    await work(name, store)
            except RopewalkError as error:
                problems.append(error)
                self.left_out.append(name)
        if len(problems) == len(self._nodes):
            raise problems[0]
        for name, problem in zip(self.left_out, problems, strict=True):
            self._voice.warning(f"store {name} was left out: {problem}")

    @asynccontextmanager
    async def _opened(self, place: str, identity: str) -> AsyncIterator[RemoteStore]:
        store = await self._open(place, bytes.fromhex(identity))
        try:
            if not isinstance(store, RemoteStore):
                raise Misuse(f"{place} is no store of a node")
            yield store
        finally:
            await store.aclose()
