"""Control: services stopped, started and restarted by operators, while others need them and while all else goes on."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from ropewalk.errors import Unavailable
from ropewalk.service import (
    Application,
    BadLevel,
    CutsOff,
    NoConfig,
    NoConnection,
    NoLogger,
    NoService,
    Plan,
    Restart,
    Service,
    State,
    StopsNow,
)
from tests.service.stories import Simulated, Story, forever, now, running, states


def _chain(story: Story) -> list[Plan]:
    return [story.plan("data"), story.plan("web", "data"), story.plan("page", "web"), story.plan("other")]


def _run(simulated: Simulated, application: Application, steps: Callable[[], Awaitable[object]]) -> None:
    async def up() -> None:
        await application.wait_up()
        await steps()

    simulated(running(application, up))


def test_what_needs_a_stopped_service_goes_first_waits_and_comes_back(simulated: Simulated) -> None:
    story = Story()
    application = Application("shop", _chain(story))

    async def steps() -> None:
        control = application.control
        story.told.clear()
        found = await control.stop("data")
        assert [one.name for one in found] == ["data", "web", "page"]
        assert states(application) == {
            "data": State.STOPPED,
            "web": State.WAITING,
            "page": State.WAITING,
            "other": State.UP,
        }
        assert [one for one in story.told if one.startswith("stopped")] == [
            "stopped page",
            "stopped web",
            "stopped data",
        ]
        assert control.service("data").halted
        assert control.service("web").lacks == ("data",)
        story.told.clear()
        assert [one.state for one in await control.start("data")] == ["up", "up", "up"]
        assert story.told == ["start data", "start web", "start page"]
        await application.wait_up()

    _run(simulated, application, steps)


def test_a_restart_takes_those_along_that_need_it_and_no_other(simulated: Simulated) -> None:
    story = Story()
    application = Application("shop", _chain(story))

    async def steps() -> None:
        story.told.clear()
        found = await application.control.restart("web")
        assert {one.name: (one.state, one.starts) for one in found} == {"web": ("up", 2), "page": ("up", 2)}
        assert [one for one in story.told if not one.startswith("stopped")] == [
            "stop page",
            "stop web",
            "start web",
            "start page",
        ]
        assert application.control.service("data").starts == 1

    _run(simulated, application, steps)


@pytest.mark.parametrize("changed", [False, True])
def test_a_stopped_service_stays_stopped_through_a_reload(simulated: Simulated, changed: bool) -> None:
    story = Story()
    plans = [story.plan("data"), story.plan("web", "data")]
    again = [story.plan("data"), story.plan("web", "data")] if changed else plans
    application = Application("shop", plans, again=lambda: again)

    async def steps() -> None:
        control = application.control
        await control.stop("data")
        story.told.clear()
        assert await control.reload()
        await asyncio.sleep(100)
        assert (states(application)["data"], story.told) == (State.STOPPED, [])
        await asyncio.wait_for(application.wait_up(), 1)  # nothing is to come, so there is nothing to wait for
        assert (await control.start("data"))[0].state == "up"
        await application.wait_up()
        assert states(application) == {"data": State.UP, "web": State.UP}

    _run(simulated, application, steps)


def test_a_service_that_a_reload_takes_away_while_it_is_stopped_is_gone(simulated: Simulated) -> None:
    story = Story()
    plans = [story.plan("data"), story.plan("web")]
    application = Application("shop", plans, again=lambda: plans[:1])

    async def steps() -> None:
        await application.control.stop("web")
        assert await application.control.reload()
        with pytest.raises(NoService):
            await application.control.start("web")

    _run(simulated, application, steps)


def test_start_waits_for_what_is_stopped_and_says_so(simulated: Simulated) -> None:
    story = Story()
    application = Application("shop", _chain(story))

    async def steps() -> None:
        control = application.control
        await control.stop("web")
        await control.stop("data")
        one = (await control.start("web"))[0]
        assert (one.state, one.lacks) == ("waiting", ("data",))
        await control.start("data")
        await application.wait_up()
        assert set(states(application).values()) == {State.UP}

    _run(simulated, application, steps)


def _failing(story: Story, times: int, restart: Restart) -> Plan:
    left = [times]

    async def start(_: Service) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise Unavailable("not yet")

    return story.plan("data", start=start, restart=restart)


@pytest.mark.parametrize("restart", [Restart.ON_FAILURE, Restart.NEVER])
def test_one_that_pauses_or_has_failed_starts_at_once_where_it_is_told_to(
    simulated: Simulated, restart: Restart
) -> None:
    story = Story()
    application = Application("shop", [_failing(story, 1, restart), story.plan("web", "data")], jitter=lambda: 1.0)

    async def steps() -> None:
        await asyncio.sleep(0.1)
        assert states(application)["data"] in (State.PAUSING, State.FAILED)
        before = now()
        one, web = await application.control.start("data")
        assert (one.state, one.starts, web.state) == ("up", 1, "up")
        assert now() == before

    simulated(running(application, steps))


def test_a_start_that_fails_again_is_told_and_tried_on(simulated: Simulated) -> None:
    story = Story()
    application = Application("shop", [_failing(story, 2, Restart.ON_FAILURE)], jitter=lambda: 1.0)

    async def steps() -> None:
        await asyncio.sleep(0.1)
        one = (await application.control.start("data"))[0]
        assert (one.state, one.why, one.failures) == ("pausing", "not yet", 2)
        await application.wait_up()

    simulated(running(application, steps))


@pytest.mark.parametrize("seconds", [0.1, 0.5, 3])
def test_one_that_pauses_is_stopped_and_not_tried_again(simulated: Simulated, seconds: float) -> None:
    story = Story()
    application = Application("shop", [_failing(story, 99, Restart.ON_FAILURE)], jitter=lambda: 1.0)

    async def steps() -> None:
        await asyncio.sleep(seconds)
        before = now()
        one = (await application.control.stop("data"))[0]
        assert (one.state, now()) == ("stopped", before)  # not only when the pause is over
        story.told.clear()
        await asyncio.sleep(1000)
        assert story.told == []

    simulated(running(application, steps))


def test_one_that_is_starting_is_stopped(simulated: Simulated) -> None:
    story = Story()
    application = Application("shop", [story.plan("data", start=forever)])

    async def steps() -> None:
        await asyncio.sleep(1)
        assert (await application.control.stop("data"))[0].state == "stopped"
        assert application.control.service("data").failures == 0

    simulated(running(application, steps))


def test_a_critical_service_that_is_stopped_ends_nothing(simulated: Simulated) -> None:
    story = Story()
    application = Application("shop", [story.plan("data", critical=True)])

    async def steps() -> None:
        await application.control.stop("data")
        await asyncio.sleep(100)
        assert not application.stopping
        await application.control.start("data")

    _run(simulated, application, steps)


def test_what_would_cut_its_own_connection_is_refused_unless_it_is_meant(simulated: Simulated) -> None:
    story = Story()
    application = Application("shop", _chain(story))

    async def steps() -> None:
        control = application.control
        for name in ("page", "web", "data"):
            with pytest.raises(CutsOff):
                await control.stop(name, by="page")
            with pytest.raises(CutsOff):
                await control.restart(name, by="page")
        await control.restart("other", by="page")
        before = now()
        await control.restart("data", by="page", force=True)
        assert now() == before  # who asked may be gone: it goes on without them
        await asyncio.sleep(1)
        assert control.service("page").starts == 2

    _run(simulated, application, steps)


def test_two_operators_at_once_end_in_what_the_last_one_said(simulated: Simulated) -> None:
    story = Story()
    application = Application("shop", _chain(story))

    async def steps() -> None:
        control = application.control
        for act in (control.start, control.restart):  # which of the two is first is the loop's to say
            one, other = await asyncio.gather(control.stop("data"), act("data"))
            assert one[0].state == other[0].state
            assert one[0].state == ("stopped" if one[0].halted else "up")
        await control.start("data")
        await asyncio.gather(control.restart("data"), control.restart("web"), control.start("page"))
        assert set(states(application).values()) == {State.UP}

    _run(simulated, application, steps)


@pytest.mark.parametrize("case", range(25))
def test_whatever_operators_failures_and_reloads_do_at_once_needs_are_kept(
    simulated: Simulated, case: int, seed: int
) -> None:
    """No service is up without those that it needs, and in the end all is as it was said."""
    draw = random.Random(f"{seed}/{case}")
    up: set[str] = set()

    def plan(name: str, *needs: str) -> Plan:
        class Drawn(Service):
            async def start(self) -> None:
                assert set(needs) <= up
                await asyncio.sleep(draw.choice((0, 0.1, 1)))
                if draw.random() < 0.2:
                    raise Unavailable("a bad day")
                assert name not in up
                up.add(name)

            async def run(self) -> None:
                await asyncio.sleep(draw.choice((0.5, 5, 10_000)))
                if draw.random() < 0.5:
                    raise Unavailable("had enough")

            async def stop(self, seconds: float) -> None:
                await asyncio.sleep(draw.choice((0, 0.1, 1)))
                up.discard(name)

        return Plan(name, Drawn, NoConfig(), needs, Restart.ALWAYS)

    def plans() -> list[Plan]:
        made = [plan("data"), plan("web", "data"), plan("page", "web", "data"), plan("other")]
        return made if draw.random() < 0.3 else kept

    kept = [plan("data"), plan("web", "data"), plan("page", "web", "data"), plan("other")]
    application = Application("shop", kept, again=plans, deadline=5)

    async def operator() -> None:
        for _ in range(12):
            name = draw.choice(("data", "web", "page", "other"))
            match draw.choice(("start", "stop", "restart", "reload")):
                case "start":
                    await application.control.start(name)
                case "stop":
                    await application.control.stop(name)
                case "restart":
                    await application.control.restart(name)
                case _:
                    await application.control.reload()
            await asyncio.sleep(draw.choice((0, 0.05, 0.5, 3)))

    async def steps() -> None:
        await asyncio.sleep(0.01)
        await asyncio.gather(operator(), operator(), operator())
        for name in ("page", "web", "data", "other"):
            await application.control.stop(name)
        assert set(states(application).values()) == {State.STOPPED}
        assert up == set()
        for name in ("data", "web", "page", "other"):
            await application.control.start(name)
        await application.wait_up()

    simulated(running(application, steps))


def test_while_the_application_stops_nothing_is_started_and_nobody_waits(simulated: Simulated) -> None:
    story = Story()

    async def slow(_: Service) -> None:
        await asyncio.sleep(2)

    application = Application("shop", [story.plan("data", stop=slow), story.plan("web", "data", stop=slow)])

    async def steps() -> None:
        control = application.control
        waiting = asyncio.create_task(control.restart("data"))
        await asyncio.sleep(1)
        application.stop()
        with pytest.raises(StopsNow):
            await waiting
        for work in (control.start("data"), control.stop("data"), control.restart("web"), control.reload()):
            with pytest.raises(StopsNow):
                await work

    _run(simulated, application, steps)
    assert story.told.count("start data") == 1


def test_one_that_does_not_stop_in_time_is_waited_for_no_longer_than_it_may(simulated: Simulated) -> None:
    story = Story()

    async def never(_: Service) -> None:
        await asyncio.Event().wait()

    application = Application("shop", [story.plan("data", stop=never)], deadline=5)

    async def steps() -> None:
        before = now()
        assert (await application.control.stop("data"))[0].state == "stopped"
        assert now() - before <= 7

    _run(simulated, application, steps)


def test_no_such_service_and_what_may_have_been_meant(simulated: Simulated) -> None:
    story = Story()
    application = Application("shop", _chain(story))

    async def steps() -> None:
        for work in (application.control.start, application.control.stop, application.control.restart):
            with pytest.raises(NoService) as error:
                await work("dta")
            assert error.value.hint == "did you mean data?"
        with pytest.raises(NoService):
            application.control.connections(1, "dta")
        with pytest.raises(NoService):
            application.control.configuration("x" * 10_000)

    _run(simulated, application, steps)


class Told(msgspec.Struct, frozen=True):
    listen: str = "tcp://ann:geheim@localhost:1?token=abc&mode=2"
    password: str = "geheim"
    size: int = 3


class Called:
    """A peer."""

    def __init__(self, number: int) -> None:
        self.number, self.listener, self.began = number, "front", 0.0
        self.ended: list[bool] = []

    def moved(self) -> tuple[int, int]:
        return 10, 20

    def peer_text(self) -> str:
        return f"peer {self.number}"

    def end(self, *, now: bool = False) -> None:
        self.ended.append(now)


def test_connections_are_listed_in_order_and_closed_by_number(simulated: Simulated) -> None:
    called = [Called(3), Called(1), Called(2)]

    class Calls(Service):
        def peers(self) -> list[Called]:
            return called

    class Broken(Service):
        def peers(self) -> list[Called]:
            raise ValueError("not today")

    application = Application("shop", [Plan("calls", Calls, NoConfig()), Plan("broken", Broken, NoConfig())])

    async def steps() -> None:
        control = application.control
        found, count = control.connections(2)
        assert ([one.number for one in found], count) == ([1, 2], 3)
        assert control.connections(10, "broken") == ([], 0)
        shown = control.end_connection(3, now=True)
        assert (shown.peer, shown.received, shown.sent, called[0].ended) == ("peer 3", 10, 20, [True])
        with pytest.raises(NoConnection):
            control.end_connection(4)
        assert msgspec.json.encode(found)

    _run(simulated, application, steps)


def test_a_configuration_is_shown_without_its_secrets(simulated: Simulated) -> None:
    application = Application("shop", [Plan("one", lambda _, context: Service(NoConfig(), context), Told())])

    async def steps() -> None:
        told = application.control.configuration("one")
        assert "geheim" not in str(told)
        assert "abc" not in str(told)
        assert told["listen"] == "tcp://ann:(hidden)@localhost:1?token=(hidden)&mode=2"
        assert (told["password"], told["size"], told["restart"]) == ("(hidden)", 3, "on-failure")

    _run(simulated, application, steps)


def test_tasks_are_told_with_the_whole_way_they_wait_on(simulated: Simulated) -> None:
    async def inner() -> None:
        await asyncio.Event().wait()

    async def outer(_: Service) -> None:
        await inner()

    application = Application("shop", [Story().plan("one", run=outer)])

    async def steps() -> None:
        await asyncio.sleep(1)
        found, count = application.control.tasks(100)
        assert len(found) == count
        one = next(task for task in found if task.name == "run one")
        places = [place.rpartition(" ")[2].rpartition(".")[2] for place in one.stack]
        assert places[-3:] == ["outer", "inner", "wait"]
        assert [task.name for task in found if task.running]
        assert len(application.control.tasks(2)[0]) == 2

    _run(simulated, application, steps)


def test_levels_are_set_and_put_back_by_hand_or_with_the_end_of_the_application(simulated: Simulated) -> None:
    logger = logging.getLogger("tests.levels")
    logger.setLevel(logging.NOTSET)
    application = Application("shop", [Story().plan("one")])

    async def steps() -> None:
        levels = application.control.levels
        levels.set("tests.levels", "debug")
        levels.set("tests.levels", "error")
        assert (levels.level("tests.levels"), levels.changed) == ("error", {"tests.levels": "error"})
        levels.put_back("tests.levels")
        assert (logger.level, levels.changed) == (logging.NOTSET, {})
        with pytest.raises(NoLogger, match="no logger"):
            levels.set("tests.levls", "debug")
        with pytest.raises(BadLevel) as error:
            levels.set("root", "eror")
        assert error.value.hint == "did you mean error?"
        assert "tests.levls" not in logging.root.manager.loggerDict
        levels.set("tests.levels", "debug")

    _run(simulated, application, steps)
    assert logger.level == logging.NOTSET


def test_who_is_there_is_known_until_they_leave(simulated: Simulated) -> None:
    application = Application("shop", [Story().plan("one")])

    async def steps() -> None:
        presence = application.control.presence
        with presence.enter("ann", "ssh", "10.0.0.1", "one") as visitor:
            await asyncio.sleep(5)
            presence.acts(visitor)
            assert [(one.name, one.active - one.began) for one in presence.all()] == [("ann", 5)]
        assert presence.all() == []

    _run(simulated, application, steps)
