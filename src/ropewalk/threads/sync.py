"""Sync: a blocking face of any asynchronous object.

What is asynchronous is known by its class: it defines a coroutine method, an asynchronous generator, ``__aenter__`` or
``__aiter__``.  Such an object, and such results, attributes and items of it, are shown as `Sync`; all else as it is.

Flow: program -> Sync -> Portal -> the object's own method, in the loop's thread
Never: looks into lists and dicts, or runs a method of the object in another thread than the loop's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache, wraps
from types import TracebackType
from typing import Any

from ropewalk.errors import Misuse
from ropewalk.threads.portal import Portal

__all__ = ["Sync", "sync"]

_CLASSES = 1024  # of which we remember whether they are asynchronous


def sync(obj: Any, portal: Portal) -> Any:
    """A blocking face of ``obj``, whose loop is the portal's.

    - A method runs in the loop's thread, and what it returns is awaited where it is awaitable.
    - An asynchronous iterator is an iterator (and `close` closes a generator), a context manager is a context manager.
    - An attribute is read in the caller's thread.
    - Faces among the arguments of a method are replaced by the objects behind them.
    """
    return Sync(obj, portal)


class Sync:
    """See `sync`."""

    __slots__ = ("__managers", "__object", "__portal")

    def __init__(self, obj: Any, portal: Portal) -> None:
        self.__object = obj
        self.__portal = portal
        self.__managers: list[AbstractContextManager[Any]] = []

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.__object, name)
        return _method(value, self.__portal) if inspect.isroutine(value) else _face(value, self.__portal)

    def __dir__(self) -> list[str]:
        return dir(self.__object)

    def __repr__(self) -> str:
        return f"<sync {self.__object!r}>"

    def __eq__(self, other: object) -> bool:
        return bool(self.__object == _behind(other))

    def __hash__(self) -> int:
        return hash(self.__object)

    def __enter__(self) -> Any:
        if not hasattr(self.__object, "__aenter__"):
            raise Misuse(f"{type(self.__object).__name__} is no context manager")
        manager = self.__portal.enter(self.__object)
        value = manager.__enter__()
        self.__managers.append(manager)
        return self if value is self.__object else _face(value, self.__portal)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.__managers.pop().__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[Any]:
        if not hasattr(self.__object, "__aiter__"):
            raise Misuse(f"{type(self.__object).__name__} is not iterable")
        return _items(self.__object, self.__portal)

    def _behind(self) -> Any:
        return self.__object


def _face(value: Any, portal: Portal) -> Any:
    kind: Any = type(value)
    if isinstance(value, Sync) or not _is_asynchronous(kind):
        return value
    if hasattr(value, "__anext__") and not hasattr(value, "__aenter__"):
        return _items(value, portal)
    return Sync(value, portal)


def _items(iterable: Any, portal: Portal) -> Iterator[Any]:
    for item in portal.stream(iterable):
        yield _face(item, portal)


def _method(bound: Callable[..., Any], portal: Portal) -> Callable[..., Any]:
    async def called(args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        result = bound(*args, **named)
        return await result if inspect.isawaitable(result) and not hasattr(result, "__aenter__") else result

    @wraps(bound)
    def call(*args: Any, **named: Any) -> Any:
        behind = {name: _behind(value) for name, value in named.items()}
        return _face(portal.call(called, tuple(map(_behind, args)), behind), portal)

    return call


def _behind(value: Any) -> Any:
    return value._behind() if isinstance(value, Sync) else value  # noqa: SLF001 - our own


@lru_cache(_CLASSES)
def _is_asynchronous(kind: Any) -> bool:
    if any(hasattr(kind, name) for name in ("__aenter__", "__aiter__")):
        return True
    for base in kind.__mro__[:-1]:
        for value in vars(base).values():
            fn = inspect.unwrap(value) if callable(value) else value
            if inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn):
                return True
    return False
