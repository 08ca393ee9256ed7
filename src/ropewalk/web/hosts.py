"""Hosts: for which names a site answers.

Flow: host of a request -> Hosts.check -> BadRequest 421 where it is not one of ours
Never: takes a name that only looks like one of ours: a page of another name that resolves to this machine must not
       reach it from a browser (DNS rebinding).
Source: RFC 9110, 7.4 and 15.5.20.
"""

from __future__ import annotations

from collections.abc import Iterable

from ropewalk.errors import Misuse
from ropewalk.web.errors import BadRequest
from ropewalk.web.parsing import host_name

__all__ = ["BadHostName", "Hosts"]


class BadHostName(Misuse):
    """A name that no request could be for."""

    code = "web.bad-host-name"


class Hosts:
    """The names of a site.

    Args:
        names: As a request has them, without port; ``*.example.org`` is every name below that, ``localhost`` with
            its addresses is written as ``localhost``, ``127.0.0.1``, ``[::1]``.  None at all are all names.

    Raises:
        BadHostName.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._known: set[str] = set()
        self._below: tuple[str, ...] = ()
        for name in names:
            plain = name.lower().removeprefix("*")
            if not plain.strip(".") or any(bad in plain for bad in "/*@ ") or (":" in plain and plain[:1] != "["):
                raise BadHostName(f"name of a host is {name!r}, expected one without port, such as www.example.org")
            if name.startswith("*."):
                self._below += (plain,)
            else:
                self._known.add(plain)

    def __bool__(self) -> bool:
        return bool(self._known or self._below)

    def __contains__(self, name: str) -> bool:
        return name in self._known or (bool(self._below) and name.endswith(self._below))

    def check(self, host: bytes | None) -> None:
        """Whether a request for it is taken.

        Args:
            host: As it came, with its port; it was found to be one.

        Raises:
            BadRequest.
        """
        if host is None or host_name(host) not in self:
            raise BadRequest(421, "this name is not served here")
