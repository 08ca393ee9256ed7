"""`ropewalk space rename`: another name for a space, on this machine.

Flow: old name, new name -> settings
Never: touches a store: what a space is called is nobody else's business.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from ropewalk.cli.options import COMMON, Common
from ropewalk.cli.place import check_own_name
from ropewalk.errors import Misuse
from ropewalk.spaces.home import Home, Settings

__all__ = ["rename"]


async def rename(
    old: Annotated[str, Parameter(name="SPACE", help="The space, as it is called now.")],
    new: Annotated[str, Parameter(name="NAME", help="What you will call it.")],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Call a space something else on this machine.

    Others call it what they like, and nothing in the stores changes. A running `ropewalk up` takes the new name by
    itself.
    """
    home = Home.of_user()
    check_own_name(new, "space")
    home.space(old)

    def change(settings: Settings) -> Settings:
        if new in settings.spaces:
            raise Misuse(f"a space is called {new!r} already", hint="choose another name")
        named = {new if name == old else name: setting for name, setting in settings.spaces.items()}
        return replace(settings, spaces=named)

    home.update(change)
    common.voice.done(f"{old} is called {new} now", {"space": new, "before": old})
    return 0
