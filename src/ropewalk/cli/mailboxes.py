"""Mailboxes: where invites meet, and what this machine's disk knows of them, as commands need both.

Flow: --mailbox, environment, a node -> URL; none -> a mailbox of our own that listens; Home -> Invites, Joinings
Never: guesses where the other side waits.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ropewalk.errors import Misuse
from ropewalk.spaces.home import Home
from ropewalk.spaces.invites import Invites, Joinings

if TYPE_CHECKING:
    from ropewalk.net import Endpoint

__all__ = [
    "MAILBOX",
    "MailboxUrl",
    "Meeting",
    "check_answers",
    "invites_of",
    "joinings_of",
    "mailbox_at",
    "meeting_place",
    "own_address",
    "read_small",
]

MAILBOX = "ROPEWALK_MAILBOX"  # in the environment: where invites meet, if not at the inviter's own machine
GOODBYE = 1.0  # seconds

MailboxUrl = Annotated[
    str | None,
    Parameter(
        name="--mailbox",
        metavar="URL",
        help=f"Meet there, such as tcp://host:port; by default at ${MAILBOX}, else at the node of one of the space's"
        " stores, or at this machine's own; an inviter with none of these listens itself, at a free port of all its"
        " addresses, until the other machine has joined or the invite is over.",
    ),
]
Meeting = tuple[str, str]  # a mailbox as it is reached from here, and as it is by others


def invites_of(home: Home) -> Invites:
    """What this device has offered, and which codes it has tried."""
    return Invites(_folder(home), clock=time.time_ns)


def joinings_of(home: Home) -> Joinings:
    """What this device was given by invites, and has answered."""
    return Joinings(_folder(home), clock=time.time_ns)


def _folder(home: Home) -> str:
    home.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return str(home.state.absolute() / "invites")


def read_small(path: Path) -> bytes:
    """A file of at most 1 MiB.

    Raises:
        Misuse: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(1 << 20)
    except OSError as error:
        raise Misuse(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None


def mailbox_at(url: str) -> Endpoint:
    """How to connect to a mailbox; that of a node is known by the key in its address.

    Raises:
        BadEndpoint: It is no URL of one.
    """
    from ropewalk.net import Endpoint

    if not (endpoint := Endpoint.parse(url)).fragment:
        return endpoint
    from ropewalk.remote import NodeAddress

    return NodeAddress.parse(url).endpoint


async def check_answers(url: str, patience: float) -> None:
    """Return if a mailbox answers; no slot is asked for.

    Raises:
        RopewalkError: None does within so many seconds.
    """
    from ropewalk import broker

    async with broker.connect(mailbox_at(url), deadline=patience):
        return


@asynccontextmanager
async def meeting_place(given: Meeting | None) -> AsyncIterator[tuple[Endpoint, str]]:
    """A mailbox to reach from here, and its URL for the other side; one of our own where none is named."""
    if given is not None:
        yield mailbox_at(given[0]), given[1]
        return
    from ropewalk import net
    from ropewalk.mailbox import Slots, host

    loop = asyncio.get_running_loop()
    own = host(Slots(clock=loop.time, random=os.urandom))
    name = f"memory://invite-{os.urandom(8).hex()}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(await net.listen(name, own.protocol))
        listener = await stack.enter_async_context(await net.listen("tcp://*:0", own.protocol))
        try:
            yield net.Endpoint.parse(name), f"tcp://{own_address()}:{listener.endpoint.port}"
        finally:
            await own.close(GOODBYE)  # who waits at it is told how it ended


def own_address() -> str:
    """The address by which others on the network may reach this machine; loopback where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: nothing is sent, the route is asked for
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
