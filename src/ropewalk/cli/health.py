"""`ropewalk status`, `check`, `repair`: what is promised, what holds, and making it hold again.

Flow: open space -> status, check, repair -> words, JSON, exit status
Never: says that all is well while something is missing, damaged, owed or away.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import OWED
from ropewalk.cli.output import count
from ropewalk.cli.place import parse_place
from ropewalk.cli.progress import steps
from ropewalk.cli.session import opened
from ropewalk.errors import Damaged, Unavailable
from ropewalk.spaces.check import CheckReport
from ropewalk.spaces.check import check as check_space
from ropewalk.spaces.holders import written_here
from ropewalk.spaces.home import Home
from ropewalk.spaces.rebuild import rebuild as rebuild_state
from ropewalk.spaces.state import State
from ropewalk.spaces.status import several_devices
from ropewalk.spaces.status import status as status_of

__all__ = ["check", "repair", "status"]

Space = Annotated[str, Parameter(help="The space.")]


async def status(space: Space, /, *, common: Keyed = KEYED) -> int:
    """Say what was promised, what holds now, and which losses would break it.

    Where several devices belong to the space: also how new this view is, and who should not be able to read it.
    """
    written = written_here(Home.of_user())
    async with opened(parse_place(space).space, common, tell_away=False, tell_queue=False, stewards=True) as open_one:
        fresh = await open_one.freshness() if several_devices(open_one.core.membership) else None
        found = await status_of(open_one.core, written, fresh)
    common.voice.answer(found.lines, found.as_dict())
    return 0


async def check(
    space: Space,
    /,
    *,
    everything: Annotated[
        bool, Parameter(name="--all", help="Read every byte, and decode; samples by default.")
    ] = False,
    rebuild: Annotated[
        bool, Parameter(name="--rebuild", help="First learn anew from the stores what they hold.")
    ] = False,
    common: Keyed = KEYED,
) -> int:
    """Look for what is missing or damaged.

    Nothing is changed in the stores; `ropewalk repair` mends.

    Exit status: 0 all is well; 5 stores are away, and nothing else is wrong; 6 something is missing or damaged.
    """
    async with opened(parse_place(space).space, common, tell_away=False, stewards=True) as open_one:
        if rebuild:
            with steps("rebuild", common) as progress:
                learnt = await rebuild_state(open_one.core, progress)
            common.voice.note(f"learnt {count(learnt.packs, 'pack')} and {count(learnt.heads, 'head')} from the stores")
            for problem in learnt.problems:
                common.voice.warning(problem)
        with steps("check", common) as progress:
            report = await check_space(open_one.core, everything=everything, progress=progress)
    common.voice.answer(report.lines, report.as_dict())
    return check_status(report)


def check_status(report: CheckReport) -> int:
    """The exit status of what a check found; what cannot be reached is not called lost."""
    if report.damaged or report.missing or (report.lost and not report.away):
        return Damaged.status
    return Unavailable.status if report.away else 0


async def repair(space: Space, /, *, common: Keyed = KEYED) -> int:
    """Make what is missing or damaged anew, and bring every store what it should have.

    It can be stopped at any time, and run again.

    Exit status: 0 all that was found wrong is mended; 6 something is lost; 10 something is still owed to some store.
    """
    async with opened(parse_place(space).space, common, tell_away=False, stewards=True) as open_one:
        with steps("repair", common) as progress:
            report = await open_one.repair(progress)
        if await open_one.core.ledger.do(State.owed_records):
            await open_one.pay()
    common.voice.answer(report.lines, report.as_dict())
    if report.lost:
        return Damaged.status
    return OWED if report.owed else 0
