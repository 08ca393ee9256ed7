"""The mailbox over the broker: two ceremonies at once, lost connections, limits, and the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ropewalk import broker, loops, net
from ropewalk.errors import Misuse, RopewalkError, Unavailable
from ropewalk.mailbox import (
    Abandoned,
    MailboxFull,
    MailboxService,
    NoSlot,
    OutOfOrder,
    SlotLimits,
    Slots,
    SlotTaken,
    TooLarge,
    TooOften,
    host,
    joined,
    opened,
)
from ropewalk.mailbox.client import Side
from ropewalk.mailbox.service import Mailbox, MailboxConfig
from ropewalk.metrics import Registry, using
from ropewalk.service import Context
from ropewalk.service.kinds import kind_of
from ropewalk.spaces.invites import LARGEST_MESSAGE, Code, InviteFile, WrongCode
from tests.broker.hosts import simulated
from tests.mailbox.offices import Ends, served
from tests.spaces.invites.parties import device, drawn, offer

URL = "memory://mailbox"
QUICK = broker.Backoff(first=0.01, most=0.1)


def on_a_real_loop(main: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await main()

    with using(Registry()):
        loops.run(bounded())


async def ceremony(ends: Ends, url: str | net.Endpoint) -> None:
    """Both sides, each with a connection of its own; the joiner is told what a person would be."""
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def anna() -> None:
        async with opened(url, backoff=QUICK) as side:
            said.set_result(str(Code(int.from_bytes(side.slot, "big"), ends.secret)))
            admitted = await ends.invite(side, side.slot)
        assert admitted.told
        assert admitted.joiner.name == ends.who

    async def other() -> None:
        code = Code.parse(await said)
        async with joined(url, code.slot, backoff=QUICK) as side:
            invited = await ends.join(side, side.slot)
        assert ends.door.belongs(invited, device(ends.who))
        assert invited.grants.spaces[0].member_secrets() == ends.door.secrets(invited.offer.spaces[0].space)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(anna())
        tasks.create_task(other())


@pytest.mark.system
@pytest.mark.parametrize("kind", ["tcp", "unix", "memory"])
def test_two_ceremonies_at_once(kind: str, tmp_path: Path) -> None:
    url = {"tcp": "tcp://127.0.0.1:0", "unix": f"unix://{tmp_path}/mailbox", "memory": URL}[kind]

    async def main() -> None:
        slots = Slots(clock=asyncio.get_running_loop().time)
        both = Ends(1, disks=tmp_path), Ends(2, secret=b"\x01\x02", who="carol", disks=tmp_path)
        async with served(url, slots) as listener, asyncio.TaskGroup() as tasks:
            for ends in both:
                tasks.create_task(ceremony(ends, listener.endpoint.peer()))
        assert [ends.door.admitted for ends in both] == [[device(ends.who).public().id] for ends in both]
        assert [ends.burnt for ends in both] == [1, 1]
        assert len(slots) == 0
        assert len(list((tmp_path / "anna").glob("*.burnt"))) == 2
        assert [len(list((tmp_path / who).glob("*.used"))) for who in ("bob", "carol")] == [1, 1]

    on_a_real_loop(main)


def test_a_ceremony_by_a_file_has_the_slot_of_the_file() -> None:
    file = InviteFile.draw(offer(), [URL], random=drawn(5))

    async def main() -> None:
        ends = Ends(secret=file.secret)
        async with served(), opened(URL, slot=file.slot) as anna, joined(URL, file.slot) as bob:
            admitted, invited = await asyncio.gather(ends.invite(anna, file.slot), ends.join(bob, file.slot))
        assert admitted.told
        assert ends.door.belongs(invited, device("bob"))

    simulated(main)


def test_a_wrong_code_is_told_to_both() -> None:
    async def main() -> None:
        ends = Ends(typed=b"\x3c\x3c")
        async with served(), opened(URL) as anna, joined(URL, anna.slot) as bob:
            out = await asyncio.gather(ends.invite(anna, anna.slot), ends.join(bob, anna.slot), return_exceptions=True)
        assert [type(one) for one in out] == [WrongCode, Abandoned]
        assert ends.door.admitted == []

    simulated(main)


# ---- connections that break ------------------------------------------------------------------------------------------


class Cutter:
    """A mailbox whose connections are cut before, or after, the n-th call that reaches it."""

    def __init__(self, cut_at: int, *, after: bool) -> None:
        self.calls, self.cut_at, self.after = 0, cut_at, after
        self.slots = Slots(clock=asyncio.get_running_loop().time)
        self.host = host(self.slots)
        for name in ("open", "join", "put", "wait", "close"):
            self.wrap(name)

    def wrap(self, name: str) -> None:
        call = getattr(self.slots, name)

        def counted(*arguments: Any) -> Any:
            number, self.calls = self.calls, self.calls + 1
            if number == self.cut_at and not self.after:
                self.cut()
            given = call(*arguments)
            if number == self.cut_at and self.after:
                self.cut()
            return given

        setattr(self.slots, name, counted)

    def cut(self) -> None:
        for session in list(self.host.sessions):
            session.abort(broker.Ended("cut"))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_connection_that_breaks_anywhere_costs_no_guess(after: bool) -> None:
    """All connections are cut around each call in turn; the ceremony goes on, and the code is used once."""
    cuts = 0
    for cut_at in range(40):
        ran: list[int] = []

        async def main(cut_at: int = cut_at, ran: list[int] = ran) -> None:
            cutter = Cutter(cut_at, after=after)
            ends = Ends()
            async with await net.listen(URL, cutter.host.protocol):
                await ceremony(ends, URL)
            assert (ends.burnt, ends.marked) == (1, 1)
            assert ends.door.admitted == [device("bob").public().id]
            assert ends.inviter is not None
            ran.append(cutter.calls)

        simulated(main, cut_at)
        if ran[0] <= cut_at:
            break
        cuts += 1
    assert cuts >= 8  # open, join, five messages, one close at least


def test_a_mailbox_that_starts_again_has_lost_its_slots_and_says_so() -> None:
    async def main() -> None:
        ends = Ends()
        async with AsyncExitStack() as first:
            await first.enter_async_context(served())
            side = await first.enter_async_context(opened(URL, backoff=QUICK))
            waiting = asyncio.create_task(ends.invite(side, side.slot))
            await asyncio.sleep(1)
        async with served():
            with pytest.raises(RopewalkError):
                await waiting
        assert ends.burnt == 0

    simulated(main)


def test_a_mailbox_that_is_not_there_is_unavailable() -> None:
    async def main() -> None:
        for way in (opened(URL, patience=5, backoff=QUICK), joined(URL, bytes(4), patience=5, backoff=QUICK)):
            with pytest.raises((Unavailable, Misuse)):
                await way.__aenter__()

    simulated(main)


# ---- what a client is told, and what it believes ---------------------------------------------------------------------


def test_each_refusal_comes_in_its_own_class() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        slots = Slots(SlotLimits(slots=1), clock=loop.time)
        async with served(slots=slots), opened(URL) as anna:
            with pytest.raises(MailboxFull):
                await opened(URL).__aenter__()
            with pytest.raises(NoSlot):
                await joined(URL, bytes(4)).__aenter__()
            async with joined(URL, anna.slot) as bob:
                with pytest.raises(SlotTaken):
                    await joined(URL, anna.slot).__aenter__()
                await bob.put(bytes(LARGEST_MESSAGE))
                assert await anna.take(5) == bytes(LARGEST_MESSAGE)
                with pytest.raises(broker.CannotSend):
                    await bob.put(bytes(LARGEST_MESSAGE + 1))
                bob._put = 5
                with pytest.raises(OutOfOrder):
                    await bob.put(b"x")
                bob._put = 1
                await bob.put(bytes(LARGEST_MESSAGE))
                with pytest.raises(TooLarge):
                    await bob.put(b"x")
                with pytest.raises(Abandoned):
                    await bob.take(1)

    simulated(main)


@pytest.mark.system
def test_addresses_are_counted_over_tcp() -> None:
    async def main() -> None:
        async with served("tcp://127.0.0.1:0") as listener:
            url = listener.endpoint.peer()
            for _ in range(10):
                with pytest.raises(NoSlot):
                    await joined(url, bytes(4)).__aenter__()
            with pytest.raises(TooOften):
                await joined(url, bytes(4)).__aenter__()

    on_a_real_loop(main)


class Strange(Mailbox):
    """Gives what no mailbox would."""

    answers: Any = None

    @broker.remote
    def open(self, slot: bytes, token: bytes, seconds: float) -> Any:
        return self.answers

    @broker.remote
    def join(self, slot: bytes, token: bytes) -> None:
        return None

    @broker.remote
    async def wait(self, token: bytes, index: int, seconds: float) -> Any:
        return self.answers


@asynccontextmanager
async def strange(answers: Any) -> AsyncIterator[None]:
    class Given(Strange):
        pass

    Given.answers = answers
    made = host(Slots(clock=asyncio.get_running_loop().time))
    made.kinds[""] = Given
    realm = made.portal._realm
    realm.give(Given, lambda visit: Given(Slots(clock=lambda: 0.0), ""))  # type: ignore[attr-defined]
    async with await net.listen(URL, made.protocol):
        yield


@pytest.mark.parametrize("answers", [7, "text", b"12345", b"", [b"1234"], bytes(17)])
def test_a_slot_with_a_strange_name_is_not_believed(answers: Any) -> None:
    async def main() -> None:
        async with strange(answers):
            with pytest.raises(RopewalkError) as caught:
                await opened(URL).__aenter__()
            assert caught.value.code == "broker.message"

    simulated(main)


@pytest.mark.parametrize("answers", [7, "text", [b"x"], bytes(LARGEST_MESSAGE + 1)])
def test_a_strange_message_is_not_believed(answers: Any) -> None:
    async def main() -> None:
        async with strange(answers), joined(URL, bytes(4)) as side:
            with pytest.raises(RopewalkError) as caught:
                await side.take(60)
            assert caught.value.code == "broker.message"

    simulated(main)


def test_a_mailbox_that_does_not_wait_is_not_asked_without_end() -> None:
    async def main() -> None:
        async with strange(None), joined(URL, bytes(4)) as side:
            with pytest.raises(RopewalkError, match="does not wait"):
                await side.take(3600)

    simulated(main)


def test_arguments_of_another_form_are_refused_at_the_door() -> None:
    async def main() -> None:
        async with served(), broker.connect(URL) as box:
            calls: tuple[Callable[[], Awaitable[Any]], ...] = (
                lambda: box.open(b"", b"short", 60.0),
                lambda: box.open(bytes(17), bytes(32), 60.0),
                lambda: box.open(b"", bytes(32), -1.0),
                lambda: box.open(b"", bytes(32), float("nan")),
                lambda: box.put(bytes(32), -1, b"x"),
                lambda: box.put(bytes(32), 0, "text"),
                lambda: box.wait(bytes(32), 0, "long"),
            )
            for call in calls:
                with pytest.raises(broker.BadArguments):
                    await call()

    simulated(main)


# ---- the service -----------------------------------------------------------------------------------------------------


def test_it_is_a_service_of_an_application() -> None:
    assert kind_of("mailbox") is MailboxService

    async def main() -> None:
        config = msgspec.convert({"listen": URL, "slots": 2}, MailboxConfig)
        service = MailboxService(config, Context("box", "shop", Registry()))
        async with AsyncExitStack() as service.owned:
            await service.start()
            await ceremony(Ends(), URL)
            async with opened(URL) as one, opened(URL) as other:
                assert service.statistics() == {"sessions": 2, "slots": 2}
                assert one.slot != other.slot
                with pytest.raises(MailboxFull):
                    await opened(URL).__aenter__()
                waiting = asyncio.create_task(one.take(3600))
                await asyncio.sleep(1)
                await service.stop(10)
                waiting.cancel()
                await asyncio.wait([waiting])
        assert isinstance(one, Side)

    simulated(main)


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"lifetime": 0}, {"per_address": 0}, {"colour": "red"}])
def test_a_configuration_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"listen": URL} | wrong, MailboxConfig)
