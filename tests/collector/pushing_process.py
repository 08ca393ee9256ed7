"""A process that pushes into a history until it is killed, and says what was acknowledged.

python pushing_process.py PATH
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ropewalk.collector.history import History
from ropewalk.collector.intake import Sample, SeriesKey

RUN = bytes(range(16))


async def main(path: Path) -> None:
    keys = [SeriesKey(f"m{number}_total", "counter", "{}") for number in range(20)]
    time = 1_700_000_400
    async with History(path, clock=lambda: time) as history:
        sequence = await history.begin("web", RUN, 10.0)
        while True:
            sequence, time = sequence + 1, time + 10
            await history.add("web", RUN, Sample(sequence, time * 1000, [(key, 1.0) for key in keys]))
            if sequence % 7 == 0:
                await history.roll()
            sys.stdout.write(f"{sequence}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
