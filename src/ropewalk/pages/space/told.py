"""Told: an audit in words for people, and in values with the fields of `ropewalk audit --json`, line by line.

Flow: Deeds -> Line, ... newest first -> page, JSON lines
Never: leaves out what had no effect, or says of a time more than that its author said so.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ropewalk.pages.names import shown
from ropewalk.spaces.audit import HeadLine, ProofLine, RecordLine, Stand
from ropewalk.spaces.deeds import Deeds, of_store
from ropewalk.spaces.proof import Kind

__all__ = ["Line", "Told"]

_TO_DO: Mapping[Kind, str] = {
    Kind.ROLLBACK: "The store was put back to an older state, or hides something. The other stores have it. "
    "Ask whoever runs it; if it goes on, take it out of the pool.",
    Kind.REPLAY: "Objects of another space lie there under our names: a mistake in copying, or somebody tries what he "
    "can. Nothing of it was believed. Ask whoever runs the store.",
}
_TO_DO_DEVICE = (
    "Its keys are in two places: the machine was copied, put back from a backup, or somebody has the keys. "
    "Ask whose it is. If nobody can explain it, put the device out and let a new one in; "
    "else let it go on with the command 'ropewalk audit accept'."
)
_STANDS: Mapping[Stand, str] = {
    Stand.COUNTS: "verified, and counts",
    Stand.QUARANTINED: "in quarantine: who signed it might not, or might not any more",
    Stand.REFUSED: "refused",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        kind: found, member or change.
        time: Nanoseconds since 1970, as its author says, or when it was seen here; 0 where neither is known.
        who: Whose device, for people.
        device: Its id; b"" for none.
        text: What was done, or found out.
        state: What became of it.
        good: Whether that is as it should be.
        to_do: What it means and what to do; "" for nothing.
        id: Of a proof, or a version; "" for none.
        fields: As values.
    """

    kind: str
    time: int
    who: str
    device: bytes
    text: str
    state: str
    good: bool
    to_do: str
    id: str
    fields: Mapping[str, object]


class Told:
    """An audit in words for people.

    Args:
        deeds: What there is.
    """

    def __init__(self, deeds: Deeds) -> None:
        self._deeds = deeds

    def lines(self, kind: str = "", devices: Container[bytes] | None = None) -> Sequence[Callable[[], Line]]:
        """What was found out, then who belongs, then changes; the newest first in each. A line is made by a call, since
        there may be very many.

        Args:
            kind: Lines of this kind alone, if it is given.
            devices: Lines of these devices alone, if they are given.
        """
        found = self._deeds.found
        made: list[Callable[[], Line]] = []
        if kind in ("", "found"):
            made += [partial(_same, line) for line in self._findings() if devices is None or line.device in devices]
        if kind in ("", "member"):
            records = reversed(found.records)
            made += [partial(self._record, line) for line in records if devices is None or line.author in devices]
        if kind in ("", "change"):
            heads = reversed(found.heads)
            made += [partial(self._head, line) for line in heads if devices is None or line.device in devices]
        return made

    def _findings(self) -> Iterator[Line]:
        deeds, found = self._deeds, self._deeds.found
        for line in reversed(found.proofs):
            yield self._proof(line)
        for device in sorted(found.frozen):
            to_do = (
                "What it writes does not count until an admin lets it go on, by the command 'ropewalk audit accept'."
            )
            who = shown(deeds.whose(device))
            yield Line(*("found", 0, who, device, "is frozen", "proven", False, to_do, "", deeds.of_frozen(device)))
        for writer, sequence in found.forks:
            text = f"there are two changes {writer.hex()[:8]}-{sequence}"
            to_do = "Both count, each as a branch of its own, so nothing is lost. A line above says whose they are."
            fields = deeds.of_fork(writer, sequence)
            yield Line(*("found", 0, "", b"", text, "seen here", False, to_do, "", fields))
        for one, other in found.doubled:
            device, fields = deeds.of_doubled(one, other)
            who = shown(deeds.whose(device))
            text = f"signed two membership records under one number: {one.hex()[:8]}, {other.hex()[:8]}"
            yield Line(*("found", 0, who, device, text, "seen here", False, _TO_DO_DEVICE, "", fields))

    def _proof(self, line: ProofLine) -> Line:
        deeds = self._deeds
        where = "" if line.recorded or not line.proven else "; not in the space's records yet"
        state = f"proven: anyone can check it{where}" if line.proven else "testimony: the word of one device"
        to_do = _TO_DO.get(line.kind, _TO_DO_DEVICE)
        device = b"" if of_store(line) else line.device
        who, text = shown(deeds.who(line)), shown(deeds.says(line))
        return Line(
            *("found", line.time, who, device, text, state, False, to_do, line.file.hex()), fields=deeds.of_proof(line)
        )

    def _record(self, line: RecordLine) -> Line:
        deeds = self._deeds
        who, text, why = shown(deeds.whose(line.author)), shown(deeds.deed(line)), shown(deeds.why(line))
        state = f"verified, and had no effect: {why}" if why else "verified, and counts"
        time = line.time or line.after
        return Line(*("member", time, who, line.author, text, state, not why, "", "", deeds.of_record(line)))

    def _head(self, line: HeadLine) -> Line:
        deeds = self._deeds
        counts = line.stand is Stand.COUNTS
        to_do = "" if counts else "An admin can take it in with the command 'ropewalk audit accept'."
        state = _STANDS[line.stand] + (", the newest" if deeds.newest(line) else "")
        return Line(
            *("change", line.time or line.seen, shown(deeds.whose(line.device)), line.device),
            *(shown(line.note) or "without a note", state, counts),
            *(to_do if line.stand is Stand.QUARANTINED else "", line.hash.hex(), deeds.of_head(line)),
        )


def _same(line: Line) -> Line:
    return line
