"""`ropewalk recovery paper`, `recovery restore`: new words in place of the old, and back with nothing but words.

Flow: new words shown, confirmed -> records in every space -> paper.public; words -> fresh keys -> spaces found in
    stores -> records -> settings; those who were lost put out
Never: keeps words, ends the old ones before somebody has the new, or says that all is done where a space is left.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import msgspec
from cyclopts import Parameter

from ropewalk.cli.init import keep_paper_key, paper_key, read_paper_key, show_paper_key
from ropewalk.cli.member import tell_tended
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import LEFT_OUT
from ropewalk.cli.output import Voice, count, date
from ropewalk.cli.session import device_keys, new_passphrase, opened
from ropewalk.errors import Missing, Misuse, Refused, RopewalkError, Unavailable
from ropewalk.spaces.core import Core
from ropewalk.spaces.discover import Discovery, FoundSpace, discover
from ropewalk.spaces.group import Group
from ropewalk.spaces.home import Home, Settings, SpaceSetting
from ropewalk.spaces.identity import PAPER, DeviceKeys, PublicKeys
from ropewalk.spaces.members import Membership, Names, check_person, open_ring, seal_label
from ropewalk.spaces.opening import open_pool
from ropewalk.spaces.recovery import NoPaperKey, Restored, paper_of, replace_paper
from ropewalk.spaces.recovery import restore as restore_spaces
from ropewalk.spaces.recovery import revoke as revoke_devices
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.unlock import forget_keyring, lock_with_keyring

__all__ = ["paper", "restore"]

GROUPS = 2  # the feature level from which a paper key can be replaced

_OLD_WORDS = (
    "the old words open nothing that is new in these spaces; destroy them all the same: who has them could still claim"
    " to have acted before"
)


# ---- new words -------------------------------------------------------------------------------------------------------


async def paper(
    *,
    same: Annotated[
        bool,
        Parameter(
            name="--same",
            negative="",
            help="No new words: bring the spaces that were left to those that were written down last.",
        ),
    ] = False,
    yes: Annotated[
        bool, Parameter(name=("--yes", "-y"), negative="", help="Do not ask whether the words were written down.")
    ] = False,
    common: Keyed = KEYED,
) -> int:
    """Make a new paper key, and put the old one out in every space.

    Do this when somebody may have seen the words, or when they are lost. The new ones are shown once.

    Exit status: 11 some spaces are left, where only the old words help; `ropewalk recovery paper --same` goes on.
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
    new = None if same else DeviceKeys.generate(PAPER)
    if new is not None:
        show_paper_key(
            new,
            "so the old one is still good",
            "run `ropewalk recovery paper` again",
            asked=not yes,
            plain=not common.json,
        )
    public = paper_key(home) if new is None else new.public()
    names = sorted(home.load().spaces)
    left, begun = await _replace_all(names, device, public, common)
    if new is not None and names and not begun:
        voice.warning("no space took the new words, so throw them away: all is as it was")
        raise next(iter(left.values()))
    if new is not None:
        keep_paper_key(home, public)
    for name, error in left.items():
        voice.warning(f"{name} may still need the old words: {error}")
    if left:
        voice.warning("keep both: `ropewalk recovery paper --same` brings the rest to the new ones, once it can")
    elif not common.json:
        voice.note(_OLD_WORDS if names else "there is no space yet; the next one takes it")
    if common.json:
        done = [one for one in names if one not in left]
        failed = {name: str(error) for name, error in left.items()}
        voice.done("", {"paper_key": new.words() if new else None, "spaces": done, "left": failed})
    return LEFT_OUT if left else 0


async def _replace_all(
    names: Sequence[str], device: DeviceKeys, public: PublicKeys, common: Keyed
) -> tuple[dict[str, RopewalkError], bool]:
    """Replace the paper key in every space; those where it is not done, and whether anything was changed anywhere."""
    left: dict[str, RopewalkError] = {}
    begun = False
    for name in names:
        try:
            async with opened(name, common) as space:
                before = paper_of(space.core.membership, device.public().id)
                try:
                    changed = await _replace(space, device, public)
                finally:  # a record that is signed and kept here goes to the stores some day, whatever failed
                    now = paper_of(space.core.membership, device.public().id)
                    begun = begun or now != before or now == public.id
                if not common.json:
                    common.voice.done(f"{name}: the new words are good{'' if changed else ' already'}", {})
                tell_tended(space, common.voice)
        except RopewalkError as error:
            left[name] = error
    return left, begun


async def _replace(space: Space, device: DeviceKeys, public: PublicKeys) -> bool:
    """Make a key the paper key of our member; whether anything had to be changed."""
    core = space.core
    async with space.group() as group:
        if core.membership.feature < GROUPS:
            await group.raise_level()
        records = [data for _, data in await core.ledger.do(State.records)]
        made = replace_paper(core.space_id, records, device, core.incarnation, max(core.now(), 0), public, _unnamed)
        for name, data in made:
            await group.send(name, data)
    return bool(made)


def _unnamed(_membership: Membership, _device: bytes) -> bytes:
    return b""  # a paper key is called so without a name


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
    common: Keyed = KEYED,
) -> int:
    """Come back with the 24 words of a paper key.

    They are read from the terminal or standard input. This machine gets keys of its own, and every space that the
    words open in the stores that are set up here; add these first, with `ropewalk store add`. The words stay good.

    Exit status: 11 some spaces are left; the same command, with the same words, goes on.
    """
    home, voice = Home.of_user(), common.voice
    settings = home.load()
    machine = check_person(name or socket.gethostname() or "device")
    names = [one.strip() for one in stores.split(",") if one.strip()] if stores is not None else sorted(settings.stores)
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
    pool = await open_pool(home, names, time.monotonic)
    try:
        found = await discover(pool, words)
        for problem in found.problems:
            voice.warning(problem)
        _check_words(found, words, names)
        if device is None:
            device = _keep(home, words, passphrase)
        fresh = device.public()
        made = await restore_spaces(
            pool,
            found.spaces,
            words,
            fresh,
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
    spaces = _take_in(home, [space for space in found.spaces if space.id in made.back], common)
    others = {
        called: [one for one in made.devices.get(space.id, ()) if one != fresh.id] for called, space in spaces.items()
    }
    revoked, left = await _deal_with_others(others, words, revoke_others, common)
    _tell(spaces, made, revoked, device, voice)
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
    return device


def _take_in(home: Home, found: Sequence[FoundSpace], common: Keyed) -> dict[str, FoundSpace]:
    """Spaces in the settings, by what they are called there."""
    spaces: dict[str, FoundSpace] = {}
    for space in found:
        known = {setting.id: name for name, setting in home.load().spaces.items()}
        called = known.get(space.id.hex()) or _name_for(home.load(), space, common)
        setting = SpaceSetting(space.id.hex(), list(space.stores))
        if space.id.hex() not in known:
            home.update(
                lambda now, called=called, setting=setting: msgspec.structs.replace(  # type: ignore[misc]
                    now, spaces={**now.spaces, called: setting}
                )
            )
        spaces[called] = space
    return spaces


def _name_for(settings: Settings, space: FoundSpace, common: Keyed) -> str:
    """What a space is to be called here: nobody else knows."""
    from ropewalk.cli.place import check_own_name

    number = 1
    while (otherwise := "space" if number == 1 else f"space-{number}") in settings.spaces:
        number += 1
    if not sys.stdin.isatty() or not common.voice.for_people:
        return otherwise
    made = f"made {date(space.membership.created)}, in {', '.join(space.stores)}"
    while True:
        print(f"A space, {made}. What will you call it? [{otherwise}] ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
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
                names = Names(space.core.membership, space.core.keys)
                called = [names.device(one) for one in devices]
                if not devices or not _is_wanted(wanted, name, called, common.voice):
                    continue
                async with space.group() as group:
                    await _revoke(space.core, group, words, devices)
                revoked[name] = called
                tell_tended(space, common.voice)
        except RopewalkError as error:
            left = True
            common.voice.warning(f"{name}: {error}")
    return revoked, left


def _is_wanted(wanted: bool | None, space: str, called: Sequence[str], voice: Voice) -> bool:
    listed = ", ".join(called)
    if wanted is None and sys.stdin.isatty():
        print(
            f"Your other devices in {space}: {listed}. Put them out, as lost or stolen? (yes/no) ",
            end="",
            file=sys.stderr,
            flush=True,
        )
        wanted = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not wanted:
        voice.note(f"your other devices still belong to {space}: {listed}; `ropewalk device revoke` puts them out")
    return bool(wanted)


async def _revoke(core: Core, group: Group, words: DeviceKeys, devices: Sequence[bytes]) -> None:
    """Signed by the paper key: a thief who has a device is no match for it, and might be for this young one."""
    cuts = {device: await group.cut(device) for device in devices}
    records = [data for _, data in await core.ledger.do(State.records)]
    for name, data in revoke_devices(core.space_id, records, words, os.urandom(16), max(core.now(), 0), cuts):
        await group.send(name, data)


def _tell(
    spaces: dict[str, FoundSpace],
    made: Restored,
    revoked: dict[str, list[str]],
    device: DeviceKeys,
    voice: Voice,
) -> None:
    for one, why in made.problems.items():
        voice.warning(f"space {one.hex()[:8]} is left: {why}; run the same command again")
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
                f"pieces of {name} lie in {space.membership.policy.n} stores, and {len(space.stores)} are here;"
                " `ropewalk space add-store` adds others"
            )
    voice.note("the words are still good; if somebody may have seen them: `ropewalk recovery paper`")
