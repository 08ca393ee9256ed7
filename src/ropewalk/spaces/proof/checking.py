"""Checking proofs: what a file shows to somebody who has nothing else.

Flow: bytes -> records introduce devices -> exhibits that these signed -> Verdict
Never: takes a field for true that no signature covers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TypeVar

from ropewalk.spaces.envelope import (
    NO_HEAD,
    Envelope,
    HeadDamaged,
    HeadName,
    commitment,
    committed,
    head_hash,
    heads_prefix,
    read_envelope,
    signed_by,
)
from ropewalk.spaces.identity import PublicKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import Accused
from ropewalk.spaces.members.graph import introduced
from ropewalk.spaces.members.operations import LARGEST_EXHIBITS, Operation, parse_operation
from ropewalk.spaces.members.records import (
    RecordDamaged,
    Signed,
    parse,
    parse_genesis,
    record_hash,
    record_name,
    records_prefix,
)
from ropewalk.spaces.proof.forms import (
    ENDED,
    LONGEST_TEXT,
    MAGIC,
    MOST_NAMES,
    MOST_RECORDS,
    Kind,
    Listing,
    OpenedHead,
    ProofDamaged,
    ProofFile,
    SignedHead,
    Statement,
    Verdict,
    digest,
    file_form,
    listing_form,
    opened_form,
    said,
    seen_form,
    signed_form,
)
from ropewalk.spaces.proof.telling import RecordSays, record_says
from ropewalk.spaces.records import Format, RecordMalformed
from ropewalk.spaces.vectors import Vector, VectorMalformed, parse_vector

__all__ = ["accusation", "seen_less", "verify"]

_T = TypeVar("_T")


def verify(data: bytes) -> Verdict:
    """Check a proof file; nothing else is needed.

    Raises:
        ProofDamaged: It shows nothing.
    """
    file = _decoded(file_form, data)
    if file.magic != MAGIC or file.version != 1 or len(file.space) != 32 or len(file.exhibits) != 2:
        raise ProofDamaged(f"proof file is {file.magic[:20]!r} version {file.version}, known is {MAGIC!r} version 1")
    try:
        kind = Kind(file.kind)
    except ValueError:
        raise ProofDamaged(f"proof file is of kind {file.kind}, known are 1 to 6") from None
    devices = _introduced(file)
    statement = _statement(file, devices)
    if not kind.proven and (statement is None or statement.store is None):
        raise ProofDamaged("testimony has no statement that says which store it is about")
    one, other = file.exhibits
    if of_record := kind in _OF_RECORDS and parse(one) is not None:
        shown = _OF_RECORDS[kind](file.space, one, other, devices)
    else:
        shown = _SHOWS[kind](file.space, one, other, devices)
    return Verdict(kind, file.space, *shown, statement, digest(data), of_record)


def accusation(space_id: bytes, data: bytes) -> Accused | None:
    """What a proof in a membership record says of a device; None where it proves nothing in this space."""
    if len(data) > LARGEST_EXHIBITS:
        return None
    try:
        found = verify(data)
    except ProofDamaged:
        return None
    if not found.proven or found.space_id != space_id:
        return None
    if found.kind is Kind.FORK and found.sequences[0] == found.sequences[1]:
        return Accused(found.device, found.writer, found.sequences[0], frozenset(found.hashes))
    if found.kind is Kind.FORKED_RECORD:  # its writer is the incarnation
        return Accused(found.device, b"", found.sequences[0], frozenset(found.hashes), found.writer)
    return Accused(found.device, exhibits=frozenset(found.hashes))


def seen_less(later: Vector, earlier: Vector) -> bool:
    """Whether a later head of an honest writer could not have seen so little.

    A branch of a fork that was found in between is named instead of its writer; so if the later one names somebody
    whom the earlier does not name as far, the two are not compared.
    """
    less = max((at for writer, (at, _) in earlier.items() if later.get(writer, (0, b""))[0] < at), default=0)
    if not less:
        return False
    more = max((at for writer, (at, _) in later.items() if earlier.get(writer, (0, b""))[0] < at), default=0)
    return more < less


_Shown = tuple[bytes, bytes, tuple[int, int], tuple[bytes, bytes]]  # device, writer, sequences, hashes


def _decoded(form: Format[_T], data: bytes) -> _T:
    try:
        return form.decode(data)
    except RecordMalformed as error:
        raise ProofDamaged(str(error)) from None


def _introduced(file: ProofFile) -> Mapping[bytes, PublicKeys]:
    if not 1 <= len(file.records) <= MOST_RECORDS:
        raise ProofDamaged(f"proof file has {len(file.records)} records, expected 1 to {MOST_RECORDS}")
    first = parse(file.records[0])
    if first is None or hashed("space", first.body) != file.space:
        raise ProofDamaged("the first record is not the genesis of the space")
    try:
        genesis = parse_genesis(first.body)
    except RecordDamaged as error:
        raise ProofDamaged(str(error)) from None
    if not first.verify(genesis.devices[0]):
        raise ProofDamaged("the genesis is not signed by its first device")
    devices = {keys.id: keys for keys in genesis.devices}
    for data in file.records[1:]:
        signed = parse(data)
        operation = parse_operation(signed.body, file.space) if signed else None
        brought = introduced(operation.content) if operation else ()
        if signed is None or operation is None or all(keys.id in devices for keys in brought):
            raise ProofDamaged("a record introduces nobody")
        if (author := devices.get(operation.author)) is None or not signed.verify(author):
            raise ProofDamaged("a record is not signed by a device that was introduced before")
        devices.update((keys.id, keys) for keys in brought)
    return devices


def _statement(file: ProofFile, devices: Mapping[bytes, PublicKeys]) -> Statement | None:
    word = file.statement
    if word is None:
        return None
    if len(word.text.encode()) > LONGEST_TEXT or word.time < 0 or (word.store is not None and len(word.store) != 16):
        raise ProofDamaged("the statement has a longer text, or another time or store, than any has")
    finder = devices.get(word.finder)
    message = said(file.kind, file.space, file.records, file.exhibits, word)
    if finder is None or not finder.verify_quick(word.signature, message):
        raise ProofDamaged("the statement is not signed by a device that was introduced")
    return Statement(word.finder, word.store, word.text, word.time)


def _head(
    space_id: bytes, exhibit: SignedHead | OpenedHead, devices: Mapping[bytes, PublicKeys]
) -> tuple[Envelope, bytes]:
    try:
        envelope = read_envelope(exhibit.envelope)
    except HeadDamaged as error:
        raise ProofDamaged(f"an exhibit is no head: {error}") from None
    if envelope.space != space_id:
        raise ProofDamaged("an exhibit is of another space")
    author = devices.get(envelope.device)
    if author is None or not signed_by(author, exhibit.envelope, exhibit.signature):
        raise ProofDamaged("an exhibit is not signed by a device that was introduced")
    return envelope, head_hash(exhibit.envelope)


def _shown(one: tuple[Envelope, bytes], other: tuple[Envelope, bytes]) -> _Shown:
    (first, one_hash), (second, other_hash) = one, other
    if first.writer != second.writer:
        raise ProofDamaged("the exhibits are of two writers")
    return first.device, first.writer, (first.sequence, second.sequence), (one_hash, other_hash)


def _fork(space_id: bytes, one: bytes, other: bytes, devices: Mapping[bytes, PublicKeys]) -> _Shown:
    first = _head(space_id, _decoded(signed_form, one), devices)
    second = _head(space_id, _decoded(signed_form, other), devices)
    shown = _shown(first, second)
    same_place = first[0].sequence == second[0].sequence
    same_previous = first[0].previous == second[0].previous != NO_HEAD
    if not (same_place or same_previous) or (first[0].sequence, first[1]) >= (second[0].sequence, second[1]):
        raise ProofDamaged("the exhibits are not two heads of one sequence, or of one previous, in order")
    return shown


def _downgrade(space_id: bytes, one: bytes, other: bytes, devices: Mapping[bytes, PublicKeys]) -> _Shown:
    first = _head(space_id, _decoded(signed_form, one), devices)
    second = _head(space_id, _decoded(signed_form, other), devices)
    shown = _shown(first, second)
    if not (first[0].sequence < second[0].sequence and first[0].feature > second[0].feature):
        raise ProofDamaged("the later exhibit has no lower feature level than the earlier")
    return shown


def _went_back(space_id: bytes, one: bytes, other: bytes, devices: Mapping[bytes, PublicKeys]) -> _Shown:
    earlier, later = _decoded(opened_form, one), _decoded(opened_form, other)
    first, second = _head(space_id, earlier, devices), _head(space_id, later, devices)
    shown = _shown(first, second)
    before, after = _vector(first[0], earlier), _vector(second[0], later)
    if first[0].sequence >= second[0].sequence or not seen_less(after, before):
        raise ProofDamaged("the later exhibit has not seen less than the earlier")
    return shown


def _vector(envelope: Envelope, exhibit: OpenedHead) -> Vector:
    if committed(envelope) is None or committed(envelope) != commitment(exhibit.blind, exhibit.seen):
        raise ProofDamaged("an exhibit does not open what its head commits to")
    if len(exhibit.blind) != 32:
        raise ProofDamaged(f"an exhibit has a blind of {len(exhibit.blind)} bytes, expected 32")
    try:
        return parse_vector(_decoded(seen_form, exhibit.seen).vector)
    except VectorMalformed as error:
        raise ProofDamaged(f"an exhibit has {error}") from None


def _forked_record(space_id: bytes, one: bytes, other: bytes, devices: Mapping[bytes, PublicKeys]) -> _Shown:
    def operation(data: bytes) -> tuple[Signed, Operation]:
        signed = parse(data)
        found = parse_operation(signed.body, space_id) if signed else None
        if signed is None or found is None:
            raise ProofDamaged("an exhibit is no operation of the space")
        if (author := devices.get(found.author)) is None or not signed.verify(author):
            raise ProofDamaged("an exhibit is not signed by a device that was introduced")
        return signed, found

    (first, told), (second, also) = operation(one), operation(other)
    if (told.author, told.incarnation, told.count) != (also.author, also.incarnation, also.count):
        raise ProofDamaged("the exhibits are not two operations of one device, incarnation and count")
    hashes = record_hash(first.body), record_hash(second.body)
    if hashes[0] >= hashes[1]:
        raise ProofDamaged("the exhibits are one operation, or out of order")
    return told.author, told.incarnation, (told.count, also.count), hashes


def _rollback(space_id: bytes, one: bytes, other: bytes, devices: Mapping[bytes, PublicKeys]) -> _Shown:
    envelope, found = _head(space_id, _decoded(signed_form, one), devices)
    prefix = heads_prefix(space_id, envelope.writer)
    place = HeadName(space_id, envelope.writer, envelope.sequence, bytes(32)).encode()[: len(prefix) + 16]
    _missing(_decoded(listing_form, other), prefix, place)
    return envelope.device, envelope.writer, (envelope.sequence, 0), (found, b"")


def _missing(listed: Listing, prefix: str, place: str) -> None:
    names = [listed.after, *listed.names]
    ascending = all(name < following for name, following in pairwise(names))
    inside = all(name.startswith(prefix) for name in listed.names if name != ENDED)
    if len(names) > MOST_NAMES + 1 or not ascending or not inside or listed.after >= place:
        raise ProofDamaged(f"the listing is not one of {prefix} from before the place of what it should have")
    if names[-1] <= place or any(name.startswith(place) for name in names):
        raise ProofDamaged("the listing has what it should not, or ends before its place")


def _rollback_of_record(space_id: bytes, one: bytes, other: bytes, devices: Mapping[bytes, PublicKeys]) -> _Shown:
    says = _record(one, devices)
    if says.space != space_id:
        raise ProofDamaged("the record is of another space")
    if says.author not in devices:
        raise ProofDamaged("the record is not signed by a device that was introduced")
    _missing(_decoded(listing_form, other), records_prefix(space_id), record_name(space_id, one))
    return says.author, says.life, (says.number, 0), (record_hash(says.signed.body), b"")


def _record(exhibit: bytes, devices: Mapping[bytes, PublicKeys]) -> RecordSays:
    says = record_says(exhibit)
    if says is None:
        raise ProofDamaged("an exhibit is no record")
    if (author := says.keys or devices.get(says.author)) is not None and not says.signed.verify(author):
        raise ProofDamaged("an exhibit is not signed by the device that it names")
    return says


def _replay(space_id: bytes, one: bytes, other: bytes, devices: Mapping[bytes, PublicKeys]) -> _Shown:
    exhibit = _decoded(signed_form, one)
    try:
        envelope = read_envelope(exhibit.envelope)
    except HeadDamaged as error:
        raise ProofDamaged(f"an exhibit is no head: {error}") from None
    author = devices.get(envelope.device)
    if author is not None and not signed_by(author, exhibit.envelope, exhibit.signature):
        raise ProofDamaged("an exhibit is not signed by the device that it names")
    prefix = heads_prefix(space_id).encode()
    if envelope.space == space_id or not other.startswith(prefix) or len(other) > 200 or not other.isascii():
        raise ProofDamaged("the head names this very space, or it was not found under a name of this space")
    hash_found = head_hash(exhibit.envelope)
    return envelope.device, envelope.writer, (envelope.sequence, 0), (hash_found, b"")


def _replay_of_record(space_id: bytes, one: bytes, other: bytes, devices: Mapping[bytes, PublicKeys]) -> _Shown:
    says = _record(one, devices)
    if says.space == space_id or other != record_name(space_id, one).encode():
        raise ProofDamaged("the record names this very space, or it was not found under its name in this space")
    return says.author, says.life, (says.number, 0), (record_hash(says.signed.body), b"")


_Shows = Callable[[bytes, bytes, bytes, Mapping[bytes, PublicKeys]], _Shown]
_SHOWS: Mapping[Kind, _Shows] = {
    Kind.FORK: _fork,
    Kind.FORKED_RECORD: _forked_record,
    Kind.WENT_BACK: _went_back,
    Kind.DOWNGRADE: _downgrade,
    Kind.ROLLBACK: _rollback,
    Kind.REPLAY: _replay,
}
_OF_RECORDS: Mapping[Kind, _Shows] = {Kind.ROLLBACK: _rollback_of_record, Kind.REPLAY: _replay_of_record}
