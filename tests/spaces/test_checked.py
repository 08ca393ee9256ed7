"""Checked: what was found well signed is not looked into again, and only the device itself can say that it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ropewalk.spaces.identity import DeviceKeys, PublicKeys
from ropewalk.spaces.keys import BoxDamaged
from ropewalk.spaces.learning import keep_checked, open_checked, read_membership, seal_checked
from ropewalk.spaces.members import Author, Role
from ropewalk.spaces.members.records import parse
from ropewalk.spaces.proof import accusation
from ropewalk.spaces.records import encode
from ropewalk.spaces.state import State
from tests.spaces.machines import Machines, keys_of

Count = Callable[[], Counter[str]]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Count:
    """How many signatures and proofs were looked into since it was asked last."""
    done: Counter[str] = Counter()

    def counting(what: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object) -> object:
            done[what] += 1
            return real(*args)

        return call

    monkeypatch.setattr(PublicKeys, "verify_slow", counting("signature", PublicKeys.verify_slow))
    monkeypatch.setattr("ropewalk.spaces.learning.records.accusation", counting("proof", accusation))

    def asked() -> Counter[str]:
        found = done.copy()
        done.clear()
        return found

    return asked


@pytest.fixture
async def machines(tmp_path: Path) -> Machines:
    """An admin who has accused bob."""
    made = await Machines.make(tmp_path)
    await made.invite("bob", Role.WRITER)
    async with made.open("bob") as space:
        for time in (1, 2):
            name, data = Author(space.core.membership, keys_of("bob"), b"l" * 16, time).wrap()
            for store in made.world.stores.values():
                await store.put(name, [data])
    async with made.open("admin") as space, space.group():
        pass
    assert space.tended.proofs == 1
    return made


async def test_what_was_checked_once_is_not_checked_at_each_opening(machines: Machines, work: Count) -> None:
    work()
    async with machines.open("admin") as space:
        assert not work()
        assert space.core.membership.state.frozen == {machines.all["bob"].id}
        name, data = Author(space.core.membership, keys_of("bob"), b"n" * 16, 1).wrap()
        for store in machines.world.stores.values():
            await store.put(name, [data])
        await space._list()
        assert work() == {"signature": 1}, "only what is new"
    async with machines.open("admin"):
        assert not work()


async def test_a_state_that_another_wrote_is_not_believed(machines: Machines, work: Count) -> None:
    async with machines.open("admin") as space:
        core, device = space.core, keys_of("admin")
        good = await core.ledger.do(State.get_meta, "checked")
        assert good is not None
        for box in (b"", b"junk", good[:-1], seal_checked(core.membership, keys_of("bob"))):
            await core.ledger.do(keep_checked, box)
            assert not (await core.ledger.do(open_checked, core.space_id, device)).verified
        assert not (await core.ledger.do(open_checked, b"s" * 32, device)).verified, "of another space"
    work()
    async with machines.open("admin") as space:
        done = work()
        assert done["signature"] > 4
        assert done["proof"] == 1
        assert space.core.membership.state.frozen == {machines.all["bob"].id}
        found = await space.core.ledger.do(open_checked, space.core.space_id, keys_of("admin"))
        assert found.verified == space.core.membership.verified
        assert dict(found.judged) == dict(space.core.membership.judged)


async def test_only_the_very_object_was_checked(machines: Machines) -> None:
    async with machines.open("admin") as space:
        objects = [data for _, data in await space.core.ledger.do(State.records)]
        before = space.core.membership
    changed = []
    for data in objects:
        signed = parse(data)
        assert signed is not None
        changed.append(encode(type(signed)(signed.body, bytes(64), signed.mldsa)) if b"proof" in data else data)
    after = read_membership(before.space_id, changed, before)
    assert len(after.records) == len(before.records) - 1
    assert not after.state.frozen


def test_what_a_device_seals_for_itself_opens_for_no_other() -> None:
    device = DeviceKeys(b"d" * 32)
    box = device.seal_own(b"context", b"plain")
    assert device.open_own(b"context", box) == b"plain"
    for keys, context in ((DeviceKeys(b"e" * 32), b"context"), (device, b"other")):
        with pytest.raises(BoxDamaged):
            keys.open_own(context, box)
