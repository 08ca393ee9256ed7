"""Places: what the address of a page means: a space, a version of it, a path.

Flow: request -> raw path, query -> Place -> endpoints
Never: decodes a path twice, or takes one that it would write otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.requests import Request

from ropewalk.pages.names import BadAddress, quoted, shown, unquoted
from ropewalk.pages.opened import Spaces
from ropewalk.spaces.space import Space
from ropewalk.spaces.version import Version

__all__ = ["Place", "Step", "place_of"]


@dataclass(frozen=True, slots=True)
class Step:
    """One folder on the way to a place."""

    label: str
    href: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page looks.

    Attributes:
        name: Of the space.
        space: Open.
        parts: The path.
        at: The digits of an older version; "" for the newest.
    """

    name: str
    space: Space
    parts: tuple[bytes, ...]
    at: str = ""

    async def version(self) -> Version:
        """What is looked at.

        Raises:
            UnknownVersion.
        """
        return await self.space.at(self.at or None)

    @property
    def path(self) -> bytes:
        """For a version."""
        return b"/".join(self.parts)

    @property
    def label(self) -> str:
        """For people: the last name, or that of the space."""
        return shown(self.parts[-1]) if self.parts else shown(self.name)

    @property
    def whole(self) -> str:
        """The path for people."""
        return "/" + "/".join(shown(part) for part in self.parts)

    @property
    def above(self) -> tuple[bytes, ...]:
        """The folder that it is in."""
        return self.parts[:-1]

    @property
    def steps(self) -> list[Step]:
        """The way here from the top, the space first."""
        ends = range(len(self.parts) + 1)
        labels = [shown(self.name), *(shown(part) for part in self.parts)]
        return [Step(labels[end], self.href("files", self.parts[:end])) for end in ends]

    def href(self, what: str, parts: tuple[bytes, ...] | None = None, **query: str) -> str:
        """The address of a page of this space, in the same version unless ``at`` says otherwise."""
        query = {"at": self.at, **query}
        asked = urlencode({key: value for key, value in query.items() if value})
        path = f"/spaces/{quoted([self.name.encode()])}/{what}/{quoted(self.parts if parts is None else parts)}"
        return f"{path}?{asked}" if asked else path


async def place_of(request: Request, spaces: Spaces) -> Place:
    """The place of ``/spaces/NAME/WHAT/PATH?at=VERSION``.

    Raises:
        BadAddress, NoSuchSpace, NotOpen.
    """
    raw = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    pieces = raw.partition(b"?")[0].split(b"/", 4)
    if len(pieces) < 4:
        raise BadAddress("the address does not name a space")
    names = unquoted(pieces[2])
    if len(names) != 1:
        raise BadAddress("the address does not name a space")
    try:
        name = names[0].decode()
    except UnicodeDecodeError:
        raise BadAddress("the name of the space is not UTF-8") from None
    space = await spaces.open(name)
    parts = unquoted(pieces[4]) if len(pieces) > 4 else ()
    return Place(name, space, parts, request.query_params.get("at", "")[:64])
