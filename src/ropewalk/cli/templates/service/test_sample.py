"""The sample service, in simulated time: no test waits. Run with: python -m pytest"""

from __future__ import annotations

import asyncio

from sample import SampleConfig, SampleService

from ropewalk import loops
from ropewalk.service import Application, Plan


def test_it_beats() -> None:
    application = Application("test", [Plan("sample", SampleService, SampleConfig(every=2))])

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(application.run())
            await application.wait_up()
            await asyncio.sleep(61)
            (standing,) = application.standings
            assert standing.statistics == {"beats": 30}
            application.stop()
            await running

    loops.run(main(), loop="simulated")
