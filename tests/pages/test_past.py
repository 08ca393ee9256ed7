"""What a process has counted is kept for its charts, over a restart too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ropewalk.pages.panel.counted import Listed, NoAnswer, Numbers, WrongQuestion
from ropewalk.pages.panel.figures import Figure, charts_of, names_of, of_metric
from ropewalk.pages.panel.past import Past
from ropewalk.service import Application, Context, NoConfig, Plan

WITHIN = 60.0  # seconds for what takes some tenths of one


@asynccontextmanager
async def kept(file: Path, said: float, ahead: float = 0.0) -> AsyncIterator[Past]:
    """An application that keeps what it counts, one gauge of its own among it, by a clock so many seconds ahead."""

    def make(_: NoConfig, context: Context) -> Past:
        context.registry.gauge("test_things", "things", ("where",)).of("here").set(said)
        return Past(file, context, every=0.05, clock=lambda: time.time() + ahead)

    application = Application("test", [Plan("past", make, NoConfig(), critical=True)])
    async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
        group.create_task(application.run())
        await application.wait_up()
        past = application.service("past")
        assert isinstance(past, Past)
        try:
            yield past
        finally:
            application.stop()


async def value(past: Past) -> str:
    while "test_things" not in await names_of(past):  # noqa: ASYNC110 - a file's
        await asyncio.sleep(0.02)
    (chart,) = await charts_of(past, [Figure("Things", "test_things", by="where")], "hour")
    return f"{chart.lines[0].label} {chart.words}"


async def test_numbers_are_kept_and_drawn_and_are_there_after_a_restart(tmp_path: Path) -> None:
    async with kept(tmp_path / "past.db", 3.0) as past:
        assert await value(past) == "here here: now 3, from 3 to 3"
        (cpu,) = await charts_of(past, [of_metric("process_cpu_seconds_total")], "day")
        assert cpu.title == "Processor"
    async with kept(tmp_path / "past.db", 5.0, 120) as past:
        while (said := await value(past)) == "here here: now 3, from 3 to 3":  # noqa: ASYNC110 - a file's
            await asyncio.sleep(0.02)
        assert said == "here here: now 5, from 3 to 5"


async def test_a_history_that_is_not_open_says_so(tmp_path: Path) -> None:
    application = Application("test", [])
    past = Past(tmp_path / "past.db", Context("past", "test", application.registry))
    with pytest.raises(NoAnswer, match="not open"):
        await past.ask(Listed, {})


async def test_a_wrong_question_is_refused_with_its_words(tmp_path: Path) -> None:
    async with kept(tmp_path / "past.db", 1.0) as past:
        with pytest.raises(WrongQuestion, match="expected a number of seconds"):
            await past.ask(Numbers, {"name": "x", "from": "y"})
