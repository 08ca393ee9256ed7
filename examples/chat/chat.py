"""A chat: each room is one object, reached by web, telnet, SSH and remote objects at once.

Flow: a line, by whatever way in -> Room.say -> the queue of each listener -> the way that they came
Never: waits for somebody who does not read: they lose the oldest lines.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ropewalk import broker
from ropewalk.auth import Perspectives, Portal, checker_of
from ropewalk.errors import Misuse
from ropewalk.metrics import Counter, Gauge
from ropewalk.service import Context, NoConfig, Service
from ropewalk.terminal import Interrupted, Talk, Terminal, plain
from ropewalk.web.events import Event, EventStream

KEPT, BEHIND = 50, 200  # lines: shown to who comes; that somebody may be behind
MOST_ROOMS, LONGEST_NAME, LONGEST_LINE = 100, 24, 500  # names and lines in letters


class BadName(Misuse):
    code = "chat.bad-name"


class Room(broker.Object):
    """What is said here, and who listens."""

    def __init__(self, lines: Counter, people: Gauge) -> None:
        self.said: deque[str] = deque(maxlen=KEPT)
        self.listeners: set[asyncio.Queue[str]] = set()
        self.lines, self.people = lines, people

    @broker.remote
    def say(self, who: str, text: str) -> None:
        line = f"{name_of(who)}: {plain(text, LONGEST_LINE)}"
        self.lines.inc()
        self.said.append(line)
        for queue in self.listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(line)

    @broker.remote
    async def listen(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue(BEHIND)
        for line in self.said:
            queue.put_nowait(line)
        self.listeners.add(queue)
        self.people.inc()
        try:
            while True:
                yield await queue.get()
        finally:
            self.listeners.remove(queue)
            self.people.dec()


class Rooms(Service):
    """What all ways in have in common."""

    def __init__(self, config: NoConfig, context: Context) -> None:
        super().__init__(config, context)
        self.rooms: dict[str, Room] = {}
        self.lines = context.registry.counter("chat_lines_total", "lines said").of()
        self.people = context.registry.gauge("chat_listeners", "who listens, by whatever way in").of()

    def room(self, name: str) -> Room:
        if name_of(name) not in self.rooms and len(self.rooms) >= MOST_ROOMS:
            raise BadName(f"there are {MOST_ROOMS} rooms, and no more", hint="use one of those")
        return self.rooms.setdefault(name, Room(self.lines, self.people))


def name_of(name: str) -> str:
    if not 0 < len(name.strip()) <= LONGEST_NAME or plain(name) != name:
        raise BadName(f"got {plain(name, 40)!r}, expected a name of up to {LONGEST_NAME} letters")
    return name


def rooms_of(context: Context) -> Rooms:
    return cast(Rooms, context.services["rooms"])


def talk(context: Context) -> Talk:
    """By telnet and SSH."""

    async def hear(room: Room, terminal: Terminal) -> None:
        async for line in room.listen():
            terminal.write(f"{line}\n")

    async def chat(terminal: Terminal) -> None:
        try:
            who = name_of(terminal.identity.name or await terminal.read_line("your name: "))
            room = rooms_of(context).room(await terminal.read_line("room: "))
        except BadName as error:
            return terminal.write(f"{error}\n")
        terminal.write("what you type is said here; ^C or ^D leaves\n")
        hearing = asyncio.create_task(hear(room, terminal))
        try:
            async for line in terminal:
                room.say(who, line)
        except Interrupted:
            terminal.write("bye\n")
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])

    return chat


def host(context: Context) -> broker.Host:
    class Lobby(broker.Perspective):
        @broker.remote
        def room(self, name: str) -> Room:
            return rooms_of(context).room(name)

    realm = Perspectives()
    realm.give(Lobby, lambda _: Lobby())
    return broker.Host(Portal(realm, [checker_of("anonymous:")]), {"": Lobby})


def site(context: Context) -> Starlette:
    """By the web; what is here is for page/chat.js."""

    async def listen(request: Request) -> EventStream:
        room = rooms_of(context).room(request.path_params["room"])
        return EventStream(Event(line) async for line in room.listen())

    async def say(request: Request) -> Response:
        if request.headers.get("content-type") != "application/json":
            raise ValueError("this is not JSON")  # which a page of somebody else's cannot send here
        said = await request.json()
        rooms_of(context).room(request.path_params["room"]).say(str(said["who"]), str(said["text"]))
        return Response(status_code=204)

    async def refused(_: Request, error: Exception) -> Response:
        return JSONResponse({"message": str(error)}, 400)

    routes = [Route("/{room}", listen), Route("/{room}", say, methods=["POST"])]
    return Starlette(routes=routes, exception_handlers=dict.fromkeys((BadName, ValueError, KeyError), refused))
