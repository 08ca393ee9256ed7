"""Meeting: the pages of somebody who invites, over a real mailbox, and who joins by what they show.

Flow: House -> open spaces -> pages with `Inviting` -> Meeting; a code or a file -> `Meeting.join` -> Invited
Never: lets anybody in but by the ceremony.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ropewalk import mailbox, net
from ropewalk.mailbox import Slots, host
from ropewalk.pages import HeldSpaces, SpacePages
from ropewalk.pages.space.invitations import Inviting
from ropewalk.spaces.arrival import Arrival, arrive
from ropewalk.spaces.invites import Code, Invited, InviteFile, Invites, Joiner, JoinerKeys
from ropewalk.spaces.space import Space
from tests.pages.browser import ORIGIN, Answer, Client, Served
from tests.spaces.house import House, built
from tests.spaces.machines import keys_of
from tests.spaces.making import Clock

__all__ = ["Meeting", "code_in", "meeting", "texts"]

WITHIN = 60.0  # seconds for what takes some tenths of one


@dataclass
class Meeting:
    """The pages of the admin of photos."""

    served: Served
    client: Client
    house: House
    space: Space
    invites: Invites
    endpoint: net.Endpoint
    working: asyncio.Task[None]
    held: dict[str, Space | None]
    came: dict[str, JoinerKeys] = field(default_factory=dict)

    async def invite(self, client: Client | None = None, **fields: str) -> str:
        """Make an invite; the address of its page."""
        asked = {"whom": "member", "role": "writer", "name": "", "life": "1 hour", "by": "code"} | fields
        answer = await (client or self.client).post("/spaces/photos/invite", list(asked.items()))
        assert answer.status == 303, answer.text
        return answer.headers["location"]

    async def join(self, told: str | InviteFile, name: str = "bob") -> Invited:
        """Come by a code or a file."""
        keys = keys_of(name)
        who = JoinerKeys(keys.public(), None, name, f"{name}s laptop")
        if isinstance(told, InviteFile):
            joiner = Joiner(told.slot, told.secret, keys, who, inviter=told.inviter, random=os.urandom)
            slot = told.slot
        else:
            code = Code.parse(told)
            joiner, slot = Joiner(code.slot, code.secret, keys, who, random=os.urandom), code.slot
        async with asyncio.timeout(WITHIN), mailbox.joined(self.endpoint, slot) as side:
            invited = await mailbox.join(side, joiner, lambda: None, lambda _: None)
        self.came[name] = joiner.me
        return invited

    async def arrive(self, invited: Invited, name: str = "bob") -> Sequence[Arrival]:
        """What comes of it on the other machine."""
        return await arrive(self.house.home(name), keys_of(name), self.came[name], invited)

    async def ended(self, page: str, client: Client | None = None) -> str:
        """What the page of an invite says once it waits no more."""
        async with asyncio.timeout(WITHIN):
            while True:
                answer = await (client or self.client).get(page)
                assert answer.status == 200
                if "It ends when this program ends" not in answer.text:
                    return texts(answer)
                await asyncio.sleep(0.01)


@asynccontextmanager
async def meeting(
    tmp_path: Path, who: str = "admin", *spaces: str, house: House | None = None
) -> AsyncIterator[Meeting]:
    """The pages of one of a house, by default of its admin and of photos."""
    home = house or await built(tmp_path)
    url = f"memory://meeting-{os.urandom(6).hex()}"
    async with AsyncExitStack() as stack:
        office = host(Slots(clock=asyncio.get_running_loop().time))
        await stack.enter_async_context(await net.listen(url, office.protocol))
        stack.push_async_callback(office.close, 1)
        names = spaces or ("photos",)
        opened = await stack.enter_async_context(home.open(who, *names))
        held: dict[str, Space | None] = dict(zip(names, opened, strict=True))
        folder = home.home(who).state / "invites"
        folder.parent.mkdir(parents=True, exist_ok=True)
        invites = Invites(str(folder.absolute()), clock=time.time_ns)
        endpoint = net.Endpoint.parse(url)

        @asynccontextmanager
        async def place(_: Sequence[Space]) -> AsyncIterator[tuple[net.Endpoint, Sequence[str]]]:
            yield endpoint, [url]

        inviting = Inviting(home.home(who), invites, place)
        app = SpacePages(HeldSpaces(lambda: held), tmp_path / f"web-{who}", clock=Clock(), inviting=inviting)
        working = asyncio.create_task(app.work(ORIGIN))
        try:
            while not app.entrance.file.exists():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
            served = Served(app, opened[0], Clock(), None)  # type: ignore[arg-type] # no world: stores are folders
            yield Meeting(served, await served.client(), home, opened[0], invites, endpoint, working, held)
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working


def code_in(answer: Answer) -> str:
    """The code that a page shows; "" for none."""
    found = re.search(r'<p class="code"><code>([^<]*)</code>', answer.text)
    return found[1] if found else ""


def texts(answer: Answer) -> str:
    """What people read of a page."""
    return " ".join(re.sub(r"<[^>]*>", " ", answer.text).split())
