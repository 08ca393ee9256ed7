"""`ropewalk audit accept`: changes in quarantine taken in, and frozen devices let go on.

Flow: digits of changes, names of devices -> Group.accept -> heads that count again -> words, JSON
Never: takes more in than was named, and what that rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.member import tell_tended
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import SHORT
from ropewalk.cli.output import count
from ropewalk.cli.place import parse_place
from ropewalk.cli.session import opened
from ropewalk.errors import Missing, Misuse
from ropewalk.spaces.conduct import Branches
from ropewalk.spaces.members import Names
from ropewalk.spaces.state import QUARANTINED, KnownHead, State

__all__ = ["NothingToAccept", "accept"]

SHORTEST_ID = 4  # hex digits that name a change, or a device


class NothingToAccept(Missing):
    """No change in quarantine, and no frozen device, or more than one, is called this."""

    code = "audit.nothing-to-accept"


async def accept(
    space: Annotated[str, Parameter(help="The space.")],
    /,
    *what: Annotated[
        str,
        Parameter(help="The first digits of a change in quarantine, or the name or first digits of a frozen device."),
    ],
    common: Keyed = KEYED,
) -> int:
    """Take changes in that are in quarantine, and let devices go on that are frozen. For admins.

    With a change, those before it by the same writer are taken in, too.
    """
    if not what:
        raise Misuse("nothing to accept is named", hint=f"`ropewalk audit {space}` shows what there is")
    async with opened(parse_place(space).space, common) as one:
        core, names = one.core, Names(one.core.membership, one.core.keys)
        async with one.group() as group:
            heads = await core.ledger.do(_set_aside)
            frozen = [device for device in core.membership.state.devices if device in core.membership.state.frozen]
            wanted, thawed = _chosen(what, heads, {device: names.device(device) for device in frozen}, one.name)
            before = {head.hash for head in heads}
            written = await group.accept(wanted, thawed)
        now = before - {head.hash for head in await core.ledger.do(_set_aside)}
        for head in wanted:
            if head.hash not in now:
                common.voice.warning(
                    f"change {head.hash.hex()[:SHORT]} is in quarantine still, for what it rests on is"
                )
        parts = [f"{count(len(now), 'change')} taken in"] if wanted else []
        parts += [f"{names.whose(device)} may go on" for device in thawed]
        common.voice.done(
            f"{one.name}: {', '.join(parts)}",
            {
                "space": one.name,
                "accepted": sorted(digest.hex() for digest in now),
                "thawed": [device.hex() for device in thawed],
                "copies": written.copies,
            },
        )
        tell_tended(one, common.voice)
    return 0


def _set_aside(state: State) -> list[KnownHead]:
    """The changes in quarantine; of a writer that forked, by its branch."""
    branches = Branches(state.forks(), state.head_hashed)
    heads = [head for head in state.set_aside() if head.state == QUARANTINED]
    return [replace(head, writer=branches.name(head)) for head in heads]


def _chosen(
    what: Sequence[str], heads: Sequence[KnownHead], frozen: dict[bytes, str], space: str
) -> tuple[list[KnownHead], list[bytes]]:
    wanted: list[KnownHead] = []
    thawed: list[bytes] = []
    for one in what:
        digits = one.lower() if len(one) >= SHORTEST_ID else "?"
        changes = [head for head in heads if head.hash.hex().startswith(digits)]
        devices = [device for device, name in frozen.items() if name == one or device.hex().startswith(digits)]
        if len(changes) + len(devices) != 1:
            found = len(changes) + len(devices) or "no"
            raise NothingToAccept(
                f"{found} changes in quarantine, or frozen devices, are called {one!r}",
                hint=f"`ropewalk audit {space}` shows them",
            )
        wanted += changes
        thawed += devices
    return wanted, sorted(set(thawed))
