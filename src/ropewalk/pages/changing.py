"""Changing: what people do to files and folders; each request is one version, and can be taken back.

Flow: form, or bytes of files -> one change of the space -> Notice with its Undo -> page, JSON
Never: does a part of what was asked, or takes the place of something that the asker has not seen.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ropewalk.counting import count
from ropewalk.errors import Misuse, Unavailable
from ropewalk.pages.answers import json_answer, wants_json
from ropewalk.pages.asking import asker_of, body_of
from ropewalk.pages.auditing import audited
from ropewalk.pages.multipart import BadForm, Parts
from ropewalk.pages.names import BadAddress, quoted, shown, unquoted
from ropewalk.pages.notices import Notices
from ropewalk.pages.opened import Spaces
from ropewalk.pages.places import Place, place_of
from ropewalk.pages.receiving import SMALL, LengthNeeded, at_hand, in_time, receive_file, seconds_for, within
from ropewalk.pages.undoing import Path, Undo, found_at, put_back, undo
from ropewalk.spaces.change import AlreadyThere, Change
from ropewalk.spaces.space import Space
from ropewalk.spaces.tree.entry import LONGEST_NAME
from ropewalk.spaces.version import NoSuchPath, Version, parse_path

__all__ = ["Changing", "UploadsBusy", "field_of", "name_of", "outcome_of"]

AT_ONCE = 4  # uploads of one node: each holds a small body whole, or some blocks of a large one
MOST_PATHS = 10_000  # things that one form may name
MOST_NAMED = 20  # of them in the note of a change, and in the audit
LONGEST_TIME = 2**62  # nanoseconds
_Files = AsyncIterator[tuple[Path, int | None, AsyncIterator[bytes]]]  # where it goes, nanoseconds, its bytes
_MEANWHILE = "somebody may have renamed or removed it meanwhile; load the folder again"


class UploadsBusy(Unavailable):
    """Too many uploads are under way."""

    code = "pages.uploads-busy"


class Changing:
    """Endpoints; the gate has seen to it that a person asked for this.

    Args:
        spaces: What can be changed.
        notices: What is told on the next page.
    """

    def __init__(self, spaces: Spaces, notices: Notices) -> None:
        self._spaces, self._notices = spaces, notices
        self.uploads = asyncio.Semaphore(AT_ONCE)

    # -- names and places ------------------------------------------------------------------------------------------

    async def folder(self, request: Request) -> Response:
        """Make a folder here: ``name``."""
        place = await self._place(request)
        new = (*place.parts, name_of(field_of(request, "name")))

        async def work(change: Change) -> str:
            await change.make_folder(b"/".join(new))
            return f"Made the folder {shown(new[-1])}."

        return await self._done(request, place, f"mkdir {_words([new])}", work, [new])

    async def move(self, request: Request) -> Response:
        """Rename one thing (``p``, ``name``), or move some (``p``, ..., ``to``)."""
        place = await self._place(request)
        paths = _paths(request, place)
        fields = asker_of(request).fields
        if "to" in fields:
            if not fields["to"].strip():
                raise BadForm("the form does not say into which folder", hint="/ is the top of the space")
            folder = parse_path(fields["to"])
            moves = [(path, (*folder, path[-1])) for path in paths]
        elif len(paths) == 1:
            moves = [(paths[0], (*paths[0][:-1], name_of(field_of(request, "name"))))]
        else:
            raise BadForm("expected a new name for one thing, or a folder to move into")

        async def work(change: Change) -> str:
            for old, new in moves:
                if old == new:
                    raise AlreadyThere(f"{_word(new)} is where it was")
                await _there(change, old)
                if await found_at(change, new) is not None:
                    raise AlreadyThere(f"{_word(new)} is there already", hint="choose another name")
                await change.move(b"/".join(old), b"/".join(new))
            if "to" not in fields:
                return f"Renamed {shown(moves[0][0][-1])} to {shown(moves[0][1][-1])}."
            return f"Moved {_several(paths)} to {fields['to']}."

        words = _words([path for pair in moves for path in pair])
        return await self._done(request, place, f"mv {words}", work, moved=moves)

    async def remove(self, request: Request) -> Response:
        """Remove things, folders with all that is in them: ``p``, ..."""
        place = await self._place(request)
        paths = _paths(request, place)

        async def work(change: Change) -> str:
            gone = 0
            for path in paths:
                await _there(change, path)
                gone += await change.remove(b"/".join(path), recursive=True)
            inside = f" with {count(gone - len(paths), 'entry/entries')} inside" if gone > len(paths) else ""
            return f"Deleted {_several(paths)}{inside}. Older versions keep it."

        return await self._done(request, place, f"rm {_words(paths)}", work, paths)

    async def restore(self, request: Request) -> Response:
        """Have this place as it was in a version: ``at``."""
        place = await self._place(request)
        at = field_of(request, "at")
        if not place.parts:
            raise Misuse("a whole space is not restored at once", hint="restore the folders in it that you want back")
        then = await place.space.at(at)
        if await found_at(then, place.parts) is None:
            raise NoSuchPath(f"no {place.whole} in version {at[:12]}")

        async def work(change: Change) -> str:
            entries = await put_back(change, then, place.parts)
            inside = f" with {count(entries - 1, 'entry/entries')} inside" if entries > 1 else ""
            return f"{place.label} is as it was in version {at[:12]}{inside}."

        note = f"restore {place.whole} from {at[:12]}"
        return await self._done(request, place, note, work, [place.parts], folder=place.above)

    async def undo(self, request: Request) -> Response:
        """Take back what a notice told of: ``word``."""
        place = await self._place(request)
        word = field_of(request, "word")
        what = self._notices.undo_of(asker_of(request).session, word)
        if what.space is not place.space:
            raise Unavailable("the space was opened anew since", hint="its versions show what there was")

        async def work(change: Change) -> str:
            await undo(change, what)
            return f"Undone. {what.words}".strip()

        paths = [*what.paths, *(path for pair in what.moved for path in pair)]
        note = f"undo {_words(paths)}"
        answer = await self._done(request, place, note, work, undoable=False, folder=what.folder)
        self._notices.drop(word)  # one that failed can be tried again
        return answer

    # -- files -----------------------------------------------------------------------------------------------------

    async def upload(self, request: Request) -> Response:
        """Files into this folder: a form of ``file`` parts, each after its ``mtime`` (milliseconds), if it has one."""
        place = await self._place(request)
        form = asker_of(request).parts
        if form is None:
            raise BadForm("expected a form with files")

        def files(body: AsyncIterator[bytes]) -> _Files:
            form.body = body
            return _form_files(form, place.parts)

        return await self._received(request, place, form.body, files, place.parts)

    async def put(self, request: Request) -> Response:
        """One file at this place, its bytes as the body: ``?mtime=`` has milliseconds since 1970."""
        place = await self._place(request)
        if not place.parts:
            raise AlreadyThere("the top of the space is a folder")
        mtime = _mtime(request.query_params.get("mtime", ""))

        async def files(body: AsyncIterator[bytes]) -> _Files:
            yield place.parts, mtime, body

        return await self._received(request, place, body_of(request.receive), files, place.above)

    async def _received(
        self,
        request: Request,
        place: Place,
        source: AsyncIterator[bytes],
        files: Callable[[AsyncIterator[bytes]], _Files],
        folder: Path,
    ) -> Response:
        length = request.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            raise LengthNeeded("the request does not say how long its body is")
        if self.uploads.locked():
            raise UploadsBusy(f"{AT_ONCE} uploads are under way", hint="wait for one of them to end")
        paths: list[Path] = []
        replaced: set[Path] = set()
        seconds = seconds_for(int(length))  # of coming in: its turn, and the stores, take what they take

        async def work(change: Change) -> str:
            async with within(seconds):
                async for path, mtime, pieces in files(body):
                    if await found_at(change.base, path) is not None:
                        replaced.add(path)
                    await receive_file(change, place.space.core, path, pieces, mtime)
                    paths.append(path)
            if not paths:
                raise BadForm("got no file", hint="choose one or more, then upload")
            return _uploaded(paths, len(replaced))

        async with self.uploads:
            body = in_time(source)
            if int(length) <= SMALL:
                async with within(seconds):
                    body = await at_hand(body)
            note = f"upload to {_word(folder)}"
            return await self._done(request, place, note, work, paths, received=True, folder=folder)

    # -- all of them -----------------------------------------------------------------------------------------------

    async def _place(self, request: Request) -> Place:
        place = await place_of(request, self._spaces)
        if place.at:
            raise BadAddress("an older version cannot be changed", hint="restore what you want back")
        return place

    async def _done(
        self,
        request: Request,
        place: Place,
        note: str,
        work: Callable[[Change], Awaitable[str]],
        paths: Sequence[Path] = (),
        moved: Sequence[tuple[Path, Path]] = (),
        *,
        undoable: bool = True,
        received: bool = False,  # what, is known only once it has come in
        folder: Path | None = None,
    ) -> Response:
        space = place.space
        with audited(request, f"{shown(note)} in {shown(place.name)}") as said:
            async with space.change(shown(note)) as change:
                before = change.base
                text = await work(change)
            if received:
                said.append(f"of {_words(paths)}")
        text, after, warning = outcome_of(space, text)
        folder = place.parts if folder is None else folder
        way_back = None
        if undoable and after is not None:
            way_back = Undo(space, place.name, before, after, tuple(paths), tuple(reversed(moved)), folder)
        notice = self._notices.add(asker_of(request).session, text, way_back, warning=warning)
        if wants_json(request):
            return json_answer({"message": text, "done": notice.word, "undo": way_back is not None})
        address = f"/spaces/{quoted([place.name.encode()])}/files/{quoted(folder)}?done={notice.word}"
        return RedirectResponse(address, 303)


async def _form_files(parts: Parts, folder: Path) -> _Files:
    mtime: int | None = None
    while (part := await parts.next()) is not None:
        if part.name == "mtime":
            mtime = _mtime(await part.text())
        elif part.name == "file" and part.file:
            names = parse_path(part.file)
            if not names:
                raise BadAddress("a file has no name")
            yield (*folder, *names), mtime, part.pieces()
            mtime = None


def outcome_of(space: Space, text: str) -> tuple[str, Version | None, bool]:
    """What to say of the change that was just made, the version that it is, and whether there is a catch."""
    outcome = space.outcome
    if outcome is None:
        return "Nothing had to be changed.", None, False
    after = space.core.version(outcome.head.root)
    if outcome.queued:
        return f"{text} It waits on this machine alone until enough stores answer.", after, True
    return text, after, False


async def _there(change: Change, path: Path) -> None:
    if await found_at(change, path) is None:
        raise NoSuchPath(f"{_word(path)} is not there any more", hint=_MEANWHILE)


def field_of(request: Request, name: str) -> str:
    """A field that the form must have.

    Raises:
        BadForm.
    """
    value = asker_of(request).fields.get(name)
    if value is None:
        raise BadForm(f"the form has no field {name!r}")
    return value


def _paths(request: Request, place: Place) -> list[Path]:
    paths = [(*place.parts, *unquoted(value)) for key, value in asker_of(request).form if key == "p"]
    if not 1 <= len(paths) <= MOST_PATHS or not all(len(path) > len(place.parts) for path in paths):
        raise BadForm(f"got {len(paths)} names of things, expected 1 to {MOST_PATHS}", hint="mark what you mean first")
    return list(dict.fromkeys(paths))


def name_of(text: str) -> bytes:
    """A name that somebody typed, as bytes.

    Raises:
        Misuse: Nothing can have it.
    """
    if not text.strip() or "/" in text or text in (".", ".."):
        raise Misuse(f"{shown(text[:80])!r} is no name", hint="give one without a slash, and not an empty one")
    if (size := len(os.fsencode(text))) > LONGEST_NAME:
        hint = "letters beyond a to z take two bytes or more"
        raise Misuse(f"the name has {size} bytes, expected {LONGEST_NAME} at most", hint=hint)
    (name,) = parse_path(text)
    return name


def _mtime(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) * 10**6 < LONGEST_TIME):
        raise BadForm(f"mtime is {text[:20]!r}, expected milliseconds since 1970")
    return int(text) * 10**6


def _word(path: Path) -> str:
    return "/" + "/".join(shown(part) for part in path)


def _words(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    return " ".join(_word(path) for path in paths[:MOST_NAMED]) + more


def _uploaded(paths: Sequence[Path], replaced: int) -> str:
    if replaced and len(paths) == 1:
        return f"Replaced {_several(paths)}. Older versions keep what it was."
    of_them = f", {'all' if replaced == len(paths) else replaced} of them replaced" if replaced else ""
    return f"Uploaded {_several(paths)}{of_them}.{' Older versions keep what they were.' if replaced else ''}"


def _several(paths: Sequence[Path]) -> str:
    return shown(paths[0][-1]) if len(paths) == 1 else count(len(paths), "thing")
