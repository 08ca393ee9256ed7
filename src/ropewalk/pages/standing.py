"""Standing: what each page of a space says first: that it takes no changes now, or that newer ones may be missing.

Flow: what is known of stores, and of what other devices said last -> sentences -> the top of a page
Never: asks a store.
"""

from __future__ import annotations

from ropewalk.spaces.freshness import Word
from ropewalk.spaces.members import Names
from ropewalk.spaces.space import Space
from ropewalk.spaces.status import several_devices
from ropewalk.spaces.waiting import few_answer

__all__ = ["standing"]


def standing(space: Space) -> list[str]:
    """In sentences; none where all is as it should be."""
    core, said = space.core, []
    if few_answer(core):
        there, all_of_them = sum(map(core.pool.up, core.pool.fit)), len(core.pool.takers)
        then = (
            "What you change waits on this machine until enough are back."
            if core.offline
            else "Nothing can be changed until enough are back; what you see is what this machine knows."
        )
        said.append(f"{there} of {all_of_them} stores answer, and a change needs {core.head_floor}. {then}")
    view = space.live.view()
    if view.word is Word.STALE and several_devices(core.membership):
        told = view.lines(Names(core.membership, core.keys).whose)[0]
        said.append(f"{told[:1].upper()}{told[1:]}.")
    return said
