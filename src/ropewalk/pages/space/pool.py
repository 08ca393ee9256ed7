"""Pool: the stores of a space as a map of what fails together, each with how it is and how full; one store closely.

Flow: request -> what is known -> faces in boxes -> page; button -> a look at all stores -> the page again
Never: asks a store for a page, or shows a credential.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ropewalk.errors import Missing
from ropewalk.pages.answers import json_answer, page, wants_json
from ropewalk.pages.auditing import audited
from ropewalk.pages.browsing import Browsing
from ropewalk.pages.names import BadAddress
from ropewalk.pages.opened import Spaces
from ropewalk.pages.places import Place, place_of
from ropewalk.pages.space.drawing import VIEWS, boxes_of, face_of, latency, views_of
from ropewalk.pages.space.looking import Known, Looking
from ropewalk.spaces.home import Home
from ropewalk.spaces.passport import Passport, PassportDamaged, load
from ropewalk.spaces.places import without_secrets
from ropewalk.spaces.promise.plain import PLAIN

__all__ = ["NoSuchStore", "PoolPages"]


class NoSuchStore(Missing):
    """The space has no store of this name."""

    code = "pages.no-such-store"


@dataclass(frozen=True, slots=True)
class _File:
    """What the home keeps about a store.

    Attributes:
        place: Without secrets.
        passport: What was found of it; None where it was never looked at.
        damaged: Why nobody knows what was found.
    """

    place: str
    passport: Passport | None = None
    damaged: str = ""


class PoolPages:
    """Endpoints.

    Args:
        spaces: What can be shown.
        browsing: Gives what each page needs.
        looking: What is known of stores.
    """

    def __init__(self, spaces: Spaces, browsing: Browsing, looking: Looking) -> None:
        self._spaces, self._browsing, self._looking = spaces, browsing, looking

    def table(self) -> Mapping[str, Mapping[str, Callable[[Request], Awaitable[Response]]]]:
        """By WHAT, by method."""
        return {"pool": {"GET": self.pool, "POST": self.look}}

    async def pool(self, request: Request) -> Response:
        """All stores, or the one that ``store`` names."""
        place = await self._place(request)
        known = await self._looking.known(place.space)
        name = request.query_params.get("store")
        if name is not None:
            return await self._store(request, place, known, name)
        faces = [face_of(one) for one in known.stores]
        views = views_of(known.stores)
        view = request.query_params.get("view", "")
        view = view if view in views else next((one for one in views if one in _stated(known)), views[0])
        policy = place.space.core.membership.policy
        values = {
            "place": place, "faces": faces, "boxes": boxes_of(faces, view), "view": view, "kinds": PLAIN,
            "views": [(one, VIEWS[one][0]) for one in views], "policy": policy, "status": known.status,
            "holding": sum(1 for one in known.stores if one.held.shares),
            "last": self._looking.last(place.space), "looks": self._looking.looks(place.space),
        }  # fmt: skip
        frame = self._browsing.frame(request, place.space) | {"standing": []}  # this page says more of it
        return page("space/pool.html", {**values, **frame})

    async def look(self, request: Request) -> Response:
        """Ask all stores once, and show what came of it."""
        place = await self._place(request)
        if self._looking.looks(place.space) and not wants_json(request):  # who asks twice wants to see what comes of it
            return RedirectResponse(place.href("pool", (), at=""), 303)
        with audited(request, f"look at all stores of {place.label}"):
            found = await self._looking.look(place.space)
        if wants_json(request):
            return json_answer({"answered": found.answered, "stores": found.stores, "missing": found.missing})
        return RedirectResponse(place.href("pool", (), at=""), 303)

    async def _store(self, request: Request, place: Place, known: Known, name: str) -> Response:
        store = next((one for one in known.stores if one.name == name), None)
        if store is None:
            raise NoSuchStore(f"this space has no store called {name[:80]!r}", hint="its pool shows those that it has")
        core = place.space.core
        identity, key = core.markers.get(name, b""), core.device.public().ed25519
        filed = await asyncio.to_thread(_filed, place.space.home, name, identity, key)
        domains = [(kind, store.domains.get(kind)) for kind in PLAIN if kind != "store"]
        values = {
            "place": place, "face": face_of(store), "store": store, "file": filed, "domains": domains,
            "kinds": PLAIN, "reads": [latency(seconds) for seconds in store.seen.reads[-12:]],
            "pace": f"{1 / store.seen.pace / 2**20:,.0f} MiB a second" if store.seen.pace else "",
        }  # fmt: skip
        return page("space/store.html", {**values, **self._browsing.frame(request, place.space)})

    async def _place(self, request: Request) -> Place:
        place = await place_of(request, self._spaces)
        if place.parts:
            raise BadAddress("a pool is of a whole space", hint="its address ends with /pool/")
        return place


def _stated(known: Known) -> set[str]:
    """Views of which something is stated."""
    kinds = {kind for store in known.stores for kind in store.domains}
    return {view for view, (_, wanted) in VIEWS.items() if kinds.intersection(wanted)}


def _filed(home: Home, name: str, identity: bytes, device: bytes) -> _File:
    setting = home.load().stores.get(name)
    place = without_secrets(setting.path) if setting is not None else ""
    try:
        return _File(place, load(home, identity, device) if identity else None)
    except PassportDamaged as error:
        return _File(place, None, str(error))
