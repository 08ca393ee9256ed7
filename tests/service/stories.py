"""What tests of applications share: services that do as they are told, and what they did, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from ropewalk.service import Application, NoConfig, Plan, Restart, Service, State

Act = Callable[[Service], Awaitable[object]]
Simulated = Callable[[Coroutine[object, object, None]], None]


async def nothing(service: Service) -> None:
    return


async def forever(service: Service) -> None:
    await asyncio.Event().wait()


class Story:
    """Services that do as they are told, and what they did, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def plan(
        self,
        name: str,
        *needs: str,
        start: Act = nothing,
        run: Act = forever,
        stop: Act = nothing,
        reload: Act = nothing,
        restart: Restart = Restart.ON_FAILURE,
        critical: bool = False,
    ) -> Plan:
        told = self.told

        class Told(Service):
            async def start(self) -> None:
                told.append(f"start {name}")
                await start(self)

            async def run(self) -> None:
                await run(self)

            async def stop(self, seconds: float) -> None:
                told.append(f"stop {name}")
                await stop(self)
                told.append(f"stopped {name}")

            async def reload(self) -> None:
                told.append(f"reload {name}")
                await reload(self)

        return Plan(name, Told, NoConfig(), needs, restart, critical)


async def running(application: Application, steps: Callable[[], Awaitable[object]]) -> None:
    """Run it, do the steps, and stop it."""
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(application.run())
        await steps()
        application.stop()
        await run


def states(application: Application) -> dict[str, State]:
    return {standing.name: standing.state for standing in application.standings}


def now() -> float:
    return asyncio.get_running_loop().time()
