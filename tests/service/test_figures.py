"""What an application tells of the process and the loop that it runs in, without being asked."""

from __future__ import annotations

from ropewalk.metrics import HistogramReading, Registry
from ropewalk.service import Application
from tests.service.stories import Simulated, Story, running


def _told(registry: Registry) -> dict[str, dict[tuple[str, ...], float | HistogramReading]]:
    return {reading.name: reading.series for reading in registry.read()}


def test_an_application_tells_of_its_process_and_its_loop_while_it_runs(simulated: Simulated) -> None:
    application = Application("shop", [Story().plan("one")])
    seen = {}

    async def steps() -> None:
        await application.wait_up()
        seen.update(_told(application.registry))

    simulated(running(application, steps))
    assert seen["process_cpu_seconds_total"][()] > 0  # type: ignore[operator]
    assert list(seen["python_info"].values()) == [1]
    assert seen["ropewalk_loop_tasks"][("shop",)] >= 2  # type: ignore[operator]
    assert "ropewalk_loop_lag_seconds" in seen
    assert _told(application.registry)["ropewalk_loop_tasks"] == {}


def test_two_applications_of_one_registry_tell_of_a_loop_each(simulated: Simulated) -> None:
    registry = Registry()
    one, two = (Application(name, [], registry=registry) for name in ("one", "two"))

    async def steps() -> None:
        async def inner() -> None:
            await two.wait_up()
            assert set(_told(registry)["ropewalk_loop_tasks"]) == {("one",), ("two",)}

        await running(two, inner)
        assert set(_told(registry)["ropewalk_loop_tasks"]) == {("one",)}

    simulated(running(one, steps))
