"""The gate: strangers, other sites and old words stay outside, and what they send changes nothing."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.auth import Channel, Identity, Password, Portal
from ropewalk.auth.credentials import Credentials
from ropewalk.auth.interface import Denied, Visit
from ropewalk.errors import Misuse, RopewalkError
from ropewalk.pages import Entrance, FolderOpen, Hosts, Session, Sessions
from ropewalk.pages.entrance import LASTS, MOST_WORDS
from ropewalk.pages.hosts import ForeignHost
from ropewalk.pages.sessions import IDLE, LONGEST, MOST
from tests.pages.browser import ORIGIN, Client, Served, form, served
from tests.spaces.making import Clock

FOLDER = "/spaces/photos/folder/"
MAKE = [("name", "made")]


async def untouched(pages: Served) -> bool:
    return [info async for info in pages.space.list("")] == []


# ---- names -----------------------------------------------------------------------------------------------------------

FOREIGN = [
    "evil.example", "evil.example:8990", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:89900", "127.0.0.2:8990", "[::1]",
    "localhost:8991", "localhost.:8990", "127.0.0.1:8990.evil.example", "evil.localhost:8990", "localhost:8990:8990",
    "localhost:8990@evil.example", "0.0.0.0:8990", "0x7f.1:8990", "2130706433:8990", "", " ", "[::1", "a" * 300,
    "preview.localhost.evil.example:8990", "localhost\x00:8990",
]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_foreign_host_gets_nothing(pages: Served, client: Client, host: str) -> None:
    for target in ("/", "/spaces/photos/files/", "/static/ropewalk.css"):
        answer = await client.ask("GET", target, {"accept": "application/json"}, host=host)
        assert (answer.status, answer.code) == (421, "pages.foreign-host")
        assert "content-security-policy" in answer.headers
    assert (await client.ask("POST", FOLDER, {"x-ropewalk-csrf": client.csrf}, host=host)).status == 421
    assert await untouched(pages)


@pytest.mark.parametrize("host", ["127.0.0.1:8990", "localhost:8990", "[::1]:8990", "LOCALHOST:8990"])
async def test_names_of_this_machine_are_ours(pages: Served, host: str) -> None:
    answer = await Client(pages.app).ask("GET", "/", host=host)
    assert answer.status == 403
    assert str(pages.app.entrance.file) in answer.text


async def test_no_host_or_two_are_refused(pages: Served) -> None:
    client = Client(pages.app)
    assert (await client.ask("GET", "/", {"host": None})).status == 421
    scope = {"scheme": "http", "server": ("127.0.0.1", 8990), "headers": [(b"host", b"localhost:8990")] * 2}
    with pytest.raises(ForeignHost):
        Hosts().ask(scope)


def asked(hosts: Hosts, host: str, scheme: str = "https", port: int = 8443) -> Mapping[str, object]:
    found = hosts.ask({"scheme": scheme, "server": ("192.0.2.1", port), "headers": [(b"host", host.encode())]})
    return {"preview": found.preview, "local": found.local, "origin": found.origin, "previews": found.previews}


def test_given_names_are_ours_over_tls_alone() -> None:
    hosts = Hosts(["files.example.org", "nas.example:8443"], preview="previews.example.org")
    ours = {
        "preview": False,
        "local": False,
        "origin": "https://files.example.org",
        "previews": "https://previews.example.org",
    }
    assert asked(hosts, "Files.example.org") == asked(hosts, "files.example.org:443") == ours
    assert asked(hosts, "nas.example:8443")["origin"] == "https://nas.example:8443"
    assert asked(hosts, "previews.example.org")["preview"] is True
    for host, scheme in [("files.example.org", "http"), ("nas.example", "https"), ("previews.example.org:1", "https")]:
        with pytest.raises(ForeignHost):
            asked(hosts, host, scheme)
    for names, preview in [(["a.b"], "a.b"), (["a b"], None), (["https://a"], None)]:
        with pytest.raises(Misuse):
            Hosts(names, preview)


@given(st.binary(max_size=80))
def test_junk_as_a_host_is_foreign_or_ours(host: bytes) -> None:
    scope = {"scheme": "http", "server": ("127.0.0.1", 80), "headers": [(b"host", host)]}
    try:
        found = Hosts(["x.y"]).ask(scope)
    except ForeignHost:
        return
    assert found.origin.encode() in [b"http://" + host.lower(), b"http://" + host.lower().removesuffix(b":80")]


# ---- words -----------------------------------------------------------------------------------------------------------


async def test_a_word_lets_in_once(pages: Served) -> None:
    word = pages.word
    first, second = Client(pages.app), Client(pages.app)
    answer = await first.enter(word)
    assert answer.status == 200
    assert (await first.get("/")).status == 200
    assert word not in answer.text
    assert (await second.enter(word)).status == 403
    assert (await second.get("/")).status == 403


async def test_a_word_is_good_for_a_short_time(pages: Served) -> None:
    word = pages.word
    pages.clock.seconds += LASTS
    client = Client(pages.app)
    assert (await client.enter(word)).status == 403
    assert (await client.get("/")).status == 403


@pytest.mark.parametrize("word", ["", "0" * 64, "é", "a" * 5000, "\x00"])
async def test_a_wrong_word_lets_nobody_in(pages: Served, word: str) -> None:
    client = Client(pages.app)
    assert (await client.enter(word)).status == 403
    assert client.cookies == {}


async def test_words_are_taken_from_this_machine_and_its_files_alone(pages: Served) -> None:
    word, body = pages.word, f"word={pages.word}".encode()
    kind = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    far = Client(pages.app, address="192.0.2.7")
    assert (await far.ask("POST", "/enter", kind, body)).code == "pages.not-in"
    for origin in ("http://evil.example", "http://127.0.0.1:9999", "http://preview.localhost:8990", None):
        answer = await Client(pages.app).ask("POST", "/enter", {**kind, "origin": origin}, body)
        assert answer.code == "pages.foreign-origin"
    large = await Client(pages.app).ask("POST", "/enter", {**kind, "origin": "null"}, b"word=" + b"x" * 20_000)
    assert large.code == "pages.body-too-large"
    assert (await Client(pages.app).enter(word)).status == 200  # none of that has used it up


async def test_the_file_is_for_its_user_alone_and_its_address_says_nothing(pages: Served) -> None:
    file, word = pages.app.entrance.file, pages.word
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.name == "open.html"
    assert f'action="{ORIGIN}/enter"' in file.read_text()
    await Client(pages.app).enter(word)
    pages.app.entrance.renew()
    assert pages.word != word
    assert [path.name for path in file.parent.iterdir()] == ["open.html"]


async def test_the_file_is_gone_with_the_server(tmp_path: Path) -> None:
    async with served(tmp_path) as pages:
        file = pages.app.entrance.file
        assert file.exists()
    assert not file.exists()


def test_a_new_word_leaves_those_before_as_they_were(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path / "web", Clock())
    first = entrance._new_word()
    assert entrance.take(first)
    second = entrance._new_word()
    entrance._write(second)
    assert not entrance.take(first)
    third = entrance._new_word()
    assert entrance.take(second)  # who has the file open already
    assert entrance.take(third)
    for _ in range(10):
        entrance._new_word()
    assert len(entrance._words) == MOST_WORDS


async def test_a_write_that_comes_after_the_end_leaves_no_file(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path / "web", Clock())
    working = asyncio.create_task(entrance.work(ORIGIN))
    while not entrance.file.exists():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    working.cancel()
    await asyncio.wait([working])
    assert not entrance.file.exists()
    entrance._write("late")
    assert list(entrance.file.parent.iterdir()) == []


def test_a_folder_that_others_may_enter_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(FolderOpen):
        Entrance(folder, Clock()).renew()
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(FolderOpen):
        Entrance(tmp_path / "link", Clock()).renew()


def test_what_lies_in_the_way_of_the_file_is_not_written_through(tmp_path: Path) -> None:
    folder, other = tmp_path / "web", tmp_path / "other"
    folder.mkdir(mode=0o700)
    other.write_text("mine")
    (folder / f".open.html.{os.getpid()}").symlink_to(other)
    (folder / "open.html").symlink_to(other)
    entrance = Entrance(folder, Clock())
    entrance.renew()
    assert other.read_text() == "mine"
    assert not entrance.file.is_symlink()


# ---- sessions --------------------------------------------------------------------------------------------------------


async def test_the_cookie_is_bound(pages: Served) -> None:
    client = Client(pages.app)
    [cookie] = (await client.enter(pages.word)).cookies
    words = {word.strip().lower() for word in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= words
    assert not any(word.startswith("domain") for word in words)
    assert cookie.startswith("ropewalk-8990=")


async def test_a_cookie_of_another_run_is_nothing(pages: Served, client: Client, tmp_path: Path) -> None:
    async with served(tmp_path / "again") as again:
        stranger = Client(again.app, cookies=dict(client.cookies))
        assert (await stranger.get("/")).status == 403
    assert (await client.get("/")).status == 200


async def test_two_cookies_of_our_name_are_none(pages: Served, client: Client) -> None:
    [(name, value)] = client.cookies.items()
    answer = await Client(pages.app).get("/", cookie=f"{name}={value}; {name}=x")
    assert answer.status == 403


async def test_who_leaves_is_out(pages: Served, client: Client) -> None:
    old = dict(client.cookies)
    assert (await client.post("/leave")).status == 200
    assert (await Client(pages.app, cookies=old).get("/")).status == 403


async def test_silence_and_age_end_a_session() -> None:
    clock = Clock()
    ended: list[Session] = []
    sessions = Sessions(clock, on_end=ended.append)
    word = await sessions.begin()
    for _ in range(int(LONGEST // (IDLE - 1))):
        clock.seconds += IDLE - 1
        assert await sessions.find(word) is not None
    clock.seconds += IDLE - 1
    assert await sessions.find(word) is None
    silent = await sessions.begin()
    clock.seconds += IDLE
    assert await sessions.find(silent) is None
    assert len(ended) == 2
    assert len(sessions) == 0


async def test_sessions_are_bounded_and_the_most_silent_goes() -> None:
    sessions = Sessions(Clock())
    words = [await sessions.begin() for _ in range(MOST)]
    assert await sessions.find(words[0]) is not None
    last = await sessions.begin()
    assert len(sessions) == MOST
    assert await sessions.find(words[1]) is None
    assert await sessions.find(words[0]) is not None
    assert await sessions.find(last) is not None


async def test_a_realm_that_fails_at_a_leave_harms_nobody_else() -> None:
    clock = Clock()
    sessions = Sessions(clock)

    async def fail() -> None:
        raise ZeroDivisionError

    old = await sessions.begin("anna", fail)
    clock.seconds += IDLE
    new = await sessions.begin()
    assert await sessions.find(old) is None
    assert await sessions.find(new) is not None


async def test_only_hashes_of_words_are_kept() -> None:
    sessions = Sessions(Clock())
    word = await sessions.begin()
    assert word not in repr(vars(sessions))
    assert word.encode() not in b"".join(sessions._held)


# ---- who asks --------------------------------------------------------------------------------------------------------

ELSEWHERE: list[Mapping[str, str | None]] = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},
    {"origin": "http://preview.localhost:8990"},
    {"origin": "http://localhost:8990"},
    {"origin": "https://127.0.0.1:8990"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"origin": None, "sec-fetch-site": None},
]


@pytest.mark.parametrize("headers", ELSEWHERE)
async def test_what_another_page_asks_for_is_not_done(
    pages: Served, client: Client, headers: Mapping[str, str | None]
) -> None:
    for target, fields in ((FOLDER, MAKE), ("/leave", [])):
        answer = await client.post(target, fields, **headers)
        assert (answer.status, answer.code) == (403, "pages.foreign-origin")
    assert await untouched(pages)
    assert (await client.get("/")).status == 200


async def test_another_page_cannot_load_ours_but_as_a_whole(client: Client) -> None:
    for site, mode, dest, status in [
        ("cross-site", "no-cors", "image", 403),
        ("same-site", "cors", "empty", 403),
        ("cross-site", "navigate", "iframe", 403),
        ("same-site", "navigate", "document", 200),
        ("none", "navigate", "document", 200),
        ("same-origin", "cors", "empty", 200),
    ]:
        answer = await client.get("/", sec_fetch_site=site, sec_fetch_mode=mode, sec_fetch_dest=dest)
        assert answer.status == status, (site, mode, dest)
    assert (await client.get("/", origin="http://evil.example")).status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://preview.localhost:8990", None])
async def test_a_socket_of_another_page_is_closed(client: Client, origin: str | None) -> None:
    answer = await client.ask("GET", "/events", {"origin": origin}, kind="websocket")
    assert answer.status == 4403


async def test_a_stranger_gets_no_socket(pages: Served) -> None:
    assert (await Client(pages.app).ask("GET", "/events", {"origin": ORIGIN}, kind="websocket")).status == 4403


async def test_a_form_without_our_mark_is_not_done(pages: Served, client: Client) -> None:
    other = await pages.client()
    right = client.csrf
    for mark in ("", "0" * 64, other.csrf, right[:-1], right + "0", "é"):
        client.csrf = mark
        assert (await client.post(FOLDER, MAKE)).code == "pages.form-not-ours"
        assert (await client.post(FOLDER, MAKE, **{"x-ropewalk-csrf": mark.encode().decode("latin-1")})).status == 403
        kind, body = form([("csrf", None, mark.encode()), ("file", "a", b"x")])
        headers = {"content-type": kind, "accept": "application/json"}
        answer = await client.ask("POST", "/spaces/photos/upload/", headers, body)
        assert answer.code == "pages.form-not-ours"
    kind, body = form([("file", "a", b"x"), ("csrf", None, right.encode())])  # too late: the file is there first
    headers = {"content-type": kind, "accept": "application/json"}
    assert (await client.ask("POST", "/spaces/photos/upload/", headers, body)).code == "pages.form-not-ours"
    assert (await client.ask("PUT", "/spaces/photos/get/a", {"accept": "application/json"}, b"x")).code == (
        "pages.form-not-ours"
    )
    for method in ("DELETE", "PATCH", "OPTIONS", "TRACE", "get"):
        assert (await client.ask(method, FOLDER)).status == 405
    assert await untouched(pages)


async def test_what_changes_something_is_no_get(pages: Served, client: Client) -> None:
    for what in ("folder", "move", "remove", "restore", "undo", "upload"):
        assert (await client.get(f"/spaces/photos/{what}/?name=x&csrf={client.csrf}")).status == 405
    assert await untouched(pages)


async def test_a_stranger_sees_styles_and_the_door_alone(pages: Served) -> None:
    await pages.space.write("secret-name", b"x")
    client = Client(pages.app)
    for target in (
        "/",
        "/spaces/photos/files/",
        "/spaces/photos/get/secret-name",
        "/nowhere",
        "/static",
        "/static/../x",
    ):
        answer = await client.get(target)
        assert answer.status in (403, 404)
        assert "photos" not in answer.text
        assert "secret-name" not in answer.text
    assert (await client.get("/static/ropewalk.css")).status == 200
    assert (await client.get("/static/nothing.css")).status == 404
    assert (await client.put("/spaces/photos/get/a", b"x")).code == "pages.not-in"


async def test_all_pages_bind_the_browser(client: Client) -> None:
    for target in ("/", "/spaces/photos/files/", "/spaces/none/files/", "/nowhere"):
        headers = (await client.get(target)).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "frame-src http://preview.localhost:8990;" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"


@given(st.binary(max_size=200))
def test_junk_is_never_a_mark(data: bytes) -> None:
    from ropewalk.pages.gate import _check_mark

    session = Session("", "0123456789abcdef" * 4, 0, 0)
    with pytest.raises(RopewalkError):
        _check_mark(session, data.decode("latin-1"))


# ---- elsewhere -------------------------------------------------------------------------------------------------------


class Anna:
    """A checker that knows one password."""

    takes: tuple[type[Credentials], ...] = (Password,)

    async def check(self, credentials: Credentials) -> Identity:
        if isinstance(credentials, Password) and (credentials.name, credentials.password) == ("anna", "right"):
            return Identity("anna", how="password")
        raise Denied


P = TypeVar("P")


class Door:
    """A realm that lets all in, and counts those who left."""

    def __init__(self) -> None:
        self.left = 0

    async def perspective(self, visit: Visit, wanted: type[P]) -> P:
        visit.owned.callback(self._leave)
        return wanted()

    def _leave(self) -> None:
        self.left += 1


async def test_others_log_in_by_password_over_tls_alone(tmp_path: Path) -> None:
    realm = Door()
    portal = Portal(realm, [Anna()], step=0.01)
    kind = {"content-type": "application/x-www-form-urlencoded"}
    async with served(tmp_path, Hosts(["files.example.org"]), portal=portal) as pages:
        far = Client(pages.app, port=443, scheme="https", address="192.0.2.7")

        async def login(client: Client, body: bytes, host: str = "files.example.org", **headers: str | None) -> int:
            return (await client.ask("POST", "/login", {**kind, **headers}, body, host=host)).status

        assert "Password" in (await far.ask("GET", "/", host="files.example.org")).text
        assert await login(far, b"name=anna&password=wrong") == 403
        assert await login(far, b"name=anna&password=right", origin="https://evil.example") == 403
        assert await login(Client(pages.app), b"name=anna&password=right", "127.0.0.1:8990") == 403
        assert far.cookies == {}
        assert await login(far, b"name=anna&password=right") == 303
        assert list(far.cookies) == ["__Host-ropewalk"]
        inside = await far.ask("GET", "/", host="files.example.org")
        assert inside.status == 200
        assert "<bdi>anna</bdi>" in inside.text
        assert "media-src 'none'; frame-src 'none'" in inside.headers["content-security-policy"]
        assert (
            await far.ask("POST", "/enter", {**kind, "origin": "null"}, b"word=x", host="files.example.org")
        ).status == 403
        assert realm.left == 0
    assert realm.left == 1


async def test_without_a_portal_there_is_no_login(pages: Served) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    assert (await Client(pages.app).ask("POST", "/login", headers, b"name=a&password=b")).code == "pages.not-in"


def test_a_channel_is_believed_for_its_tls_alone() -> None:
    from ropewalk.pages.gate import channel_by_scheme

    assert channel_by_scheme({"scheme": "https", "client": ("192.0.2.7", 1)}) == Channel(True, "192.0.2.7")
    assert channel_by_scheme({"scheme": "http", "client": None}) == Channel(False, "")
