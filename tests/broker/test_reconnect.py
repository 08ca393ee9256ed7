"""Reconnecting: what was had is found again, what was under way is told, and what waits does not wait for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ropewalk import broker, net
from ropewalk.auth import AnonymousChecker, Denied, Password
from ropewalk.broker import Backoff, Lost, reconnecting
from ropewalk.broker.errors import Busy, Cancelled, Ended, Late, NoSturdy
from ropewalk.errors import Refused, RopewalkError, Unavailable
from tests.broker.hosts import Desk, Everyone, House, Me, simulated, until

URL = "memory://house"
QUICK = Backoff(most=5, jitter=lambda: 1.0)


class Server:
    """A server that is killed and started again.

    Attributes:
        house: The host of now; the former ones are in `houses`.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.houses: list[House] = []
        self.shared = broker.Shared({"n": 0, "items": [1]})
        self.sturdies = broker.Sturdies(self.find)
        self.found: list[str] = []
        self.listener: net.Listener | None = None

    @property
    def house(self) -> House:
        return self.houses[-1]

    def find(self, label: str) -> broker.Object | None:
        self.found.append(label)
        return Desk(label) if label.startswith("desk") else None

    def made(self, visit: Any) -> Me:
        me = Me(visit)
        me.shared = self.shared
        return me

    async def start(self) -> None:
        self.houses.append(
            House(AnonymousChecker(), Everyone(), make=self.made, sturdies=self.sturdies, **self.options)
        )
        self.listener = await net.listen(URL, self.house.protocol)

    async def kill(self) -> None:
        """As a process that is gone: nobody is told anything."""
        assert self.listener is not None
        await self.listener.drain(1, lambda transport, _: transport.abort())
        await asyncio.gather(*(session.wait_closed() for session in list(self.house.sessions)))
        await asyncio.sleep(0.01)  # the clients see it

    async def again(self) -> None:
        await self.kill()
        await self.start()


@pytest.mark.parametrize("seed", range(10))
def test_calls_under_way_fail_and_calls_made_meanwhile_wait(seed: int) -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        async with reconnecting(URL, backoff=QUICK) as link:
            me = link.perspective
            assert await me.echo(1) == 1
            slow = me.slow(1000)
            await me.echo(2)
            await server.kill()
            with pytest.raises(Lost):
                await slow
            assert "away" in repr(link)
            waiting = [me.echo(number) for number in range(20)]
            chained = me.desk("gold").quote("x")
            part = me.echo({"a": [7]})["a"][0]
            me.say.tell("told")
            desks = [me.desk("a"), me.desk("b")]
            await asyncio.sleep(10)
            assert not waiting[0].done()
            await server.start()
            assert [await call for call in waiting] == list(range(20))
            assert await chained == "gold: x"
            assert await part == 7
            assert [await desk.quote("y") for desk in desks] == ["a: y", "b: y"]
            assert server.house.given[0].said == ["told"]
            assert link.connected
        with pytest.raises(Ended):
            me.echo(1)
        await server.kill()
        assert len(asyncio.all_tasks()) == 1

    simulated(main, seed)


async def test_a_first_session_that_is_not_insisted_on_fails_with_its_first_try() -> None:
    waited: list[float] = []

    async def never(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Unavailable):
        async with reconnecting(URL, backoff=Backoff(sleep=never), insist=False):
            pytest.fail("there was a session")
    assert waited == []


async def test_a_later_session_is_tried_for_again_whether_or_not_the_first_was_insisted_on() -> None:
    server = Server()
    await server.start()
    async with reconnecting(URL, backoff=Backoff(first=0.001, most=0.01), insist=False) as link:
        await server.kill()
        assert not link.connected
        await asyncio.sleep(0.05)  # some tries fail meanwhile
        await server.start()
        async with asyncio.timeout(10):
            assert await link.perspective.echo(7) == 7
    await server.kill()


def test_calls_that_go_ahead_are_made_with_the_login_of_each_session() -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        asked: list[Any] = []
        async with reconnecting(URL, backoff=QUICK, ahead=lambda me: asked.append(me.desk("gold").quote("x"))) as link:
            assert await asked[0] == "gold: x"
            await server.again()
            assert await link.perspective.echo(1) == 1
            assert len(asked) == 2
            assert await asked[1] == "gold: x"
        await server.kill()

    simulated(main)


def test_calls_that_go_ahead_fail_as_the_login_does() -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        asked: list[Any] = []
        with pytest.raises(Refused, match="login failed"):
            async with reconnecting(
                URL, Password("anna", "x"), backoff=QUICK, insist=False, ahead=lambda me: asked.append(me.echo(1))
            ):
                pytest.fail("there was a session")
        with pytest.raises(Refused, match="login failed"):
            await asked[0]
        assert server.house.given == []
        await server.kill()

    simulated(main)


def test_a_call_waits_until_its_deadline_and_not_longer() -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        loop = asyncio.get_running_loop()
        async with reconnecting(URL, patience=25, backoff=QUICK) as link:
            me = link.perspective
            await server.kill()
            await asyncio.sleep(0.1)
            began = loop.time()
            with pytest.raises(Late):
                await me.say("by patience")
            assert loop.time() - began == pytest.approx(25, abs=0.1)
            began = loop.time()
            with pytest.raises(Late):
                async with broker.deadline(3):
                    await me.say("by deadline")
            assert loop.time() - began == pytest.approx(3, abs=0.1)
            call = me.say("cancelled")
            dropped = asyncio.ensure_future(_awaited(call))
            await asyncio.sleep(0.1)
            dropped.cancel()
            await asyncio.wait([dropped])
            with pytest.raises(Cancelled, match="before it was made"):
                await call
            for waiting in (me.echo(1), me.desk("a").quote):
                with pytest.raises(TypeError, match="not iterable"):
                    iter(waiting)
            await server.start()
            await me.say("in time")
            assert server.house.given[0].said == ["in time"]
        await server.kill()

    simulated(main)


async def _awaited(what: Any) -> Any:
    return await what


def test_only_so_many_calls_wait() -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        async with reconnecting(URL, most_waiting=3, backoff=QUICK) as link:
            await server.kill()
            await asyncio.sleep(0.1)
            calls = [link.perspective.echo(number) for number in range(3)]
            with pytest.raises(Busy):
                link.perspective.echo(3)
            await server.start()
            assert [await call for call in calls] == [0, 1, 2]
            assert await link.perspective.echo(3) == 3
        await server.kill()

    simulated(main)


def test_the_deadline_of_a_waiting_call_goes_with_it() -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        async with reconnecting(URL, backoff=QUICK) as link:
            await server.kill()
            await asyncio.sleep(0.1)
            asyncio.get_running_loop().call_later(5, lambda: starting.append(asyncio.ensure_future(server.start())))
            starting: list[asyncio.Future[None]] = []
            with pytest.raises(Unavailable, match=r"deadline is over|not done within 20 s"):
                async with broker.deadline(20):
                    await link.perspective.slow(1000)
            await asyncio.sleep(0.1)
            assert server.house.given[0].stopped == 1
        await server.kill()

    simulated(main)


def test_a_sturdy_reference_is_found_again() -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        name = server.sturdies.grant("desk gold")
        async with reconnecting(URL, backoff=QUICK) as link:
            desk = link.sturdy(name)
            assert [await desk.quote(word) for word in "ab"] == ["desk gold: a", "desk gold: b"]
            assert server.found == ["desk gold"]  # once in each session
            assert await link.perspective.ask(desk) == "desk gold: you"
            for _ in range(3):
                await server.again()
                assert await desk.quote("c") == "desk gold: c"
            assert server.found == ["desk gold"] * 4
            server.sturdies.revoke(name)
            assert await desk.quote("d") == "desk gold: d"  # what is held is held
            await server.again()
            for _ in range(2):
                with pytest.raises(RopewalkError) as raised:
                    await desk.quote("e")
                assert raised.value.code == NoSturdy.code
        await server.kill()

    simulated(main)


@pytest.mark.parametrize("seed", range(5))
def test_a_followed_object_goes_on(seed: int) -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        async with reconnecting(URL, backoff=QUICK) as link:
            view = await link.follow(link.perspective.state)
            assert view.state == {"n": 0, "items": [1]}
            server.shared.put("n", value=1)
            assert await view.changed() == 1
            assert view.state["n"] == 1
            changed = asyncio.ensure_future(view.changed())
            await server.kill()
            server.shared.put("n", value=2)
            server.shared.put("items", 1, value=2)
            await asyncio.sleep(5)
            assert view.state == {"n": 1, "items": [1]}  # what was known last
            assert not changed.done()
            await server.start()
            assert await changed == 3
            assert view.state == {"n": 2, "items": [1, 2]}
            server.shared.put("n", value=3)
            await view.changed()
            assert view.state["n"] == 3

            # Where nothing has changed, nobody is woken; another run is a change, whatever its version.
            changed = asyncio.ensure_future(view.changed())
            await server.again()
            await asyncio.sleep(5)
            assert not changed.done()
            run, server.shared = view.run, broker.Shared({"n": 100, "items": []})
            await server.again()
            assert await changed == 0
            assert view.run != run
            assert view.state["n"] == 100

            seen = []
            async for state in view.states():
                seen.append(state["n"])
                if len(seen) == 3:
                    break
                server.shared.put("n", value=100 + len(seen))
                if len(seen) == 2:
                    await server.again()
            assert seen == [100, 101, 102]
        with pytest.raises(Unavailable):
            await view.changed()
        await server.kill()

    simulated(main, seed)


def test_what_is_followed_must_be_a_shared_object() -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        async with reconnecting(URL, backoff=QUICK) as link:
            with pytest.raises(RopewalkError, match="expected a shared object"):
                await link.follow(lambda: link.perspective.desk("a"))
            with pytest.raises(RopewalkError):
                await link.follow(link.perspective.fail)
        await server.kill()

    simulated(main)


def test_a_followed_object_that_is_gone_tells_so() -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        async with reconnecting(URL, backoff=QUICK) as link:
            view = await link.follow(link.perspective.state)
            changed = asyncio.ensure_future(view.changed())
            server.shared = None  # type: ignore[assignment]
            await server.again()
            with pytest.raises(RopewalkError, match="expected a shared object"):
                await changed
            assert view.state == {"n": 0, "items": [1]}
        await server.kill()

    simulated(main)


def test_a_server_that_is_away_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        async with reconnecting(URL, backoff=QUICK):
            await server.kill()
            await asyncio.sleep(60)

    simulated(main)
    assert [record.levelname for record in caplog.records if "no session" in record.message] == ["WARNING"]


def test_back_off_doubles_up_to_a_bound_with_jitter() -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            await asyncio.sleep(seconds)

        backoff = Backoff(first=1, most=10, jitter=lambda: 1.0, sleep=sleep)
        async with reconnecting(URL, backoff=backoff, patience=1000) as link:
            await asyncio.sleep(100)
            await server.kill()
            waiting = link.perspective.echo(1)
            await asyncio.sleep(40)
            assert waits == [1, 2, 4, 8, 10, 10, 10][: len(waits)]
            assert len(waits) >= 6
            await server.start()
            assert await waiting == 1
            await asyncio.sleep(100)  # long enough for all to be well
            waits.clear()
            await server.again()
            await link.perspective.echo(2)
            assert waits == [1]
            waits.clear()
            await server.again()  # a server that lets in and drops is not asked ever more quickly
            await link.perspective.echo(2)
            await server.again()
            await link.perspective.echo(2)
            assert waits == [2, 4]
        await server.kill()

    simulated(main)


def test_jitter_is_in_the_upper_half() -> None:
    for jitter, seconds in ((0.0, 4.0), (0.5, 6.0), (1.0, 8.0)):
        assert Backoff(first=1, most=60, jitter=lambda jitter=jitter: jitter).seconds(3) == seconds  # type: ignore[misc]
    assert Backoff(jitter=lambda: 1.0).seconds(10_000) == 60


def test_a_server_that_goes_away_in_order_is_followed_to_the_next_one() -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        async with reconnecting(URL, backoff=QUICK) as link:
            me = link.perspective
            slow = me.slow(3)
            await me.echo(1)
            former, listener = server.house, server.listener
            assert listener is not None
            listener.close()
            closing = asyncio.create_task(former.close(30))
            await asyncio.sleep(1)
            assert not link.connected
            waiting = me.echo(2)  # not to the one that leaves
            await server.start()
            assert await slow == 3
            assert await waiting == 2
            assert len(server.house.given) == 1
            await closing
        await server.kill()

    simulated(main)


def test_who_is_not_let_in_any_more_is_told_and_does_not_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        server = Server()
        await server.start()
        with pytest.raises(Refused):
            async with reconnecting(URL, Password("ann", "wrong")):
                pass
        async with reconnecting(URL, Password("ann", "right")) as link:
            await server.kill()
            waiting = link.perspective.echo(1)
            another = link.perspective.state()
            monkeypatch.setattr(Everyone, "check", _denied)
            await server.start()
            for call in (waiting, another):
                with pytest.raises(Refused):
                    await call
            with pytest.raises(Refused):
                link.perspective.echo(1)
            assert isinstance(link.error, Refused)
        await server.kill()

    simulated(main)


async def _denied(_self: Any, _credentials: Any) -> Any:
    raise Denied


def test_no_first_session_is_told_at_the_deadline() -> None:
    async def main() -> None:
        began = asyncio.get_running_loop().time()
        with pytest.raises(net.ConnectionRefused):
            async with reconnecting(URL, deadline=12):
                pass
        assert asyncio.get_running_loop().time() - began == pytest.approx(12, abs=0.1)
        server = Server()
        late = asyncio.get_running_loop().call_later(5, lambda: tasks.append(asyncio.ensure_future(server.start())))
        tasks: list[asyncio.Future[None]] = []
        async with reconnecting(URL, deadline=30) as link:
            assert await link.perspective.echo(1) == 1
        late.cancel()
        await server.kill()
        assert len(asyncio.all_tasks()) == 1

    simulated(main)


def test_the_block_can_be_cancelled_at_any_time() -> None:
    async def main() -> None:
        server = Server()
        await server.start()

        async def use() -> None:
            async with reconnecting(URL, backoff=QUICK) as link:
                while True:
                    try:
                        await link.perspective.slow(0.5)
                    except Lost:
                        await asyncio.sleep(0.1)

        for turns in range(40):
            task = asyncio.create_task(use())
            for _ in range(turns):
                await asyncio.sleep(0)
            if turns % 3 == 0:
                await server.again()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await until(lambda: not server.house.sessions)
        await server.kill()
        assert len(asyncio.all_tasks()) == 1

    simulated(main)
