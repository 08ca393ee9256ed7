"""Applications: order, supervision, reload and stop, in simulated time."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest

from ropewalk import loops
from ropewalk.errors import Misuse, Unavailable
from ropewalk.loops import Simulated
from ropewalk.service import (
    Application,
    BadPlan,
    Context,
    NoConfig,
    Plan,
    Restart,
    Service,
    ServiceFailed,
    State,
)


class Story:
    """What services did, in order; and services that do as they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def plan(
        self,
        name: str,
        *needs: str,
        start: Callable[[Service], Coroutine[object, object, None]] | None = None,
        run: Callable[[Service], Coroutine[object, object, None]] | None = None,
        stop: Callable[[Service], Coroutine[object, object, None]] | None = None,
        restart: Restart = Restart.ON_FAILURE,
        critical: bool = False,
    ) -> Plan:
        story = self

        class Told(Service):
            async def start(self) -> None:
                story.told.append(f"start {name}")
                if start:
                    await start(self)

            async def run(self) -> None:
                await (run(self) if run else super().run())

            async def stop(self, seconds: float) -> None:
                story.told.append(f"stop {name}")
                if stop:
                    await stop(self)

            async def reload(self) -> None:
                story.told.append(f"reload {name}")

        return Plan(name, Told, NoConfig(), needs, restart, critical)


async def running(application: Application, *steps: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run it, do the steps once it is up, and stop it."""
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(application.run())
        for step in steps:
            await step()
        application.stop()
        await run


@pytest.fixture(params=range(8), autouse=True)
def seed(request: pytest.FixtureRequest) -> None:
    """Each test in several orders of what happens at once."""
    simulated.seed = request.param


class _Simulated:
    seed = 0

    def __call__(self, main: Coroutine[object, object, None]) -> None:
        loops.run(main, loop=Simulated(self.seed))


simulated = _Simulated()


def states(application: Application) -> dict[str, State]:
    return {standing.name: standing.state for standing in application.standings}


async def broken(service: Service) -> None:
    raise Unavailable("it broke")


def test_services_start_after_those_they_need_and_stop_before_them() -> None:
    story = Story()
    plans = [story.plan("web", "data", "log"), story.plan("data", "log"), story.plan("log")]
    application = Application("a", plans)
    simulated(running(application, application.wait_up))
    assert story.told == ["start log", "start data", "start web", "stop web", "stop data", "stop log"]


def test_a_service_is_given_those_it_needs_and_no_others() -> None:
    seen: list[Context] = []

    async def look(service: Service) -> None:
        seen.append(service.context)

    story = Story()
    application = Application("a", [story.plan("one"), story.plan("two"), story.plan("three", "one", start=look)])
    simulated(running(application, application.wait_up))
    assert set(seen[0].services) == {"one"}
    assert (seen[0].name, seen[0].application, seen[0].registry) == ("three", "a", application.registry)


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"a": ["b"], "b": ["a"]}, "services need each other"),
        ({"a": ["c"]}, "service 'a' needs 'c', which there is not"),
    ],
)
def test_services_that_cannot_be_ordered(needs: dict[str, Sequence[str]], message: str) -> None:
    with pytest.raises(BadPlan, match=message):
        Application("a", [Story().plan(name, *others) for name, others in needs.items()])


def test_two_services_of_one_name() -> None:
    with pytest.raises(BadPlan, match="two services are called 'a'"):
        Application("a", [Story().plan("a"), Story().plan("a")])


def test_a_failure_at_start_is_tried_again_ever_more_slowly_and_others_do_not_notice() -> None:
    """Also: what needs it waits, and starts once it is up."""
    story, at = Story(), list[float]()

    async def third_time(service: Service) -> None:
        at.append(asyncio.get_running_loop().time())
        if len(at) < 4:
            raise Unavailable("not yet")

    application = Application(
        "a", [story.plan("other"), story.plan("late", start=third_time), story.plan("on", "late")], jitter=lambda: 1.0
    )
    simulated(running(application, application.wait_up))
    pauses = [round(after - before, 3) for before, after in pairwise(at)]
    assert pauses == [0.5, 1.0, 2.0]
    assert story.told.count("start other") == 1
    assert story.told.index("start on") > 3
    failures = application.registry.counter("ropewalk_service_failures_total", "", ("service", "phase"))
    assert failures.of("late", "start").value == 3


def test_a_failure_in_the_middle_restarts_it_and_what_needs_it() -> None:
    story = Story()
    fail = asyncio.Event()

    async def until_told(service: Service) -> None:
        await fail.wait()
        fail.clear()
        raise Unavailable("it broke")

    application = Application("a", [story.plan("one", run=until_told), story.plan("two", "one"), story.plan("other")])

    async def break_it() -> None:
        await application.wait_up()
        fail.set()
        await asyncio.sleep(1)
        await application.wait_up()

    simulated(running(application, break_it))
    assert story.told.count("start one") == 2
    assert story.told.count("start two") == 2
    assert story.told.count("start other") == 1
    # The one that failed does not wait for the other: it stops first, and is there again before it.
    middle = story.told[3:-3]
    assert middle == ["stop one", "stop two", "start one", "start two"]


def test_a_task_that_fails_is_the_failure_of_its_service() -> None:
    story = Story()

    async def with_task(service: Service) -> None:
        if application.standings[0].starts == 0:
            service.tasks.create_task(broken(service))

    application = Application("a", [story.plan("one", start=with_task)])

    async def wait() -> None:
        await asyncio.sleep(10)
        standing = application.standings[0]
        assert (standing.state, standing.starts, standing.failures, standing.why) == (State.UP, 2, 1, "it broke")

    simulated(running(application, wait))


def test_its_other_tasks_are_cancelled_when_it_stops() -> None:
    story = Story()

    async def with_task(service: Service) -> None:
        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                story.told.append("task cancelled")

        service.tasks.create_task(forever())

    application = Application("a", [story.plan("one", start=with_task)])

    async def wait() -> None:
        await asyncio.sleep(1)

    simulated(running(application, wait))
    assert story.told == ["start one", "stop one", "task cancelled"]


def test_what_it_owns_is_closed_after_it_has_stopped_and_after_a_start_that_failed() -> None:
    story = Story()

    async def own(service: Service) -> None:
        service.owned.callback(story.told.append, "closed")
        if len(story.told) == 1:
            raise Unavailable("not yet")

    application = Application("a", [story.plan("one", start=own)])
    simulated(running(application, application.wait_up))
    assert story.told == ["start one", "closed", "start one", "stop one", "closed"]


@pytest.mark.parametrize(
    ("restart", "failing", "starts", "state"),
    [
        (Restart.NEVER, True, 1, State.FAILED),
        (Restart.NEVER, False, 1, State.ENDED),
        (Restart.ON_FAILURE, False, 1, State.ENDED),
        (Restart.ON_FAILURE, True, 5, State.PAUSING),
        (Restart.ALWAYS, False, 5, State.PAUSING),
        (Restart.ALWAYS, True, 5, State.PAUSING),
    ],
)
def test_restart_policies(restart: Restart, failing: bool, starts: int, state: State) -> None:
    async def soon(service: Service) -> None:
        if failing:
            raise Unavailable("it broke")

    application = Application("a", [Story().plan("one", run=soon, restart=restart)], jitter=lambda: 1.0)

    async def wait() -> None:
        await asyncio.sleep(8)  # pauses of 0.5, 1, 2, 4 seconds lie in it
        assert (application.standings[0].starts, application.standings[0].state) == (starts, state)

    simulated(running(application, wait))


def test_pauses_begin_anew_after_a_long_time_up() -> None:
    at: list[float] = []

    async def a_while(service: Service) -> None:
        at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(100 if len(at) == 3 else 0)
        raise Unavailable("it broke")

    application = Application("a", [Story().plan("one", run=a_while)], jitter=lambda: 1.0)

    async def wait() -> None:
        await asyncio.sleep(105)

    simulated(running(application, wait))
    gaps = [round(after - before, 3) for before, after in pairwise(at)]
    assert gaps[:4] == [0.5, 1.0, 100.5, 1.0]


def test_the_failure_of_a_critical_service_stops_all_in_order() -> None:
    story = Story()

    async def later(service: Service) -> None:
        await asyncio.sleep(5)
        raise ValueError("a fault of code")

    application = Application("a", [story.plan("one"), story.plan("two", "one", run=later, critical=True)])
    with pytest.raises(ServiceFailed, match="service 'two': ValueError: a fault of code"):
        simulated(application.run())
    assert story.told == ["start one", "start two", "stop two", "stop one"]


def test_a_wrong_configuration_found_at_start_stops_all() -> None:
    """It does not get better by trying again."""

    async def wrong(service: Service) -> None:
        raise Misuse("no such scheme", hint="use tcp")

    application = Application("a", [Story().plan("one", start=wrong), Story().plan("two")])
    with pytest.raises(Misuse, match="service 'one': no such scheme") as caught:
        simulated(application.run())
    assert caught.value.hint == "use tcp"


def test_a_failure_at_stop_is_told_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    story = Story()
    application = Application("a", [story.plan("one"), story.plan("two", "one", stop=broken)])
    simulated(running(application, application.wait_up))
    assert story.told[-2:] == ["stop two", "stop one"]
    assert "service two failed at stop: it broke" in caplog.text
    assert states(application) == {"one": State.STOPPED, "two": State.STOPPED}


def test_who_does_not_stop_in_time_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    story = Story()

    async def too_long(service: Service) -> None:
        await asyncio.sleep(1000)

    application = Application("a", [story.plan("one"), story.plan("slow", "one", stop=too_long)], deadline=4)

    async def timed() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await running(application, application.wait_up)
        assert loop.time() - began == pytest.approx(4, abs=0.1)

    simulated(timed())
    assert "service slow failed at stop: it did not stop within 4.0 s" in caplog.text
    assert story.told[-1] == "stop one"


def test_who_does_not_start_in_time_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    async def too_long(service: Service) -> None:
        await asyncio.sleep(1000)

    plan = replace(Story().plan("one", start=too_long), start_within=3, restart=Restart.NEVER)
    application = Application("a", [plan])

    async def wait() -> None:
        await asyncio.sleep(10)
        assert states(application) == {"one": State.FAILED}

    simulated(running(application, wait))
    assert "it did not start within 3 s" in caplog.text


def test_stopping_during_the_start_and_during_a_pause() -> None:
    async def too_long(service: Service) -> None:
        await asyncio.sleep(29)

    application = Application("a", [Story().plan("slow", start=too_long), Story().plan("broken", start=broken)])

    async def wait() -> None:
        await asyncio.sleep(1)

    simulated(running(application, wait))
    assert set(states(application).values()) == {State.STOPPED}


def test_an_application_that_is_cancelled_stops_its_services() -> None:
    story = Story()
    application = Application("a", [story.plan("one")])

    async def cancelled() -> None:
        task = asyncio.create_task(application.run())
        await application.wait_up()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    simulated(cancelled())
    assert story.told == ["start one", "stop one"]


class Numbered(msgspec.Struct, frozen=True):
    number: int


def test_a_reload_restarts_what_changed_and_what_needs_it_and_reloads_the_rest() -> None:
    story = Story()
    base, front, other, gone = (
        story.plan("base"),
        story.plan("front", "base"),
        story.plan("other"),
        story.plan("gone", "base"),
    )
    plans = [base, front, other, gone]
    application = Application("a", plans, again=lambda: plans)

    async def change() -> None:
        await application.wait_up()
        story.told.clear()
        plans[:] = [replace(base, config=Numbered(2)), front, other, story.plan("new", "front")]
        assert await application.reload()
        await application.wait_up()
        middle = story.told.copy()
        assert sorted(middle) == sorted(
            ["stop gone", "stop front", "stop base", "start base", "start front", "start new", "reload other"]
            + (["reload front"] if "reload front" in middle else [])
        )
        assert middle.index("stop front") < middle.index("stop base") < middle.index("start base")
        assert middle.index("start base") < middle.index("start front") < middle.index("start new")
        assert set(states(application)) == {"base", "front", "other", "new"}

    simulated(running(application, change))


def test_a_reload_to_something_wrong_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    story = Story()
    plans = [story.plan("one")]
    application = Application("a", plans, again=lambda: plans)

    async def change() -> None:
        await application.wait_up()
        plans.append(story.plan("two", "nowhere"))
        assert not await application.reload()
        assert states(application) == {"one": State.UP}

    simulated(running(application, change))
    assert "not reloaded: service 'two' needs 'nowhere'" in caplog.text


def test_a_reload_that_fails_inside_a_service_is_contained(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Service):
        async def reload(self) -> None:
            raise OSError("certificate is gone")

    application = Application("a", [Plan("one", Broken, NoConfig())])

    async def change() -> None:
        await application.wait_up()
        assert await application.reload()
        assert states(application) == {"one": State.UP}

    simulated(running(application, change))
    assert "service one failed at reload: certificate is gone" in caplog.text


def test_two_applications_in_one_process_one_after_the_other_and_in_threads() -> None:
    story = Story()

    def whole(name: str) -> None:
        application = Application(name, [story.plan(name)])
        loops.run(running(application, application.wait_up), loop="asyncio")
        starts = application.registry.counter("ropewalk_service_starts_total", "", ("service",))
        assert starts.of(name).value == 1

    whole("first")
    whole("second")
    assert story.told == ["start first", "stop first", "start second", "stop second"]
    failures: list[BaseException] = []

    def in_thread(name: str) -> None:
        try:
            whole(name)
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=in_thread, args=(name,)) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not failures
    assert sorted(story.told[4:]) == ["start left", "start right", "stop left", "stop right"]


def test_an_error_of_ours_is_logged_in_a_line_and_a_fault_of_code_with_its_stack(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fault(service: Service) -> None:
        raise KeyError("x")

    application = Application("a", [Story().plan("one", start=broken), Story().plan("two", start=fault)])

    async def wait() -> None:
        await asyncio.sleep(0.01)

    with caplog.at_level(logging.ERROR):
        simulated(running(application, wait))
    stacks = {record.__dict__["service"]: record.exc_info is not None for record in caplog.records}
    assert stacks == {"one": False, "two": True}
    assert {record.__dict__["code"] for record in caplog.records} == {"unavailable", "KeyError"}
