"""Exhibits: heads as they were signed, brought together again to be shown to others, and the files that show them.

Flow: name of a head -> ledger, else stores -> Head; proof file -> ledger
Never: makes a file of which there is one.
"""

from __future__ import annotations

from ropewalk.spaces.core import Core
from ropewalk.spaces.head import LARGEST_HEAD, Head, HeadName, open_head
from ropewalk.spaces.proof import Kind, digest
from ropewalk.spaces.state import State

__all__ = ["head_of", "keep_proof"]


async def head_of(core: Core, name: HeadName) -> Head:
    """A head, from wherever it is to be had.

    Raises:
        HeadDamaged, EpochUnknown, MembersOnly, Unavailable, Missing.
    """
    data = await core.ledger.do(State.head_data, name.encode())
    if data is None or not name.fits(data):
        data = await core.pool.get_any(name.encode(), name.fits, LARGEST_HEAD + 1)
    return open_head(data, name, core.membership, core.keys)


async def keep_proof(core: Core, kind: Kind, subject: bytes, about: bytes, proof: bytes) -> None:
    """Keep a file, if there is room for one more of this kind.

    Args:
        core: The space.
        kind: What it shows.
        subject: Of whom: a device's id, or a store's.
        about: What by.
        proof: The file.
    """

    def keep(state: State) -> None:
        with state.transaction():
            state.add_proof(digest(proof), kind, max(core.now(), 0), proof, subject, about)

    await core.ledger.do(keep)
