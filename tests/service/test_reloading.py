"""Applications that are reloaded at bad moments, and with what cannot run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import msgspec
import pytest

from ropewalk.errors import Misuse, Unavailable
from ropewalk.service import Application, Plan, Service, State
from tests.service.stories import Simulated, Story, forever, now, running, states


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


def test_two_reloads_at_once(simulated: Simulated) -> None:
    story = Story()
    here = Reloaded([story.plan("one"), story.plan("two", stop=a_second)])

    async def steps() -> None:
        await here.application.wait_up()
        one = here.plans[0]
        assert all(await asyncio.gather(here.to(one), here.to(one), here.to(one)))
        assert states(here.application) == {"one": State.UP}

    simulated(running(here.application, steps))


def test_a_stop_in_the_middle_of_a_reload(simulated: Simulated) -> None:
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


def test_a_reload_that_brings_a_wrong_service_does_not_end_the_others(
    simulated: Simulated, caplog: pytest.LogCaptureFixture
) -> None:
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


def test_a_reload_whose_plans_cannot_be_made_changes_nothing(
    simulated: Simulated, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> list[Plan]:
        raise SyntaxError("in a module that a kind names")

    application = Application("a", [Story().plan("one")], again=broken)

    async def steps() -> None:
        await application.wait_up()
        assert not await application.reload()
        assert states(application) == {"one": State.UP}

    simulated(running(application, steps))
    assert "not reloaded: in a module that a kind names" in caplog.text


class Number(msgspec.Struct, frozen=True):
    number: int


def test_a_port_can_change_hands_in_a_reload(simulated: Simulated) -> None:
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


def test_a_service_that_needs_less_after_a_reload_stops_before_what_it_needed(simulated: Simulated) -> None:
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


def test_needs_can_turn_round_in_a_reload(simulated: Simulated) -> None:
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


def test_a_service_whose_reload_hangs_does_not_hold_up_the_next(
    simulated: Simulated, caplog: pytest.LogCaptureFixture
) -> None:
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


@pytest.mark.parametrize("one_alone", [False, True])
def test_who_asks_for_a_change_and_leaves_in_the_middle_does_not_leave_a_service_down(
    simulated: Simulated, one_alone: bool
) -> None:
    story = Story()
    here = Reloaded([story.plan("one"), story.plan("two", stop=a_second)])

    async def steps() -> None:
        await here.application.wait_up()
        here.plans = [here.plans[0], story.plan("two")]
        control = here.application.control
        asked = asyncio.create_task(control.take("two") if one_alone else control.reload())
        await asyncio.sleep(0.5)
        asked.cancel()
        await asyncio.wait([asked])
        assert asked.cancelled()
        await asyncio.sleep(100)
        assert states(here.application) == {"one": State.UP, "two": State.UP}
        assert story.told.count("start two") == 2

    simulated(running(here.application, steps))


def test_plans_that_are_wrong_are_told_to_who_takes_one_of_them_and_harm_nothing(simulated: Simulated) -> None:
    story = Story()
    here = Reloaded([story.plan("one"), story.plan("two")])

    async def steps() -> None:
        await here.application.wait_up()
        here.plans = [story.plan("one", "nobody"), here.plans[1]]
        with pytest.raises(Misuse, match="nobody"):
            await here.application.take("one")
        assert states(here.application) == {"one": State.UP, "two": State.UP}
        assert sorted(story.told) == ["start one", "start two"]

    simulated(running(here.application, steps))
