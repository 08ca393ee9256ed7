"""Age: how old what a command has just read may be, where somebody wants to know.

Flow: open space, --age -> beats of other devices, one small read of each store -> words or JSON, on stderr
Never: looks unasked: the words would come with each read of a space whose people are seldom there together.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.output import Voice
from ropewalk.spaces.freshness import Word
from ropewalk.spaces.members import Names
from ropewalk.spaces.space import Space
from ropewalk.spaces.status import several_devices

__all__ = ["Age", "tell_age"]

Age = Annotated[
    bool,
    Parameter(
        name="--age",
        negative="",
        help="Say besides, on standard error, how old this view may be, by what was heard of other devices: fresh,"
        " stale since when, or not known.",
    ),
]


async def tell_age(space: Space, voice: Voice) -> None:
    """Say how old the view is that was read; a warning where it is stale, or where nobody can say."""
    view = await space.freshness() if several_devices(space.core.membership) else None
    if voice.json:
        print(json.dumps({"freshness": view.as_dict() if view is not None else None}), file=sys.stderr)
    elif view is None:
        voice.note("no other device belongs to the space, so nothing can be newer")
    else:
        names = Names(space.core.membership, space.core.keys)
        (voice.note if view.word is Word.FRESH else voice.warning)("; ".join(view.lines(names.whose)))
