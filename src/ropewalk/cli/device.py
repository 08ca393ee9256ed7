"""`ropewalk device list`, `device revoke`: one's own machines, in all spaces.

Flow: spaces -> our member's devices -> lines; a name -> Group.revoke in each space that has it
Never: takes this very device away unasked, or calls it done where a space is left.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.member import tell_tended
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import LEFT_OUT
from ropewalk.cli.session import opened
from ropewalk.cli.who import space_names
from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.members import Machine, NoSuchPerson, find_machine
from ropewalk.spaces.space import Space

__all__ = ["list_devices", "revoke"]


async def list_devices(*, common: Keyed = KEYED) -> int:
    """List your devices, and the spaces that each is in."""
    seen: dict[bytes, tuple[Machine, list[str]]] = {}
    for name in space_names(None):
        async with opened(name, common) as space:
            for machine in _mine(space):
                seen.setdefault(machine.id, (machine, []))[1].append(name)
    width = max((len(machine.called) for machine, _ in seen.values()), default=0)
    for machine, names in seen.values():
        common.voice.line(
            f"{machine.called:<{width}}  {machine.id.hex()[:8]}  {', '.join(names)}"
            + ("  (this one)" if machine.ours else "")
            + ("  (frozen)" if machine.frozen else ""),
            {
                "id": machine.id.hex(),
                "name": machine.name,
                "paper": machine.paper,
                "this": machine.ours,
                "frozen": machine.frozen,
                "spaces": names,
            },
        )
    return 0


async def revoke(
    which: Annotated[str, Parameter(help="The device's name, or the first digits of its id.")],
    /,
    *,
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative="", help="Also if it is this one.")] = False,
    common: Keyed = KEYED,
) -> int:
    """Put a device of yours out, for good, in every space that it is in."""
    done, left = 0, 0
    for name in space_names(None):
        async with opened(name, common) as space:
            try:
                machine = find_machine(_mine(space), which)
            except NoSuchPerson:
                continue
            if machine.ours and not yes:
                raise Misuse(f"{machine.called} is this device itself", hint="if that is meant: --yes")
            try:
                async with space.group() as group:
                    written = await group.revoke(machine.id)
            except RopewalkError as error:
                left += 1
                common.voice.warning(f"{name}: {error}")
                continue
            done += 1
            common.voice.done(
                f"{machine.called} does not belong to {name} any more",
                {"space": name, "device": machine.id.hex(), "copies": written.copies},
            )
            tell_tended(space, common.voice)
    if not done and not left:
        raise NoSuchPerson(f"no device of yours is called {which!r}", hint="`ropewalk device list` shows them")
    return LEFT_OUT if left else 0


def _mine(space: Space) -> list[Machine]:
    return [machine for person in space.people() if person.ours for machine in person.machines]
