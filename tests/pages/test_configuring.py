"""Configuration by forms: a service's table in its file changes, and nothing else; secrets stay unseen."""

from __future__ import annotations

import asyncio
import errno
import html
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from ropewalk.cli.pages import node_settings
from ropewalk.node.settings import NodeFile
from ropewalk.pages.panel import Panel
from ropewalk.pages.panel.editing import FileChanged, Subject
from ropewalk.service import Application, NoConfig, Plan, Service, application_of, load
from ropewalk.spaces.home import Home
from tests.pages.browser import Answer, Client, Served, served

WITHIN = 60.0  # seconds for what takes some tenths of one
ECHO = "/process/services/echo/configuration"
FILE = """\
# The shop of <i>ropes</i>.
[application]
name = "town"  # ours

[services.pages]
kind = "tests.pages.test_configuring:Idle"

[services.echo]
kind = "tests.pages.test_configuring:Telling"
greeting = "hello"   # to all
password = "hunter2"
# the last remark of echo

# Another.
[services.other]
kind = "tests.pages.test_configuring:Idle"
"""


class TellingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attributes:
        greeting: Said first.
    """  # fmt: skip

    greeting: Annotated[str, msgspec.Meta(max_length=100)] = "hello"
    pieces: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    loud: bool = False
    password: str = ""

    def __post_init__(self) -> None:
        if "odd" in self.greeting:
            raise KeyError(self.greeting, self.password)
        if "bad" in self.greeting:
            raise ValueError(f"greeting: got {self.greeting!r} with {self.password!r}")


class Idle(Service):
    """Stands for the service of the pages, and for whatever else runs."""


class Telling(Service):
    Config = TellingConfig


@dataclass
class Town:
    application: Application
    client: Client
    file: Path
    served: Served

    def runs(self) -> TellingConfig:
        service = self.application.service("echo")
        assert service is not None
        assert isinstance(service.config, TellingConfig)
        return service.config

    async def form(self, path: str = ECHO) -> dict[str, str]:
        answer = await self.client.get(path)
        assert answer.status == 200
        return fields_in(answer)


def fields_in(answer: Answer) -> dict[str, str]:
    found = re.findall(r'<input (?=[^>]*?name="((?:field\.|stamp)[^"]*)")[^>]*?value="([^"]*)"( checked)?', answer.text)
    return {
        name: html.unescape(value)
        for name, value, ticked in found
        if value != "on" or ticked
    }  # fmt: skip


@asynccontextmanager
async def town(tmp_path: Path, text: str = FILE) -> AsyncIterator[Town]:
    file = tmp_path / "town.toml"
    file.write_text(text)
    file.chmod(0o640)
    application = application_of(load(file), file)
    async with running(application, tmp_path) as (client, pages):
        yield Town(application, client, file, pages)


@asynccontextmanager
async def running(application: Application, tmp_path: Path, **more: Any) -> AsyncIterator[tuple[Client, Served]]:
    async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
        group.create_task(application.run())
        await application.wait_up()
        try:
            async with served(tmp_path, panel=Panel(application.control, "pages", **more)) as pages:
                yield await pages.client(), pages
        finally:
            application.stop()


async def test_one_value_changes_in_the_file_and_counts_when_the_service_is_restarted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with town(tmp_path) as one:
        form = await one.form()
        done = await one.client.post(ECHO, (form | {"field.greeting": "good day", "field.pieces": "3"}).items())
        assert done.status == 303
        assert one.file.read_text() == FILE.replace('"hello"   # to all', '"good day"   # to all').replace(
            '"hunter2"\n', '"hunter2"\npieces = 3\n'
        )
        assert one.file.stat().st_mode & 0o777 == 0o640
        assert "Saved: greeting, pieces." in (await one.client.get(done.headers["location"])).text
        assert one.runs().greeting == "hello"
        for page in ("/process", "/process/services/echo", ECHO):
            assert "file has" in (text := (await one.client.get(page)).text) or "file says something else" in text
        other = one.application.service("other")
        assert (await one.client.post("/process/services/echo/restart")).status == 303
        assert (one.runs().greeting, one.runs().pieces, one.runs().password) == ("good day", 3, "hunter2")
        assert one.application.service("other") is other
        assert "older" not in (await one.client.get("/process")).text
    lines = [record.getMessage() for record in caplog.records if record.name == "ropewalk.pages.audit"]
    assert lines == ["configure echo (greeting, pieces): done", "restart echo: done"]
    assert "hunter2" not in caplog.text


async def test_saving_and_restarting_at_once(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        form = await one.form()
        sent = form | {"field.loud": "on", "then": "restart", "field.password": "sesame"}
        done = await one.client.post(ECHO, sent.items())
        assert done.status == 303
        assert (one.runs().loud, one.runs().password) == (True, "sesame")
        page = (await one.client.get(done.headers["location"])).text
        assert "Saved: password, loud. echo is up." in page
        assert "sesame" not in page
        assert (await one.client.post(ECHO, (await one.form()).items())).status == 303
        assert 'password = "sesame"' in one.file.read_text(), "an empty field keeps it"


async def test_a_bad_value_is_told_beside_its_field_and_what_was_typed_is_kept(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        form = await one.form()
        sent = form | {"field.greeting": "<script>bad", "field.pieces": "10", "field.password": "sesame"}
        told = await one.client.post(ECHO, sent.items())
        assert (told.status, told.code) == (400, "pages.bad-fields")
        assert told.json["faults"]["pieces"] == "expected `int` <= 9"
        assert "sesame" not in told.text
        page = await one.client.post(ECHO, sent.items(), accept="text/html")
        assert page.status == 400
        assert "expected `int` &lt;= 9" in page.text
        assert "<script>bad" not in page.text
        assert fields_in(page) == {**sent, "field.password": "", "field.loud": ""}
        assert not re.search("sesame|hunter2", page.text)
        assert one.file.read_text() == FILE


async def test_a_file_that_changed_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        form = await one.form()
        changed = FILE.replace('"hello"', '"by hand"')
        one.file.write_text(changed)
        sent = (form | {"field.greeting": "typed"}).items()
        assert (await one.client.post(ECHO, sent)).code == "pages.file-changed"
        page = await one.client.post(ECHO, sent, accept="text/html")
        assert page.status == 409
        assert one.file.read_text() == changed
        assert fields_in(page)["field.greeting"] == "typed"
        assert "the file says: by hand" in page.text
        assert (await one.client.post(ECHO, fields_in(page).items())).status == 303
        assert '"typed"' in one.file.read_text()


async def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with town(tmp_path) as one:
        form = await one.form()

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("ropewalk.pages.panel.editing.os.fsync", full)
        before = sorted(os.listdir(tmp_path))
        answer = await one.client.post(ECHO, (form | {"field.pieces": "2"}).items())
        assert (answer.status, answer.code) == (503, "pages.file-not-written")
        assert one.file.read_text() == FILE
        assert sorted(os.listdir(tmp_path)) == before


async def test_a_file_that_is_wrong_elsewhere_has_no_form_and_stops_nothing(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        one.file.write_text(FILE + "[services.more]\n")
        page = (await one.client.get(ECHO)).text
        assert "missing required field `kind`" in page
        assert '<form method="post" class="settings"' not in page
        assert "hunter2" not in page
        assert "is wrong" in (await one.client.get("/process")).text
        assert (await one.client.post("/process/services/echo/restart")).status == 303
        assert one.runs().greeting == "hello"


@pytest.mark.parametrize("greeting", ["odd", "bad"])
async def test_a_check_that_quotes_a_secret_or_fails_itself_discloses_nothing_and_takes_no_page_away(
    tmp_path: Path, greeting: str
) -> None:
    async with town(tmp_path) as one:
        one.file.write_text(FILE.replace('"hello"', f'"{greeting}"'))
        for path in ("/process", "/process/services/echo", ECHO):
            page = await one.client.get(path)
            assert page.status == 200
            assert "hunter2" not in page.text
        assert "is wrong" in (await one.client.get("/process")).text
        assert "by hand" in (await one.client.get(ECHO)).text
        assert (await one.client.post("/process/services/echo/restart")).status == 303
        assert one.runs().greeting == "hello"


async def test_a_pipe_in_the_place_of_the_file_holds_nobody_up(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        one.file.unlink()
        os.mkfifo(one.file)
        for path in ("/process", ECHO):
            page = await one.client.get(path)
            assert page.status == 200
            assert "is no file that keeps what is written" in page.text


def test_what_somebody_writes_while_a_form_is_checked_is_not_lost(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("greeting = 'one'\n")
    subject = Subject("a", file, (), lambda _: TellingConfig, lambda _: file.write_text("greeting = 'by hand'\n"))
    opened = subject.open()
    with pytest.raises(FileChanged):
        opened.save(opened.mark, {"field.greeting": "typed"}, [])
    assert file.read_text() == "greeting = 'by hand'\n"
    assert os.listdir(tmp_path) == ["a.toml"]


async def test_the_service_of_the_pages_is_not_restarted_from_them(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        path = ECHO.replace("echo", "pages")
        form = await one.form(path)
        answer = await one.client.post(path, (form | {"then": "restart"}).items())
        assert (answer.status, answer.code) == (403, "service.cuts-off")
        assert "Save and restart" not in (await one.client.get(path)).text


async def test_what_was_not_started_from_a_file_is_only_shown(tmp_path: Path) -> None:
    plans = [Plan("pages", Idle, NoConfig()), Plan("echo", Telling, TellingConfig(password="hunter2"))]
    async with running(Application("made", plans), tmp_path) as (client, _):
        page = (await client.get(ECHO)).text
        assert "was not started from a file" in page
        assert "hunter2" not in page
        assert (await client.post(ECHO, [("field.pieces", "2")])).code == "pages.bad-file"
        assert (await client.get("/process/settings/node", accept="application/json")).code == "pages.no-settings"


async def test_settings_of_the_node_are_changed_in_its_file_and_the_rest_of_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROPEWALK_HOME", str(tmp_path / "node"))
    subject = node_settings(Home.of_user())
    plans = [Plan("pages", Idle, NoConfig())]
    async with running(Application("made", plans), tmp_path, settings={"node": subject}) as (client, _):
        path = "/process/settings/node"
        page = await client.get(path)
        assert "field.format" not in page.text
        done = await client.post(path, [("stamp", ""), ("field.listen", "tls://*:1\r\ntls://*:2"), ("field.page", "")])
        assert done.status == 303
        assert subject.path.read_text() == 'format = 1\nlisten = ["tls://*:1", "tls://*:2"]\n'
        subject.path.write_text("# mine\nformat = 1 # one\n")
        sent = fields_in(await client.get(path)) | {"field.page": "tcp://127.0.0.1:1"}
        assert (await client.post(path, sent.items())).status == 303
        assert subject.path.read_text() == '# mine\nformat = 1 # one\npage = "tcp://127.0.0.1:1"\n'
        assert "Settings: node.toml" in (await client.get("/process")).text


@pytest.mark.parametrize(
    ("field", "typed"),
    [("listen", "nonsense"), ("metrics", "tcp://127.0.0.1"), ("page", "x"), ("collector", "tls://*:1")],
)
async def test_settings_by_which_the_node_would_not_start_are_not_written_and_can_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, typed: str
) -> None:
    monkeypatch.setenv("ROPEWALK_HOME", str(tmp_path / "node"))
    subject = node_settings(Home.of_user())
    path = "/process/settings/node"
    async with running(
        Application("made", [Plan("pages", Idle, NoConfig())]), tmp_path, settings={"node": subject}
    ) as (client, _):
        answer = await client.post(path, [("stamp", ""), (f"field.{field}", typed)])
        assert answer.status == 400
        assert field in answer.text
        assert not subject.path.exists()
        subject.path.write_text('format = 1\npage = "x"\n')
        sent = fields_in(await client.get(path)) | {"field.page": "tcp://127.0.0.1:1"}
        assert (await client.post(path, sent.items())).status == 303


async def test_a_file_that_another_process_holds_is_waited_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROPEWALK_HOME", str(tmp_path / "node"))
    monkeypatch.setattr("ropewalk.cli.pages._HELD", 0.05)
    subject = node_settings(Home.of_user())
    plans, sent = [Plan("pages", Idle, NoConfig())], [("stamp", ""), ("field.page", "tcp://127.0.0.1:1")]
    async with running(Application("made", plans), tmp_path, settings={"node": subject}) as (client, _):
        with NodeFile(subject.path).locked():
            answer = await client.post("/process/settings/node", sent)
            assert (answer.status, answer.code) == (503, "pages.file-not-written")
            assert not subject.path.exists()
        assert (await client.post("/process/settings/node", sent)).status == 303


async def test_strangers_forged_forms_and_huge_ones_change_nothing(tmp_path: Path) -> None:
    async with town(tmp_path) as one:
        form = await one.form()
        sent = (form | {"field.pieces": "2"}).items()
        stranger = Client(one.client.app, csrf=one.client.csrf)
        assert (await stranger.get(ECHO)).status == 403
        assert (await stranger.post(ECHO, sent)).status == 403
        assert (await one.client.post(ECHO, [*sent, ("field.greeting", "x" * (3 << 20))])).status == 413
        many = [(f"field.{number}", "") for number in range(30_000)]
        assert (await one.client.post(ECHO, [*sent, *many])).status == 400
        long = await one.client.post(ECHO, [*sent, ("field.greeting", "x" * 1_000_000)])
        assert (long.status, long.code) == (400, "pages.bad-fields")
        assert (await one.client.post(ECHO, [("field.pieces", "2")])).code == "pages.file-changed"
        one.client.csrf = "0" * 64
        assert (await one.client.post(ECHO, sent)).status == 403
        assert one.file.read_text() == FILE
