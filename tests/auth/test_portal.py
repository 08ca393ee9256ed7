"""The portal: who gets in, what a failure tells, and how often it may be tried. In simulated time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass

import pytest

from ropewalk import loops
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
    TooBusy,
    TooManyFailures,
    Visit,
)
from ropewalk.errors import Damaged, Missing, Misuse, Refused, RopewalkError
from ropewalk.metrics import Registry, using

VERIFIED = Channel(verified=True, address="192.0.2.1")
OPEN = Channel(verified=False, address="192.0.2.1")


@dataclass
class Console:
    """A perspective."""

    visit: Visit


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


async def failure(portal: Portal, credentials: Credentials, channel: Channel = VERIFIED) -> tuple[RopewalkError, float]:
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
        assert login.perspective == Console(login.visit)
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

        def nobody(visit: Visit) -> Console:
            raise Denied("not here")

        closed.give(Console, nobody)
        found = [
            await failure(Portal(realm(), [Names("anna")]), Password("nobody", "right")),
            await failure(Portal(realm(), [Names("anna", seconds=0.3)]), Password("anna", "wrong")),
            await failure(Portal(realm(), [Names("anna")]), Password("anna", "x" * 5000)),
            await failure(Portal(realm(), []), Password("anna", "right")),
            await failure(Portal(closed, [Names("anna")]), Password("anna", "right")),
        ]
        assert {(type(error), str(error), error.hint, seconds) for error, seconds in found} == {
            (Denied, "login failed", "", 0.5)
        }
        _, seconds = await failure(Portal(realm(), [Names("anna", seconds=0.7)]), Password("anna", "wrong"))
        assert seconds == 1.0

    simulated(main())


@pytest.mark.parametrize("credentials", [Password("anna", "right"), Token("word")])
def test_secrets_are_not_taken_by_a_channel_that_others_may_read(credentials: Credentials) -> None:
    async def main() -> None:
        checker = Names("anna")
        error, _ = await failure(Portal(realm(), [checker]), credentials, OPEN)
        assert isinstance(error, ChannelNotVerified)
        assert checker.asked == 0

    simulated(main())


def test_too_many_failures_are_put_off_and_time_forgives_them() -> None:
    async def main() -> None:
        checker = Names("anna")
        portal = Portal(realm(), [checker])
        for _ in range(5):
            error, _ = await failure(portal, Password("anna", "wrong"))
            assert isinstance(error, Denied)
        error, seconds = await failure(portal, Password("anna", "right"))
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
        found = [await failure(portal, Password(f"name{n}", "guess")) for n in range(40)]
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
        told, seconds = await failure(Portal(realm(), [Names("anna", error=error)]), Password("anna", "right"))
        assert (type(told), str(told), seconds) == (LoginSilent, "login is not possible now", 0.5)

    simulated(main())
    assert str(error) in caplog.text


def test_a_checker_that_hangs_is_not_waited_for_for_ever() -> None:
    async def main() -> None:
        told, seconds = await failure(Portal(realm(), [Names("a", seconds=1000)], deadline=20), Password("a", "right"))
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
        async def slowly(visit: Visit) -> Console:
            await asyncio.sleep(1)
            return Console(visit)

        perspectives = Perspectives()
        perspectives.give(Console, slowly)
        login = await Portal(perspectives, [AnonymousChecker()]).login(Anonymous(), Console, OPEN)
        assert login.perspective.visit.identity.how == "anonymous"

    simulated(main())


def test_every_outcome_is_counted_and_denials_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()

    async def main() -> None:
        portal = Portal(realm(), [Names("anna")])
        await portal.login(Password("anna", "right"), Console, VERIFIED)
        await failure(portal, Password("anna", "wrong"))
        await failure(portal, Password("anna", "right"), OPEN)

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
    "error", [KeyError("hush"), ValueError("hush"), MemoryError("hush"), UnicodeEncodeError("utf-8", "hush", 0, 1, "x")]
)
def test_a_checker_that_breaks_is_contained(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Its words may be those of the peer, so the log has its kind and its place."""

    async def main() -> None:
        told, seconds = await failure(Portal(realm(), [Names("anna", error=error)]), Password("anna", "right"))
        assert (type(told), str(told), seconds) == (LoginSilent, "login is not possible now", 0.5)
        assert told.__cause__ is None

    simulated(main())
    assert f"{type(error).__name__} at " in caplog.text
    assert "test_portal.py:" in caplog.text
    assert "hush" not in caplog.text


class Locked(Refused):
    code = "plugin.locked"


@pytest.mark.parametrize("error", [Locked("anna is locked"), Missing("no such user"), Misuse("no such user")])
def test_no_checker_tells_which_names_there_are(error: Exception) -> None:
    async def main() -> None:
        told, seconds = await failure(Portal(realm(), [Names("anna", error=error)]), Password("anna", "right"))
        assert (type(told), str(told), seconds) == (Denied, "login failed", 0.5)
        second = Names("bob")
        portal = Portal(realm(), [Names("anna", error=error), second])
        assert (await portal.login(Password("bob", "right"), Console, VERIFIED)).identity.name == "bob"

    simulated(main())


@pytest.mark.parametrize(
    "credentials",
    [
        Password("", "right"),
        Password("anna", ""),  # a directory would say yes to it
        Password("anna", "x" * 4097),
        Password("x" * 257, "right"),
        Password("an\x00na", "right"),
        Password("an\udc80na", "right"),
        Password("\ufdfa" * 100, "right"),
        Token(""),
        Token("x" * 4097),
        HeldKey("anna", b""),
        HeldKey("anna", b"x" * 4097),
        HeldKey("an\nna", b"x"),
    ],
)
def test_what_cannot_be_anybodys_is_not_looked_at(credentials: Credentials, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        checker = Names("anna")
        error, seconds = await failure(Portal(realm(), [checker]), credentials)
        assert (type(error), seconds, checker.asked) == (Denied, 0.5, 0)

    simulated(main())
    shown = next(record for record in caplog.records if record.getMessage() == "login denied").__dict__["login"]
    assert shown.isprintable()
    assert len(shown) <= 4 * 64


def test_a_name_is_checked_and_counted_in_one_spelling() -> None:
    async def main() -> None:
        portal = Portal(realm(), [Names("björn")])
        for spelling in ("bjo\u0308rn", "\uff42jörn"):
            assert (await portal.login(Password(spelling, "right"), Console, VERIFIED)).identity.name == "björn"
        spellings = ["björn", "bjo\u0308rn", "\uff42jörn"] * 4
        found = [await failure(portal, Password(spelling, "wrong")) for spelling in spellings]
        assert sum(type(error) is Denied for error, _ in found) == 5

    simulated(main())


def test_nobody_without_a_name_gets_in_but_by_asking_for_that() -> None:
    class Empty:
        takes = (Password, Anonymous)

        async def check(self, credentials: Credentials) -> Identity:
            return Identity("")

    async def main() -> None:
        portal = Portal(realm(), [Empty()])
        assert type((await failure(portal, Password("anna", "x")))[0]) is Denied
        assert (await portal.login(Anonymous(), Console, OPEN)).identity.name == ""

    simulated(main())


def test_keys_and_tokens_that_fail_do_not_hold_back_their_neighbours() -> None:
    """A robot with an old token on the same machine, a stranger who offers keys under somebody's name."""

    async def main() -> None:
        portal = Portal(realm(), [Names("anna")])
        for _ in range(60):
            await failure(portal, Token("old"))
        for n in range(9):
            await failure(portal, HeldKey("anna", b"key %d" % n))
        await portal.login(Password("anna", "right"), Console, VERIFIED)
        await portal.login(Token("word"), Console, VERIFIED)

    simulated(main())


def test_strangers_at_many_addresses_do_not_lock_an_owner_out() -> None:
    async def main() -> None:
        portal = Portal(realm(), [Names("anna")])
        await portal.login(Password("anna", "right"), Console, VERIFIED)
        strangers = [Channel(verified=True, address=f"198.51.100.{n}") for n in range(1, 100)]
        guesses = [portal.login(Password("anna", "guess"), Console, one) for one in strangers]
        found = await asyncio.gather(*guesses, return_exceptions=True)
        assert 49 <= sum(type(error) is Denied for error in found) <= 51
        await portal.login(Password("anna", "right"), Console, VERIFIED)

    simulated(main())


def test_a_flood_waits_in_no_queue() -> None:
    registry = Registry()

    async def main() -> None:
        checker = Names("anna", seconds=5)
        portal = Portal(realm(), [checker], at_once=10)
        flood = [portal.login(Password("anna", "x"), Console, Channel(True, f"10.0.{n}.1")) for n in range(100)]
        floods = [asyncio.create_task(one) for one in flood]
        await asyncio.sleep(1)
        assert checker.asked == 10
        login = asyncio.create_task(portal.login(Token("word"), Console, VERIFIED))  # of another kind: not held up
        found = await asyncio.gather(*floods, return_exceptions=True)
        assert sum(type(error) is TooBusy for error in found) == 90
        assert (await login).identity.name == "anna"
        await portal.login(Password("anna", "right"), Console, VERIFIED)

    with using(registry):
        simulated(main())
    assert registry.counter("ropewalk_auth_logins_total", "", ("how", "outcome")).of("password", "busy").value == 90
