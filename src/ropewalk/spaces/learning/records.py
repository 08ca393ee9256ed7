"""Records: membership records that stores show are checked, kept and taken for what they say; ours are sent.

Flow: names in listings -> bytes -> Membership -> ledger, core; a new record -> ledger (durable) -> every store
Never: keeps a record that does not count, or forgets one that did.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial

from ropewalk.errors import Damaged, Refused, RopewalkError, Unavailable
from ropewalk.spaces.core import Core
from ropewalk.spaces.learning.aside import JUNK, NEVER, RECORDS, AsideRow, aside, misfit, put_aside
from ropewalk.spaces.learning.checked import Checked, keep_checked, seal_checked
from ropewalk.spaces.learning.sight import settle
from ropewalk.spaces.members import LARGEST_RECORD, Accused, Membership, NotAMember, is_record, told_of_unreleased
from ropewalk.spaces.members.operations import parse_operation
from ropewalk.spaces.members.records import parse
from ropewalk.spaces.members.wraps import open_ring
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.proof import accusation, digest
from ropewalk.spaces.state import State
from ropewalk.spaces.store import ObjectName, object_name
from ropewalk.spaces.warnings import Grave

__all__ = [
    "NumberTaken",
    "fetch_records",
    "known_records",
    "learn_records",
    "pay_records",
    "read_membership",
    "secure_records",
    "send_record",
    "short_records",
    "signed_as_us",
    "take_records",
]

AT_ONCE = 16
_SIGNED = "signed"  # in meta: our incarnation, and how many operations it has signed
MOST_ROUNDS = 8  # in one look, of records that waited for those of the round before; the next look takes more
MOST_MISFITS = 1000  # objects of one store that are not what their names say; the next look takes more
MISFIT_BYTES = 16 << 20  # of these


class NumberTaken(Unavailable):
    """Another membership record of this device has this number, and two of one number would prove that it lies."""

    code = "records.number-taken"


def read_membership(
    space_id: bytes, objects: Iterable[bytes], before: Membership | Checked | None = None, *, partly: bool = False
) -> Membership:
    """What records come to, proofs among them.

    Args:
        space_id: The space.
        objects: The records, in any order.
        before: What was known: signatures and proofs in it need no second look.
        partly: Of more records than there is room for, take those that the spec says; else they are refused.

    Raises:
        RecordDamaged, TooManyRecords, Refused.
    """
    before = before or Checked()
    judged: dict[bytes, Accused | None] = {}

    def proofs(data: bytes) -> Accused | None:
        if (name := digest(data)) not in judged:
            judged[name] = before.judged[name] if name in before.judged else accusation(space_id, data)
        return judged[name]

    found = Membership.read(space_id, objects, verified=before.verified, proofs=proofs, partly=partly)
    return replace(found, judged=judged)


async def learn_records(
    core: Core, shown: Mapping[str, Collection[str]], *, again: bool = False
) -> tuple[dict[str, bytes], bool]:
    """Take in the records that stores show; those that were not known, and whether any of these counts.

    Args:
        core: The space.
        shown: Names by store.
        again: Also those that were put aside before.
    """
    new: dict[str, bytes] = {}
    came = False
    for number in range(MOST_ROUNDS):
        some = await fetch_records(core, shown, again=again and not number)
        if number and not some:
            break
        new |= some
        if not await take_records(core, some):
            break
        came = True  # and others may have waited for it
    return new, came


async def fetch_records(core: Core, shown: Mapping[str, Collection[str]], *, again: bool = False) -> dict[str, bytes]:
    """The bytes of records that stores show and that are not known.

    Args:
        core: The space.
        shown: Names by store.
        again: Also those that were put aside before.
    """
    known = await core.ledger.do(State.record_names)
    held = {} if again else await aside(core)
    wanted: dict[str, list[str]] = {}
    for store, names in shown.items():
        for name in sorted(set(names) - known):
            if name not in held and misfit(store, name) not in held:
                wanted.setdefault(name, []).append(store)
    limit = asyncio.Semaphore(AT_ONCE)
    misfits: dict[str, list[str]] = {store: [] for store in shown}
    sizes: Counter[str] = Counter()  # of these

    async def one(name: str, stores: list[str]) -> tuple[str, bytes | None]:
        async with limit:
            for store in stores:
                if len(misfits[store]) >= MOST_MISFITS or sizes[store] > MISFIT_BYTES:
                    continue
                try:
                    data = await core.pool.get(store, object_name(name), 0, LARGEST_RECORD + 1)
                except RopewalkError:
                    continue  # another store may have it
                if len(data) <= LARGEST_RECORD and is_record(name, data):
                    return name, data
                misfits[store].append(name)
                sizes[store] += len(data)
        return name, None

    found = await asyncio.gather(*(one(name, stores) for name, stores in sorted(wanted.items())))
    for store, names in misfits.items():
        if names:
            core.warnings.append(
                f"store {store}: {len(names)} membership records have other bytes than their names say"
            )
            await put_aside(core, [AsideRow(misfit(store, name), JUNK) for name in names])
    return {name: data for name, data in found if data is not None}


async def take_records(core: Core, new: Mapping[str, bytes]) -> bool:
    """Keep those new records that count, and know from then on what they say; whether there are any.

    Those that another process of this device has kept are taken in, too: what is signed stands on all of them.
    """
    before = core.membership
    unread = {name for name in await core.ledger.do(State.record_names) if not _counts(name, before)} - core.passed_over
    if not new and not unread:
        return False
    objects = dict(await core.ledger.do(State.records)) | dict(new)
    loop = asyncio.get_running_loop()
    try:
        membership = await loop.run_in_executor(
            core.cpu, partial(read_membership, core.space_id, list(objects.values()), before)
        )
    except (Damaged, Refused) as error:
        core.warnings.append(f"new membership records were left out: {error}")
        return False
    core.passed_over |= {name for name in unread if not _counts(name, membership)}
    counting = {name: data for name, data in new.items() if _counts(name, membership)}
    if not counting and membership.verified == before.verified:
        await _pass_over(core, new)
        return False
    await core.ledger.do(_keep, list(counting.items()), core.now(), seal_checked(membership, core.device))
    core.membership = membership
    core.warnings.extend(_doubled(before, membership))
    _renew(core, membership)
    core.warnings.extend(map(Grave, told_of_unreleased(membership, core.keys)))  # a line that was told is not again
    core.warnings.extend(await core.ledger.do(settle, membership))
    await _pass_over(core, {name: data for name, data in new.items() if name not in counting})
    return True


async def _pass_over(core: Core, records: Mapping[str, bytes]) -> None:
    """Records that do not count need not be fetched again before others come; what is none, never."""
    rows = [AsideRow(name, NEVER if parse(data) is None else RECORDS) for name, data in records.items()]
    await put_aside(core, rows)


def _counts(name: str, membership: Membership) -> bool:
    return bytes.fromhex(name.rpartition("/")[2]) in membership.verified


def signed_as_us(core: Core, records: Mapping[str, bytes]) -> bool:
    """Whether any of these, which stores had and our memory had not, counts and has our name and incarnation."""
    us = core.device.public().id, core.incarnation
    for name, data in records.items():
        signed = parse(data) if _counts(name, core.membership) else None
        operation = parse_operation(signed.body, core.space_id) if signed is not None else None
        if operation is not None and (operation.author, operation.incarnation) == us:
            return True
    return False


def _keep(state: State, records: list[tuple[str, bytes]], now: int, checked: bytes) -> None:
    with state.transaction(durable=True):
        state.add_records(records, max(now, 0))
        keep_checked(state, checked)


def _doubled(before: Membership, now: Membership) -> list[str]:
    new = {record for pair in set(now.doubled).difference(before.doubled) for record in pair}
    authors = {record.author for record in now.resolution.graph.records if record.hash in new}
    what = "signed two membership records under one number: it is held, once that is reported"
    return [Grave(f"device {one.hex()[:8]} {what}") for one in sorted(authors)]


def _renew(core: Core, membership: Membership) -> None:
    try:
        core.warnings.extend(open_ring(membership.epochs, core.device, core.keys).problems)
    except (NotAMember, Damaged) as error:
        core.warnings.append(f"the newest epoch does not open for this device: {error}")


async def known_records(core: Core) -> list[bytes]:
    """The bytes of all records that are known."""
    return [data for _, data in await core.ledger.do(State.records)]


async def send_record(core: Core, name: ObjectName, data: bytes) -> frozenset[str]:
    """Put a record of our own into every store; the stores that have it.

    It is kept, with what stores owe of it, before the first one sees it: signed again it would be another object.
    The caller has the turn.

    Raises:
        NumberTaken: This device has signed another one under its number; nothing was sent.
    """
    await core.ledger.do(_owe, core, str(name), data)
    later = partial(_came, core, str(name))
    copies = await core.pool.put_copies(name, data, enough=core.head_floor, later=later)
    await core.ledger.do(_paid, str(name), copies.kept)
    await take_records(core, {str(name): data})
    return copies.kept


def _owe(state: State, core: Core, name: str, data: bytes) -> None:
    with state.transaction(durable=True):
        if name not in state.record_names():
            _take_number(state, core, data)
        state.add_records([(name, data)], max(core.now(), 0))
        state.owe_record(name, core.pool.takers)


def _take_number(state: State, core: Core, data: bytes) -> None:
    """See that we signed no other record under this one's number, of which the membership may not know."""
    us = core.device.public().id, core.incarnation
    signed = parse(data)
    one = parse_operation(signed.body, core.space_id) if signed is not None else None
    if one is None or (one.author, one.incarnation) != us:
        return
    life, _, last = (state.get_meta(_SIGNED) or b"").rpartition(b" ")
    if life == core.incarnation.hex().encode() and one.count <= int(last):
        raise NumberTaken(
            f"this device has signed {int(last)} membership records, and this would be number {one.count} once more",
            hint="nothing was sent; run it again, and if it fails again, see what the warnings say of records",
        )
    state.set_meta(_SIGNED, b"%s %d" % (core.incarnation.hex().encode(), one.count))


async def _came(core: Core, name: str, store: str) -> None:
    """A store has a record after all, though nobody waited for it."""
    await core.ledger.do(_paid, name, [store])


def _paid(state: State, name: str, stores: Collection[str]) -> None:
    with state.transaction():
        for store in stores:
            state.paid_record(name, store)


async def secure_records(core: Core) -> None:
    """See to it that what the next head rests on is on the floor of stores.

    The caller has the turn.

    Raises:
        BelowFloor: Too few stores take a record.
    """
    if await short_records(core):
        await pay_records(core)
        if short := await short_records(core):
            raise BelowFloor(
                f"{len(short)} membership records that this rests on are in fewer than {core.head_floor} stores",
                hint="nothing was changed; bring stores back, and write again",
            )


async def short_records(core: Core) -> list[str]:
    """Names of records that are owed to so many stores that they are below the floor."""
    owed = Counter(name for name, _, _ in await core.ledger.do(State.owed_records))
    missing = len(core.pool.takers) - core.head_floor
    return [name for name, count in owed.items() if count > missing]


async def pay_records(core: Core) -> int:
    """Put records where they are owed and the store answers; how many copies are still owed.

    The caller has the turn.
    """
    owed: dict[str, tuple[bytes, list[str]]] = {}
    for name, store, data in await core.ledger.do(State.owed_records):
        owed.setdefault(name, (data, []))[1].append(store)
    left = 0
    for name, (data, stores) in owed.items():
        there = [store for store in stores if core.pool.up(store) and not core.pool.behind(store)]
        lacking = core.head_floor - len(core.pool.takers) + len(stores)  # the floor is waited for, the rest is owed
        copies = await core.pool.put_copies(
            object_name(name), data, among=there, enough=max(lacking, 0), later=partial(_came, core, name)
        )
        await core.ledger.do(_paid, name, copies.kept)
        left += len(stores) - len(copies.kept)
    return left
