"""What people do to files from a page leaves a line: who, by what, from where, and what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from starlette.requests import Request

from ropewalk.pages.asking import Asker
from ropewalk.pages.auditing import audited
from ropewalk.pages.hosts import Asked
from ropewalk.pages.names import quoted
from ropewalk.pages.sessions import Session
from tests.pages.browser import Client, Served, form

LOGGER = "ropewalk.pages.audit"


@pytest.fixture(autouse=True)
def written(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, LOGGER):
        yield caplog


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOGGER]


async def test_each_change_of_files_leaves_one_line(
    pages: Served, client: Client, written: pytest.LogCaptureFixture
) -> None:
    await client.post("/spaces/photos/folder/", [("name", "a")])
    kind, body = form([("csrf", None, client.csrf.encode()), ("file", "x.txt", b"1"), ("file", "y\u202e", b"2")])
    await client.ask("POST", "/spaces/photos/upload/a", {"content-type": kind}, body)
    await client.post("/spaces/photos/move/a", [("p", "x.txt"), ("name", "z.txt")])
    done = await client.post("/spaces/photos/remove/a", [("p", "z.txt")])
    assert done.status == 200, done.text
    await client.post("/spaces/photos/undo/", [("word", done.json["done"])])
    assert (await client.post("/spaces/photos/remove/a", [("p", "none")])).status == 404
    assert told(written) == [
        "mkdir /a in photos: done",
        "upload to /a in photos of /a/x.txt /a/y\\u202e: done",
        "mv /a/x.txt /a/z.txt in photos: done",
        "rm /a/z.txt in photos: done",
        "undo /a/z.txt in photos: done",
        "rm /a/none in photos: refused",
    ]
    first = next(record for record in written.records if record.name == LOGGER)
    assert (vars(first)["who"], vars(first)["by"], vars(first)["peer"]) == ("the owner", "web", "127.0.0.1")


@pytest.mark.parametrize("name", ["\u202egpj.exe", "two\nlines", "\x1b[31m"])
async def test_names_make_no_second_line(
    pages: Served, client: Client, written: pytest.LogCaptureFixture, name: str
) -> None:
    await pages.space.write(name, b"1")
    await client.post("/spaces/photos/remove/", [("p", quoted([name.encode()]))])
    (line,) = told(written)
    assert line.isprintable()


async def test_a_line_of_very_many_things_is_not_long(
    pages: Served, client: Client, written: pytest.LogCaptureFixture
) -> None:
    async with pages.space.change() as change:
        for number in range(30):
            await change.write(f"{number:02}", b"1")
    await client.post("/spaces/photos/remove/", [("p", f"{number:02}") for number in range(30)])
    (line,) = told(written)
    assert line.endswith("/19 and 10 more in photos: done")


@pytest.mark.parametrize("error", [asyncio.CancelledError(), OSError(28, "no space left on device")])
def test_what_broke_off_leaves_a_line_too(written: pytest.LogCaptureFixture, error: BaseException) -> None:
    asker = Asker(Asked(preview=False, local=True, origin="http://127.0.0.1:1"), Session("ada", "", 0, 0))
    scope: dict[str, object] = {"type": "http", "client": ("10.0.0.1", 1)}
    asker.keep(scope)
    with pytest.raises(type(error)), audited(Request(scope), "do this"):
        raise error
    assert told(written) == ["do this: broke off"]
    assert vars(written.records[-1])["who"] == "ada"
