"""Services that misbehave, and applications that are stopped and reloaded at bad moments, in simulated time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest

from ropewalk import loops
from ropewalk.errors import Misuse, Unavailable
from ropewalk.loops import Simulated
from ropewalk.service import Application, NoConfig, Plan, Restart, Service, State

Act = Callable[[Service], Awaitable[object]]


class Number(msgspec.Struct, frozen=True):
    number: int


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


@pytest.fixture(params=range(4), autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    """Each test in several orders of what happens at once."""
    global _seed  # noqa: PLW0603
    _seed = request.param


_seed = 0


def simulated(main: Coroutine[object, object, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10_000):  # of the loop's own time: a test that hangs fails
            await main

    loops.run(bounded(), loop=Simulated(_seed))


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
    phase: str, bad: Act, words: str, caplog: pytest.LogCaptureFixture
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


def test_a_failure_without_words_at_stop_is_not_said_to_be_late(caplog: pytest.LogCaptureFixture) -> None:
    async def wordless(service: Service) -> None:
        raise RuntimeError

    application = Application("a", [Story().plan("one", stop=wordless)])
    simulated(running(application, application.wait_up))
    assert "service one failed at stop: RuntimeError" in caplog.text


@pytest.mark.parametrize("phase", ["start", "run", "stop", "task", "owned"])
def test_who_does_not_heed_cancellation_is_left_behind(phase: str, caplog: pytest.LogCaptureFixture) -> None:
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


def test_a_start_that_does_not_heed_cancellation_does_not_come_up_later() -> None:
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


def test_a_stop_does_not_wait_for_a_start_that_hangs() -> None:
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


def test_the_log_says_with_whom_a_service_goes_down(caplog: pytest.LogCaptureFixture) -> None:
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


def test_a_need_that_fails_does_not_wait_for_a_start_that_hangs() -> None:
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


def test_an_application_that_is_cancelled_stops_in_order() -> None:
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


def test_a_run_that_fails_because_of_the_stop_does_not_cut_it_short() -> None:
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


def test_tasks_end_before_what_they_use_is_closed() -> None:
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


def test_a_stop_before_the_run_and_a_second_run() -> None:
    story = Story()
    application = Application("a", [story.plan("one")])

    async def main() -> None:
        application.stop()
        await application.run()
        with pytest.raises(Misuse, match="application 'a' has run"):
            await application.run()

    simulated(main())
    assert not story.told


def test_who_waits_for_an_application_that_stops_is_told() -> None:
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


def test_an_application_without_services_is_up() -> None:
    application = Application("a", [])
    simulated(running(application, application.wait_up))


def test_what_is_given_up_keeps_nobody_from_being_up(caplog: pytest.LogCaptureFixture) -> None:
    """A service manager waits for it."""

    async def broken(service: Service) -> None:
        raise Unavailable("it broke")

    story = Story()
    plans = [story.plan("bad", start=broken, restart=Restart.NEVER), story.plan("on", "bad"), story.plan("other")]
    application = Application("a", plans)
    simulated(running(application, application.wait_up))
    assert "service bad has failed and is not started again, and so do not start: on" in caplog.text
    assert "start on" not in story.told


def test_time_in_a_slow_start_is_no_time_up() -> None:
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


def test_figures_that_cannot_be_had_harm_nobody() -> None:
    class Bad(Service):
        def statistics(self) -> Mapping[str, float]:
            raise KeyError("x")

    application = Application("a", [Plan("one", Bad, NoConfig())])

    async def steps() -> None:
        await application.wait_up()
        assert dict(application.standings[0].statistics) == {}

    simulated(running(application, steps))


def test_an_error_with_a_signature_of_its_own_ends_the_application_all_the_same() -> None:
    class Own(Misuse):
        def __init__(self, line: int, column: int) -> None:
            super().__init__(f"wrong in {line}:{column}")

    async def wrong(service: Service) -> None:
        raise Own(3, 4)

    with pytest.raises(Own, match="service 'one': wrong in 3:4"):
        simulated(Application("a", [Story().plan("one", start=wrong)]).run())


# Reloads.


class Reloaded:
    """An application whose plans can be changed."""

    def __init__(self, plans: Iterable[Plan], **more: float) -> None:
        self.plans = list(plans)
        self.application = Application("a", self.plans, again=lambda: self.plans, **more)  # type: ignore[arg-type]

    async def to(self, *plans: Plan) -> bool:
        self.plans = list(plans)
        return await self.application.reload()


async def a_second(service: Service) -> None:
    await asyncio.sleep(1)


def test_two_reloads_at_once() -> None:
    story = Story()
    here = Reloaded([story.plan("one"), story.plan("two", stop=a_second)])

    async def steps() -> None:
        await here.application.wait_up()
        one = here.plans[0]
        assert all(await asyncio.gather(here.to(one), here.to(one), here.to(one)))
        assert states(here.application) == {"one": State.UP}

    simulated(running(here.application, steps))


def test_a_stop_in_the_middle_of_a_reload() -> None:
    """What the reload would have added is not started."""
    story = Story()
    here = Reloaded([story.plan("one"), story.plan("two", stop=a_second)])

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            run = tasks.create_task(here.application.run())
            await here.application.wait_up()
            reload = tasks.create_task(here.to(here.plans[0], story.plan("three")))
            await asyncio.sleep(0.5)
            here.application.stop()
            assert not await reload
            await run

    simulated(main())
    assert "start three" not in story.told


def test_a_reload_that_brings_a_wrong_service_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def wrong(service: Service) -> None:
        raise Misuse("no such file")

    story = Story()
    here = Reloaded([story.plan("one"), story.plan("two")])

    async def steps() -> None:
        await here.application.wait_up()
        one, two = here.plans
        assert await here.to(one, replace(story.plan("two", start=wrong)), story.plan("new", start=wrong))
        await asyncio.sleep(100)
        assert states(here.application) == {"one": State.UP, "two": State.FAILED, "new": State.FAILED}
        assert await here.to(one, two)
        await here.application.wait_up()
        assert states(here.application) == {"one": State.UP, "two": State.UP}

    simulated(running(here.application, steps))
    assert "service new failed at start: no such file" in caplog.text


def test_a_reload_whose_plans_cannot_be_made_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list[Plan]:
        raise SyntaxError("in a module that a kind names")

    application = Application("a", [Story().plan("one")], again=broken)

    async def steps() -> None:
        await application.wait_up()
        assert not await application.reload()
        assert states(application) == {"one": State.UP}

    simulated(running(application, steps))
    assert "not reloaded: in a module that a kind names" in caplog.text


def test_a_port_can_change_hands_in_a_reload() -> None:
    """From one that goes to one that comes, and between two that change."""
    held: dict[int, str] = {}

    class Holder(Service):
        async def start(self) -> None:
            assert isinstance(self.config, Number)
            if self.config.number in held:
                raise Unavailable("address in use")
            held[self.config.number] = self.name
            self.owned.callback(held.pop, self.config.number)

    def holder(name: str, port: int) -> Plan:
        return Plan(name, Holder, Number(port))

    here = Reloaded([holder("gone", 1), holder("left", 2), holder("right", 3)])

    async def steps() -> None:
        await here.application.wait_up()
        assert await here.to(holder("came", 1), holder("left", 3), holder("right", 2))
        await here.application.wait_up()
        assert held == {1: "came", 3: "left", 2: "right"}
        assert all(standing.failures == 0 for standing in here.application.standings)

    simulated(running(here.application, steps))


def test_a_service_that_needs_less_after_a_reload_stops_before_what_it_needed() -> None:
    """And is not started in between without what it was told it would have."""
    story = Story()
    seen: list[set[str]] = []

    async def look(service: Service) -> None:
        seen.append(set(service.context.services))

    web = story.plan("web", "data", start=look)
    here = Reloaded([story.plan("data"), story.plan("slow", stop=a_second), web])

    async def steps() -> None:
        await here.application.wait_up()
        story.told.clear()
        assert await here.to(replace(web, needs=()))
        await here.application.wait_up()
        assert [standing.failures for standing in here.application.standings] == [0]

    simulated(running(here.application, steps))
    assert story.told.index("stopped web") < story.told.index("stop data")
    assert seen == [{"data"}, set()]


def test_needs_can_turn_round_in_a_reload() -> None:
    story = Story()
    left, right = story.plan("left", "right"), story.plan("right")
    here = Reloaded([left, right])

    async def steps() -> None:
        await here.application.wait_up()
        began = now()
        assert await here.to(replace(left, needs=()), replace(right, needs=("left",)))
        await here.application.wait_up()
        assert now() - began < 0.1
        assert [standing.name for standing in here.application.standings] == ["left", "right"]

    simulated(running(here.application, steps))
    assert story.told[-4:] == ["stop right", "stopped right", "stop left", "stopped left"]


def test_a_service_whose_reload_hangs_does_not_hold_up_the_next(caplog: pytest.LogCaptureFixture) -> None:
    story = Story()
    here = Reloaded([replace(story.plan("slow", reload=forever), start_within=3), story.plan("other")])

    async def steps() -> None:
        await here.application.wait_up()
        began = now()
        assert await here.application.reload()
        assert now() - began < 3.1

    simulated(running(here.application, steps))
    assert "service slow failed at reload: it did not reload within 3.0 s" in caplog.text
    assert "reload other" in story.told


# Loops and threads.


@pytest.mark.parametrize("kinds", [("asyncio", "uvloop"), ("uvloop", "asyncio")])
def test_two_applications_in_threads_with_a_loop_each_are_stopped_from_a_third(kinds: tuple[str, str]) -> None:
    if _seed:
        return  # these loops have no seed
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


def test_a_critical_service_that_fails_ends_the_application_with_its_error() -> None:
    with pytest.raises(Unavailable, match="service 'one': it raised NotAnException"):
        simulated(Application("a", [Story().plan("one", run=bad_base, critical=True)]).run())
