"""Counted: what a history of numbers answers, and how it is asked, whoever keeps it.

Flow: a question's type and fields -> Counted.ask -> JSON -> read -> a value whose every part has a bound
Never: passes on an answer that is larger, deeper or stranger than one of a collector may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Protocol, TypeVar

import msgspec
from msgspec import Meta

from ropewalk.collector.wire import Label, LabelValue, Name, Source
from ropewalk.errors import Misuse, PeerFault, Unavailable

__all__ = [
    "Alerts",
    "BadAnswer",
    "Counted",
    "Listed",
    "NoAnswer",
    "Numbers",
    "Sources",
    "Told",
    "WrongQuestion",
    "read",
]

_YEAR_9000 = 221_845_392_000.0
_SAID = 200  # characters of what the other side says of an error

Time = Annotated[float, Meta(ge=0, le=_YEAR_9000)]  # seconds since 1970
Labels = Annotated[dict[Label, LabelValue], Meta(max_length=17)]
Rule = Annotated[str, Meta(max_length=200)]


class NoAnswer(Unavailable):
    """The history cannot tell now."""

    code = "pages.no-history"


class WrongQuestion(Misuse):
    """The history cannot answer this question, but others."""

    code = "pages.wrong-question"


class BadAnswer(PeerFault):
    """The answer is none that a collector may give."""

    code = "pages.bad-answer"


class Told(msgspec.Struct, frozen=True):
    """An answer; `path` is where it is asked for. docs/reference/metrics.md lists questions and fields."""

    path: ClassVar[str]


class Process(msgspec.Struct, frozen=True):
    """One that pushes its numbers."""

    name: Source
    state: Literal["alive", "late", "dead"]
    since: Time
    seen: Time


class Sources(Told, frozen=True):
    """All that push."""

    path: ClassVar[str] = "/sources"
    sources: Annotated[tuple[Process, ...], Meta(max_length=1_000)] = ()


class Series(msgspec.Struct, frozen=True):
    """What a line of numbers is called."""

    name: Name
    source: Source
    kind: Literal["counter", "gauge"]
    labels: Labels


class Listed(Told, frozen=True):
    """Some series; `more` where there are others."""

    path: ClassVar[str] = "/series"
    series: Annotated[tuple[Series, ...], Meta(max_length=1_000)]
    more: bool = False


class Drawable(Series, frozen=True):
    """A series with its points: of a gauge time, last, mean, low, high; of a counter time, added, per second, .."""

    points: Annotated[tuple[tuple[float, float, float, float, float], ...], Meta(max_length=500)]


class Numbers(Told, frozen=True):
    """Series over some time, a point each `step` seconds at most."""

    path: ClassVar[str] = "/query"
    step: Annotated[float, Meta(ge=1, le=366 * 86_400)]
    series: Annotated[tuple[Drawable, ...], Meta(max_length=50)]


class Stands(msgspec.Struct, frozen=True):
    """An alert that stands."""

    rule: Rule
    source: Source
    labels: Labels


class Happened(Stands, frozen=True):
    """An alert was raised or cleared."""

    kind: Literal["raised", "cleared"]
    time: Time
    value: float


class Alerts(Told, frozen=True):
    """Alerts that stand, and what was raised and cleared, the newest first."""

    path: ClassVar[str] = "/alerts"
    standing: Annotated[tuple[Stands, ...], Meta(max_length=10_000)] = ()
    events: Annotated[tuple[Happened, ...], Meta(max_length=1_000)] = ()


class _Fault(msgspec.Struct, frozen=True):
    error: Annotated[str, Meta(max_length=2_000)] = ""


T = TypeVar("T", bound=Told)


class Counted(Protocol):
    """A history of numbers that can be asked."""

    def now(self) -> float:
        """Seconds since 1970."""

    @property
    def standing(self) -> Sequence[Stands]:
        """Alerts that stand, as far as is known without asking."""

    async def ask(self, told: type[T], query: Mapping[str, str]) -> T:
        """What a collector answers at the path of this answer.

        Raises:
            NoAnswer: Not now.
            WrongQuestion: Not this.
            BadAnswer: What it says cannot be.
        """


def read(told: type[T], status: int, body: bytes) -> T:
    """An answer, from the bytes of a page.

    Raises:
        NoAnswer, WrongQuestion, BadAnswer.
    """
    try:
        if status == 200:
            return msgspec.json.decode(body, type=told)
        said = msgspec.json.decode(body, type=_Fault).error[:_SAID] if status in (400, 503) else ""
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"the answer at {told.path} is none of a collector: {str(error)[:_SAID]}") from None
    if status == 400:
        raise WrongQuestion(said or "the question was refused")
    if status == 503:
        raise NoAnswer(said or "the history cannot be read now")
    raise BadAnswer(f"got status {status} at {told.path}, expected 200", hint="is this the `page` of a collector?")
