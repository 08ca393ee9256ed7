"""The same by either way: a call in the loop over a frame, and one that leaves it, give the same."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ropewalk import broker as rope
from ropewalk.errors import RopewalkError
from tests.broker.doors import Door, door_of
from tests.broker.pair import Pair
from tests.broker.raw import Raw

_WAYS = ("echo", "give", "text", "gives_up", "long_error", "no_text", "count", "slow", "missing", "until_now")
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.tuples(st.integers()),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(_WAYS), st.lists(_values, max_size=2), st.booleans())
def test_a_call_by_the_short_way_and_by_the_long_way_give_the_same(
    method: str, arguments: list[Any], big: bool
) -> None:
    if big:
        arguments = [*arguments, "z" * 3_000]
    if method == "text":
        arguments = [2_000]

    async def outcome(careful: bool) -> Any:
        pair = Pair(Door())
        # A call answered before leaves a number, without which no call goes the short way.
        await pair.got(pair.me.echo(0))
        await pair.run()
        pair.client.broker.asking.careful = careful
        pair.server.broker.answering.careful = careful
        door = door_of(pair)
        door.gate.set()
        door.log.clear()
        try:
            answer = await pair.got(getattr(pair.me, method)(*arguments))
            if isinstance(answer, rope.Stream):
                answer = "a stream"
            return type(answer), _plain(answer), door.log
        except RopewalkError as error:
            return type(error), error.code, str(error), error.hint, door.log
        finally:
            answer = None
            await pair.run()
            answers = pair.server.broker.answering.answers
            assert not [one for one in answers.values() if one.__class__.__name__ == "Open"]
            await pair.stop()

    assert asyncio.run(outcome(False)) == asyncio.run(outcome(True))


def _plain(value: Any) -> Any:
    return "a reference" if isinstance(value, rope.Remote) else value


async def test_an_error_that_is_too_long_or_no_text_is_told_nevertheless() -> None:
    raw = Raw(Door(), logged_in=False, theirs={"frame": 4096})
    (answer,) = raw.say([0, 1, 0, "long_error", []])
    assert answer[:4] == [2, 1, "misuse", "misuse"]
    assert answer[4].startswith("éé")
    (answer,) = raw.say([0, 2, 0, "no_text", []])
    assert answer[:4] == [2, 2, "misuse", "misuse"]
    assert raw.code == ""


async def test_a_deadline_in_which_the_session_was_opened_is_no_deadline_of_the_calls_it_serves() -> None:
    async with rope.deadline(30):
        pair = Pair(Door())
        raw = Raw(Door())
        assert raw.say([0, 1, 0, "until_now", []]) == [[1, 1, None]]
        raw.say([0, 2, 0, "until", []])
        assert await raw.rest() == [[1, 2, None]]
        assert await pair.got(pair.me.until()) is not None  # a call made inside of it has one
    await pair.stop()
    await raw.stop()
