"""Session: the user's home, keys and spaces, as commands need them.

Flow: options, environment, terminal -> passphrase -> device keys -> Space; its warnings -> stderr
Never: takes a passphrase from the arguments, or asks one where no terminal is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path

from ropewalk.cli.ahead import BEGUN, first_line
from ropewalk.cli.asking import secret
from ropewalk.cli.options import Keyed
from ropewalk.errors import Missing, Misuse
from ropewalk.spaces.home import Home, NotSetUp
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.learning import PUT_OUT
from ropewalk.spaces.passport import said_of_refused
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.unlock import VARIABLE, NoPassphrase, checked_passphrase, known_passphrase, unlock
from ropewalk.spaces.waiting import told_of_queue

__all__ = ["device_keys", "keep_open", "new_passphrase", "opened"]

_OPEN: ContextVar[tuple[bytes, DeviceKeys] | None] = ContextVar("_OPEN", default=None)  # the key file, and its keys
_NO_WAY = f"set {VARIABLE}, or name a file with --passphrase-file; a terminal would be asked"


@asynccontextmanager
async def opened(
    name: str, common: Keyed, *, tell_away: bool = True, tell_queue: bool = True, stewards: bool = False
) -> AsyncIterator[Space]:
    """A space by its name; what it warns of is said at once, and what it comes to know later at the end.

    Args:
        name: What the user calls it.
        common: The command's options.
        tell_away: Whether stores that are away are warned of; not where the answer names them.
        tell_queue: The same, for changes that wait to be published, and stores that are not written to.
        stewards: Whether a steward may do this: nothing of what is in the space is needed for it.

    Raises:
        MembersOnly: It may not, and this device is one's.
    """
    home = Home.of_user()
    home.space(name)  # a wrong name is told before a passphrase is asked
    voice = common.voice
    async with await open_space(home, name, device_keys(home, common)) as space:
        if not stewards:
            space.core.check_reads()
        pool = space.core.pool
        if stewards or not tell_away:
            await pool.opened()  # what is done then is about the stores as well
        said: set[str] = {PUT_OUT}  # below, in other words
        if not tell_away:
            said |= {f"store {one} is not there: {pool.why_down(one)}" for one in pool.names if not pool.up(one)}
        if not tell_queue:
            said |= {said_of_refused(one, terms) for one in pool.names if (terms := pool.terms(one)).refused}
            said.add(await told_of_queue(space.core, name))
        for note in space.notes:
            voice.note(note)
        for warning in _taken(space.warnings):
            if warning not in said:
                voice.warning(warning)
        state = space.core.membership.state
        if state.role_of(space.core.device.public().id) is None:
            voice.warning(f"this device was put out of {name}: what is written there since cannot be read here")
        try:
            yield space
        finally:
            for warning in _taken(space.warnings):
                voice.warning(warning)


def _taken(lines: list[str]) -> Iterator[str]:
    """Lines one by one, each out of the list: where there are too many, older ones make room for newer."""
    while lines:
        yield lines.pop(0)


def device_keys(home: Home, common: Keyed) -> DeviceKeys:
    """This device's keys; whatever they are opened with is asked for once in a command, and then they stay open.

    Raises:
        NotSetUp, NoPassphrase, WrongPassphrase, KeysDamaged, KeyringSilent.
    """
    if not home.has_keys:
        raise NotSetUp("this device has no keys yet", hint="run `ropewalk init`")
    held = _OPEN.get()
    if held is not None and held[0] == _key_file(home):
        return held[1]
    keys = _asked(home, common)
    keep_open(home, keys)
    return keys


def keep_open(home: Home, keys: DeviceKeys) -> None:
    """Nothing is asked for these keys again in this command, as long as their file is the same."""
    if data := _key_file(home):
        _OPEN.set((data, keys))


def _key_file(home: Home) -> bytes:
    try:
        return home.key_file.read_bytes()
    except OSError:
        return b""  # whoever opens it says why


def _asked(home: Home, common: Keyed) -> DeviceKeys:
    if common.passphrase_file is not None:
        return unlock(home, _read(common.passphrase_file), str(common.passphrase_file), BEGUN.get())
    if (known := known_passphrase(home)) is not None:
        return unlock(home, *known, BEGUN.get())
    if not sys.stdin.isatty():
        raise NoPassphrase("no passphrase was given", hint=_NO_WAY)
    return unlock(home, checked_passphrase(_ask("passphrase: "), "the terminal"), "the terminal")


def new_passphrase(common: Keyed) -> str:
    """A passphrase for new keys, asked twice where it is asked.

    Raises:
        NoPassphrase: There is none, or the two differ.
    """
    if common.passphrase_file is not None:
        return _read(common.passphrase_file)
    if (given := os.environ.get(VARIABLE)) is not None:
        return checked_passphrase(given, f"${VARIABLE}")
    if not sys.stdin.isatty():
        raise NoPassphrase("no passphrase was given", hint=f"{_NO_WAY}; or `ropewalk init --keyring` first")
    first = checked_passphrase(_ask("new passphrase: "), "the terminal")
    if _ask("the same again: ") != first:
        raise NoPassphrase("the two passphrases differ", hint="nothing was set up; try again")
    return first


def _ask(prompt: str) -> str:
    try:
        return secret(prompt)
    except EOFError:
        raise NoPassphrase("no passphrase was given", hint=_NO_WAY) from None


def _read(path: Path) -> str:
    try:
        line = first_line(path)
    except FileNotFoundError:
        raise Missing(f"no passphrase file {path}") from None
    except OSError as error:
        raise Misuse(f"passphrase file {path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    return checked_passphrase(line, str(path))
