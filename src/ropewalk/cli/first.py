"""First: what a machine lacks to have a node with a space of its own, set up before `ropewalk up --new` goes on.

Flow: keys, as `init` makes them -> three folders as stores -> a space called files
Never: touches what is set up already.
"""

from __future__ import annotations

import os
from pathlib import Path

from ropewalk.cli.init import set_up
from ropewalk.cli.loop import run
from ropewalk.cli.options import Keyed
from ropewalk.cli.space import create
from ropewalk.cli.store import add
from ropewalk.cli.who import own_device
from ropewalk.spaces.home import Home

__all__ = ["FOLDERS", "SPACE", "first"]

SPACE, FOLDERS = "files", ("folder1", "folder2", "folder3")


def first(home: Home, common: Keyed, *, yes: bool = False) -> None:
    """Make keys where there are none, and a space where there is neither a space nor a store.

    Args:
        yes: Do not ask whether the words of the paper key were written down.
    """
    if not home.has_keys:
        set_up(home, common, yes=yes)
    settings = home.load()
    if not settings.spaces and not settings.stores:
        run(_space(home, common))


async def _space(home: Home, common: Keyed) -> None:
    folder = _data(home) / "stores"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    here = own_device().replace(",", " ").replace("=", " ")
    for name in FOLDERS:
        await add(name, str(folder / name), domain=[f"machine={here},disk={here}"], common=common)
    await create(SPACE, stores=",".join(FOLDERS), survive=["1"], common=common)
    common.voice.note(
        "all three folders are on this machine, so they guard against damage and not against its loss:"
        " `ropewalk store add` and `ropewalk space add-store` bring in other places"
    )


def _data(home: Home) -> Path:
    """Where what is large belongs on this system."""
    if os.environ.get("ROPEWALK_HOME"):
        return home.config
    from platformdirs import user_data_path

    return user_data_path("ropewalk")
