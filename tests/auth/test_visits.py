"""Visits: what a realm sees of a login, and that what it made for one ends once, however the login ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import pytest

from ropewalk import net
from ropewalk.auth import (
    Channel,
    Denied,
    LoginSilent,
    NoPerspective,
    Password,
    Perspectives,
    Portal,
    Visit,
)
from tests.auth.test_portal import VERIFIED, Console, Locked, Names, failure, simulated

P = TypeVar("P")


async def test_encryption_that_ended_at_a_proxy_is_told() -> None:
    class Proxied(asyncio.Transport):
        def __init__(self, **extra: object) -> None:
            super().__init__({"peername": ("192.0.2.7", 1), "ropewalk.proxy": object(), **extra})

    assert Channel.of(Proxied(**{"ropewalk.private": False})) == Channel(False, "192.0.2.7", at_proxy=True)
    # TLS behind the proxy ends here, also where it carries a WebSocket and not the protocol itself.
    assert Channel.of(Proxied(**{"ropewalk.private": True})) == Channel(True, "192.0.2.7")


def test_a_realm_sees_how_they_came() -> None:
    """As what may delete is not given where encryption ended at a proxy."""

    async def main() -> None:
        perspectives = Perspectives()

        def careful(visit: Visit) -> Console:
            if visit.channel.at_proxy:
                raise Denied
            return Console(visit)

        perspectives.give(Console, careful)
        portal = Portal(perspectives, [Names("anna")])
        assert (await portal.login(Password("anna", "right"), Console, VERIFIED)).channel == VERIFIED
        error, seconds = await failure(portal, Password("anna", "right"), replace(VERIFIED, at_proxy=True))
        assert (type(error), seconds) == (Denied, 0.5)

    simulated(main())


class Doors:
    """A realm that notes who comes and goes."""

    def __init__(
        self,
        *,
        hangs: bool = False,
        error: Exception | None = None,
        leaving: Exception | None = None,
        slow: float = 1.0,
    ) -> None:
        self.hangs, self.error, self.leaving = hangs, error, leaving
        self.slow = slow
        self.noted: list[str] = []

    async def perspective(self, visit: Visit, wanted: type[P]) -> P:
        self.noted.append(f"in {visit.identity.name}")
        visit.owned.callback(self.noted.append, "out")
        visit.owned.push_async_callback(self._leave)
        if self.hangs:
            await asyncio.sleep(1000)
        if self.error:
            raise self.error
        return cast(P, Console(visit))

    async def _leave(self) -> None:
        await asyncio.sleep(self.slow)
        self.noted.append("leaving")
        if self.leaving:
            raise self.leaving


def test_logout_ends_a_visit_once() -> None:
    async def main() -> None:
        realm = Doors()
        async with await Portal(realm, [Names("anna")]).login(Password("anna", "right"), Console, VERIFIED) as login:
            assert realm.noted == ["in anna"]
            await asyncio.gather(login.logout(), login.logout())
            assert realm.noted == ["in anna", "leaving", "out"]
        assert realm.noted == ["in anna", "leaving", "out"]

    simulated(main())


def test_a_logout_that_is_cancelled_or_fails_still_ends_the_rest() -> None:
    async def main() -> None:
        realm = Doors()
        login = await Portal(realm, [Names("anna")]).login(Password("anna", "right"), Console, VERIFIED)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await login.logout()
        await login.logout()
        assert realm.noted == ["in anna", "out"]
        realm = Doors(leaving=ValueError("no"))
        login = await Portal(realm, [Names("anna")]).login(Password("anna", "right"), Console, VERIFIED)
        with pytest.raises(ValueError, match="no"):
            await login.logout()
        assert realm.noted == ["in anna", "leaving", "out"]

    simulated(main())


@pytest.mark.parametrize("leaving", [None, ValueError("hush")])
@pytest.mark.parametrize("error", [Denied(), NoPerspective("none"), ValueError("a fault")])
def test_a_login_that_fails_after_all_leaves_nothing_behind(
    error: Exception, leaving: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        realm = Doors(error=error, leaving=leaving)
        told, _ = await failure(Portal(realm, [Names("anna")]), Password("anna", "right"))
        assert type(told) is (LoginSilent if isinstance(error, ValueError) else type(error))
        assert realm.noted == ["in anna", "leaving", "out"]

    simulated(main())
    assert "hush" not in caplog.text


def test_a_login_that_is_cancelled_leaves_nothing_behind() -> None:
    async def main() -> None:
        for deadline in (20.0, 5.0):  # the caller's, or the portal's own
            realm = Doors(hangs=True)
            portal = Portal(realm, [Names("anna")], deadline=deadline)
            with pytest.raises((TimeoutError, LoginSilent)):
                async with asyncio.timeout(10):
                    await portal.login(Password("anna", "right"), Console, VERIFIED)
            assert realm.noted == ["in anna", "leaving", "out"]

    simulated(main())


def test_an_end_that_hangs_is_not_waited_for_for_ever() -> None:
    async def main() -> None:
        realm = Doors(hangs=True, slow=1000)
        portal = Portal(realm, [Names("anna")], deadline=5)
        told, seconds = await failure(portal, Password("anna", "right"))
        assert (type(told), seconds, realm.noted) == (LoginSilent, 10.0, ["in anna", "out"])

    simulated(main())


def test_a_realm_may_say_why_to_whom_it_knows() -> None:
    async def main() -> None:
        told, seconds = await failure(Portal(Doors(error=Locked("full")), [Names("anna")]), Password("anna", "right"))
        assert (type(told), str(told)) == (Locked, "full")
        assert seconds == 1.1  # what the checker and the leaving take, and not put off
        told, _ = await failure(Portal(Doors(error=Locked("full")), [Names("anna")]), Password("anna", "wrong"))
        assert type(told) is Denied
        portal = Portal(Doors(error=Locked("full")), [Names("anna")])
        for _ in range(30):  # the password was right, so this is no guessing
            assert type((await failure(portal, Password("anna", "right")))[0]) is Locked

    simulated(main())


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
