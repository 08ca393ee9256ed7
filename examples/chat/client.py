"""The chat by remote objects: what is said in a room is printed, what is typed is said.

python client.py anna lobby
"""

from __future__ import annotations

import asyncio
import sys

from ropewalk import broker, loops

URL = "tcp://127.0.0.1:8024"


async def main(who: str, name: str, url: str = URL) -> None:
    async with broker.connect(url) as lobby:
        room = await lobby.room(name)

        async def hear() -> None:
            async for line in await room.listen():
                print(line, flush=True)

        hearing = asyncio.create_task(hear())
        while line := await asyncio.to_thread(sys.stdin.readline):
            await room.say(who, line.strip())
        hearing.cancel()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python client.py YOUR-NAME ROOM [URL]\n  such as: python client.py anna lobby; ^D leaves")
    loops.run(main(*sys.argv[1:]))
