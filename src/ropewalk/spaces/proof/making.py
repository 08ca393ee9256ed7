"""Making proofs: heads and records as exhibits, and the records that introduce whose they are.

Flow: Head, records -> exhibits, introductions -> prove -> bytes
Never: writes a file that does not show what it says.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Sequence

from ropewalk.errors import Misuse
from ropewalk.spaces.envelope import HeadDamaged, HeadName, head_hash, read_envelope
from ropewalk.spaces.head import Head, seen_of, signed_part
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import MembersOnly, hashed
from ropewalk.spaces.members.graph import introduced, sort_out
from ropewalk.spaces.members.operations import Operation
from ropewalk.spaces.members.records import parse, parse_genesis, record_hash
from ropewalk.spaces.proof.checking import verify
from ropewalk.spaces.proof.forms import (
    ENDED,
    MAGIC,
    MOST_NAMES,
    Kind,
    Listing,
    OpenedHead,
    ProofFile,
    SignedHead,
    Statement,
    Word,
    opened_form,
    said,
    signed_form,
)
from ropewalk.spaces.records import RecordMalformed, encode

__all__ = [
    "exhibit_of",
    "introductions",
    "listing",
    "listing_without",
    "opened_exhibit",
    "prove",
    "signed_exhibit",
]


def signed_exhibit(head: Head) -> bytes:
    """A head, as an exhibit that shows who signed it."""
    return encode(SignedHead(head.signed, head.signature))


def opened_exhibit(head: Head) -> bytes:
    """A head of level 2, as an exhibit that also shows what it had seen.

    Raises:
        MembersOnly: A steward does not know what that is.
    """
    if head.member is None:
        raise MembersOnly
    return encode(OpenedHead(head.signed, head.signature, head.blind, seen_of(head.member, head.envelope.writer)))


def exhibit_of(name: str, data: bytes) -> bytes:
    """An object of whatever space, found under a name: a head as above, a record as it is.

    Raises:
        HeadDamaged: It is no head, and has a head's name.
    """
    return data if HeadName.decode(name) is None else encode(SignedHead(*signed_part(data)))


def listing(after: str, names: Sequence[str], *, ended: bool) -> bytes:
    """What a store listed of a writer's heads, or of records, as an exhibit."""
    return encode(Listing(after, [*names[: MOST_NAMES - 1], *([ENDED] if ended and len(names) < MOST_NAMES else [])]))


def listing_without(place: str, names: Iterable[str], *, ended: bool) -> bytes:
    """As `listing`, no more of it than shows that something is not there.

    Args:
        place: Its name.
        names: What was listed of its writer's heads, or of records.
        ended: Whether the listing ended there.
    """
    ordered = sorted(names)
    at = bisect(ordered, place)
    return listing(ordered[at - 1] if at else "", ordered[at : at + 1], ended=ended and at == len(ordered))


def introductions(space_id: bytes, objects: Iterable[bytes], devices: Iterable[bytes]) -> list[bytes]:
    """The records by which devices came into a space, in the order in which a file has them.

    Raises:
        Misuse: One of them did not.
    """
    found, _ = sort_out(space_id, objects := list(objects))
    genesis, first = next(
        ((data, one) for data in objects if (one := parse(data)) and hashed("space", one.body) == space_id), (b"", None)
    )
    if first is None:
        raise Misuse("the genesis is not among the records")
    by: dict[bytes, bytes] = {keys.id: b"" for keys in parse_genesis(first.body).devices}  # device -> record
    waiting = sorted(one.hash for one in found.values() if isinstance(one.content, Operation))
    while waiting:
        left = []
        for record in waiting:
            operation = found[record].content
            assert isinstance(operation, Operation)
            if operation.author in by:
                for keys in introduced(operation.content):
                    by.setdefault(keys.id, record)
            else:
                left.append(record)
        if len(left) == len(waiting):
            break
        waiting = left
    chosen: list[bytes] = []
    for device in devices:
        chain: list[bytes] = []
        while (origin := by.get(device)) and origin not in chosen:
            chain.insert(0, origin)
            device = found[origin].author
        if origin is None:
            raise Misuse(f"device {device.hex()[:8]} was not brought in by any of the records")
        chosen += [one for one in chain if one not in chosen]
    copies = (min(found[one].copies, key=lambda copy: copy[1])[0] for one in chosen)
    return [genesis, *map(encode, copies)]


def prove(
    kind: Kind,
    space_id: bytes,
    records: Sequence[bytes],
    exhibits: tuple[bytes, bytes],
    statement: Statement | None = None,
    finder: DeviceKeys | None = None,
) -> bytes:
    """A proof file; what is proven by both exhibits alike may come in either order.

    Args:
        kind: What it shows.
        space_id: Of the space.
        records: From `introductions`.
        exhibits: Two.
        statement: Needed for testimony.
        finder: The keys that sign the statement.

    Raises:
        ProofDamaged: It would not show that.
    """
    pair = sorted(exhibits, key=_order) if kind.proven else exhibits
    word = None
    if statement is not None:
        assert finder is not None
        signature = finder.sign_quick(said(kind, space_id, records, pair, statement))
        word = Word(statement.finder, statement.store, statement.text, statement.time, signature)
    data = encode(ProofFile(MAGIC, 1, kind, space_id, list(records), list(pair), word))
    verify(data)
    return data


def _order(exhibit: bytes) -> tuple[int, bytes]:
    for form in (signed_form, opened_form):
        try:
            signed = form.decode(exhibit).envelope
            return read_envelope(signed).sequence, head_hash(signed)
        except (RecordMalformed, HeadDamaged):
            continue
    one = parse(exhibit)
    return 0, record_hash(one.body) if one else b""
