"""Mailboxes: where invites meet, and what this machine's disk knows of them, as commands need both.

Flow: --mailbox, environment, nodes that are known -> URLs -> the slot at one of them; none -> a mailbox of our own that
    listens; Home -> Invites, Joinings
Never: looks for the other side at a node of which this machine knows no store.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.home import Home
from ropewalk.spaces.invites import InviteFile, Invites, Joinings

if TYPE_CHECKING:
    from ropewalk.mailbox import Side
    from ropewalk.net import Endpoint

__all__ = [
    "MAILBOX",
    "MailboxUrl",
    "MailboxUrls",
    "Meeting",
    "answering",
    "check_answers",
    "invites_of",
    "joinings_of",
    "known_mailboxes",
    "mailbox_at",
    "mailboxes_for",
    "meeting_place",
    "own_address",
    "read_small",
    "slot_joined",
]

MAILBOX = "ROPEWALK_MAILBOX"  # in the environment: where invites meet, if not at the inviter's own machine
GOODBYE = 1.0  # seconds
MOST_ASKED = 16  # nodes at which an invite is looked for; each takes a turn, and a code is good for an hour

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
MailboxUrls = Annotated[
    list[str] | None,
    Parameter(
        name="--mailbox",
        metavar="URL",
        help=f"Meet there, where the inviter waits; by default at ${MAILBOX}, or where the invite is found among the"
        " nodes of the stores that are set up here. If it is given several times, at the first that answers.",
    ),
]
_ASK = (
    "ask the inviter for the whole line that was shown with the code, --mailbox URL and all; or set"
    f" {MAILBOX}, if you both use one of your own"
)
Meeting = tuple[str, Sequence[str]]  # a mailbox as it is reached from here, and the ways to it of others, best first


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


async def mailboxes_for(
    home: Home, given: Sequence[str] | None, invite: InviteFile | None, patience: float
) -> Sequence[str]:
    """The mailbox at which the other side waits; where nobody has said so, those at which it may.

    Args:
        home: Of the joiner.
        given: Ways to it that were given.
        invite: Which names it, where there is one.
        patience: Seconds for one to answer.

    Raises:
        Misuse: None is known, or it is no URL.
        RopewalkError: It does not answer, where that must be known before there are keys, and words.
    """
    known = os.environ.get(MAILBOX)
    urls = given or (invite.mailboxes if invite else [known] if known else [])
    for url in urls:
        mailbox_at(url)
    if len(urls) > 1 or (urls and not home.has_keys):
        return [await answering(urls, patience)]
    if not urls and not (urls := await known_mailboxes(home, patience)):
        raise Misuse("it is not known at which mailbox the other side waits", hint=_ASK)
    return urls


async def known_mailboxes(home: Home, patience: float) -> list[str]:
    """The mailboxes of nodes that have a store which is set up here, as far as they answer within so many seconds.

    An inviter without --mailbox waits at the node of one of its stores: who has a store there, too, knows it already.
    """
    from ropewalk.cli.store_url import is_node
    from ropewalk.net import BadEndpoint
    from ropewalk.remote import NodeAddress

    nodes: dict[bytes, str] = {}
    for setting in home.load().stores.values():
        if is_node(setting.path):
            with suppress(BadEndpoint):  # whoever opens the store is told
                key = NodeAddress.parse(setting.path).key
                nodes.setdefault(key, f"{setting.path.partition('#')[0]}#ed25519:{key.hex()}")
    urls = list(nodes.values())[:MOST_ASKED]
    told = await asyncio.gather(*(check_answers(url, patience) for url in urls), return_exceptions=True)
    for one in told:
        if one is not None and not isinstance(one, RopewalkError):
            raise one
    return [url for url, one in zip(urls, told, strict=True) if one is None]


async def check_answers(url: str, patience: float) -> None:
    """Return if a mailbox answers; no slot is asked for.

    Raises:
        RopewalkError: None does within so many seconds.
    """
    from ropewalk import broker

    async with broker.connect(mailbox_at(url), deadline=patience):
        return


async def answering(urls: Sequence[str], patience: float) -> str:
    """The first of several ways to a mailbox at which it answers; each is given so many seconds.

    Raises:
        RopewalkError: At none of them; what was wrong with the first.
    """
    problems: list[RopewalkError] = []
    for url in urls:
        try:
            await check_answers(url, patience)
        except RopewalkError as error:
            problems.append(error)
        else:
            return url
    raise problems[0]


async def slot_joined(stack: AsyncExitStack, urls: Sequence[str], slot: bytes, patience: float) -> Side:
    """The slot in which the inviter waits; of several mailboxes, which nobody has named, at the first that has it.

    Another inviter may wait there under the same number: that is one wrong guess, and both are told so.

    Raises:
        NoSlot, SlotTaken, MailboxAway: There is none.
    """
    from ropewalk.mailbox import NoSlot, SlotTaken, joined

    for url in urls:
        try:
            return await stack.enter_async_context(joined(mailbox_at(url), slot, patience=patience))
        except (NoSlot, SlotTaken):
            if len(urls) == 1:
                raise
    raise NoSlot(f"no invite of this number waits at any of the {len(urls)} nodes that are known here", hint=_ASK)


@asynccontextmanager
async def meeting_place(given: Meeting | None) -> AsyncIterator[tuple[Endpoint, Sequence[str]]]:
    """A mailbox to reach from here, and its URLs for the other side; one of our own where none is named."""
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
            yield net.Endpoint.parse(name), [f"tcp://{own_address()}:{listener.endpoint.port}"]
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
