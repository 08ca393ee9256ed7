"""Applications that are stopped at bad moments: in order, once, and without waiting for what hangs."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import pytest

from ropewalk import loops
from ropewalk.errors import Misuse, Unavailable
from ropewalk.service import Application, Service
from tests.service.stories import Simulated, Story, forever, now, running


def test_a_stop_does_not_wait_for_a_start_that_hangs(simulated: Simulated) -> None:
    story = Story()
    application = Application("a", [story.plan("base"), story.plan("slow", "base", start=forever)])

    async def steps() -> None:
        run = asyncio.create_task(application.run())
        await asyncio.sleep(1)
        began = now()
        application.stop()
        await run
        assert now() - began < 0.1

    simulated(steps())
    assert story.told == ["start base", "start slow", "stop base", "stopped base"]


def test_a_need_that_fails_does_not_wait_for_a_start_that_hangs(simulated: Simulated) -> None:
    story, fail = Story(), asyncio.Event()

    async def until_told(service: Service) -> None:
        await fail.wait()
        fail.clear()
        raise Unavailable("it broke")

    application = Application("a", [story.plan("base", run=until_told), story.plan("slow", "base", start=forever)])

    async def steps() -> None:
        await asyncio.sleep(1)
        fail.set()
        await asyncio.sleep(2)
        assert story.told == ["start base", "start slow", "stop base", "stopped base", "start base", "start slow"]

    simulated(running(application, steps))


def test_the_log_says_with_whom_a_service_goes_down(simulated: Simulated, caplog: pytest.LogCaptureFixture) -> None:
    async def soon(service: Service) -> None:
        await asyncio.sleep(5)
        raise KeyError("x")

    story = Story()
    application = Application("a", [story.plan("base", run=soon), story.plan("top", "base")])

    async def steps() -> None:
        await asyncio.sleep(5.1)

    with caplog.at_level("INFO"):
        simulated(running(application, steps))
    assert "service base failed at run: KeyError: 'x'" in caplog.text
    assert "service top goes down with base" in caplog.text
    assert "service base goes down" not in caplog.text


def test_an_application_that_is_cancelled_stops_in_order(simulated: Simulated) -> None:
    story = Story()

    async def a_while(service: Service) -> None:
        await asyncio.sleep(1)

    application = Application("a", [story.plan("base", stop=a_while), story.plan("top", "base", stop=a_while)])

    async def main() -> None:
        run = asyncio.create_task(application.run())
        await application.wait_up()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    simulated(main())
    assert story.told[2:] == ["stop top", "stopped top", "stop base", "stopped base"]


def test_a_run_that_fails_because_of_the_stop_does_not_cut_it_short(simulated: Simulated) -> None:
    story, closed = Story(), asyncio.Event()

    async def until_closed(service: Service) -> None:
        await closed.wait()
        raise ConnectionError("closed")

    async def close(service: Service) -> None:
        closed.set()
        await asyncio.sleep(1)

    application = Application("a", [story.plan("one", run=until_closed, stop=close)])
    simulated(running(application, application.wait_up))
    assert story.told[-1] == "stopped one"


def test_tasks_end_before_what_they_use_is_closed(simulated: Simulated) -> None:
    """And nothing that is entered can swallow the end of the service."""
    told: list[str] = []

    async def use(service: Service) -> None:
        async def using() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                told.append("task ended")

        service.owned.enter_context(suppress(Exception))
        service.owned.callback(told.append, "closed")
        service.tasks.create_task(using())

    async def wait() -> None:
        await asyncio.sleep(1)

    simulated(running(Application("a", [Story().plan("one", start=use)]), wait))
    assert told == ["task ended", "closed"]


def test_a_stop_before_the_run_and_a_second_run(simulated: Simulated) -> None:
    story = Story()
    application = Application("a", [story.plan("one")])

    async def main() -> None:
        application.stop()
        await application.run()
        with pytest.raises(Misuse, match="application 'a' has run"):
            await application.run()

    simulated(main())
    assert not story.told


def test_who_waits_for_an_application_that_stops_is_told(simulated: Simulated) -> None:
    application = Application("a", [Story().plan("one", start=forever)])

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(application.run())
            waiting = tasks.create_task(_told(application))
            await asyncio.sleep(1)
            application.stop()
            await waiting

    simulated(main())


async def _told(application: Application) -> None:
    with pytest.raises(Unavailable, match="stops before it is up"):
        await application.wait_up()


def test_an_application_without_services_is_up(simulated: Simulated) -> None:
    application = Application("a", [])
    simulated(running(application, application.wait_up))


@pytest.mark.parametrize("kinds", [("asyncio", "uvloop"), ("uvloop", "asyncio")])
def test_two_applications_in_threads_with_a_loop_each_are_stopped_from_a_third(kinds: tuple[str, str]) -> None:
    both_up = threading.Barrier(3)
    story = Story()
    applications = [Application(kind, [story.plan(kind)]) for kind in kinds]
    failures: list[BaseException] = []

    def whole(application: Application) -> None:
        async def main() -> None:
            async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
                tasks.create_task(application.run())
                await application.wait_up()
                await asyncio.to_thread(both_up.wait, 10)

        try:
            loops.run(main(), loop=application.name)
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=whole, args=(application,)) for application in applications]
    for thread in threads:
        thread.start()
    both_up.wait(10)
    for application in applications:
        application.stop()
    for thread in threads:
        thread.join(20)
    assert not failures
    assert sorted(story.told) == sorted(f"{what} {kind}" for kind in kinds for what in ("start", "stop", "stopped"))
    applications[0].stop()  # once more does no harm
