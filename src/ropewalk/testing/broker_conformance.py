"""The broker's conformance suite: `python -m ropewalk.testing.broker_conformance URL`.

It plays a friendly and a hostile peer against any implementation of docs/spec/broker.md that serves the object of its
annex A to everybody; `--serve URL` serves it by this one. `--clients URL` plays servers to a client: annex B.

Flow: URL -> one session a case -> a line each: its name, ok or what was wrong -> exit status
Never: takes anything from the implementation that it tries.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ropewalk.errors import RopewalkError
from ropewalk.net import connect
from ropewalk.testing.broker_bounds import BOUNDS
from ropewalk.testing.broker_clients import playing
from ropewalk.testing.broker_friendly import FRIENDLY
from ropewalk.testing.broker_logins import LOGINS
from ropewalk.testing.broker_outcome import Outcome
from ropewalk.testing.broker_peer import NotAsSpecified, Peer
from ropewalk.testing.broker_unfriendly import HOSTILE, Attack

__all__ = ["GROUPS", "Outcome", "main", "tried"]


_ABOUT = "Try an implementation of the broker's protocol: see docs/spec/broker.md, annex A for servers, B for clients."
GROUPS: dict[str, Mapping[str, Callable[[Peer], Awaitable[Any]] | Attack]] = {
    "friendly": FRIENDLY,
    "login": LOGINS,
    "bounds": BOUNDS,
    "hostile": HOSTILE,
}


async def tried(url: str, *, only: str = "", deadline: float = 10.0) -> AsyncIterator[Outcome]:
    """The outcomes of all cases, or of those with ``only`` in their names.

    Args:
        deadline: Seconds for each wait.
    """
    for group, cases in GROUPS.items():
        for what, case in cases.items():
            if only in (name := f"{group}: {what}"):
                yield await _outcome(name, url, case, deadline)


async def _outcome(name: str, url: str, case: Callable[[Peer], Any] | Attack, deadline: float) -> Outcome:
    try:
        if isinstance(case, Attack):
            await _attack(url, case, deadline)
        else:
            logs_in = not name.startswith("login:")
            async with Peer.connected(url, deadline, login=logs_in) as peer:
                if not logs_in:
                    await peer.greeted()
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


async def _told(outcomes: AsyncIterator[Outcome], *, as_json: bool) -> int:
    """Print what comes; the exit status."""
    came = []
    async for outcome in outcomes:
        came.append(outcome)
        if not as_json:
            _print(f"{'ok    ' if not outcome.wrong else 'WRONG '} {outcome.name}", outcome.wrong)
    wrong = sum(bool(outcome.wrong) for outcome in came)
    if as_json:
        _print(json.dumps([asdict(outcome) for outcome in came], indent=1))
    else:
        _print(f"{len(came)} cases, {wrong} wrong")
    return 1 if wrong or not came else 0


async def _try(url: str, arguments: argparse.Namespace) -> int:
    transport, _ = await connect(url, asyncio.Protocol, deadline=arguments.deadline)
    transport.close()
    outcomes = tried(url, only=arguments.only, deadline=arguments.deadline)
    return await _told(outcomes, as_json=arguments.json)


async def _play(url: str, arguments: argparse.Namespace) -> int:
    async with playing(url, deadline=arguments.deadline) as plays:
        _print(f"{plays.url} {plays.node.hex()}")
        return await _told(plays.outcomes(only=arguments.only), as_json=arguments.json)


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
    parser = argparse.ArgumentParser(prog="python -m ropewalk.testing.broker_conformance", description=_ABOUT)
    parser.add_argument("url", help="where the implementation listens, or with --serve and --clients we do")
    parser.add_argument("--serve", action="store_true", help="serve the object of annex A, until interrupted")
    parser.add_argument(
        "--clients", action="store_true", help="listen there, print where and the key of the node, and try a client"
    )
    parser.add_argument("--only", default="", help="try the cases with this in their names")
    parser.add_argument("--deadline", type=float, default=10.0, help="seconds for each wait")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON")
    arguments = parser.parse_args(None if argv is None else list(argv))
    if arguments.serve:
        work = _serve(arguments.url)
    elif arguments.clients:
        work = _play(arguments.url, arguments)
    else:
        work = _try(arguments.url, arguments)
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return 130
    except RopewalkError as error:  # of the address, or nobody is there: no case has been tried
        sys.stderr.write(f"{parser.prog}: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return error.status


if __name__ == "__main__":
    sys.exit(main())
