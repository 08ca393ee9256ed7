"""Talks named in a configuration: a function of the application's own, called when a service starts.

Flow: "package.module:name", Context -> checked when the configuration is read -> hosted -> a Host
Never: calls it before the service starts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, cast

from ropewalk.errors import Misuse
from ropewalk.service import Context
from ropewalk.service.kinds import imported
from ropewalk.terminal.host import Host
from ropewalk.terminal.interface import Talk

__all__ = ["BadTalk", "check_talk", "hosted"]


class BadTalk(Misuse):
    """What a configuration names as a talk cannot be imported, or gives none."""

    code = "terminal.bad-talk"


def check_talk(where: str) -> Callable[[Context], Any]:
    """The function that is named so.

    Raises:
        BadTalk: It is not there, or cannot be called.
    """
    found = imported(where, BadTalk)
    if not callable(found):
        raise BadTalk(f"{where} cannot be called, expected what makes a talk")
    return cast("Callable[[Context], Any]", found)


async def hosted(where: str, context: Context, owned: AsyncExitStack, *, greeting: str = "") -> Host:
    """What the function gives when it is called with the service's `Context`.

    It gives a `Host`, or a talk, for which a host without a portal is made; may be as a coroutine, or as an
    asynchronous context manager, which is left when ``owned`` is closed.

    Args:
        greeting: What the host shows first, unless it has a greeting of its own.

    Raises:
        BadTalk: It gives something else.
    """
    made = check_talk(where)(context)
    if isinstance(made, AbstractAsyncContextManager):
        made = await owned.enter_async_context(made)
    elif inspect.isawaitable(made):
        made = await made
    if not isinstance(made, Host):
        if not callable(made):
            raise BadTalk(f"{where} gave a {type(made).__name__}, expected a Host or a talk")
        made = Host(cast("Talk", made))
    if greeting and not made.greeting:
        made.greeting = greeting.rstrip("\n") + "\n"
    return made
