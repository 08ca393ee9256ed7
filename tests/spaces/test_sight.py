"""Sight: what is known while heads are judged is all that is written by then, by whomever."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from ropewalk.spaces.conduct import branch_writer
from ropewalk.spaces.head import Head, StewardLayer
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.learning.sight import Opened, Sight
from ropewalk.spaces.members import Membership
from ropewalk.spaces.state import ACKED, BROKEN, KnownHead, State
from tests.spaces.showing import written

WRITER = b"w" * 16


def _head(sequence: int, letter: bytes) -> KnownHead:
    name = f"{letter.decode()}{sequence}"
    return KnownHead(name, letter * 32, WRITER, sequence, bytes(32), 0, None, 0, "", {}, embedded=False, state=ACKED)


def _looked_at(state: State, membership: Membership, keys: KeyRing) -> None:
    sight = Sight(state, membership)
    with state.transaction():
        sight.renew()
        assert sight.place(b"a" * 32) is None
        sight.end()
    other = State(state.path)
    other.unlock(keys)
    other.add_head(_head(5, b"a"))
    other.close()
    with state.transaction():
        sight.renew()
        assert sight.hashes_at(WRITER, 5) == [b"a" * 32], "another process wrote it"
        assert sight.place(b"a" * 32) == (WRITER, 5)
        assert sight.place(b"b" * 32) is None
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


def _judged_elsewhere(state: State, membership: Membership, keys: KeyRing) -> None:
    sight = Sight(state, membership)
    with state.transaction():
        sight.renew()
        sight.keep(Opened(cast("Head", SimpleNamespace(steward=StewardLayer())), None), _head(5, b"a"))
        sight.end()
    other = State(state.path)
    other.unlock(keys)
    other.reconsider_head("a5", BROKEN)
    other.add_fork(WRITER, 5)
    other.close()
    with state.transaction():
        sight.renew()
        found = sight.head(b"a" * 32)
        assert found is not None
        assert found.state == BROKEN, "what another process thinks of it by now"
        assert sight.branches.name(found) == branch_writer(WRITER, b"a" * 32)
        sight.end()


async def test_what_became_of_a_head_in_another_process_between_two_transactions_is_seen(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        await space.core.ledger.do(_judged_elsewhere, space.core.membership, space.core.keys)
