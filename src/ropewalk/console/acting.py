"""Acting: the commands that change something of the process.

Flow: Control -> how it is then -> Answer, or an error that says how it went
Never: ends the connection by which it was asked for without being told twice.
"""

from __future__ import annotations

from typing import Annotated

from ropewalk.console.answer import Answer
from ropewalk.console.asking import Ask
from ropewalk.console.commands import Commands, Words
from ropewalk.console.errors import BadWords, NotUp
from ropewalk.console.looking import Service, counted, logger_names
from ropewalk.console.rights import Right
from ropewalk.service import ServiceShown
from ropewalk.service.levels import LEVELS

__all__ = ["ACTING"]

ACTING = Commands()

Force = Annotated[bool, Words("Even where this ends the connection by which it is asked for.")]


def _level_words(_: Ask) -> tuple[str, ...]:
    return (*LEVELS, "back")


@ACTING.command(right=Right.ACT)
async def start(ask: Ask, name: Service) -> Answer:
    """Start a service that is down, once all that it needs is up; what needs it comes back with it.

    Where it pauses after a failure, it starts at once.
    """
    return _up(await ask.control.start(name))


@ACTING.command(right=Right.ACT)
async def stop(ask: Ask, name: Service, *, force: Force = False) -> Answer:
    """Stop a service, and those that need it; it stays down until it is started, through a reload too."""
    found = await ask.control.stop(name, by=ask.service, force=force or ask.insists)
    one, others = found[0], found[1:]
    with_it = f"; with it went {', '.join(other.name for other in others)}" if others else ""
    if one.state != "stopped":
        return Answer.said(f"{one.name} is {one.state}{with_it}", found)
    return Answer.said(f"{one.name} is stopped{with_it}", found)


@ACTING.command(right=Right.ACT)
async def restart(ask: Ask, name: Service, *, force: Force = False) -> Answer:
    """Stop a service and those that need it, and start them again."""
    found = await ask.control.restart(name, by=ask.service, force=force or ask.insists)
    if ask.service in [one.name for one in found]:
        return Answer.said(f"{name} goes down and comes back", found)
    return _up(found)


@ACTING.command(right=Right.ACT)
async def close(
    ask: Ask,
    number: Annotated[int, Words("Of the connection, as `connections` shows it.")],
    *,
    now: Annotated[bool, Words("Without sending what is written already.")] = False,
) -> Answer:
    """Close one connection."""
    one = ask.control.end_connection(number, now=now)
    return Answer.said(f"connection {number} of {one.service} with {one.peer} is closed", one)


@ACTING.command()
async def level(
    ask: Ask,
    logger: Annotated[str, Words("One that there is; `root` is above all others.", logger_names)] = "root",
    level: Annotated[str, Words("From which on it speaks; `back` for what it was before.", _level_words)] = "",
) -> Answer:
    """Show from which level on a logger speaks, or change that, which takes the right to act."""
    levels = ask.control.levels
    if level:
        ask.check(Right.ACT)
        if level == "back":
            levels.put_back(logger)
        else:
            levels.set(logger, level)
    now, changed = levels.level(logger), levels.changed
    others = [f"{name} was set to {one}" for name, one in changed.items() if name != logger or not level]
    value = {"logger": logger, "level": now, "changed": changed}
    return Answer.said("\n".join([f"{logger} speaks from {now} on", *others]), value)


@ACTING.command(right=Right.ACT)
async def reload(ask: Ask) -> Answer:
    """Read the configuration again: what changed is restarted, what is new starts, what is gone stops."""
    if not await ask.control.reload():
        raise BadWords("not reloaded, and all goes on as it was", hint="`log` says what is wrong")
    found = ask.control.services()
    return Answer.said(f"reloaded: {counted(len(found), 'service')}", found)


@ACTING.command(right=Right.PYTHON)
async def python(_: Ask) -> Answer:
    """Open a Python prompt in the live event loop, with `await`: by SSH and the Unix socket only."""
    return Answer.said("", None)


def _up(found: list[ServiceShown]) -> Answer:
    """What to say of a service that was to start, and those that need it.

    Raises:
        NotUp.
    """
    one, others = found[0], found[1:]
    if one.state == "up":
        after = "".join(f"; {other.name} is {other.state}" for other in others)
        return Answer.said(f"{one.name} is up{after}", found)
    if one.state == "waiting" and one.lacks:
        names = ", ".join(one.lacks)
        raise NotUp(f"{one.name} waits for {names}", hint=f"it starts as soon as that is up: start {one.lacks[0]}")
    why = f": {one.why}" if one.why else ""
    raise NotUp(f"{one.name} is {one.state}{why}", hint=f"`log --logger ropewalk.service`, `service {one.name}`")
