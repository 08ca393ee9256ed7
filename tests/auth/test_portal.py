"""The portal: who gets in, what a failure tells, and how often it may be tried. In simulated time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path

import pytest

from ropewalk import loops, net
from ropewalk.auth import (
    Anonymous,
    AnonymousChecker,
    Channel,
    ChannelNotVerified,
    Credentials,
    Denied,
    HeldKey,
    Identity,
    LoginSilent,
    NoPerspective,
    Password,
    Perspectives,
    Portal,
    Token,
    TooManyFailures,
)
from ropewalk.errors import Damaged, RopewalkError
from ropewalk.metrics import Registry, using

VERIFIED = Channel(verified=True, address="192.0.2.1")
OPEN = Channel(verified=False, address="192.0.2.1")


@dataclass
class Console:
    """A perspective."""

    identity: Identity


class Names:
    """Knows some names, all with one password, and takes a while."""

    takes = (Password, HeldKey, Token)

    def __init__(self, *names: str, seconds: float = 0.1, error: Exception | None = None) -> None:
        self.names, self.seconds, self.error = names, seconds, error
        self.asked = 0

    async def check(self, credentials: Credentials) -> Identity:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        match credentials:
            case Password(name, "right") if name in self.names:
                return Identity(name, frozenset({"staff"}), "password")
            case Token("word"):
                return Identity(self.names[0], how="token")
        raise Denied


def realm() -> Perspectives:
    perspectives = Perspectives()
    perspectives.give(Console, Console)
    return perspectives


def simulated(main: Coroutine[object, object, None]) -> None:
    loops.run(main, loop="simulated")


async def _error(portal: Portal, credentials: Credentials, channel: Channel = VERIFIED) -> tuple[RopewalkError, float]:
    """What a login that must fail ends with, and the seconds that it took."""
    clock = asyncio.get_running_loop().time
    began = clock()
    with pytest.raises(RopewalkError) as caught:
        await portal.login(credentials, Console, channel)
    return caught.value, round(clock() - began, 6)


def test_who_is_known_gets_a_perspective() -> None:
    async def main() -> None:
        portal = Portal(realm(), [Names("anna")])
        login = await portal.login(Password("anna", "right"), Console, VERIFIED)
        assert login.identity == Identity("anna", frozenset({"staff"}), "password")
        assert login.perspective == Console(login.identity)
        assert login.channel == VERIFIED

    simulated(main())


def test_checkers_are_asked_in_turn_and_only_for_what_they_take() -> None:
    async def main() -> None:
        first, second = Names("anna"), Names("bob")
        portal = Portal(realm(), [AnonymousChecker(), first, second])
        assert (await portal.login(Password("bob", "right"), Console, VERIFIED)).identity.name == "bob"
        assert (first.asked, second.asked) == (1, 1)
        assert (await portal.login(Anonymous(), Console, OPEN)).identity == Identity("", how="anonymous")
        assert (first.asked, second.asked) == (1, 1)
        assert portal.takes == {Anonymous, Password, HeldKey, Token}

    simulated(main())


def test_all_failures_look_alike_and_take_equal_time() -> None:
    """A name that is not known, a wrong password, a password too long to be one, a realm that lets nobody in."""

    async def main() -> None:
        closed = Perspectives()

        def nobody(identity: Identity) -> Console:
            raise Denied("not here")

        closed.give(Console, nobody)
        found = [
            await _error(Portal(realm(), [Names("anna")]), Password("nobody", "right")),
            await _error(Portal(realm(), [Names("anna", seconds=0.3)]), Password("anna", "wrong")),
            await _error(Portal(realm(), [Names("anna")]), Password("anna", "x" * 5000)),
            await _error(Portal(realm(), []), Password("anna", "right")),
            await _error(Portal(closed, [Names("anna")]), Password("anna", "right")),
        ]
        assert {(type(error), str(error), error.hint, seconds) for error, seconds in found} == {
            (Denied, "login failed", "", 0.5)
        }
        _, seconds = await _error(Portal(realm(), [Names("anna", seconds=0.7)]), Password("anna", "wrong"))
        assert seconds == 1.0

    simulated(main())


@pytest.mark.parametrize("credentials", [Password("anna", "right"), Token("word")])
def test_secrets_are_not_taken_by_a_channel_that_others_may_read(credentials: Credentials) -> None:
    async def main() -> None:
        checker = Names("anna")
        error, _ = await _error(Portal(realm(), [checker]), credentials, OPEN)
        assert isinstance(error, ChannelNotVerified)
        assert checker.asked == 0

    simulated(main())


def test_too_many_failures_are_put_off_and_time_forgives_them() -> None:
    async def main() -> None:
        checker = Names("anna")
        portal = Portal(realm(), [checker])
        for _ in range(5):
            error, _ = await _error(portal, Password("anna", "wrong"))
            assert isinstance(error, Denied)
        error, seconds = await _error(portal, Password("anna", "right"))
        assert isinstance(error, TooManyFailures)
        assert (error.hint.startswith("try again in "), seconds, checker.asked) == (True, 0, 5)
        elsewhere = Channel(verified=True, address="192.0.2.2")
        await portal.login(Password("anna", "right"), Console, elsewhere)  # its owner is not locked out
        await asyncio.sleep(31)
        await portal.login(Password("anna", "right"), Console, VERIFIED)

    simulated(main())


def test_many_at_once_are_no_way_around_the_limit() -> None:
    async def main() -> None:
        checker = Names("anna")
        portal = Portal(realm(), [checker])
        logins = [portal.login(Password("anna", f"guess {n}"), Console, VERIFIED) for n in range(100)]
        found = await asyncio.gather(*logins, return_exceptions=True)
        assert checker.asked == 5
        assert sum(isinstance(one, TooManyFailures) for one in found) == 95

    simulated(main())


def test_one_address_cannot_try_many_names() -> None:
    async def main() -> None:
        portal = Portal(realm(), [Names("anna")])
        found = [await _error(portal, Password(f"name{n}", "guess")) for n in range(40)]
        assert sum(isinstance(error, TooManyFailures) for error, _ in found) >= 15

    simulated(main())


def test_successes_are_not_limited() -> None:
    async def main() -> None:
        portal = Portal(realm(), [Names("anna")])
        for _ in range(200):
            await portal.login(Password("anna", "right"), Console, VERIFIED)

    simulated(main())


@pytest.mark.parametrize(
    "error", [Damaged("users.txt:3: wrong, and the file's content is nobody's business"), OSError(5, "no disk")]
)
def test_what_is_out_of_order_is_told_to_the_log_and_not_to_the_peer(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        told, seconds = await _error(Portal(realm(), [Names("anna", error=error)]), Password("anna", "right"))
        assert (type(told), str(told), seconds) == (LoginSilent, "login is not possible now", 0.5)

    simulated(main())
    assert str(error) in caplog.text


def test_a_checker_that_hangs_is_not_waited_for_for_ever() -> None:
    async def main() -> None:
        told, seconds = await _error(Portal(realm(), [Names("a", seconds=1000)], deadline=20), Password("a", "right"))
        assert (type(told), seconds) == (LoginSilent, 20.0)

    simulated(main())


def test_a_kind_of_perspective_that_the_realm_does_not_have() -> None:
    async def main() -> None:
        portal = Portal(realm(), [Names("anna")])
        with pytest.raises(NoPerspective, match="no perspective of kind int, known are: Console"):
            await portal.login(Password("anna", "right"), int, VERIFIED)

    simulated(main())


def test_a_realm_may_take_its_time() -> None:
    async def main() -> None:
        async def slowly(identity: Identity) -> Console:
            await asyncio.sleep(1)
            return Console(identity)

        perspectives = Perspectives()
        perspectives.give(Console, slowly)
        login = await Portal(perspectives, [AnonymousChecker()]).login(Anonymous(), Console, OPEN)
        assert login.perspective.identity.how == "anonymous"

    simulated(main())


def test_every_outcome_is_counted_and_denials_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()

    async def main() -> None:
        portal = Portal(realm(), [Names("anna")])
        await portal.login(Password("anna", "right"), Console, VERIFIED)
        await _error(portal, Password("anna", "wrong"))
        await _error(portal, Password("anna", "right"), OPEN)

    with using(registry), caplog.at_level(logging.INFO):
        simulated(main())
    logins = registry.counter("ropewalk_auth_logins_total", "", ("how", "outcome"))
    assert [logins.of("password", outcome).value for outcome in ("in", "denied", "channel")] == [1, 1, 1]
    denied = next(record for record in caplog.records if record.getMessage() == "login denied")
    assert (denied.__dict__["login"], denied.__dict__["peer"]) == ("anna", "192.0.2.1")
    assert "wrong" not in caplog.text


def test_secrets_do_not_show() -> None:
    assert "hush" not in repr(Password("anna", "hush")) + repr(Token("hush"))


@pytest.mark.parametrize(
    ("url", "options", "channel"),
    [
        ("tcp://127.0.0.1:0", "", Channel(verified=False, address="127.0.0.1")),
        ("tls://127.0.0.1:0", "?dev", Channel(verified=True, address="127.0.0.1")),
        ("memory://auth", "", Channel(verified=True)),
        ("ws://127.0.0.1:0", "", Channel(verified=False, address="127.0.0.1")),
    ],
)
async def test_channels_of_real_connections(
    url: str, options: str, channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    seen: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()

    class Looks(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            seen.set_result(Channel.of(transport))

    async with asyncio.timeout(20), await net.listen(url + options, Looks) as listener:
        transport, _ = await net.connect(listener.endpoint.peer(), asyncio.Protocol)
        assert await seen == channel
        transport.close()
