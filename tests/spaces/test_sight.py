"""Sight: what is known while heads are judged is all that is written by then, by whomever."""

from __future__ import annotations

from pathlib import Path

from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.learning.sight import Sight
from ropewalk.spaces.members import Membership
from ropewalk.spaces.state import ACKED, KnownHead, State
from tests.spaces.showing import written

WRITER = b"w" * 16


def _head(sequence: int, letter: bytes) -> KnownHead:
    name = f"{letter.decode()}{sequence}"
    return KnownHead(name, letter * 32, WRITER, sequence, bytes(32), 0, None, 0, "", {}, embedded=False, state=ACKED)


def _looked_at(state: State, membership: Membership, keys: KeyRing) -> None:
    sight = Sight(state, membership)
    with state.transaction():
        sight.renew()
        assert not sight.reaches(WRITER, 1)
        sight.end()
    other = State(state.path)
    other.unlock(keys)
    other.add_head(_head(5, b"a"))
    other.close()
    with state.transaction():
        sight.renew()
        assert sight.hashes_at(WRITER, 5) == [b"a" * 32], "another process wrote it"
        assert sight.reaches(WRITER, 4)
        assert not sight.reaches(WRITER, 6)
        sight.end()
    state.add_head(_head(7, b"b"))
    with state.transaction():
        sight.renew()
        assert [head.name for head in sight.heads_at(WRITER, 7)] == ["b7"], "this one did"
        sight.end()


async def test_heads_that_others_wrote_between_two_transactions_are_seen(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        await space.core.ledger.do(_looked_at, space.core.membership, space.core.keys)
