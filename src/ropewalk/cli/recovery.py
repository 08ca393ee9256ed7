"""`ropewalk recovery restore`: back with nothing but words.

Flow: words -> spaces found in stores, those that are meant -> fresh keys -> records -> settings; who was lost put out
Never: keeps words, takes a space in because words open it, or says that all is done where a space is left.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.asking import agreed, answer
from ropewalk.cli.first_look import look_first
from ropewalk.cli.init import keep_paper_key, paper_key, read_paper_key
from ropewalk.cli.member import tell_tended
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import LEFT_OUT
from ropewalk.cli.output import Voice, count, date
from ropewalk.cli.place import check_own_name
from ropewalk.cli.session import device_keys, keep_open, new_passphrase, opened
from ropewalk.cli.space import store_names
from ropewalk.cli.which_space import Ids, choose, matches, parse_id, shown_id
from ropewalk.errors import Missing, Misuse, RopewalkError, Unavailable
from ropewalk.spaces.core import Core
from ropewalk.spaces.discover import Discovery, FoundSpace, discover
from ropewalk.spaces.group import Group
from ropewalk.spaces.home import Home, Settings, SpaceSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.members import Names, check_person, open_ring, seal_label, undoes
from ropewalk.spaces.opening import open_pool
from ropewalk.spaces.places import opener
from ropewalk.spaces.recovery import NoPaperKey, Restored
from ropewalk.spaces.recovery import restore as restore_spaces
from ropewalk.spaces.unlock import forget_keyring, lock_with_keyring

__all__ = ["restore"]

# ---- coming back -----------------------------------------------------------------------------------------------------


async def restore(
    *,
    stores: Annotated[
        str | None, Parameter(metavar="A,B,...", help="Names of stores to look into; all of them by default.")
    ] = None,
    revoke_others: Annotated[
        bool | None,
        Parameter(
            name="--revoke-others",
            negative="--keep-others",
            help="Put your other devices out, as lost or stolen; --keep-others keeps them. A terminal is asked.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        Parameter(name="--as", metavar="NAME", help="What this machine is called; its host name by default."),
    ] = None,
    keyring: Annotated[
        bool, Parameter(help="Keep a random passphrase in the system's keyring instead of asking for one.")
    ] = False,
    ids: Ids = None,
    called: Annotated[
        list[str] | None,
        Parameter(
            name="--name",
            metavar="SPACE",
            help="What to call the space here; of several, one for each --id, in the same order. The records do not"
            " have a name.",
            negative="",
        ),
    ] = None,
    common: Keyed = KEYED,
) -> int:
    """Come back with the 24 words of a paper key.

    They are read from the terminal or standard input. This machine gets keys of its own, and the spaces of the ids that
    are given, one --id each, out of the stores that are set up here; add these first, with `ropewalk store add`. Where
    no id is given and one space is found, it is shown, and a terminal is asked: stores can make another space that the
    same words open, and only its id tells it from yours. The words stay good.

    Exit status: 11 some spaces are left; the same command, with the same words, goes on.
    """
    home, voice = Home.of_user(), common.voice
    settings = home.load()
    digits = [parse_id(one) for one in ids or ()]
    wanted = _named(settings, digits, called or ())
    machine = check_person(name or socket.gethostname() or "device")
    names = store_names(stores) if stores is not None else sorted(settings.stores)
    home.stores(names)
    if not names:
        raise Missing(
            "there are no stores to look into", hint="add those that you can reach: `ropewalk store add NAME FOLDER`"
        )
    if home.has_keys and not (home.config / "paper.public").exists():
        raise _has_keys(home)
    words = read_paper_key()
    device = _begun(home, words, common)
    passphrase = None if keyring or device is not None else new_passphrase(common)
    seen_by = (device or words).public()  # keys that are new have not looked at any store
    pool = await open_pool(home, names, time.monotonic, opener(home, words), seen_by)
    try:
        found = await discover(pool, words)
        for problem in found.problems:
            voice.warning(problem)
        _check_words(found, words, names)
        spaces = _meant(found.spaces, words, settings, digits, voice)
        if device is None:
            device = _keep(home, words, passphrase)
        fresh = device.public()
        made = await restore_spaces(
            pool,
            spaces,
            words,
            device,
            max(time.time_ns(), 0),
            lambda membership, one: seal_label(open_ring(membership.epochs, words).ring, one, machine),
        )
    finally:
        await pool.aclose()
    if not made.back:
        why = "; ".join(made.problems.values())
        raise Unavailable(
            f"no space took the new keys of this machine: {why}",
            hint="bring more stores back, and run the same command again",
        )
    back = [space for space in spaces if space.id in made.back]
    await look_first(home, [store for space in back for store in space.stores], device, voice)
    taken = _take_in(home, back, wanted, common)
    others = {
        called: [one for one in made.devices.get(space.id, ()) if one != fresh.id] for called, space in taken.items()
    }
    revoked, left = await _deal_with_others(others, words, revoke_others, common)
    _tell(taken, made, revoked, device, voice)
    if unnamed := [name for name in taken if name not in settings.spaces and name not in wanted.values()]:
        voice.note(f"what a space is called is known to no store: `ropewalk space rename {unnamed[0]} NAME` changes it")
    return LEFT_OUT if made.problems or left else 0


def _check_words(found: Discovery, words: DeviceKeys, stores: Sequence[str]) -> None:
    """See that the words are of use in some space.

    Raises:
        NoPaperKey: They are not.
    """
    if any(words.public().id in space.membership.state.devices for space in found.spaces):
        return
    where = ", ".join(stores)
    if found.spaces:
        raise NoPaperKey(
            f"newer words have taken the place of these in the spaces in {where}",
            hint="look for them: they were shown by `ropewalk recovery paper`, or ask a member for an invite",
        )
    closed = f"; {count(found.closed, 'space')} there they do not open" if found.closed else ""
    raise NoPaperKey(
        f"{where} hold no space that these words open{closed}", hint="add more of its stores, or look for newer words"
    )


def _meant(
    found: Sequence[FoundSpace], words: DeviceKeys, settings: Settings, digits: Sequence[str], voice: Voice
) -> list[FoundSpace]:
    """Of the spaces that words open those that are meant; what an earlier run has taken in is.

    Raises:
        NotConfirmed: It is not known which are.
        Missing: One that is asked for is not there.
    """
    for one in digits:
        if not any(matches(space.id, [one]) for space in found):
            raise Missing(
                f"the stores hold no space with the id {shown_id(one)} that these words open",
                hint="add more of its stores, or look at the id again; nothing was changed",
            )
    known = {setting.id for setting in settings.spaces.values()}
    mine = [space for space in found if space.id.hex() in known]
    others = [space for space in found if space.id.hex() not in known]
    if mine and not digits:
        for space in others:
            voice.warning(
                f"these words open another space there: {shown_id(space.id)}; if it is yours, give it as --id"
            )
        return mine
    return choose(found, words, voice, told=[*digits, *known], what="these words open")


def _begun(home: Home, words: DeviceKeys, common: Keyed) -> DeviceKeys | None:
    """The keys that an earlier run with these words has made, which is gone on with; None where there are none."""
    if not home.has_keys:
        return None
    if paper_key(home) != words.public():
        raise _has_keys(home)
    return device_keys(home, common)


def _has_keys(home: Home) -> Misuse:
    return Misuse(
        f"{home.key_file} is there already, and this is for machines without keys",
        hint="`ropewalk space attach` finds spaces that they open; another ROPEWALK_HOME is another machine",
    )


def _keep(home: Home, words: DeviceKeys, passphrase: str | None) -> DeviceKeys:
    """Fresh keys, kept before any record names them: after a stop they are gone on with."""
    device = DeviceKeys.generate()
    keep_paper_key(home, words.public())
    if passphrase is None:
        passphrase = lock_with_keyring(home)
    else:
        forget_keyring(home)
    home.keep_keys(device, passphrase)
    keep_open(home, device)
    return device


def _named(settings: Settings, digits: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """The names that are wanted, by the digits of ids; by "" where no id is given.

    Raises:
        Misuse: They do not go with the ids, or cannot be.
    """
    if len(names) > max(len(digits), 1) or (digits and names and len(names) != len(digits)):
        raise Misuse(
            f"--name is given {count(len(names), 'time')} and --id {count(len(digits), 'time')}, expected as often",
            hint="one name for each id, in the same order; or none, and `ropewalk space rename` later",
        )
    if len(set(names)) < len(names):
        raise Misuse("--name gives two spaces the same name", hint="choose another one")
    wanted = dict(zip(digits or ("",), names, strict=False))
    for one, name in wanted.items():
        check_own_name(name, "space")
        known = settings.spaces.get(name)
        if known is not None and not (one and known.id.startswith(one)):
            raise Misuse(f"a space is called {name!r} already", hint="choose another name")
    return wanted


def _take_in(
    home: Home, found: Sequence[FoundSpace], wanted: Mapping[str, str], common: Keyed
) -> dict[str, FoundSpace]:
    """Spaces in the settings, by what they are called there."""
    spaces: dict[str, FoundSpace] = {}
    for space in found:
        known = {setting.id: name for name, setting in home.load().spaces.items()}
        asked = next((name for digits, name in wanted.items() if matches(space.id, [digits])), "")
        called = known.get(space.id.hex()) or asked or _name_for(home.load(), space, common)
        setting = SpaceSetting(space.id.hex(), list(space.stores))
        if space.id.hex() not in known:
            home.add_space(called, setting)
        spaces[called] = space
    return spaces


def _name_for(settings: Settings, space: FoundSpace, common: Keyed) -> str:
    """What a space is to be called here: nobody else knows."""
    number = 1
    while (otherwise := "space" if number == 1 else f"space-{number}") in settings.spaces:
        number += 1
    if not sys.stdin.isatty() or not common.voice.for_people:
        return otherwise
    made = f"{shown_id(space.id)}, made {date(space.membership.created)}, in {', '.join(space.stores)}"
    while True:
        line = answer(f"The space {made}. What will you call it? [{otherwise}] ")
        chosen = line.strip() or otherwise
        try:
            check_own_name(chosen, "space")
        except Misuse as error:
            common.voice.warning(f"{error}: {error.hint}")
            if not line:
                return otherwise
            continue
        if chosen not in settings.spaces:
            return chosen
        common.voice.warning(f"a space is called {chosen!r} already")


# ---- those who were lost ---------------------------------------------------------------------------------------------


async def _deal_with_others(
    others: dict[str, list[bytes]], words: DeviceKeys, wanted: bool | None, common: Keyed
) -> tuple[dict[str, list[str]], bool]:
    """Put the member's other devices out, if that is wanted; those that are, by space, and whether any are left."""
    revoked: dict[str, list[str]] = {}
    left = False
    for name, devices in others.items():
        try:
            async with opened(name, common) as space:
                membership = space.core.membership
                names = Names(membership, space.core.keys)
                called = [names.device(one) for one in devices]
                elders = [names.device(one) for one in devices if undoes(membership.state, one, words.public().id)]
                if not devices or not _is_wanted(wanted, name, called, common.voice):
                    continue
                async with space.group() as group:
                    await _revoke(space.core, group, words, devices)
                revoked[name] = called
                if elders:
                    common.voice.warning(
                        f"{name}: these words came later than {', '.join(elders)}; whoever has that can still claim to"
                        " have acted before, and put this machine out: only a new space is safe from that"
                    )
                tell_tended(space, common.voice)
        except RopewalkError as error:
            left = True
            common.voice.warning(f"{name}: {error}")
    return revoked, left


def _is_wanted(wanted: bool | None, space: str, called: Sequence[str], voice: Voice) -> bool:
    listed = ", ".join(called)
    if wanted is None and sys.stdin.isatty():
        wanted = agreed(f"Your other devices in {space}: {listed}. Put them out, as lost or stolen? (yes/no) ")
    if not wanted:
        voice.note(f"your other devices still belong to {space!r}: {listed}; `ropewalk device revoke` puts them out")
    return bool(wanted)


async def _revoke(core: Core, group: Group, words: DeviceKeys, devices: Sequence[bytes]) -> None:
    """Signed by the paper key: who has a device that came later is no match for it, and is for this young one."""
    # Who wrote what this version does not know goes first: all else is to stand on what had not seen that.
    for device in sorted(devices, key=lambda one: (one not in core.membership.beyond, one)):
        if device in core.membership.state.devices:
            await group.revoke(device, words)


def _tell(
    spaces: dict[str, FoundSpace],
    made: Restored,
    revoked: dict[str, list[str]],
    device: DeviceKeys,
    voice: Voice,
) -> None:
    for one, why in made.problems.items():
        voice.warning(f"space {shown_id(one)} is left: {why}; run the same command again")
    fields = {
        name: {"id": space.id.hex(), "stores": list(space.stores), "revoked": revoked.get(name, [])}
        for name, space in spaces.items()
    }
    if voice.json:
        problems = {one.hex(): why for one, why in made.problems.items()}
        voice.done("", {"device": device.public().id.hex(), "spaces": fields, "left": problems})
        return
    for name, space in spaces.items():
        out = f"; put out: {', '.join(revoked[name])}" if name in revoked else ""
        voice.done(f"{name} is back, over {', '.join(space.stores)}{out}", {})
        if len(space.stores) < space.membership.policy.n:
            voice.note(
                f"pieces of {name} lie in {space.membership.policy.n} stores, and"
                f" {count(len(space.stores), 'is/are')} here; `ropewalk space add-store` adds others"
            )
    voice.note("the words are still good; if somebody may have seen them: `ropewalk recovery paper`")
