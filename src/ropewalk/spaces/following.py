"""Following: an open space uses the stores that the settings name now, not those they named when it was opened.

Flow: settings.toml, passports, when they have changed -> stores joined, parted, drained, their terms -> Pool
Never: fails for settings that cannot be read: what was used is used on, and people are told.
"""

from __future__ import annotations

from msgspec.structs import replace

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.home import Home, SpaceSetting, StoreSetting
from ropewalk.spaces.opening import pool_store
from ropewalk.spaces.passport import mark, said_of_refused, terms_of
from ropewalk.spaces.places import OpenStore
from ropewalk.spaces.state import State

__all__ = ["Following", "with_draining"]


class Following:
    """What the settings say of one space.

    Args:
        home: Whose settings.
        core: The open space.
        open_store: Opens a store at a place.
    """

    def __init__(self, home: Home, core: Core, open_store: OpenStore) -> None:
        self._home, self._core, self._open_store = home, core, open_store
        self._mark: tuple[int, ...] = ()
        self._seen: dict[str, tuple[int, ...]] = {}  # marks of passports, by store
        self._known: dict[str, StoreSetting] = {}

    async def look(self) -> None:
        """Use what the settings name, if they have changed since the last look."""
        now = self._home.mark()
        if now != self._mark:
            self._mark = now
            await self._read()
        for name, setting in self._known.items():
            seen = mark(self._home, bytes.fromhex(setting.id))
            if seen != self._seen.get(name, ()):
                self._seen[name] = seen
                self._use_on(name, setting)

    def _use_on(self, name: str, setting: StoreSetting) -> None:
        core = self._core
        terms = terms_of(self._home, setting, core.device.public())
        if terms.refused and not core.pool.terms(name).refused:
            core.warnings.append(said_of_refused(name, terms))
        core.pool.use_on(name, terms)

    async def _read(self) -> None:
        try:
            settings = self._home.load()
            found = next((one for one in settings.spaces.values() if one.id == self._core.space_id.hex()), None)
            if found is None:
                return  # it was taken out of the settings: who has it open may end in peace
            stores = {name: settings.stores[name] for name in found.stores if name in settings.stores}
        except RopewalkError as error:
            self._core.warnings.append(f"the stores are used as they were: {error}")
            return
        await self._use(stores, frozenset(found.draining))

    async def _use(self, stores: dict[str, StoreSetting], draining: frozenset[str]) -> None:
        core, pool = self._core, self._core.pool
        first = not self._known
        known = self._known or {name: stores[name] for name in pool.names if name in stores}
        self._known = stores
        for name in pool.names:
            if name not in stores or stores[name] != known.get(name, stores[name]):
                pool.part(name)
        joined = [name for name in stores if name not in pool.names]
        for name in joined:
            pool.join(pool_store(self._home, name, stores[name], self._open_store, core.device.public()))
        core.markers = {name: bytes.fromhex(one.id) for name, one in stores.items()}
        emptied = draining if first else draining - pool.draining  # another process may have said so before
        pool.draining = draining
        for name in emptied:
            await core.ledger.do(_forget, name)
        if joined:
            await pool.revive(len(pool.names))


def _forget(state: State, store: str) -> None:
    with state.transaction():
        state.forget_store(store)


def with_draining(space: SpaceSetting, store: str, *, draining: bool) -> SpaceSetting:
    """A space's settings in which one of its stores gets nothing new, or gets it again."""
    others = [one for one in space.draining if one != store]
    return replace(space, draining=[*others, store] if draining else others)
