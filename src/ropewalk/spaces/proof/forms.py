"""The form of a proof file, and what it is found to show (docs/spec/groups.md 6).

Flow: structs <-> bytes; checking -> Verdict
Never: checks a signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import msgspec

from ropewalk.errors import Damaged
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.records import NO_EXTRA, Format, encode

__all__ = [
    "ENDED",
    "LARGEST_PROOF_FILE",
    "LONGEST_TEXT",
    "MAGIC",
    "MOST_NAMES",
    "MOST_RECORDS",
    "Kind",
    "Listing",
    "OpenedHead",
    "ProofDamaged",
    "ProofFile",
    "Seen",
    "SignedHead",
    "Statement",
    "Verdict",
    "Word",
    "digest",
    "file_form",
    "listing_form",
    "opened_form",
    "said",
    "seen_form",
    "signed_form",
]

LARGEST_PROOF_FILE = 4 * 1024 * 1024
MOST_RECORDS = 2000
MOST_NAMES = 1000  # in a listing
LONGEST_TEXT = 500  # bytes
ENDED = "~"  # after the last name of a listing that ended; no name of a store has it
MAGIC = "ropewalk proof"


class ProofDamaged(Damaged):
    """A file shows nothing: it is malformed, or something in it does not hold."""

    code = "proof.damaged"


class Kind(IntEnum):
    """What a file shows."""

    FORK = 1
    FORKED_RECORD = 2
    WENT_BACK = 3
    DOWNGRADE = 4
    ROLLBACK = 5
    REPLAY = 6

    @property
    def proven(self) -> bool:
        """Whether it needs nobody's word."""
        return self <= Kind.DOWNGRADE


@dataclass(frozen=True, slots=True)
class Statement:
    """What a finder says, and signs."""

    finder: bytes  # device id
    store: bytes | None  # its marker's id
    text: str
    time: int  # nanoseconds; a hint


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a file shows, once all of it was checked."""

    kind: Kind
    space_id: bytes
    device: bytes  # who signed the exhibits
    writer: bytes  # of heads; of records the incarnation, if they have one
    sequences: tuple[int, int]  # of the exhibits, or counts; the second is 0 where there is one
    hashes: tuple[bytes, bytes]
    statement: Statement | None
    file: bytes  # hash of it all
    of_record: bool = False  # the exhibit of a testimony is a membership record, not a head

    @property
    def proven(self) -> bool:
        """Whether anyone must believe it; else it is the finder's word."""
        return self.kind.proven


class Word(msgspec.Struct, frozen=True, array_like=True):
    """A statement as it stands in a file."""

    finder: bytes
    store: bytes | None
    text: str
    time: int
    signature: bytes


class ProofFile(msgspec.Struct, frozen=True, array_like=True):
    """All of a file."""

    magic: str
    version: int
    kind: int
    space: bytes
    records: list[bytes]
    exhibits: list[bytes]
    statement: Word | None
    extra: msgspec.Raw = NO_EXTRA


class SignedHead(msgspec.Struct, frozen=True, array_like=True):
    """A head, to show who signed it."""

    envelope: bytes
    signature: bytes


class OpenedHead(msgspec.Struct, frozen=True, array_like=True):
    """A head, to show what it had seen too."""

    envelope: bytes
    signature: bytes
    blind: bytes
    seen: bytes


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """What a head commits to."""

    membership: list[bytes]
    vector: list[bytes | int]


class Listing(msgspec.Struct, frozen=True, array_like=True):
    """What a store listed of a writer's heads, or of records."""

    after: str
    names: list[str]


file_form = Format(ProofFile, LARGEST_PROOF_FILE, "proof file")
signed_form = Format(SignedHead, LARGEST_PROOF_FILE, "exhibit")
opened_form = Format(OpenedHead, LARGEST_PROOF_FILE, "exhibit")
seen_form = Format(Seen, LARGEST_PROOF_FILE, "what a head has seen")
listing_form = Format(Listing, LARGEST_PROOF_FILE, "listing")


def digest(data: bytes) -> bytes:
    """What a proof file is known by."""
    return hashed("proof", data)


def said(
    kind: int, space_id: bytes, records: Sequence[bytes], exhibits: Sequence[bytes], word: Statement | Word
) -> bytes:
    """The message that a finder signs."""
    fields = [kind, space_id, list(records), list(exhibits), word.finder, word.store, word.text, word.time]
    return b"ropewalk proof 1\0" + digest(encode(fields))
