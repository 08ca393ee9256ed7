"""`ropewalk init`: device keys, and the paper key that outlives them.

Flow: passphrase -> new keys -> 24 words shown and confirmed -> files in the home; or 24 words read -> the same
Never: keeps the paper key, or any key before its words are known to be written down.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from cyclopts import Parameter

from ropewalk.cli.asking import agreed, answer
from ropewalk.cli.first_look import look_first
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.session import device_keys, keep_open, new_passphrase
from ropewalk.errors import Misuse
from ropewalk.spaces.home import PAPER_FILE, Home, write_file
from ropewalk.spaces.identity import PAPER, DeviceKeys, PublicKeys
from ropewalk.spaces.unlock import forget_keyring, lock_with_keyring

__all__ = ["init", "keep_paper_key", "paper_key", "read_paper_key", "set_up", "show_paper_key"]

WORDS, COLUMNS = 24, 4


def init(
    *,
    restore: Annotated[bool, Parameter(help="Read a paper key's 24 words, and go on with it on this machine.")] = False,
    keyring: Annotated[
        bool, Parameter(help="Keep a random passphrase in the system's keyring instead of asking for one.")
    ] = (False),
    yes: Annotated[
        bool, Parameter(name=("--yes", "-y"), help="Do not ask whether the words were written down.")
    ] = False,
    common: Keyed = KEYED,
) -> int | Awaitable[int]:
    """Set up this machine: keys sealed with a passphrase, and a paper key.

    The paper key is shown once. Its 24 words open every space made here, even if this machine is lost.
    """
    home = Home.of_user()
    set_up(home, common, restore=restore, keyring=keyring, yes=yes)
    if stores := sorted(home.load().stores):  # which could not be looked at without keys
        return _look(home, stores, common)  # what asks before it does not run in a loop, so that ^C ends it
    common.voice.note("next: `ropewalk store add NAME FOLDER` for each place that keeps things")
    return 0


async def _look(home: Home, stores: Sequence[str], common: Keyed) -> int:
    await look_first(home, stores, device_keys(home, common), common.voice)
    return 0


def set_up(home: Home, common: Keyed, *, restore: bool = False, keyring: bool = False, yes: bool = False) -> None:
    """Make the keys of this device and its paper key, and say so; see `init`.

    Raises:
        Misuse: There are keys, or nobody confirms that the paper key was written down.
    """
    voice = common.voice
    home.load()  # damaged settings are told before anything is asked
    if home.has_keys:
        raise Misuse(
            f"{home.key_file} is there already", hint="this device has its keys; go on with `ropewalk store add`"
        )
    if not (restore or yes or sys.stdin.isatty()):
        raise Misuse("nobody is there to confirm that the paper key was written down", hint="in a script: --yes")
    keys = read_paper_key() if restore else DeviceKeys.generate()
    paper = keys if restore else DeviceKeys.generate(PAPER)
    passphrase = None if keyring else new_passphrase(common)
    home.config.mkdir(parents=True, exist_ok=True, mode=0o700)  # if it cannot be, no words were written down in vain
    if not restore:
        show_paper_key(
            paper, "so nothing was set up", "run `ropewalk init` again", asked=not yes, plain=not common.json
        )
    keep_paper_key(home, paper.public())
    if passphrase is None:
        passphrase = lock_with_keyring(home)
    else:
        forget_keyring(home)  # what an earlier set-up, since removed, may have left
    home.keep_keys(keys, passphrase)
    keep_open(home, keys)
    sealed = "a passphrase in the system's keyring" if keyring else "your passphrase"
    fields: dict[str, object] = {
        "device": keys.public().id.hex(),
        "config": str(home.config),
        "paper_key": None if restore else paper.words(),
    }
    voice.done(f"the keys of this device are in {home.key_file}, sealed with {sealed}", fields)


def paper_key(home: Home) -> PublicKeys:
    """The public half of the paper key, which every new space takes in."""
    return home.paper_key()


def keep_paper_key(home: Home, paper: PublicKeys) -> None:
    """Remember the public half of a paper key, and that its words were written down today."""
    write_file(home.config / PAPER_FILE, msgspec.msgpack.encode(paper))
    today = datetime.now().astimezone().date().isoformat()
    home.update(lambda settings: msgspec.structs.replace(settings, paper_shown=today))


def show_paper_key(
    paper: DeviceKeys, otherwise: str, hint: str, *, asked: bool, plain: bool, beside: Sequence[str] = ()
) -> None:
    """Show the words, and go on once somebody says that they are written down.

    Args:
        paper: The key.
        otherwise: What is so if they were not.
        hint: What to do then.
        asked: Whether to ask.
        plain: Whether to show them as a table; else they are in the answer.
        beside: Lines to be written down beside them.

    Raises:
        Misuse: They were not.
    """
    if plain:
        words = paper.words().split()
        rows = WORDS // COLUMNS
        print("Your paper key. Write these 24 words down in this order, and keep them where this machine is not.")
        print("They open every space that is made here, for whoever has them. They are not shown again.\n")
        for row in range(rows):
            print("".join(f"  {at + 1:2} {words[at]:<12}" for at in range(row, WORDS, rows)).rstrip())
        if beside:
            print(*("", *beside), sep="\n")
        print(flush=True)
    if asked:
        if not plain:
            print(paper.words(), file=sys.stderr)  # they must be seen before they can be confirmed
        if not agreed("Have you written all of them down? (yes/no) "):
            raise Misuse(f"the paper key was not written down, {otherwise}", hint=hint)


def read_paper_key(which: str = "the paper key") -> DeviceKeys:
    """The paper key whose words are typed, or come from a file.

    Args:
        which: What a terminal is asked for.

    Raises:
        WrongWords: They are no words of a key.
    """
    if sys.stdin.isatty():
        print(f"The 24 words of {which}, on one line or more:", file=sys.stderr, flush=True)
    words: list[str] = []
    while len(words) < WORDS and (line := answer()):
        words += line.split()
    return DeviceKeys.from_words(" ".join(words))
