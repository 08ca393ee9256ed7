"""`ropewalk recovery paper`: new words in place of the old ones, in every space.

Flow: old words, if there are any; new words shown, confirmed -> records in every space -> paper.public
Never: keeps words, ends the old ones before somebody has the new, or says more than is so of who still has the old.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.aftermath import still_in, tell_still_in
from ropewalk.cli.asking import agreed
from ropewalk.cli.init import keep_paper_key, paper_key, read_paper_key, show_paper_key
from ropewalk.cli.member import tell_tended
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import LEFT_OUT
from ropewalk.cli.output import Voice
from ropewalk.cli.session import device_keys, opened
from ropewalk.cli.which_space import WHY, shown_id
from ropewalk.errors import Misuse, Refused, RopewalkError
from ropewalk.spaces.home import Home, SpaceSetting
from ropewalk.spaces.identity import PAPER, DeviceKeys, PublicKeys
from ropewalk.spaces.members import Membership, Names, undoes
from ropewalk.spaces.recovery import deeds_of, is_out, is_retired, paper_of, replace_paper
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import State

__all__ = ["PaperKeyOut", "paper", "present_paper"]

GROUPS = 2  # the feature level from which a paper key can be replaced


class PaperKeyOut(Refused):
    """The paper key that this machine knows was put out of some space, as after its words were seen."""

    code = "recovery.paper-key-out"


async def paper(
    *,
    same: Annotated[
        bool,
        Parameter(
            name="--same",
            negative="",
            help="No new words: type those that were written down last, here or at another machine. The spaces that are"
            " known here, and those that are made here from now on, take them.",
        ),
    ] = False,
    old_words: Annotated[
        bool | None,
        Parameter(
            name="--old-words",
            negative="--no-old-words",
            help="Type the old words, too, before all else. Needed where somebody else may have them, who can put your"
            " devices out otherwise. A terminal is asked, unless --no-old-words says that they are lost.",
        ),
    ] = None,
    yes: Annotated[
        bool, Parameter(name=("--yes", "-y"), negative="", help="Do not ask whether the words were written down.")
    ] = False,
    common: Keyed = KEYED,
) -> int:
    """Make a new paper key, and put the old one out in every space that is known here.

    Do this when somebody may have seen the words, or when they are lost. The new ones are shown once. With the old
    words at hand the old key puts itself out, and nothing else counts that it signs under an earlier date. Without
    them the new ones are good, and whoever has the old ones can still claim to have acted before this: the key that you
    came into a space with is the elder of your devices there, and can put them out. Only a new space is safe from that
    then.

    What the old words did themselves, as in `ropewalk recovery restore`, whoever has them can take back in any case,
    by claiming that they were put out before it; what was done by devices that they let in goes with that.
    On each other machine of yours run `ropewalk recovery paper --same` afterwards: this one cannot change what only
    that one knows. Words are read from the terminal or standard input, the old ones first.

    Exit status: 11 some spaces are left; `ropewalk recovery paper --same` goes on, with the new words.
    """
    home, voice = Home.of_user(), common.voice
    device = device_keys(home, common)
    if device.kind == PAPER:
        raise Refused(
            "this machine works with the paper key itself, so it cannot put it out",
            hint="begin on another machine, or with another ROPEWALK_HOME: `ropewalk recovery restore`",
        )
    if not (same or yes or sys.stdin.isatty()):
        raise Misuse("nobody is there to confirm that the paper key was written down", hint="in a script: --yes")
    spaces = home.load().spaces
    old = read_paper_key("the old paper key") if _has_old_words(old_words, asked=not yes and bool(spaces)) else None
    new = None if same else DeviceKeys.generate(PAPER)
    if new is not None:
        show_paper_key(
            new,
            "so the old one is still good",
            "run `ropewalk recovery paper` again",
            asked=not yes,
            plain=not common.json,
            beside=_beside(spaces),
        )
    last = paper_key(home) if new is None else None
    public = (new or read_paper_key("the paper key that was written down last")).public()
    done = await _replace_all(sorted(spaces), device, public, old, common)
    if spaces and not done.begun:
        if new is not None:
            voice.warning("no space took the new words, so throw them away: all is as it was")
        raise next(iter(done.left.values()))
    if public != last:
        keep_paper_key(home, public)
    if common.json:
        ids = {name: one.id for name, one in sorted(spaces.items())}
        voice.done("", {"paper_key": new.words() if new else None, **done.fields(), "ids": ids})
    _tell(done, voice)
    return LEFT_OUT if done.left else 0


def _has_old_words(said: bool | None, *, asked: bool) -> bool:
    if said is not None or not asked or not sys.stdin.isatty():
        return bool(said)
    return agreed(
        "Have you still got the old words? With them the old key puts itself out for good; without them, whoever else"
        " has them can still put your devices out. (yes/no) "
    )


def _beside(spaces: Mapping[str, SpaceSetting]) -> list[str]:
    if not spaces:
        return []
    ids = [f"  {shown_id(one.id)}  {name}" for name, one in sorted(spaces.items())]
    return [f"Write the ids of your spaces down beside them: {WHY}.", *ids]


# ---- in every space --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Done:
    """What became of it, by space."""

    changed: list[str] = field(default_factory=list)
    still_elder: list[str] = field(default_factory=list)  # those where who has the old words can put devices out
    already: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    deeds: dict[str, list[str]] = field(default_factory=dict)  # what old words did themselves, where they are retired
    left: dict[str, RopewalkError] = field(default_factory=dict)
    machines: set[str] = field(default_factory=set)  # other ones of this member
    begun: bool = False  # anything was changed anywhere, or needed no change

    def fields(self) -> dict[str, object]:
        """For programs."""
        return {
            "spaces": sorted([*self.changed, *self.already]),
            "retired": self.retired,
            "senior": self.still_elder,
            "left": {name: str(error) for name, error in self.left.items()},
            "machines": sorted(self.machines),
        }


async def _replace_all(
    names: Sequence[str], device: DeviceKeys, public: PublicKeys, old: DeviceKeys | None, common: Keyed
) -> _Done:
    done = _Done()
    for name in names:
        try:
            async with opened(name, common) as space:
                mine = device.public().id
                before = paper_of(space.core.membership, mine)
                elder = before is None or undoes(space.core.membership.state, before, mine)
                try:
                    changed = await _replace(space, device, public, old)
                finally:  # a record that is signed and kept here goes to the stores some day, whatever failed
                    now = paper_of(space.core.membership, mine)
                    done.begun = done.begun or now != before or now == public.id
                (done.changed if changed else done.already).append(name)
                _look(space, name, before, old, done)
                if changed and elder and name not in done.retired:
                    done.still_elder.append(name)
                if not common.json:
                    rest = "; the old ones put themselves out" if changed and name in done.retired else ""
                    common.voice.done(f"{name}: the new words are good{'' if changed else ' already'}{rest}", {})
                tell_tended(space, common.voice)
                active = space.core.membership.state.devices
                ended = {before, old.public().id if old else None} - {None} - active.keys()
                if changed:
                    tell_still_in("the old paper key", still_in(space, [one for one in ended if one]), common.voice)
        except RopewalkError as error:
            done.left[name] = error
    return done


async def _replace(space: Space, device: DeviceKeys, public: PublicKeys, old: DeviceKeys | None) -> bool:
    """Make a key the paper key of our member; whether anything had to be changed."""
    core = space.core
    async with space.group() as group:
        if core.membership.feature < GROUPS:
            await group.raise_level()
        ended = {paper_of(core.membership, device.public().id), old.public().id if old else None}
        records = [data for _, data in await core.ledger.do(State.records)]
        cuts = {one: await group.cut(one) for one in ended if one is not None}
        made = replace_paper(
            core.space_id,
            records,
            device,
            core.incarnation,
            max(core.now(), 0),
            public,
            _unnamed,
            old=old,
            cuts=cuts,
        )
        for name, data in made:
            await group.send(name, data)
    return bool(made)


def _look(space: Space, name: str, before: bytes | None, old: DeviceKeys | None, done: _Done) -> None:
    """What is to be said of a space afterwards."""
    membership = space.core.membership
    ended = old.public().id if old is not None else before
    if ended is not None and is_retired(membership, ended):
        done.retired.append(name)
        names = Names(membership, space.core.keys)
        if deeds := deeds_of(membership, ended):
            done.deeds[name] = [names.device(one) for one in deeds]
    for person in space.people():
        if person.ours:
            done.machines.update(one.called for one in person.machines if not (one.ours or one.paper))


def _unnamed(_membership: Membership, _device: bytes) -> bytes:
    return b""  # a paper key is called so without a name


def _tell(done: _Done, voice: Voice) -> None:
    """What is left to do, and what the old words can still do."""
    for name, error in done.left.items():
        voice.warning(f"{name} may still need the old words: {error}")
    if done.left:
        voice.warning("keep both: `ropewalk recovery paper --same` brings the rest to the new ones, once it can")
    if done.still_elder:
        voice.warning(
            f"{', '.join(done.still_elder)}: the old words open nothing that is new, but whoever has them can still"
            " claim to have acted before this, and so put your devices out; if you find them: `ropewalk recovery paper"
            " --same --old-words`, else only a new space is safe from that"
        )
    for name, deeds in done.deeds.items():
        voice.warning(
            f"{name}: the old words themselves let in or put out {', '.join(deeds)}; whoever has them can still take"
            " that back"
        )
    if voice.json:
        return
    machines = f" ({', '.join(sorted(done.machines))})" if done.machines else ""
    voice.note(
        f"on each other machine of yours{machines} run `ropewalk recovery paper --same` and type the new words: spaces"
        " that only it knows, and those that it makes, go by the old ones until then"
    )


# ---- for a new space -------------------------------------------------------------------------------------------------


async def present_paper(home: Home, device: DeviceKeys, voice: Voice) -> PublicKeys:
    """The paper key that this machine knows, for a new space, unless its words are out elsewhere.

    Raises:
        PaperKeyOut: A space that is known here has put it out.
    """
    known = paper_key(home)
    for name in sorted(home.load().spaces):
        try:
            async with await open_space(home, name, device) as space:
                membership = space.core.membership
        except RopewalkError as error:
            voice.warning(f"{name} cannot be asked whether the paper key is still good: {error}")
            continue
        if is_out(membership, known.id):
            raise PaperKeyOut(
                f"the paper key that this machine knows was put out of {name}: its words would open a new space",
                hint="type the words that were written down since: `ropewalk recovery paper --same`; where there are"
                " none: `ropewalk recovery paper`",
            )
    return known
