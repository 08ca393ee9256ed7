"""Fetching: files and folders of a space, for a browser to keep.

Flow: request -> Place -> entry -> bytes, ranges; folder -> zip
Never: has a browser show what it fetches as a page of ours.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ropewalk.pages.names import shown
from ropewalk.pages.opened import Spaces
from ropewalk.pages.places import place_of
from ropewalk.pages.sending import Streamed, attachment, file_answer
from ropewalk.pages.zipping import zipped
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.version import NotAFolder

__all__ = ["Fetching"]

_BOUND = {"content-security-policy": "default-src 'none'; sandbox", "cache-control": "private, no-store"}


class Fetching:
    """Endpoints.

    Args:
        spaces: What can be fetched from.
    """

    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces

    async def get(self, request: Request) -> Response:
        """A file, or a range of it."""
        place = await place_of(request, self._spaces)
        version = await place.version()
        entry = await version.file(place.path)
        headers = {**_BOUND, "content-disposition": attachment(place.parts[-1])}
        return await file_answer(request, version, entry, "application/octet-stream", headers)

    async def zip(self, request: Request) -> Response:
        """A folder, with all below it."""
        place = await place_of(request, self._spaces)
        version = await place.version()
        found = await version.find(place.path)
        if found.kind != Kind.FOLDER:
            raise NotAFolder(f"{place.whole} is not a folder")
        top = shown(place.parts[-1] if place.parts else place.name).replace("\\", "_").replace(":", "_")
        headers = {**_BOUND, "content-disposition": attachment(f"{top}.zip")}
        if request.method == "HEAD":
            return Response(headers=headers, media_type="application/zip")
        return Streamed(zipped(version, place.path, top), 200, headers, "application/zip")
