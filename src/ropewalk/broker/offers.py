"""Offers: which methods of an object the other end may call, and what they take.

Flow: class -> `@remote` marks -> `Object.__init_subclass__` -> a table of names -> the answering side
Never: reaches a method, or anything else, by a name that is not in the table.
Source: docs/spec/broker.md section 4.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import typing
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import msgspec

from ropewalk.broker.errors import BadArguments, Failed
from ropewalk.broker.fitting import Reference, fit, fitting, unfit
from ropewalk.broker.limits import Limits
from ropewalk.errors import Misuse

__all__ = [
    "ASYNC",
    "PLAIN",
    "STREAM",
    "BadOffer",
    "Object",
    "Offer",
    "Perspective",
    "Reference",
    "hint_of",
    "kind_of",
    "remote",
]

_log = logging.getLogger("ropewalk.broker")

F = TypeVar("F", bound=Callable[..., Any])

PLAIN, ASYNC, STREAM = range(3)
_MARK = "__ropewalk_remote__"
_LONGEST_NAME, _LONGEST_HINT = 128, 1000
_PLACE, _EITHER = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
_REST, _KEYWORD, _OTHERS = (
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY,
    inspect.Parameter.VAR_KEYWORD,
)


class BadOffer(Misuse):
    """A method cannot be offered."""

    code = "broker.bad-offer"


def remote(method: F) -> F:
    """Mark a method: who holds a reference to its object may call it.

    It may be plain (it is done before the next call begins, so it must not block), ``async``, or an asynchronous
    generator, which crosses as a stream.  Where arguments are annotated they are checked before it is called.
    """
    if not inspect.isfunction(method):
        raise BadOffer(f"a {type(method).__name__} cannot be remote", hint="put @remote nearest to def, on a method")
    setattr(method, _MARK, True)
    return method


class Offer:
    """One remote method of a class.

    Attributes:
        name: As the other end calls it.
        call: The function, to be called with the object first.
        how: PLAIN, ASYNC or STREAM.
        checked: Some argument has an annotation.
        seconds: Where the time that it takes is counted; set by who counts.
        signature: Without the object.
    """

    __slots__ = ("_counts", "_places", "_rest", "_wanted", "call", "checked", "how", "name", "seconds", "signature")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.call = name, function
        if inspect.isasyncgenfunction(function):
            self.how = STREAM
        else:
            self.how = ASYNC if inspect.iscoroutinefunction(function) else PLAIN
        signature = signature_of(function)
        parameters = list(signature.parameters.values())
        if not parameters or parameters[0].kind in (_KEYWORD, _OTHERS):
            raise BadOffer(f"{function.__qualname__} cannot be remote: it takes no self")
        if parameters[0].kind is not _REST:
            del parameters[0]
        self.signature = signature.replace(parameters=parameters)
        self.checked = any(one.annotation is not one.empty for one in parameters)
        self.seconds: Any = None
        self._wanted: dict[str, Any] | None = None  # what arguments have to fit, by name; made when first needed
        self._places = [one.name for one in parameters if one.kind in (_PLACE, _EITHER)]
        self._rest = next((one.name for one in parameters if one.kind is _REST), None)
        self._counts: dict[int, Any] = {}  # by number of arguments in their places: what they have to fit

    def convert(self, arguments: list[Any]) -> list[Any]:
        """Arguments as the annotations want them.

        Raises:
            BadArguments: They do not fit.
        """
        if len(arguments) not in self._counts:
            self.bind(arguments, {})
            if len(arguments) > len(self._places):
                return self._in_places(arguments)  # there may be any number, for which nothing is kept
            self._counts[len(arguments)] = self._tuple(len(arguments))
        return self._fit(arguments, self._counts[len(arguments)])

    def convert_named(self, arguments: list[Any], named: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Arguments, and named ones, as the annotations want them.

        Raises:
            BadArguments: They do not fit.
        """
        self.bind(arguments, named)
        wanted, parameters = self.wanted, self.signature.parameters
        others = next((one.name for one in parameters.values() if one.kind is _OTHERS), "")
        fitted = {}
        for name, value in named.items():
            there = parameters.get(name)
            known = there is not None and there.kind in (_EITHER, _KEYWORD)
            fitted[name] = self._fit_one(name, value, wanted[name if known else others])
        return self._in_places(arguments), fitted

    def bind(self, arguments: list[Any], named: dict[str, Any]) -> None:
        """Return if the method takes so many, and these names.

        Raises:
            BadArguments: It does not.
        """
        try:
            self.signature.bind(*arguments, **named)
        except TypeError as error:
            raise BadArguments(f"{self.name}: {error}", hint=f"it takes {self.signature}"[:_LONGEST_HINT]) from None

    @property
    def wanted(self) -> dict[str, Any]:
        """What each argument has to fit.

        Raises:
            Failed: Its annotation cannot be read, so that nothing could be checked.
        """
        if self._wanted is None:
            self._wanted = {one.name: self._wants(one) for one in self.signature.parameters.values()}
        return self._wanted

    def _wants(self, parameter: inspect.Parameter) -> Any:
        try:
            wanted = fitting(hint_of(self.call, parameter.annotation))
            msgspec.msgpack.Decoder(wanted, dec_hook=lambda _kind, value: value)  # which says if it cannot be
        except Exception as error:
            # Closed rather than open: what was meant to be checked is not called unchecked.
            said = f"{self.name}: the annotation of {parameter.name} cannot be checked: {error}"
            _log.exception("%s", said)
            raise Failed(said) from None
        return wanted

    def _tuple(self, count: int) -> Any:
        return tuple.__class_getitem__(tuple(self.wanted[name] for name in self._places[:count]))

    def _in_places(self, arguments: list[Any]) -> list[Any]:
        count = min(len(arguments), len(self._places))
        fitted = self._fit(arguments[:count], self._tuple(count)) if count else []
        if self._rest is not None:
            wanted = self.wanted[self._rest]
            fitted += [
                self._fit_one(f"{self._rest}[{index}]", value, wanted) for index, value in enumerate(arguments[count:])
            ]
        return fitted

    def _fit(self, arguments: list[Any], wanted: Any) -> list[Any]:
        try:
            return list(fit(arguments, wanted))
        except msgspec.ValidationError as error:
            where, why = unfit(error)
            index, _, inside = where.removeprefix("[").partition("]")
            raise BadArguments(f"{self.name}: argument {self._places[int(index)]}{inside}: {why}") from None

    def _fit_one(self, name: str, value: Any, wanted: Any) -> Any:
        try:
            return fit([value], tuple.__class_getitem__((wanted,)))[0]  # in a tuple, so that errors tell where they are
        except msgspec.ValidationError as error:
            where, why = unfit(error)
            raise BadArguments(f"{self.name}: argument {name}{where.removeprefix('[0]')}: {why}") from None


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """What a function takes, whether or not its annotations can be read yet."""
    if sys.version_info >= (3, 14):
        import annotationlib

        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)


def hint_of(function: Callable[..., Any], annotation: Any) -> Any:
    """An annotation of a function, where it was written as text too.

    Raises:
        Exception: It cannot be read: a name in it is not there.
    """
    if annotation is inspect.Parameter.empty or annotation is Any:
        return Any

    def holder() -> None:
        """Something with one annotation: one that cannot be read does not stand in the way of another."""

    holder.__annotations__ = {"it": annotation}
    names = getattr(inspect.unwrap(function), "__globals__", {})
    return typing.get_type_hints(holder, globalns=names, include_extras=True)["it"]


def _marked(found: object) -> bool:
    """Whether this, or the function in it, is marked."""
    inner = found
    if isinstance(found, property):
        inner = found.fget
    elif isinstance(found, classmethod | staticmethod):
        inner = found.__func__
    elif isinstance(found, functools.partialmethod | functools.cached_property):
        inner = found.func
    return inspect.isfunction(inner) and getattr(inner, _MARK, False) is True


class Object(Reference):
    """What crosses by reference. Subclasses mark the methods that the other end may call with `remote`.

    A subclass offers what its bases do. A method that it defines anew is offered only where it is marked again.
    """

    __offers__: ClassVar[dict[str, Offer]] = {}
    __slots__ = ("__weakref__",)

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        offers: dict[str, Offer] = {}
        for base in reversed(cls.__mro__):
            for name, found in vars(base).items():
                if _marked(found):
                    if name.startswith(("_", "@")) or len(name) > _LONGEST_NAME:
                        raise BadOffer(f"{cls.__qualname__}.{name} cannot be remote: its name begins with _ or is long")
                    if not inspect.isfunction(found):
                        raise BadOffer(
                            f"{cls.__qualname__}.{name} cannot be remote: it is a {type(found).__name__}",
                            hint="only methods that are called on an object can be",
                        )
                    there = offers.get(name)
                    offers[name] = there if there is not None and there.call is found else Offer(name, found)
                else:
                    offers.pop(name, None)
        cls.__offers__ = offers


class Perspective(Object):
    """What somebody who has logged in may do.

    Attributes:
        limits: Of the session that has it, beside those that the service has.
    """

    __slots__ = ()
    limits: ClassVar[Limits | None] = None

    def left(self) -> None:
        """Called once, when the session that had it is over."""


def kind_of(value: Object | Reference) -> str:
    """What the other end is told of an object's class: its name."""
    return type(value).__name__[:_LONGEST_NAME] if isinstance(value, Object) else ""
