"""Guests: members that come into the space that is prepared, one that is put out, and what they sign for a liar.

Bob writes, and still belongs; Carol was an admin, until she was put out.  Each has a second life over copies of the
stores, of which nobody honest knows: what they did there is what a liar may show.

Flow: Making -> records and heads that are truly there; the same space apart -> Inside
Never: gives the liar a key that Bob and Carol did not have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from ropewalk.spaces.head import Head, HeadName, open_head, seal_head
from ropewalk.spaces.hint import MOST_NAMED, Bulletin, Named, seal_bulletin
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import (
    NO_CUT,
    Author,
    Membership,
    Role,
    deliver,
    open_ring,
    record_hash,
    rotate,
    seal_label,
)
from ropewalk.spaces.members.operations import SetLevel
from ropewalk.spaces.members.records import EpochBody, Wrap, parse, sign
from ropewalk.spaces.records import encode
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.store import ObjectName
from ropewalk.spaces.vectors import Vector
from ropewalk.testing.letting_in import consents, let_in
from ropewalk.testing.liars.liar import Inside, kind_of
from ropewalk.testing.liars.making import Making, bytes_of
from ropewalk.testing.liars.stage import BOB, CAROL, DEVICE, PAPER_KEY, STORES

__all__ = ["let_in_and_out"]

EVE = DeviceKeys(bytes(range(160, 192)))  # whom Carol lets in after she was put out
FLOOD = 30  # records in a chain
_PERIOD = 60  # seconds
_LIFE = bytes(16)  # that forged records count in
_RUN = b"a liar's process"

_epoch = msgspec.msgpack.Decoder(EpochBody)


async def let_in_and_out(making: Making) -> tuple[Inside, list[bytes], dict[bytes, Role]]:
    """Bob comes, Carol comes and goes.

    Returns:
        What a liar has of them, contents that may come up with it, and the devices that belong.
    """
    async with making.open() as space, space.group() as group:
        bob, add = await let_in(group, Role.WRITER, "bob", BOB)
        carol, _ = await let_in(group, Role.ADMIN, "carol", CAROL)
        level = _named(making, space, SetLevel)
    making.join("bob")
    async with making.open("bob", BOB) as space:
        await making.write(space, "by-bob", bytes_of("by-bob", 900))
    making.join("carol")
    async with making.open("carol", CAROL) as space:
        await making.write(space, "by-carol", bytes_of("by-carol", 900))
        made = await _forged(space, bob)
    made["late"] = await _apart(making, "carol", CAROL, bytes_of("late", 800))
    async with making.open() as space:
        async with space.group() as group:
            remove = await group.remove(carol)
        (epoch,) = space.tended.written
        await making.write(space, "after", b"what Carol must not read")
    async with making.open("bob", BOB):
        pass  # it knows all of this
    made["fork"] = await _apart(making, "bob", BOB, bytes_of("fork", 700))
    async with making.open("bob", BOB) as space:
        await making.write(space, "by-bob", bytes_of("by-bob again", 700))
        newest = await _newest(space)
        made["back"] = _follows(space, newest, 2, {})
        made["lower"] = _follows(space, newest, 1, newest.vector)
        made["twice"] = {str(name): data for name, data in (_numbered(space, time) for time in (1, 2))}
        beat = _bulletins(space, BOB)
    records = {"level": level, "add": str(add.name), "remove": str(remove.name), "epoch": str(epoch.name)}
    marks = (BOB.public().id.hex()[:8], newest.envelope.writer.hex()[:8])
    people = {DEVICE.public().id: Role.ADMIN, PAPER_KEY.public().id: Role.ADMIN, BOB.public().id: Role.WRITER}
    may_be = [bytes_of("fork", 700), bytes_of("late", 800), bytes_of("by-bob", 900)]
    return Inside(records, made, beat, marks), may_be, people


def _named(making: Making, space: Space, kind: type) -> str:
    """The name of the one record of a kind."""
    (digest,) = (one.hash for one in space.core.membership.records if isinstance(one.content, kind))
    for name, data in making.shelves[STORES[0]].held.items():
        if kind_of(name) == "record" and (signed := parse(data)) is not None and record_hash(signed.body) == digest:
            return name
    raise AssertionError(f"no store has the record {digest.hex()}")


async def _apart(making: Making, name: str, keys: DeviceKeys, data: bytes) -> dict[str, bytes]:
    """What a device puts into stores when it writes something of which nobody else knows."""
    apart = making.apart(name)
    async with apart.open(name, keys) as space:
        await space.write(f"{name}-apart", data)
    return making.beside(apart)


# ---- Carol, who is about to be put out -------------------------------------------------------------------------------


class _Forger:
    """Carol, who writes records one on top of the other and puts them nowhere."""

    def __init__(self, space: Space, objects: Sequence[bytes]) -> None:
        self._space, self._objects = space, list(objects)
        self._verified = space.core.membership.verified
        self.made: dict[str, bytes] = {}

    def author(self) -> Author:
        """On top of all that there is, what she forged included."""
        core = self._space.core
        known = Membership.read(core.space_id, self._objects, verified=self._verified)
        self._verified = known.verified
        return Author(known, CAROL, _LIFE, max(core.now(), 0))

    def add(self, record: tuple[ObjectName, bytes]) -> None:
        """One more."""
        self.made[str(record[0])] = record[1]
        self._objects.append(record[1])


async def _forged(space: Space, bob: bytes) -> dict[str, Mapping[str, bytes]]:
    objects = [data for _, data in await space.core.ledger.do(State.records)]
    records = _Forger(space, objects)
    author = records.author()
    nonce, pledge = author.new_member()
    wraps = [deliver(author.membership.epochs, space.core.keys, EVE.public(), Role.ADMIN)]
    label = seal_label(space.core.keys, EVE.public().id, "eve")
    agreed = consents(space.core.space_id, pledge, Role.ADMIN, [EVE])
    records.add(author.add(nonce, Role.ADMIN, [EVE.public()], label, wraps, consents=agreed))
    records.add(records.author().remove(bob, NO_CUT))
    flood = _Forger(space, objects)
    for _ in range(FLOOD):
        flood.add(flood.author().wrap())
    return {
        "records": records.made,
        "epoch": dict([_wrong_epoch(space)]),
        "flood": flood.made,
        "bulletin": {"": _bulletins(space, CAROL)(1, space.core.now())},
    }


def _wrong_epoch(space: Space) -> tuple[str, bytes]:
    """An epoch whose wraps hold nothing."""
    core = space.core
    made = rotate(core.membership.epochs, core.keys, CAROL, core.membership.frontier)
    signed = parse(made.data)
    assert signed is not None
    body = _epoch.decode(signed.body)
    wraps = [Wrap(one.device, bytes(len(one.wrap))) for one in body.wraps]
    name, data = sign(core.space_id, encode(replace(body, wraps=wraps)), CAROL)
    return str(name), data


# ---- Bob, whose keys a liar has --------------------------------------------------------------------------------------


async def _newest(space: Space) -> Head:
    heads = await space.core.ledger.do(State.newest_heads)
    (name,) = (HeadName.decode(head.name) for head in heads if head.writer == space.core.writer_id)
    assert name is not None
    data = await space.core.pool.get_any(name.encode(), name.fits)
    return open_head(data, name, space.core.membership, space.core.keys)


def _follows(space: Space, before: Head, feature: int, seen: Vector) -> dict[str, bytes]:
    """A head after another one of Bob's, which has seen something else."""
    others = {writer: item for writer, item in seen.items() if writer != before.envelope.writer}
    assert before.member is not None
    name, data = seal_head(
        incarnation=before.envelope.incarnation,
        sequence=before.envelope.sequence + 1,
        previous=before.hash,
        steward=before.steward,
        member=dataclasses.replace(before.member, vector=others),
        embedded=b"",
        device=BOB,
        keys=space.core.keys,
        feature=feature,
    )
    return {str(name.encode()): data}


def _numbered(space: Space, time: int) -> tuple[ObjectName, bytes]:
    """Bob's first record of a life that nobody knows."""
    return Author(space.core.membership, BOB, _LIFE, time).wrap()


def _bulletins(space: Space, device: DeviceKeys) -> Callable[[int, int], bytes]:
    """Bulletins of a device, each of which names other heads and records that are nowhere."""
    ring = open_ring(space.core.membership.epochs, device).ring

    def bulletin(count: int, time: int) -> bytes:
        noise = [hashed("test lie", b"bulletin %d %d" % (count, number)) for number in range(MOST_NAMED)]
        named = [Named(one[:16], count, one) for one in sorted(noise)]
        said = Bulletin(
            *(1, device.public().id, _RUN, count, max(time, 0), _PERIOD),
            *(hashed("test lie", noise[0]), hashed("test lie", noise[1]), named),
        )
        return seal_bulletin(said, ring, device.sign_quick)

    return bulletin
