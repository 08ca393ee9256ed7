"""Assets: the few style sheets and scripts that all pages share, held in memory.

Flow: files of this package -> Assets -> answers
Never: looks at a disk for a name that a request gives.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from ropewalk.errors import Missing

__all__ = ["Assets", "NoSuchAsset"]

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


class NoSuchAsset(Missing):
    """There is no such file among those that pages need."""

    code = "pages.no-such-asset"


class Assets:
    """What lies in the folder ``static``, read once."""

    def __init__(self) -> None:
        folder = files("ropewalk.pages") / "static"
        found = [one for one in folder.iterdir() if one.is_file() and one.name.rpartition(".")[2] in _TYPES]
        self._held = {one.name: one.read_bytes() for one in found}

    def answer(self, name: str, request: Request) -> Response:
        """One of them.

        Raises:
            NoSuchAsset.
        """
        data = self._held.get(name)
        if data is None:
            raise NoSuchAsset("no such file among those that pages need")
        tag = f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'
        headers = {"etag": tag, "cache-control": "no-cache", "x-content-type-options": "nosniff"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, headers=headers, media_type=_TYPES[name.rpartition(".")[2]])
