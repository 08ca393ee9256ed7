"""Calls that want no answer, goodbyes, and the end of a session as its calls see it."""

from __future__ import annotations

import pytest

from ropewalk import broker as rope
from ropewalk.broker.errors import Lost
from ropewalk.errors import Unavailable
from tests.broker.doors import Door, door_of
from tests.broker.pair import Pair
from tests.broker.raw import Raw


async def test_a_call_that_wants_no_answer_is_finished_and_its_failure_logged(caplog: pytest.LogCaptureFixture) -> None:
    pair = Pair(Door())
    pair.me.echo.tell(5)
    pair.me.missing.tell()
    await pair.run()
    assert door_of(pair).log == [5]
    assert "wanted no answer" in caplog.text
    assert pair.server.broker.answering.answers == {}
    assert pair.client.broker.asking.open == 0
    await pair.stop()


async def test_after_a_goodbye_nothing_new_is_begun_and_what_is_open_is_answered() -> None:
    raw = Raw(Door(), server=False)
    promise = raw.me.echo(1)
    raw.heard()
    raw.say([13, "going"])
    with pytest.raises(Unavailable):
        raw.me.echo(2)
    raw.say([1, 1, 7])
    assert promise.value() == 7
    assert raw.code == ""


async def test_the_end_says_whether_a_call_was_sent() -> None:
    raw = Raw(Door(), server=False, theirs={"questions": 8})
    promises = [raw.me.echo(number) for number in range(9)]
    raw.heard()
    raw.end.end(rope.Ended("gone"))
    with pytest.raises(Lost, match="whether the call was done is not known"):
        promises[0].value()
    with pytest.raises(rope.Ended, match="gone; the call was not sent"):
        promises[8].value()
    with pytest.raises(rope.Ended):
        raw.me.echo(1)


async def test_a_method_that_ends_its_own_session_is_the_last() -> None:
    class Ends(rope.Object):
        done = 0

        @rope.remote
        def end(self) -> None:
            self.done += 1
            raw.end.end(rope.Ended("enough"))

    door = Ends()
    raw = Raw(door)
    raw.say([0, 1, 0, "end", []], [0, 2, 0, "end", []])
    assert door.done == 1
    assert raw.broker.answering.answers.keys() <= {1}
