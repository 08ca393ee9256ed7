"""`ropewalk device list`, `device revoke`: one's own machines, in all spaces.

Flow: spaces -> our member's devices -> lines; a name -> one device -> Group.revoke in each space that has it
Never: takes this very device or the paper key away unasked, calls it done where a space is left, passes over who
    could undo it, or chooses between two of one name.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.aftermath import still_in, tell_still_in, tell_taken_back
from ropewalk.cli.asking import agreed
from ropewalk.cli.init import read_paper_key
from ropewalk.cli.member import tell_tended
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import LEFT_OUT
from ropewalk.cli.output import Voice
from ropewalk.cli.session import opened
from ropewalk.cli.who import space_names
from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.members import (
    Machine,
    Membership,
    Names,
    NoSuchPerson,
    machines_called,
    seniors_of_device,
    undoes,
)
from ropewalk.spaces.members.operations import Revoke
from ropewalk.spaces.space import Space

__all__ = ["list_devices", "revoke"]

SHOWN_ID = 8  # hex digits


async def list_devices(*, common: Keyed = KEYED) -> int:
    """List your devices, and the spaces that each is in."""
    seen: dict[bytes, tuple[Machine, list[str]]] = {}
    for name in space_names(None):
        async with opened(name, common, stewards=True) as space:
            for machine in _mine(space):
                seen.setdefault(machine.id, (machine, []))[1].append(name)
    width = max((len(machine.called) for machine, _ in seen.values()), default=0)
    for machine, names in seen.values():
        common.voice.line(
            f"{machine.called:<{width}}  {machine.id.hex()[:SHOWN_ID]}  {', '.join(names)}"
            + ("  (this machine)" if machine.ours else "")
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
    if not seen:
        common.voice.note("none of yours belongs to any space that is set up here")
    return 0


async def revoke(
    which: Annotated[str, Parameter(name="NAME", help="The device's name, or the first digits of its id.")],
    /,
    *,
    with_words: Annotated[
        bool | None,
        Parameter(
            name="--with-words",
            negative="--without-words",
            help="Sign with the 24 words of your paper key, read from the terminal or standard input: for a device"
            " that came before this machine, also where it was put out already. A terminal is asked whether to, unless"
            " --without-words is said.",
        ),
    ] = None,
    yes: Annotated[
        bool, Parameter(name=("--yes", "-y"), negative="", help="Also if it is this machine; nothing is asked.")
    ] = False,
    common: Keyed = KEYED,
) -> int:
    """Put a device of yours out, for good, in every space that it is in.

    Of two devices of yours the one that came first is senior: whoever has it can undo what the other one does to it,
    by a record that he dates back. Against that the paper key that you came with helps, which is senior to all.

    Exit status: 11 some spaces are left; the same command goes on.
    """
    left = 0
    signing = _Signing(with_words, asks=not yes and common.voice.for_people and sys.stdin.isatty())
    async with AsyncExitStack() as stack:
        # All of them before any is changed: in two spaces one name may be that of two devices.
        spaces = [await stack.enter_async_context(opened(one, common, stewards=True)) for one in space_names(None)]
        found = [(space, machine) for space in spaces for machine in _find(space, which, with_words)]
        device, called = _one(found, which)
        for space, _ in found:
            if device == space.core.device.public().id and not yes:
                raise Misuse(f"{called} is this device itself", hint="if that is meant: --yes")
        for space, machine in found:
            left += not await _revoke(space, machine, signing, common.voice)
    return LEFT_OUT if left else 0


async def _revoke(space: Space, machine: Machine, signing: _Signing, voice: Voice) -> bool:
    """Put a device out of one space; whether it is."""
    device, called = machine.id, machine.called
    words = signing.words(space, device, called, voice)
    before = space.core.membership
    try:
        async with space.group() as group:
            before = space.core.membership
            written = await group.revoke(device, words)
    except RopewalkError as error:
        voice.warning(f"{space.name}: {error}" + (f"; {error.hint}" if error.hint else ""))
        return False
    signer = (words or space.core.device).public().id
    fields = {
        "space": space.name,
        "device": device.hex(),
        "copies": written.copies,
        "signed_by": "device" if words is None else "paper key",
        "senior": undoes(before.state, device, signer),
        "still_in": still_in(space, [device]),
    }
    voice.done(f"{called} does not belong to {space.name} any more", fields)
    tell_tended(space, voice)
    tell_taken_back(space, before, voice)
    tell_still_in(called, still_in(space, [device]), voice)
    if fields["senior"]:
        _tell_senior(space, before, device, called, voice, by_words=words is not None)
    return True


class _Signing:
    """With what a revocation is signed: words are asked for once, and only where they help.

    Args:
        wanted: What the command says of words, if anything.
        asks: Whether somebody is there to ask.
    """

    def __init__(self, wanted: bool | None, *, asks: bool) -> None:
        self._wanted, self._asks = wanted, asks
        self._words: DeviceKeys | None = None

    def words(self, space: Space, device: bytes, called: str, voice: Voice) -> DeviceKeys | None:
        """The paper key to sign with, or None for this device's keys."""
        core = space.core
        if self._wanted is None and undoes(core.membership.state, device, core.device.public().id):
            paper, _ = seniors_of_device(core.membership, device)
            if paper and self._asks:
                voice.warning(
                    f"{called} came before this machine: who has it can undo what this machine signs, by a record"
                    " that he dates back, and put this machine out; what your paper key signs he cannot undo"
                )
                self._wanted = agreed("Sign with the words of your paper key? (yes/no) ")
        if self._wanted and self._words is None:
            self._words = read_paper_key()
        return self._words


def _tell_senior(space: Space, before: Membership, device: bytes, called: str, voice: Voice, *, by_words: bool) -> None:
    paper, others = seniors_of_device(before, device)
    names = Names(before, space.core.keys)
    if paper:
        way = f"to rule that out: `ropewalk device revoke {called!r} --with-words`, also now"
    elif others:
        way = f"signed at {names.device(others[0])}, which came before it, this would have held"
    else:
        way = "nothing of yours came before it; if it is in other hands, only a new space is safe from it"
    voice.warning(
        f"{called} came before {'your paper key' if by_words else 'this machine'}: who has it can undo this, by a"
        f" record that he dates back, and put out what signed it; {way}"
    )


def _one(found: Sequence[tuple[Space, Machine]], which: str) -> tuple[bytes, str]:
    """The one device that was found, in one space or more, and what it is called.

    Raises:
        NoSuchPerson: None was, or several.
        Misuse: It is the paper key.
    """
    where: dict[bytes, list[str]] = {}
    for space, machine in found:
        where.setdefault(machine.id, []).append(space.name)
    if not where:
        raise NoSuchPerson(f"no device of yours is called {which!r}", hint="`ropewalk device list` shows them")
    if len(where) > 1:
        ids = ", ".join(f"{device.hex()[:SHOWN_ID]} in {', '.join(spaces)}" for device, spaces in where.items())
        raise NoSuchPerson(
            f"{len(where)} devices of yours are called {which!r}: {ids}; nothing was changed",
            hint="say which by the digits of its id",
        )
    machine = found[0][1]
    if machine.paper:
        raise Misuse(
            "the paper key is not put out alone: who then loses the machines has lost the space",
            hint="`ropewalk recovery paper` puts a new one in its place",
        )
    return machine.id, machine.called


def _find(space: Space, which: str, with_words: bool | None) -> list[Machine]:
    """The devices of ours that may be meant in one space; with words also one that was put out."""
    return machines_called(_mine(space), which) or (machines_called(_gone(space), which) if with_words else [])


def _gone(space: Space) -> list[Machine]:
    membership, core = space.core.membership, space.core
    names = Names(membership, core.keys)
    ours = names.devices_of(membership.state.devices.get(core.device.public().id, b""))
    done = {
        record.content.device
        for record in membership.records
        if record.grounded and isinstance(record.content, Revoke) and membership.devices[record.author].kind == PAPER
    }
    return [
        Machine(one, names.device(one), paper=False, ours=False, frozen=False)
        for one in sorted(ours - membership.state.devices.keys() - done)
        if membership.devices[one].kind != PAPER
    ]


def _mine(space: Space) -> list[Machine]:
    return [machine for person in space.people() if person.ours for machine in person.machines]
