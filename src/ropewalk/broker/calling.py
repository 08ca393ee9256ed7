"""Calling: one method of one object, with arguments as they came.

Flow: target, name, arguments -> `invoke` -> the offer of the target's class, or the reference that passes it on
Never: looks a name up in anything but the table of offers.
Source: docs/spec/broker.md section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropewalk.broker.describe import described
from ropewalk.broker.errors import BadArguments, NoMethod, NoReference
from ropewalk.broker.objects import Remote, pass_on
from ropewalk.broker.offers import Object, Offer

__all__ = ["invoke", "refused"]


def refused(offer: Offer, arguments: list[Any], error: BaseException) -> BaseException:
    """What a call failed by: its method's own error, or that it does not take so many arguments."""
    if isinstance(error, TypeError) and not offer.checked:
        try:
            offer.bind(arguments, {})
        except BadArguments as wrong:
            return wrong
    return error


def invoke(target: Any, offers: Mapping[str, Offer], method: str, arguments: list[Any], named: dict[str, Any]) -> Any:
    """Call a method of whatever a call has for its target.

    Raises:
        NoReference: It is no object.
        NoMethod: It has no such method.
        Exception: What the method raises.
    """
    if isinstance(target, Remote):
        return pass_on(target, method, arguments, named)
    if not isinstance(target, Object):
        raise NoReference(f"{method} is called on a {type(target).__name__}, expected a reference")
    offer = offers.get(method)
    if offer is not None:
        return _run(offer, target, arguments, named)
    if method != "@describe":
        known = ", ".join(sorted(offers)) or "none"
        raise NoMethod(f"{type(target).__name__} has no remote method {method!r:.60}", hint=f"it has: {known:.2000}")
    if arguments or named:
        raise BadArguments("@describe takes no arguments")
    return described(type(target))


def _run(offer: Offer, target: Object, arguments: list[Any], named: dict[str, Any]) -> Any:
    if named:
        arguments, named = offer.convert_named(arguments, named)
        return offer.call(target, *arguments, **named)
    if offer.checked:
        return offer.call(target, *offer.convert(arguments))
    try:
        return offer.call(target, *arguments)
    except TypeError:
        offer.bind(arguments, {})
        raise
