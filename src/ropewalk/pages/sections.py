"""Sections: what a space shows besides its files: its members, conflicts, stores, promise and audit.

Flow: SpacePages -> sections -> each one's endpoints, by what stands after the space's name in an address
Never: answers by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from ropewalk.pages.browsing import Browsing
from ropewalk.pages.opened import Spaces
from ropewalk.pages.space.audit import Audits
from ropewalk.pages.space.conflicts import Conflicts
from ropewalk.pages.space.invitations import Invitations
from ropewalk.pages.space.inviting import InvitePages
from ropewalk.pages.space.looking import Looking
from ropewalk.pages.space.people import PeoplePages
from ropewalk.pages.space.pool import PoolPages
from ropewalk.pages.space.promise import PromisePages

__all__ = ["Section", "sections"]


class Section(Protocol):
    """Some endpoints of a space."""

    def table(self) -> Mapping[str, Mapping[str, Callable[[Request], Awaitable[Response]]]]:
        """By WHAT of ``/spaces/NAME/WHAT``, by method."""


def sections(spaces: Spaces, browsing: Browsing, invitations: Invitations) -> Sequence[Section]:
    """All of them."""
    looking = Looking()
    people: list[Section] = [PeoplePages(spaces, browsing, invitations), InvitePages(spaces, browsing, invitations)]
    return [
        *people,
        PoolPages(spaces, browsing, looking),
        PromisePages(spaces, browsing, looking),
        Conflicts(spaces, browsing),
        Audits(spaces, browsing),
    ]
