"""Forms of settings: what a type can hold is shown so that what is posted unchanged changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.collector.services import CollectorConfig
from ropewalk.console.service import ConsoleConfig
from ropewalk.net.serving import LimitsConfig, ServingConfig
from ropewalk.node import NodeSettings
from ropewalk.pages.panel.forms import Field, Form, changed
from ropewalk.telnet.service import TelnetConfig
from ropewalk.web.static.config import TreeConfig

Count = Annotated[int, msgspec.Meta(ge=1, le=9)]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int = 1
    on: bool = True
    words: tuple[str, ...] = ("a", "b")


class Needy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    left: str | None = None


class All(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Of all kinds.

    Attributes:
        needed_text: What is `needed`,
            in two lines.
        count, rate: Numbers.
    """

    needed_text: str
    needed_bool: bool
    count: Count = 3
    rate: float | None = None
    either: int | float = 0
    text: str = "said"
    left: str | None = None
    mode: Literal["auto", "", "x"] = "auto"
    level: Literal[1, 2] | None = None
    colour: Colour = Colour.RED
    maybe: bool | None = None
    lines: tuple[str, ...] = ()
    numbers: list[int] = []
    colours: frozenset[Colour] = frozenset()
    several: str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = "one"
    inner: Inner = Inner(number=7, on=False)
    plain: Inner = Inner()
    needy: Needy | None = None
    table: dict[str, int] = {}
    many: tuple[Inner, ...] = ()
    password: str = ""
    tokens: tuple[str, ...] = ()
    private: bool = False
    odd: int | list[int] | None = None


def posted(fields: list[Field]) -> dict[str, str]:
    """What a browser sends of a form: lines end with CRLF, boxes that are not ticked say nothing more than that."""

    def each(fields: tuple[Field, ...] | list[Field]) -> Iterator[tuple[str, str]]:
        for one in fields:
            if one.fields:
                yield from each(one.fields)
            elif one.shape.what == "check":
                yield one.name, "on" if one.value == "true" else ""
            elif one.shape.what not in ("none", "group"):
                yield one.name, one.value.replace("\n", "\r\n")

    return dict(each(fields))


def plain(value: Any) -> Any:
    """As TOML has it: what is none is left out."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if one is not None}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


TEXT = st.text(max_size=6)
INNER = st.builds(Inner, st.integers(), st.booleans(), st.lists(TEXT, max_size=3).map(tuple))
ALL = st.builds(
    All,
    needed_text=TEXT,
    needed_bool=st.booleans(),
    count=st.integers(1, 9),
    rate=st.none() | st.floats(allow_nan=False),
    either=st.integers() | st.floats(allow_nan=False),
    text=TEXT,
    left=st.none() | TEXT,
    mode=st.sampled_from(["auto", "", "x"]),
    level=st.sampled_from([1, 2, None]),
    colour=st.sampled_from(Colour),
    maybe=st.sampled_from([None, True, False]),
    lines=st.lists(TEXT, max_size=3).map(tuple),
    numbers=st.lists(st.integers(), max_size=3),
    colours=st.frozensets(st.sampled_from(Colour)),
    several=TEXT | st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    inner=INNER,
    plain=INNER,
    needy=st.none() | st.builds(Needy, TEXT, st.none() | TEXT),
    table=st.dictionaries(TEXT, st.integers(), max_size=2),
    many=st.lists(INNER, max_size=2).map(tuple),
    password=TEXT,
    tokens=st.lists(TEXT, max_size=2).map(tuple),
    private=st.booleans(),
    odd=st.none() | st.integers() | st.lists(st.integers(), max_size=2),
)
LIMITS = st.builds(LimitsConfig, connections=st.none() | st.integers(1), idle=st.none() | st.floats(0.001, 1e9))
URLS = st.sampled_from(["tcp://127.0.0.1:0", "unix:///run/a?mode=600", "tcp://[::1]:7"])
CONFIGS = st.one_of(
    ALL,
    st.builds(ServingConfig, listen=URLS | st.lists(URLS, min_size=1, max_size=3).map(tuple), limits=LIMITS),
    st.builds(TreeConfig, cache=st.integers(0, 2**40), max_age=st.none() | st.integers(0, 9), listing=st.booleans()),
    st.builds(ConsoleConfig, socket=TEXT, checkers=st.lists(TEXT, max_size=2).map(tuple), idle=st.floats(0.5, 9.0)),
    st.builds(CollectorConfig, listen=URLS.filter(lambda url: "::1" not in url), keep_days=st.floats(0.1, 1e6)),
    st.builds(NodeSettings, listen=st.lists(URLS, max_size=2).map(tuple), page=TEXT),
    st.builds(TelnetConfig, talk=st.just("ropewalk.console:talk"), listen=URLS, greeting=TEXT),
)


@given(CONFIGS, st.data())
def test_what_is_posted_unchanged_is_the_same_value(value: msgspec.Struct, data: st.DataObject) -> None:
    table = plain(msgspec.to_builtins(value, str_keys=True))
    if data.draw(st.booleans()):  # a file says only what is not by default
        default = {field.encode_name: field.default for field in msgspec.structs.fields(type(value))}
        same = {key for key in table if key in default and default[key] == getattr(value, key.replace("-", "_"))}
        table = {key: one for key, one in table.items() if key not in same}
    form = Form(type(value), table)
    typed = posted(form.fields())
    found = form.read(typed)
    assert list(changed(table, found)) == []
    assert form.decode(found) == value
    assert form.faults(found, typed) == {}


class Clear(msgspec.Struct, frozen=True):
    """Where an empty input can mean but one thing."""

    number: int
    rate: float | None = None
    level: Literal[1, 2] | None = None
    colour: Colour = Colour.RED
    maybe: bool | None = None
    on: bool = True
    numbers: list[int] = []
    words: tuple[str, ...] = ()
    text: str = ""


WORD = st.text("ab\u00e9 <&\"'", min_size=1, max_size=5).map(str.strip).filter(bool)


@given(
    st.builds(
        Clear,
        st.integers(-(10**30), 10**30),
        rate=st.none() | st.floats(allow_nan=False),
        level=st.sampled_from([1, 2, None]),
        colour=st.sampled_from(Colour),
        maybe=st.sampled_from([None, True, False]),
        on=st.booleans(),
        numbers=st.lists(st.integers(), max_size=3),
        words=st.lists(WORD, max_size=3).map(tuple),
        text=st.just("") | WORD,
    )
)
def test_what_is_typed_into_an_empty_form_is_the_same_value(value: Clear) -> None:
    typed = posted(Form(Clear, plain(msgspec.to_builtins(value))).fields())
    empty = Form(Clear, {})
    assert empty.decode(empty.read(typed)) == value


def found(kind: type[msgspec.Struct], table: Mapping[str, Any] | None = None) -> dict[str, Field]:
    return {one.key: one for one in Form(kind, table or {}).fields()}


def test_each_type_has_its_input() -> None:
    fields = found(All, {"needed-text": "a", "needed-bool": True})
    assert {key: one.shape.what for key, one in fields.items()} == {
        "needed-text": "text", "needed-bool": "check", "count": "number", "rate": "number", "either": "number",
        "text": "text", "left": "text", "mode": "choice", "level": "choice", "colour": "choice", "maybe": "choice",
        "lines": "lines", "numbers": "lines", "colours": "lines", "several": "lines", "inner": "group",
        "plain": "group", "needy": "group", "table": "none", "many": "none", "password": "text", "tokens": "lines",
        "private": "choice", "odd": "none",
    }  # fmt: skip
    assert fields["count"].shape.attributes == {"step": "1", "min": "1", "max": "9"}
    assert fields["needed-text"].help == "What is needed, in two lines."
    assert fields["count"].help == "Numbers."
    assert (fields["count"].value, fields["count"].default) == ("", "3")
    assert (fields["text"].value, fields["text"].default) == ("said", "said")
    assert fields["needed-text"].required
    assert not fields["text"].required
    assert [one.value for one in fields["inner"].fields] == ["7", "false", "a\nb"], "its own default"
    assert found(ServingConfig)["listen"].help == "One endpoint or several."


@pytest.mark.parametrize(
    ("table", "typed", "new"),
    [
        ({}, {"count": "5"}, {"count": 5}),
        ({"count": 5}, {"count": " "}, {}),
        ({}, {"rate": "2.50"}, {"rate": 2.5}),
        ({"text": "x"}, {"text": ""}, {"text": ""}),
        ({}, {"text": ""}, {"text": ""}),
        ({"left": "x"}, {"left": ""}, {}),
        ({}, {"lines": "a\r\n\r\n b \r\n"}, {"lines": ["a", "b"]}),
        ({"lines": ["a"]}, {"lines": ""}, {}),
        ({"several": ["a"]}, {"several": "b"}, {"several": ["b"]}),
        ({"several": "a"}, {"several": "b\nc"}, {"several": ["b", "c"]}),
        ({}, {"maybe": "false"}, {"maybe": False}),
        ({"maybe": False}, {"maybe": ""}, {}),
        ({}, {"level": "2"}, {"level": 2}),
        ({}, {"inner.number": "8"}, {"inner": {"number": 8, "on": False, "words": ("a", "b")}}),
        ({}, {"plain.number": "8"}, {"plain": {"number": 8}}),
        ({"plain": {"number": 8}}, {"plain.number": ""}, {"plain": {}}),
        ({}, {"plain.on": ""}, {"plain": {"on": False}}),
        ({"password": "old"}, {"password": ""}, {"password": "old"}),
        ({"password": "old"}, {"password": "new"}, {"password": "new"}),
        ({"table": {"a": 1}}, {"table": "x", "unknown": "y"}, {"table": {"a": 1}}),
    ],
)
def test_what_is_typed_becomes_what_the_file_says(
    table: dict[str, Any], typed: dict[str, str], new: dict[str, Any]
) -> None:
    needed = {"needed-text": "a", "needed-bool": True}
    form = Form(All, {**needed, **table})
    sent = {**posted(form.fields()), **{f"field.{key}": text for key, text in typed.items()}}
    assert plain(form.read(sent)) == plain({**needed, **new})


def test_faults_stand_beside_their_fields_in_the_words_of_the_file_and_all_at_once() -> None:
    form = Form(All, {"needed-text": "a", "needed-bool": True, "password": "hunter2"})
    sent = posted(form.fields()) | {
        "field.count": "10",
        "field.rate": "fast",
        "field.plain.number": "1.5",
        "field.colour": "<b>",
        "field.needy.left": "x",
    }
    faults = form.faults(form.read(sent), sent)
    assert faults == {
        ("count",): "expected `int` <= 9",
        ("rate",): "expected `float`, got `str`",
        ("plain", "number"): "expected `int`, got `float`",
        ("colour",): "invalid enum value '<b>'",
        ("needy", "name"): "it is needed",
    }
    fields = {one.path: one for one in form.fields(sent, faults)}
    assert (fields[("count",)].value, fields[("count",)].fault) == ("10", "expected `int` <= 9")


class Telling(msgspec.Struct):
    secret: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        if self.secret == "wrong horse":
            raise ValueError(f"secret: got {self.secret!r}")
        if self.url.endswith("no"):
            raise TypeError(f"url: got {self.url!r}")


def test_secrets_are_in_no_field_and_in_no_fault() -> None:
    table = {"secret": "correct horse", "url": "redis://user:sesame@host"}
    form = Form(Telling, table)
    fields = form.fields()
    assert [one.value for one in fields] == ["", ""]
    assert form.read(posted(fields)) == table
    sent = {"field.secret": "wrong horse", "field.url": "redis://user:barley@host/no"}
    new = form.read(sent)
    assert new == {"secret": "wrong horse", "url": "redis://user:barley@host/no"}
    faults = form.faults(new, sent)
    assert len(faults) == 2
    for told in (fields, form.fields(sent, faults), faults):
        assert not any(word in repr(told) for word in ("horse", "sesame", "barley"))
    fresh = Form(Telling, {"url": "redis://host"})
    (again,) = [one for one in fresh.fields(sent, {}) if one.key == "url"]
    assert (again.value, "type it again" in again.fault) == ("redis://host", True)


def test_a_type_that_needs_itself_ends_somewhere() -> None:
    class Knot(msgspec.Struct):
        name: str = ""
        next: Knot | None = None

    globals()["Knot"] = Knot
    assert repr(Form(Knot, {}).fields()).count("'next'") < 200
