"""Caller: the short way of a call: a method of one reference, with arguments that are encoded as they are.

Flow: `caller` -> a function -> a number, a message in the outbox, a promise; or, where that cannot be, `Asking.ask`
Never: goes ahead of a call that is held back; makes anything but the promise.
Source: docs/spec/broker.md sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ropewalk.broker.about import CURRENT
from ropewalk.broker.limits import FREE, PIECE
from ropewalk.broker.objects import Handle
from ropewalk.broker.outbox import FIRST, encode_into
from ropewalk.broker.packing import SIMPLE, plain
from ropewalk.broker.promise import Promise

if TYPE_CHECKING:
    from ropewalk.broker.asking import Asking

__all__ = ["caller"]


def caller(asking: Asking, handle: Handle, name: str) -> Callable[..., Promise]:  # noqa: C901 - see `Broker.taken`
    """A function that calls a method of an object of the other end."""
    target = handle.number
    outbox, questions, free = asking._outbox, asking.questions, asking._free
    current = CURRENT.get

    def call(*arguments: Any, **named: Any) -> Promise:
        if asking.careful or named:
            return asking.ask(target, handle, target, name, arguments, named)
        about = current()
        for argument in arguments:
            if argument.__class__ not in SIMPLE and not plain((argument,), asking.theirs.depth - 1):
                if argument.__class__ is bytes and len(arguments) == 1 and free and about is None:
                    promise = _with(asking, target, name, argument)
                    if promise is not None:
                        return promise
                return asking.ask(target, handle, target, name, arguments, named)
        if not free:
            return asking.ask(target, handle, target, name, arguments, named)
        alone = not questions
        told = None if about is None else about.wire(asking.loop.time())
        question = free.pop()
        body = outbox.body
        before = len(body)
        try:
            if told is None:
                encode_into((0, question, target, name, arguments), body, -1)
            else:
                encode_into((0, question, target, name, arguments, None, told), body, -1)
        except Exception:
            del body[before:]
            free.append(question)
            return asking.ask(target, handle, target, name, arguments, named)
        after = len(body)
        if after > outbox.soft or after - before >= FREE:
            del body[before:]
            free.append(question)
            return asking.ask(target, handle, target, name, arguments, named)
        promise = questions[question] = Promise(asking, question)
        count = outbox.count
        outbox.count = count + 1
        if not count:
            outbox.wake(alone)
        return promise

    def tell(*arguments: Any, **named: Any) -> None:
        asking.tell(target, handle, target, name, arguments, named)

    call.tell = tell  # type: ignore[attr-defined]
    call.__name__ = name
    return call


def _with(asking: Asking, target: int, name: str, argument: bytes) -> Promise | None:
    """Call with one argument that travels beside the message, unless it is too long for that, or has to wait."""
    sending = asking._sending
    size = len(argument)
    if size > PIECE or (sending.used and sending.used + size + FREE > asking.theirs.window):
        return None
    question = asking._free.pop()
    message = asking._outbox.say_with((0, question, target, name, (FIRST,)), argument)
    if not message:
        asking._free.append(question)
        return None
    promise = asking.questions[question] = Promise(asking, question)
    promise._odd, promise._cost = True, message + size
    sending.used += promise._cost
    return promise
