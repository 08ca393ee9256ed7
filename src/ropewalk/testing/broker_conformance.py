"""The broker's conformance suite: `python -m ropewalk.testing.broker_conformance URL`.

It plays a friendly and a hostile peer against any implementation of docs/spec/broker.md that serves the object of its
annex A to everybody; `--serve URL` serves it by this one.

Flow: URL -> one session a case -> a line each: its name, ok or what was wrong -> exit status
Never: takes anything from the implementation that it tries.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ropewalk.errors import RopewalkError
from ropewalk.testing.broker_friendly import FRIENDLY
from ropewalk.testing.broker_peer import NotAsSpecified, Peer
from ropewalk.testing.broker_unfriendly import HOSTILE, Attack

__all__ = ["Outcome", "main", "tried"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one case.

    Attributes:
        name: "friendly: .." or "hostile: ..".
        wrong: What was not as it should be; "" where nothing was.
    """

    name: str
    wrong: str = ""


async def tried(url: str, *, only: str = "", deadline: float = 10.0) -> AsyncIterator[Outcome]:
    """The outcomes of all cases, or of those with ``only`` in their names.

    Args:
        deadline: Seconds for each wait.
    """
    for name, case in FRIENDLY.items():
        if only in f"friendly: {name}":
            yield await _outcome(f"friendly: {name}", url, case, deadline)
    for name, attack in HOSTILE.items():
        if only in f"hostile: {name}":
            yield await _outcome(f"hostile: {name}", url, attack, deadline)


async def _outcome(name: str, url: str, case: Callable[[Peer], Any] | Attack, deadline: float) -> Outcome:
    try:
        if isinstance(case, Attack):
            await _attack(url, case, deadline)
        else:
            async with Peer.connected(url, deadline) as peer:
                await case(peer)
                if peer.wrong is not None:
                    raise peer.wrong
    except (NotAsSpecified, TimeoutError, OSError, RopewalkError, LookupError, TypeError, ValueError) as error:
        return Outcome(name, f"{error}" or type(error).__name__)
    return Outcome(name)


async def _attack(url: str, attack: Attack, deadline: float) -> None:
    async with Peer.connected(url, deadline, login=attack.login) as peer:
        await attack.play(peer)
        code, _ = await peer.aborted()
        if code != attack.expected(peer):
            raise NotAsSpecified(f"the session ended with {code}, expected {attack.expected(peer)}")
    async with Peer.connected(url, deadline) as friend:
        if await friend.value(friend.me, "echo", [1]) != 1:
            raise NotAsSpecified("the next session is not as it should be")


async def _all(url: str, arguments: argparse.Namespace) -> int:
    outcomes = []
    async for outcome in tried(url, only=arguments.only, deadline=arguments.deadline):
        outcomes.append(outcome)
        if not arguments.json:
            _print(f"{'ok    ' if not outcome.wrong else 'WRONG '} {outcome.name}", outcome.wrong)
    wrong = sum(bool(outcome.wrong) for outcome in outcomes)
    if arguments.json:
        _print(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    else:
        _print(f"{len(outcomes)} cases, {wrong} wrong")
    return 1 if wrong or not outcomes else 0


async def _serve(url: str) -> int:
    from ropewalk.testing.broker_object import serving

    async with serving(url) as where:
        _print(where)
        await asyncio.Event().wait()
    return 0


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines if line))
    sys.stdout.flush()


def main(argv: Sequence[str] | Iterable[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m ropewalk.testing.broker_conformance", description=__doc__)
    parser.add_argument("url", help="where the implementation listens, or with --serve is to")
    parser.add_argument("--serve", action="store_true", help="serve the object of annex A, until interrupted")
    parser.add_argument("--only", default="", help="try the cases with this in their names")
    parser.add_argument("--deadline", type=float, default=10.0, help="seconds for each wait")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")
    arguments = parser.parse_args(None if argv is None else list(argv))
    work = _serve(arguments.url) if arguments.serve else _all(arguments.url, arguments)
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
