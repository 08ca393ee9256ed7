"""Deeds: what an audit found, in plain words and as values, the same for the command line and for pages.

Flow: Audit, Names, what stores are called -> Deeds -> words, fields of JSON
Never: makes a name safe to show: whoever shows it does; or says of a time more than that its author said so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from ropewalk.spaces.audit import Audit, Deed, Effect, HeadLine, ProofLine, RecordLine
from ropewalk.spaces.members import Names
from ropewalk.spaces.proof import Kind, Verdict

__all__ = ["Deeds", "did", "of_store"]

_KINDS: Mapping[Kind, str] = {
    Kind.FORK: "signed two different changes as one and the same",
    Kind.FORKED_RECORD: "signed two different membership records under one number",
    Kind.WENT_BACK: "signed as if it had not seen what it had seen",
    Kind.DOWNGRADE: "signed in an older format than before",
    Kind.ROLLBACK: "no longer shows a change that it had",
    Kind.REPLAY: "showed a change of another space",
}
_OF_RECORDS: Mapping[Kind, str] = {
    Kind.ROLLBACK: "no longer shows a membership record that it had",
    Kind.REPLAY: "showed a membership record of another space",
}
_DEEDS: Mapping[Deed, str] = {
    Deed.BEGIN: "made the space",
    Deed.EPOCH: "began an epoch, with new keys",
    Deed.ADD: "let {member} in, as {role}",
    Deed.REMOVE: "put {member} out",
    Deed.ROLE: "made {member} a {role}",
    Deed.DEVICE: "let {device} in, for the same member",
    Deed.REVOKE: "put {device} out",
    Deed.POLICY: "changed what is promised",
    Deed.LEVEL: "raised the format to one with members",
    Deed.ACCEPT: "took in what was set aside",
    Deed.WRAP: "handed keys to who came late",
    Deed.PROOF: "reported {accused}",
    Deed.LABEL: "named {named}",
    Deed.UNKNOWN: "did what this version does not know",
}


def did(shown: ProofLine | Verdict) -> str:
    """What a proof, or a testimony, says that the accused did."""
    return (_OF_RECORDS if shown.of_record else _KINDS)[shown.kind]


def of_store(shown: ProofLine | Verdict) -> bool:
    """Whether it is about a store, and not about a device."""
    return shown.kind in _OF_RECORDS


class Deeds:
    """An audit in words, and as values.

    Args:
        found: What there is.
        names: What members and devices are called.
        stores: What stores are called here, by the id of their marker.
    """

    def __init__(self, found: Audit, names: Names, stores: Mapping[bytes, str]) -> None:
        self.found, self._names, self._stores = found, names, stores
        self._authors = {line.hash: line.author for line in found.records}
        self._newest = set(found.standing)

    # -- words -----------------------------------------------------------------------------------------------------

    def whose(self, device: bytes) -> str:
        """Whose device it is."""
        return self._names.whose(device) if device else "not known"

    def deed(self, line: RecordLine) -> str:
        """What a record does."""
        if line.deed is Deed.REMOVE and line.author in self._names.devices_of(line.member):
            return "left"
        called, member = self._names.device(line.device), self._names.member(line.member)
        return _DEEDS.get(line.deed, line.deed.value).format(
            member=member,
            device="a paper key" if called == "paper key" else called,
            named=f"a device {called}" if line.device else f"a member {member}",
            role=line.role.name.lower() if line.role is not None else "",
            accused=self.accused(line.accused) if line.accused is not None else "somebody, and proved nothing",
        )

    def why(self, line: RecordLine) -> str:
        """Why a record had no effect; "" where it had one."""
        if line.effect is Effect.STANDS:
            return ""
        if line.effect is Effect.VOID:
            return "who signed it might not do that"
        by = self._names.whose(self._authors[line.by]) if line.by in self._authors else "somebody senior"
        return f"{by} had {line.why} who signed it, at the same time"

    def who(self, line: ProofLine) -> str:
        """Of what, or whom, something was found out."""
        if not of_store(line):
            return self._names.whose(line.device)
        called = self._stores.get(line.store)
        return f"store {called}" if called else f"the store with id {line.store.hex()[:8]}"

    def says(self, line: ProofLine) -> str:
        """What was found out, and by whose word where that is all there is."""
        return f"{did(line)}, says {self._names.whose(line.finder)}" if of_store(line) and line.finder else did(line)

    def accused(self, line: ProofLine) -> str:
        """Both in one sentence."""
        return f"{self.who(line)} {self.says(line)}"

    # -- values ----------------------------------------------------------------------------------------------------

    def of_proof(self, line: ProofLine) -> dict[str, object]:
        """What a proof is."""
        return {
            "kind": "proof",
            "id": line.file.hex(),
            "proven": line.proven,
            "of": line.kind.name.lower().replace("_", "-"),
            "device": line.device.hex(),
            "store": line.store.hex() or None,
            "finder": line.finder.hex() or None,
            "time": _time(line.time),
            "recorded": line.recorded,
            "text": self.accused(line),
        }

    def of_frozen(self, device: bytes) -> dict[str, object]:
        """What a device is that does not count."""
        return {"kind": "frozen", "device": device.hex(), "who": self._names.whose(device)}

    def of_fork(self, writer: bytes, sequence: int) -> dict[str, object]:
        """What two changes under one number are."""
        return {"kind": "fork", "writer": writer.hex(), "sequence": sequence}

    def of_doubled(self, one: bytes, other: bytes) -> tuple[bytes, dict[str, object]]:
        """Whose two records under one number are, and what."""
        device = self._authors.get(one, b"")
        return device, {"kind": "doubled", "records": [one.hex(), other.hex()], "who": self._names.whose(device)}

    def of_record(self, line: RecordLine) -> dict[str, object]:
        """What a membership record is."""
        return {
            "kind": "record",
            "record": line.hash.hex(),
            "time": _time(line.time),
            "after": _time(line.after),
            "seen": _time(line.seen),
            "device": line.author.hex(),
            "who": self._names.whose(line.author),
            "deed": line.deed.value,
            "text": self.deed(line),
            "member": line.member.hex() or None,
            "about": line.device.hex() or None,
            "role": line.role.name.lower() if line.role is not None else None,
            "effect": line.effect.value,
            "by": line.by.hex() or None,
            "why": self.why(line) or None,
        }

    def of_head(self, line: HeadLine) -> dict[str, object]:
        """What a change is."""
        return {
            "kind": "head",
            "version": line.hash.hex(),
            "time": _time(line.time),
            "seen": _time(line.seen),
            "device": line.device.hex() or None,
            "who": self.whose(line.device),
            "writer": line.writer.hex(),
            "sequence": line.sequence,
            "note": line.note,
            "stand": line.stand.value,
            "newest": self.newest(line),
        }

    def newest(self, line: HeadLine) -> bool:
        """Whether nothing that is known follows a change."""
        return line.hash in self._newest


def _time(nanoseconds: int) -> str | None:
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat() if nanoseconds else None
    except (ValueError, OverflowError, OSError):
        return None  # no calendar has it
