"""Looking: the commands that show something and change nothing.

Flow: Control -> rows and lines -> Answer
Never: shows more than a bound, or a secret.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Any

from ropewalk.console.answer import Answer
from ropewalk.console.asking import Ask
from ropewalk.console.commands import Command, Commands, Words
from ropewalk.console.errors import BadWords
from ropewalk.console.interpreter import help_of
from ropewalk.console.rights import Right
from ropewalk.console.table import seconds, table, wrapped
from ropewalk.metrics import HistogramReading, Reading
from ropewalk.service import ServiceShown
from ropewalk.service.levels import LEVELS
from ropewalk.service.near import hint_of

__all__ = ["LOOKING", "counted", "logger_names", "service_names"]

LOOKING = Commands()
_MOST = 1_000  # rows of an answer
_BESIDE, _WIDE = 26, 60  # columns of what stands before the summary of a command; of a window where it can
_WORDS = {"True": "true", "False": "false", "None": ""}  # as TOML has them


def service_names(ask: Ask) -> Iterable[str]:
    """For completion."""
    return ask.control.names()


def logger_names(ask: Ask) -> Iterable[str]:
    """For completion."""
    return ask.control.levels.names()


def _command_names(ask: Ask) -> Iterable[str]:
    return (command.name for command in ask.commands)


def _metric_names(ask: Ask) -> Iterable[str]:
    return (reading.name for reading in ask.control.registry.read())


Service = Annotated[str, Words("A service, by its name.", service_names)]
Most = Annotated[int, Words(f"Rows at most; {_MOST} by default.")]


@LOOKING.command()
async def services(ask: Ask) -> Answer:
    """List the services: state, for how long, starts, failures, and why the last one failed."""
    found = ask.control.services()
    rows = [(one.name, _state(one), seconds(one.seconds), one.starts, one.failures, _why(one)) for one in found]
    return Answer.table(("SERVICE", "STATE", "FOR", "STARTS", "FAILURES", "WHY"), rows, found)


@LOOKING.command()
async def service(ask: Ask, name: Service) -> Answer:
    """Show one service: its state, whom it needs and who needs it, and its figures."""
    one = ask.control.service(name)
    rows: list[tuple[str, object]] = [
        ("state", f"{_state(one)} for {seconds(one.seconds)}"),
        ("starts", one.starts),
        ("failures", f"{one.failures}{f', the last one: {one.why}' if one.why else ''}"),
        ("needs", ", ".join(one.needs) or "nothing"),
        ("needed by", ", ".join(one.needed_by) or "nobody"),
        ("restart", f"{one.restart}{', critical' if one.critical else ''}"),
        ("kind", one.kind),
        *((key.replace("_", " "), f"{value:g}") for key, value in one.statistics.items()),
    ]
    return Answer(one, lambda width: table((one.name, ""), rows, width))


@LOOKING.command()
async def connections(ask: Ask, *, service: Service = "", most: Most = _MOST) -> Answer:
    """List the connections that services have accepted, the oldest first, with the bytes that came and went."""
    found, count = ask.control.connections(_bounded(most), service)
    rows = [
        (one.number, one.service, one.listener, one.peer, seconds(one.seconds), one.received, one.sent) for one in found
    ]
    heads = ("NUMBER", "SERVICE", "LISTENER", "PEER", "FOR", "IN", "OUT")
    return Answer.table(heads, rows, {"connections": found, "count": count}, *_more(len(found), count))


@LOOKING.command()
async def tasks(
    ask: Ask,
    pattern: Annotated[str, Words("Only tasks whose name or work holds this, or fits it with * and ?.")] = "",
    *,
    stacks: Annotated[bool, Words("Show where each one waits, the innermost last.")] = False,
    most: Most = _MOST,
) -> Answer:
    """List the tasks of the event loop and what each of them waits for."""
    found, count = ask.control.tasks(_MOST)
    found = [one for one in found if _fits(pattern, one.name) or _fits(pattern, one.work)]
    count, found = (len(found) if pattern else count), found[: _bounded(most)]

    def lines(width: int) -> list[str]:
        if not stacks:
            rows = [(one.name, one.work, one.stack[-1] if one.stack else "") for one in found]
            return [*table(("TASK", "WORK", "AT"), rows, width), *_more(len(found), count)]
        shown = []
        for one in found:
            shown += [f"{one.name}: {one.work}{' (this one)' if one.running else ''}"]
            shown += [f"    {place}" for place in one.stack]
        return [*shown, *_more(len(found), count)]

    return Answer({"tasks": found, "count": count}, lines)


@LOOKING.command()
async def metrics(
    ask: Ask,
    pattern: Annotated[str, Words("Only metrics whose name holds this, or fits it with * and ?.", _metric_names)] = "",
    *,
    most: Most = _MOST,
) -> Answer:
    """Show what is counted, as it stands now."""
    readings = [one for one in ask.control.registry.read() if _fits(pattern, one.name)]
    if pattern and not readings:
        names = [reading.name for reading in ask.control.registry.read()]
        raise BadWords(f"no metric fits {pattern[:40]!r}", hint=hint_of(pattern, names))
    every = [sample for reading in readings for sample in _samples(reading)]
    found = every[: _bounded(most)]
    rows = [(f"{one['name']}{_labels(one['labels'])}", _figure(one)) for one in found]
    value = {"metrics": found, "count": len(every)}
    return Answer.table(("METRIC", "VALUE"), rows, value, *_more(len(found), len(every)))


@LOOKING.command()
async def log(
    ask: Ask,
    lines: Annotated[int, Words("How many; 50 by default.")] = 50,
    *,
    level: Annotated[str, Words("Only from this level on.", lambda _: LEVELS)] = "",
    logger: Annotated[str, Words("Only of this logger and those below it.", logger_names)] = "",
) -> Answer:
    """Show the last lines of the log."""
    if level and level not in LEVELS:
        raise BadWords(f"no log level {level[:40]!r}", hint=hint_of(level, LEVELS))
    least = logging.getLevelNamesMapping()[level.upper()] if level else logging.NOTSET
    found = ask.control.log.lines(_bounded(lines), least=least, logger="" if logger == "root" else logger)
    shown = [
        f"{time.strftime('%H:%M:%S', time.localtime(one.time))} {one.level} {one.logger}: {text}" if first else text
        for one in found
        for first, text in ((at == 0, part) for at, part in enumerate(one.text.split("\n")))
    ]
    return Answer({"lines": found}, lambda _: shown or ["nothing was logged"])


@LOOKING.command()
async def config(ask: Ask, name: Service = "") -> Answer:
    """Show what services were told, without what is secret."""
    names = [ask.control.service(name).name] if name else ask.control.names()
    told = {one: ask.control.configuration(one) for one in names}
    rows = [(f"{one}.{key}", value) for one in names for key, value in _flat(told[one]) if value]
    return Answer(told, lambda width: table(("KEY", "VALUE"), rows, width))


@LOOKING.command()
async def who(ask: Ask) -> Answer:
    """List the people who are connected to a console or panel of this process."""
    now = ask.control.presence.now()
    found = [
        {
            "number": one.number,
            "name": one.name,
            "by": one.by,
            "address": one.address,
            "service": one.service,
            "seconds": now - one.began,
            "idle": now - one.active,
        }
        for one in ask.control.presence.all()
    ][:_MOST]
    rows = [
        (
            one["name"] or "somebody",
            one["by"],
            one["address"],
            one["service"],
            _span(one["seconds"]),
            _span(one["idle"]),
        )
        for one in found
    ]
    return Answer.table(("NAME", "BY", "ADDRESS", "SERVICE", "FOR", "IDLE"), rows, found)


@LOOKING.command()
async def uptime(ask: Ask) -> Answer:
    """Say for how long the application has been running, and how many of its services are up."""
    found = ask.control.services()
    up = sum(one.state == "up" for one in found)
    value = {"application": ask.control.name, "seconds": ask.control.uptime, "services": len(found), "up": up}
    return Answer.said(
        f"{ask.control.name}: for {seconds(ask.control.uptime)}; {up} of {counted(len(found), 'service')} up", value
    )


@LOOKING.command(name="help")
async def help_(ask: Ask, command: Annotated[str, Words("One of them.", _command_names)] = "") -> Answer:
    """Say which commands there are, or more of one of them."""
    if command:
        one = ask.commands.find(command)
        return Answer({"usage": one.usage, "help": one.summary}, lambda width: help_of(one, width))
    mine = [one for one in ask.commands if one.right in ask.rights]
    value = [{"name": one.name, "usage": one.usage, "right": str(one.right), "help": one.summary} for one in mine]
    return Answer(value, lambda width: _page(mine, width))


def _page(commands: list[Command], width: int) -> list[str]:
    lines = []
    for right, title in ((Right.LOOK, "To look"), (Right.ACT, "To act"), (Right.PYTHON, "Python")):
        some = [one for one in commands if one.right is right]
        if some:
            lines += [f"{title}:", *(line for one in some for line in _told(one, width)), ""]
    return [*lines, *wrapped("Each takes --json and --help; `quit` ends the conversation.", width)]


def _told(command: Command, width: int) -> list[str]:
    """Usage and summary beside each other, or below each other where the usage is long; nothing is cut off."""
    wide = not width or width >= _WIDE
    before = _BESIDE if wide else 6
    below = [" " * before + line for line in wrapped(command.summary, max(width - before, 20) if width else 0)]
    if wide and len(command.usage) + 4 <= _BESIDE:
        return [f"  {command.usage}".ljust(_BESIDE) + below[0][_BESIDE:], *below[1:]]
    return [*wrapped(f"  {command.usage}", width, "      "), *below]


def counted(number: int, word: str) -> str:
    """``3 services``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def _state(one: ServiceShown) -> str:
    return f"{one.state}, until it is started" if one.halted and one.state == "stopped" else one.state


def _why(one: ServiceShown) -> str:
    return f"waits for {', '.join(one.lacks)}" if one.state == "waiting" and one.lacks else one.why


def _bounded(most: int) -> int:
    if not 1 <= most <= _MOST:
        raise BadWords(f"got {most}, expected 1 to {_MOST}")
    return most


def _more(shown: int, count: int) -> tuple[str, ...]:
    return (f"... and {count - shown} more",) if count > shown else ()


def _fits(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) if any(one in pattern for one in "*?[") else pattern in name


def _samples(reading: Reading) -> Iterator[dict[str, Any]]:
    for values, value in sorted(reading.series.items()):
        labels = dict(zip(reading.labels, values, strict=True))
        sample: dict[str, Any] = {"name": reading.name, "kind": reading.kind, "labels": labels}
        if isinstance(value, HistogramReading):
            count = sum(value.counts)
            yield {**sample, "count": count, "sum": value.sum, "mean": value.sum / count if count else None}
        else:
            yield {**sample, "value": value}


def _figure(sample: dict[str, Any]) -> str:
    if "value" in sample:
        return f"{sample['value']:.12g}"
    return f"{sample['count']} times" + (f", {sample['mean']:.3g} on average" if sample["count"] else "")


def _labels(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name}={value}" for name, value in labels.items()) + "}" if labels else ""


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _flat(one, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for at, one in enumerate(value):
            yield from _flat(one, f"{path}.{at}")
    elif isinstance(value, list):
        yield path, ", ".join(str(one) for one in value)
    else:
        yield path, _WORDS.get(repr(value), str(value))


def _span(amount: Any) -> str:
    return seconds(float(amount))
