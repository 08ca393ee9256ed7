"""Configuring: what services are told, changed by forms in the file that tells it.

Flow: file, type of a service's configuration -> form -> page; what was typed -> the file -> the service, restarted
Never: shows a secret, shows what was typed as if it were in force, or restarts the service that shows the page.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ropewalk.errors import Missing, RopewalkError
from ropewalk.pages.answers import Failure, json_answer, wants_json
from ropewalk.pages.asking import asker_of
from ropewalk.pages.auditing import audited
from ropewalk.pages.notices import Notices
from ropewalk.pages.panel.editing import BadFields, BadFile, FileChanged, Subject, read_text, wrong_in
from ropewalk.pages.panel.forms import Field
from ropewalk.service import Control, CutsOff, Plan, parse

__all__ = ["Configuring", "flat"]

Render = Callable[..., Response]


class NoSettings(Missing):
    """There are no settings of this name to be changed."""

    code = "pages.no-settings"


class Configuring:
    """Endpoints.

    Args:
        control: Of the application.
        by: The service by which it is asked.
        render: Makes a page of the panel.
        settings: What can be changed besides services, by the word in its address.
    """

    def __init__(self, control: Control, by: str, render: Render, settings: Mapping[str, Subject]) -> None:
        self._control, self._by, self._render, self.settings = control, by, render, settings
        self._notices, self._turn, self._looking = Notices(), asyncio.Lock(), asyncio.Lock()
        self._seen: tuple[object, Mapping[str, Plan], str] = (None, {}, "")

    @property
    def table(self) -> Mapping[str, Mapping[str, Callable[[Request], Awaitable[Response]]]]:
        """Who answers, by path, by method."""
        return {
            "/process/services/{name}/configuration": {"GET": self.show, "POST": self.save},
            "/process/settings/{word}": {"GET": self.show_settings, "POST": self.save_settings},
        }

    async def show(self, request: Request) -> Response:
        """A service's form."""
        return await self._show(request, self._service(request))

    async def save(self, request: Request) -> Response:
        """What was typed there."""
        return await self._save(request, self._service(request))

    async def show_settings(self, request: Request) -> Response:
        """The form of other settings."""
        return await self._show(request, self._settings(request))

    async def save_settings(self, request: Request) -> Response:
        """What was typed there."""
        return await self._save(request, self._settings(request))

    async def older(self) -> tuple[frozenset[str], str]:
        """Services of which the file says something else than they run by; and what is wrong with the file."""
        if self._control.file is None:
            return frozenset(), ""
        async with self._looking:
            plans, fault = await asyncio.to_thread(self._plans)
        return frozenset(one for one in self._control.names() if one in plans and self._differs(plans[one])), fault

    # -- how -----------------------------------------------------------------------------------------------------

    def _differs(self, plan: Plan) -> bool:
        return bool(self._control.plan(plan.name) != plan)

    def _plans(self) -> tuple[Mapping[str, Plan], str]:
        """What the file says, which is read again where it is another."""
        file = self._control.file
        assert file is not None
        try:
            found = os.stat(file)
            now = found.st_ino, found.st_mtime_ns, found.st_size
        except OSError as error:
            return {}, f"{file} cannot be read: {(error.strerror or str(error)).lower()}"
        if self._seen[0] != now:
            text = ""
            try:
                text = read_text(file)[0].removeprefix("\ufeff")
                self._seen = now, {plan.name: plan for plan in parse(text, str(file), file.parent).plans}, ""
            except Exception as error:  # noqa: BLE001 - of a check that its author wrote: the page is shown all the same
                self._seen = now, {}, wrong_in(text, error)
        return self._seen[1], self._seen[2]

    def _settings(self, request: Request) -> Subject:
        word = request.path_params["word"]
        if word not in self.settings:
            raise NoSettings(f"there are no settings called {word[:40]!r}")
        return self.settings[word]

    def _service(self, request: Request) -> Subject | str:
        """What is edited; a service's name where nothing can be."""
        name, file = request.path_params["name"], self._control.file
        self._control.service(name)  # there is one
        if file is None:
            return str(name)

        def check(text: str) -> Mapping[str, Plan]:
            return {plan.name: plan for plan in parse(text, file.name, file.parent).plans}

        def kind(text: str) -> type[msgspec.Struct]:
            plans = check(text.removeprefix("\ufeff"))
            if name not in plans:
                raise BadFile(f"{file} has no service {name!r} any more", hint="a reload stops it")
            return type(plans[name].config)

        return Subject(name, file, ("services", name), kind, check)

    async def _show(self, request: Request, subject: Subject | str) -> Response:
        if isinstance(subject, str):
            return await self._page(request, subject)
        try:
            opened = await asyncio.to_thread(subject.open)
        except BadFile as error:
            return await self._page(request, subject, fault=_words(error))
        return await self._page(request, subject, fields=opened.form.fields(), stamp=opened.mark)

    async def _save(self, request: Request, subject: Subject | str) -> Response:
        if isinstance(subject, str):
            raise BadFile("this application was not started from a file", hint="what starts it says what it is told")
        asker = asker_of(request)
        typed, restart = asker.fields, asker.fields.get("then") == "restart"
        control, name = self._control, subject.name
        if restart and (not subject.base or self._by in control.with_it(name)):
            raise CutsOff(f"to restart {name} ends this page", hint="save alone, and restart it by the console")
        try:
            async with self._turn:
                with audited(request, f"configure {name}") as told:
                    keys: list[str] = []
                    try:
                        wrote = await asyncio.to_thread(_written, subject, typed, keys)
                    finally:
                        told += [f"({', '.join(keys)})"] if keys else []
        except RopewalkError as error:
            return await self._again(request, subject, error, typed)
        said, warning = (f"Saved: {', '.join(keys)}." if wrote else "Nothing was changed."), False
        if restart:
            try:
                with audited(request, f"restart {name}"):
                    now = (await control.take(name, by=self._by))[0]
                warning = now.state != "up"
                said += f" {name} is {now.state}{f': {now.why}' if warning and now.why else ''}."
            except RopewalkError as error:
                said, warning = f"{said} {name} was not restarted: {_words(error)}", True
        notice = self._notices.add(asker.session, said, warning=warning)
        return RedirectResponse(f"{request.scope['path']}?done={notice.word}", 303)

    async def _again(
        self, request: Request, subject: Subject, error: RopewalkError, typed: Mapping[str, str]
    ) -> Response:
        """The form once more, with what was typed and what is wrong with it."""
        failure = Failure.of(error)
        status = 409 if isinstance(error, FileChanged) else failure.status
        faults: Mapping[tuple[str, ...], str] = {(): _words(error)}
        if isinstance(error, BadFields):
            faults = error.faults
        if wants_json(request):
            said = {"code": failure.code, "message": failure.message, "hint": failure.hint}
            told = {".".join(path): one for path, one in faults.items()}
            return json_answer({"error": said, "faults": told}, status)
        try:
            opened = await asyncio.to_thread(subject.open)
        except BadFile as other:
            return await self._page(request, subject, fault=_words(other), status=409)
        general = faults.get((), "") or _words(error)
        if isinstance(error, FileChanged):
            faults = {
                one.path: f"the file says: {one.value or 'nothing'}" for one in _other(opened.form.fields(), typed)
            }
        fields = opened.form.fields(typed, faults)
        return await self._page(request, subject, fields=fields, stamp=opened.mark, fault=general, status=status)

    async def _page(
        self,
        request: Request,
        subject: Subject | str,
        *,
        fields: list[Field] | None = None,
        stamp: str = "",
        fault: str = "",
        status: int = 200,
    ) -> Response:
        name = subject if isinstance(subject, str) else subject.name
        service = isinstance(subject, str) or bool(subject.base)
        older, _ = await self.older()
        values: dict[str, Any] = {
            "subject": name,
            "service": service,
            "file": None if isinstance(subject, str) else subject.path,
            "base": "" if isinstance(subject, str) else ".".join(subject.base),
            "fields": fields,
            "stamp": stamp,
            "fault": fault,
            "mine": service and self._by in self._control.with_it(name),
            "by": self._by,
            "older": name in older,
            "told": flat(self._control.configuration(name)) if service and fields is None else [],
            "settings": self.settings,
            "notice": self._notices.find(asker_of(request).session, request.query_params.get("done", "")),
        }
        answer = self._render(request, "configuration", **values)
        answer.status_code = status
        return answer


def _written(subject: Subject, typed: Mapping[str, str], keys: list[str]) -> bool:
    with subject.guard():
        return subject.open().save(typed.get("stamp", ""), typed, keys)


def _other(fields: list[Field], typed: Mapping[str, str]) -> Iterator[Field]:
    """Fields in which something else was typed than the file says."""
    for one in fields:
        if one.fields:
            yield from _other(list(one.fields), typed)
        elif one.shape.what == "check":
            if one.name in typed and bool(typed[one.name]) != (one.value == "true"):
                yield one
        elif not one.secret and typed.get(one.name, one.value).replace("\r\n", "\n") != one.value:
            yield one


def _words(error: RopewalkError) -> str:
    return f"{error}; {error.hint}" if error.hint else str(error)


def flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """A configuration as rows: key, value."""
    if isinstance(value, dict) and value:
        return [row for key, one in value.items() for row in flat(one, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list):
        return [(path, ", ".join(str(one) for one in value))]
    return [(path, "" if value in (None, {}) else str(value).lower() if isinstance(value, bool) else str(value))]
