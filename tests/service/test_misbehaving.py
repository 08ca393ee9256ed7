"""Services that misbehave: what they raise, do not heed or take too long for ends at themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest

from ropewalk.errors import Misuse, Unavailable
from ropewalk.service import Application, NoConfig, Plan, Restart, Service, State
from tests.service.stories import Act, Simulated, Story, now, running, states


async def bad_exit(service: Service) -> None:
    raise SystemExit(3)


async def bad_cancel(service: Service) -> None:
    raise asyncio.CancelledError


class NotAnException(BaseException):
    pass


async def bad_base(service: Service) -> None:
    raise NotAnException("it is not an Exception")


@pytest.mark.parametrize("phase", ["start", "run", "stop", "reload"])
@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (bad_exit, "it raised SystemExit(3)"),
        (bad_cancel, "it was cancelled by something of its own"),
        (bad_base, "it raised NotAnException('it is not an Exception')"),
    ],
)
def test_whatever_a_service_raises_is_its_own_failure(
    simulated: Simulated, phase: str, bad: Act, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At once and for good: no other service notices, the process goes on, and the log says what it was."""
    story = Story()
    plan = replace(story.plan("bad", restart=Restart.NEVER, **{phase: bad}))  # type: ignore[arg-type]
    application = Application("a", [plan, story.plan("good")])

    async def steps() -> None:
        await application.wait_up()
        assert await application.reload()
        await asyncio.sleep(100)
        assert states(application)["good"] == State.UP
        assert states(application)["bad"] == (State.FAILED if phase in {"start", "run"} else State.UP)

    simulated(running(application, steps))
    assert f"service bad failed at {phase}: {words}" in caplog.text
    assert "stopped good" in story.told


def test_a_failure_without_words_at_stop_is_not_said_to_be_late(
    simulated: Simulated, caplog: pytest.LogCaptureFixture
) -> None:
    async def wordless(service: Service) -> None:
        raise RuntimeError

    application = Application("a", [Story().plan("one", stop=wordless)])
    simulated(running(application, application.wait_up))
    assert "service one failed at stop: RuntimeError" in caplog.text


def test_an_error_with_a_signature_of_its_own_ends_the_application_all_the_same(simulated: Simulated) -> None:
    class Own(Misuse):
        def __init__(self, line: int, column: int) -> None:
            super().__init__(f"wrong in {line}:{column}")

    async def wrong(service: Service) -> None:
        raise Own(3, 4)

    with pytest.raises(Own, match="service 'one': wrong in 3:4"):
        simulated(Application("a", [Story().plan("one", start=wrong)]).run())


def test_a_critical_service_that_fails_ends_the_application_with_its_error(simulated: Simulated) -> None:
    with pytest.raises(Unavailable, match="service 'one': it raised NotAnException"):
        simulated(Application("a", [Story().plan("one", run=bad_base, critical=True)]).run())


@pytest.mark.parametrize("phase", ["start", "run", "stop", "task", "owned"])
def test_who_does_not_heed_cancellation_is_left_behind(
    simulated: Simulated, phase: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The application is down soon after its deadline, and what else it has was stopped in order."""
    let_go = asyncio.Event()

    async def stubborn(*_: object) -> None:
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()

    async def begin(service: Service) -> None:
        if phase == "task":
            service.tasks.create_task(stubborn())
        if phase == "owned":
            service.owned.push_async_callback(stubborn)

    story = Story()
    acts: Mapping[str, Act] = {phase: stubborn} if phase in {"start", "run", "stop"} else {"start": begin}
    bad = story.plan("bad", "base", **acts)  # type: ignore[arg-type]
    application = Application("a", [story.plan("base"), bad], deadline=4)

    async def main() -> None:
        run = asyncio.create_task(application.run())
        await asyncio.sleep(1)
        began = now()
        application.stop()
        await run
        assert 4 <= now() - began <= 7
        assert states(application) == {"base": State.STOPPED, "bad": State.STOPPED}
        let_go.set()
        await asyncio.sleep(1)

    simulated(main())
    assert "it does not end although it was cancelled, and is left behind" in caplog.text
    assert story.told[-1] in {"stopped base", "stopped bad"}
    assert "stopped base" in story.told


def test_a_start_that_does_not_heed_cancellation_does_not_come_up_later(simulated: Simulated) -> None:
    async def late(service: Service) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(5)

    plan = replace(Story().plan("one", start=late, restart=Restart.NEVER), start_within=2)
    application = Application("a", [plan])

    async def steps() -> None:
        await asyncio.sleep(30)
        assert states(application) == {"one": State.FAILED}
        assert application.standings[0].starts == 0

    simulated(running(application, steps))


def test_what_is_given_up_keeps_nobody_from_being_up(simulated: Simulated, caplog: pytest.LogCaptureFixture) -> None:
    """A service manager waits for it."""

    async def broken(service: Service) -> None:
        raise Unavailable("it broke")

    story = Story()
    plans = [story.plan("bad", start=broken, restart=Restart.NEVER), story.plan("on", "bad"), story.plan("other")]
    application = Application("a", plans)
    simulated(running(application, application.wait_up))
    assert "service bad has failed and is not started again, and so do not start: on" in caplog.text
    assert "start on" not in story.told


def test_time_in_a_slow_start_is_no_time_up(simulated: Simulated) -> None:
    """Else a service that never comes up would be started again at the pace of the first failure."""
    at: list[float] = []

    async def slow(service: Service) -> None:
        at.append(now())
        await asyncio.sleep(100)

    plan = replace(Story().plan("one", start=slow), start_within=70)
    application = Application("a", [plan], jitter=lambda: 1.0)

    async def steps() -> None:
        await asyncio.sleep(300)

    simulated(running(application, steps))
    assert [round(after - before, 3) for before, after in pairwise(at)][:3] == [70.5, 71.0, 72.0]


def test_figures_that_cannot_be_had_harm_nobody(simulated: Simulated) -> None:
    class Bad(Service):
        def statistics(self) -> Mapping[str, float]:
            raise KeyError("x")

    application = Application("a", [Plan("one", Bad, NoConfig())])

    async def steps() -> None:
        await application.wait_up()
        assert dict(application.standings[0].statistics) == {}

    simulated(running(application, steps))
