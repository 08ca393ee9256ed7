"""`ropewalk audit`, `audit export`, `audit verify`: who did what, as signed; what was found out, and files to show it.

Flow: open space -> Audit, names -> lines, JSON; a proof's id -> file; a file alone -> verdict, exit status
Never: hides what had no effect, or needs keys, a home or a store to check a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import COMMON, KEYED, Common, Keyed
from ropewalk.cli.outcome import SHORT
from ropewalk.cli.output import date, iso
from ropewalk.cli.place import parse_place
from ropewalk.cli.session import opened
from ropewalk.errors import Damaged, Missing, Misuse
from ropewalk.spaces.audit import HeadLine, RecordLine, Stand
from ropewalk.spaces.audit import audit as audit_of
from ropewalk.spaces.core import Core
from ropewalk.spaces.deeds import Deeds, did, of_store
from ropewalk.spaces.home import Home
from ropewalk.spaces.members import Names
from ropewalk.spaces.members.operations import Prove
from ropewalk.spaces.proof import LARGEST_PROOF_FILE, ProofDamaged, Verdict, digest
from ropewalk.spaces.proof import verify as verify_proof
from ropewalk.spaces.state import State

__all__ = ["NoSuchProof", "audit", "export", "verify"]

SHORTEST_ID = 4  # hex digits that name a proof


class NoSuchProof(Missing):
    """No proof, or more than one, starts with these digits."""

    code = "audit.no-such-proof"


# ---- all of it -------------------------------------------------------------------------------------------------------


async def audit(
    space: Annotated[str, Parameter(help="The space.")],
    /,
    *,
    limit: Annotated[
        int | None,
        Parameter(name=("--limit", "-n"), metavar="N", help="Only so many of each part, from the newest on."),
    ] = None,
    common: Keyed = KEYED,
) -> int:
    """Say who did what in a space, as signed.

    First what was found out of devices and stores, then who let whom in or put whom out, then who changed what; the
    newest first. What had no effect is shown too, and why. Times are what the clocks of those who signed said; an epoch
    has none, and is shown with that of what it followed. A change in quarantine was signed by who might not, or might
    not any more; `audit accept` takes it in.
    """
    if limit is not None and limit < 0:
        raise Misuse(f"--limit is {limit}, expected 0 or more")
    async with opened(parse_place(space).space, common, stewards=True) as one:
        found = await audit_of(one.core)
        stores = {bytes.fromhex(setting.id): name for name, setting in Home.of_user().load().stores.items()}
        told = _Told(Deeds(found, Names(one.core.membership, one.core.keys), stores))
    voice = common.voice
    for title, lines in (
        ("found out:", told.findings()),
        ("members:", told.records(list(reversed(found.records))[:limit])),
        ("changes:", told.heads(list(reversed(found.heads))[:limit])),
    ):
        for at, (text, fields) in enumerate(lines):
            if at == 0 and not common.json:
                voice.line(title)
            voice.line(f"  {text}", fields)
    return 0


_Line = tuple[str, dict[str, object]]


class _Told:
    """An audit in lines of text, each with its values."""

    def __init__(self, deeds: Deeds) -> None:
        self._deeds = deeds

    def findings(self) -> Iterator[_Line]:
        """What speaks against devices and stores."""
        deeds, found = self._deeds, self._deeds.found
        for line in reversed(found.proofs):
            sure = "proven" if line.proven else "testimony"
            where = "" if line.recorded or not line.proven else "; not in the space's records yet"
            yield f"{line.file.hex()[:SHORT]}  {sure:<9}  {deeds.accused(line)}{where}", deeds.of_proof(line)
        for device in sorted(found.frozen):
            text = "is frozen: what it writes does not count until an admin lets it go on, by `audit accept`"
            yield f"{deeds.whose(device)} {text}", deeds.of_frozen(device)
        for writer, sequence in found.forks:
            text = f"there are two changes {writer.hex()[:8]}-{sequence}; both count, each as a branch of its own"
            yield text, deeds.of_fork(writer, sequence)
        for one, other in found.doubled:
            _, fields = deeds.of_doubled(one, other)
            two = f"{one.hex()[:8]}, {other.hex()[:8]}"
            yield f"{fields['who']} signed two membership records under one number: {two}", fields

    def records(self, lines: Sequence[RecordLine]) -> Iterator[_Line]:
        """What was done to who belongs."""
        deeds = self._deeds
        wide = max((len(deeds.whose(line.author)) for line in lines), default=0)
        for line in lines:
            who, why = deeds.whose(line.author), deeds.why(line)
            when = _padded(line.time or line.after)
            text = f"{when}  {who:<{wide}}  {deeds.deed(line)}{f' -- no effect: {why}' if why else ''}"
            yield text, deeds.of_record(line)

    def heads(self, lines: Sequence[HeadLine]) -> Iterator[_Line]:
        """What was changed in the tree."""
        deeds = self._deeds
        wide = max((len(deeds.whose(line.device)) for line in lines), default=0)
        for line in lines:
            marks = ["newest"] * deeds.newest(line) + [line.stand.value] * (line.stand is not Stand.COUNTS)
            mark = f" ({', '.join(marks)})" if marks else ""
            note = "seen here then" if line.seen else line.note
            when = _padded(line.time or line.seen)
            text = f"{when}  {deeds.whose(line.device):<{wide}}  {line.hash.hex()[:SHORT]}  {note}{mark}"
            yield text.rstrip(), deeds.of_head(line)


def _padded(time: int) -> str:
    return f"{date(time) if time else 'time not known':<{len(date(0))}}"


# ---- files -----------------------------------------------------------------------------------------------------------


async def export(
    space: Annotated[str, Parameter(help="The space.")],
    proof: Annotated[
        str, Parameter(name="ID", help="The first digits of the proof's id, as `ropewalk audit` shows it.")
    ],
    file: Annotated[Path, Parameter(name="FILE", help="A new file.")],
    /,
    *,
    common: Keyed = KEYED,
) -> int:
    """Write a proof, or a testimony, to a file that anyone can check with `ropewalk audit verify`.

    It names the space, the device and what that signed, and nothing of what is in the space.
    """
    if len(proof) < SHORTEST_ID or any(digit not in "0123456789abcdef" for digit in proof.lower()):
        raise NoSuchProof(f"proof {proof!r} is not {SHORTEST_ID} or more hex digits", hint=_shows(space))
    if file.exists():
        raise Misuse(f"{file} is there already", hint="name a new file")
    async with opened(parse_place(space).space, common, stewards=True) as one:
        found = {name: data for name, data in (await _proofs(one.core)).items() if name.hex().startswith(proof.lower())}
    if len(found) != 1:
        raise NoSuchProof(f"{len(found) or 'no'} proofs start with {proof!r}", hint=_shows(space))
    (name, data), *_ = found.items()
    try:
        with file.open("xb") as new:
            new.write(data)
    except FileExistsError:
        raise Misuse(f"{file} is there already", hint="name a new file") from None
    common.voice.done(
        f"proof {name.hex()[:SHORT]} is in {file}, {len(data):,} bytes",
        {"id": name.hex(), "file": str(file), "bytes": len(data)},
    )
    common.voice.note(f"anyone can check it, without keys: `ropewalk audit verify {file}`")
    return 0


def _shows(space: str) -> str:
    return f"`ropewalk audit {space}` shows them"


async def _proofs(core: Core) -> dict[bytes, bytes]:
    """Proof files by their hash: those in the records, and those that lie here alone."""
    recorded = [record.content.proof for record in core.membership.records if isinstance(record.content, Prove)]
    kept = [data for _, _, _, data in await core.ledger.do(State.proofs)]
    return {digest(data): data for data in (*recorded, *kept)}


def verify(
    file: Annotated[Path, Parameter(name="FILE", help="A proof file.")],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Check a proof file: what it shows, of whom, in which space. It needs no keys, no space and no network.

    Proven is what the accused device itself has signed; testimony is what whoever wrote the file says, and signs.

    Exit status: 0 proven; 6 testimony, or nothing.
    """
    with file.open("rb") as opened_file:
        data = opened_file.read(LARGEST_PROOF_FILE + 1)
    try:
        found = verify_proof(data)
    except ProofDamaged as error:
        text = [f"nothing: {file} shows nothing", f"because {error}", f"file    {digest(data).hex()}"]
        common.voice.answer(text, {"verdict": "nothing", "why": str(error), "id": digest(data).hex()})
        return Damaged.status
    common.voice.answer(_verdict(found), _verdict_fields(found))
    return 0 if found.proven else Damaged.status


def _verdict(found: Verdict) -> list[str]:
    said = found.statement
    about = "a store" if of_store(found) else "the device"
    lines = [f"{'proven' if found.proven else 'testimony'}: {about} {did(found)}"]
    lines += [f"store   {said.store.hex()}"] if said is not None and said.store is not None else []
    lines += [f"device  {found.device.hex()}", f"space   {found.space_id.hex()}", f"file    {found.file.hex()}"]
    if said is not None:
        lines += [f"finder  {said.finder.hex()}, {date(said.time)}", f"says    {said.text}"]
    return lines


def _verdict_fields(found: Verdict) -> dict[str, object]:
    said = found.statement
    return {
        "verdict": "proven" if found.proven else "testimony",
        "of": found.kind.name.lower().replace("_", "-"),
        "device": found.device.hex(),
        "writer": found.writer.hex(),
        "sequences": [one for one in found.sequences if one],
        "space": found.space_id.hex(),
        "id": found.file.hex(),
        "statement": None
        if said is None
        else {
            "finder": said.finder.hex(),
            "store": said.store.hex() if said.store is not None else None,
            "text": said.text,
            "time": iso(said.time),
        },
    }
