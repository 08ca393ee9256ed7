"""Configurations in TOML: what is read, and what an error says of what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Missing
from ropewalk.service import BadConfig, Restart, load, parse
from tests.service.kinds import Limits, Plain, PlainConfig

GOOD = """\
[application]
name = "demo"
loop = "asyncio"
deadline = 3

[log]
format = "json"

[services.front]
kind = "tests.service.kinds:Plain"
needs = ["back"]
restart = "always"
critical = true
listen = ["tcp://:0"]
limits = { connections = 7 }

[services.back]
kind = "tests.service.kinds:Plain"
"""


def test_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "app.toml"
    path.write_text(GOOD)
    read = load(path)
    assert (read.application.name, read.application.loop, read.application.deadline) == ("demo", "asyncio", 3.0)
    assert read.log.format == "json"
    assert [plan.name for plan in read.plans] == ["back", "front"]  # each after those it needs
    front = read.plans[1]
    assert front.make is Plain
    assert front.config == PlainConfig(("tcp://:0",), Limits(7))
    assert (front.needs, front.restart, front.critical) == (("back",), Restart.ALWAYS, True)
    assert read.folder == tmp_path


def test_equal_texts_give_equal_plans() -> None:
    """So that a reload restarts only what changed."""
    assert parse(GOOD).plans == parse(GOOD).plans
    assert parse(GOOD).plans != parse(GOOD.replace("= 7", "= 8")).plans


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("deadline = 3", "dedline = 3", "app.toml:4: application.dedline: unknown key", "did you mean deadline?"),
        ("deadline = 3", 'deadline = "3"', "app.toml:4: application.deadline: expected `float`, got `str`", ""),
        ("deadline = 3", "deadline = 0", "app.toml:4: application.deadline: expected `float` > 0.0", ""),
        ("[log]", "[lgo]", "app.toml:6: lgo: unknown key", "did you mean log?"),
        ('"json"', '"jsn"', "app.toml:7: log.format: invalid enum value 'jsn'", ""),
        ("critical", "criticl", "app.toml:13: services.front.criticl: unknown key", "did you mean critical?"),
        ("listen =", "lisen =", "app.toml:14: services.front.lisen: unknown key", "did you mean listen?"),
        (
            "connections = 7",
            "conns = 7",
            "app.toml:15: services.front.limits.conns: unknown key",
            "did you mean connections?",
        ),
        ("connections = 7", "connections = 0", "app.toml:15: services.front.limits.connections: expected `int` >=", ""),
        ('["back"]', '["bak"]', "app.toml:11: services.front.needs: service 'front' needs 'bak'", "there are: back"),
        ('["back"]', '["front"]', "app.toml:11: services.front.needs: services need each other", "do without"),
        ('["back"]', "[3]", "app.toml:11: services.front.needs.0: expected `str`, got `int`", ""),
        ("always", "sometimes", "app.toml:12: services.front.restart: invalid enum value 'sometimes'", ""),
        ("[services.back]", "[services.'b k']", "app.toml:17: services.b k: a service's name has 1", ""),
        (
            "kinds:Plain",
            "kinds:Palin",
            "app.toml:10: services.front.kind: tests.service.kinds:Palin cannot",
            "is its pack",
        ),
        ("kinds:Plain", "kinds:NOT_A_SERVICE", "kinds:NOT_A_SERVICE is not a class of Service", "derive it from"),
        ("tests.service.kinds:Plain", "unheard", "app.toml:10: services.front.kind: no service kind 'unheard'", "a cl"),
        ("kinds:Plain", "kinds:Clashing", "has keys of its own that every service has: needs", ""),
        ("[log]", "[log", "app.toml:6: not TOML: expected ']' at the end of a table declaration, in column 5", ""),
        ('kind = "tests.service.kinds:Plain"\nneeds', "needs", "app.toml:9: services.front: missing required", ""),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, old: str, new: str, message: str, hint: str) -> None:
    assert old in GOOD
    with pytest.raises(BadConfig) as caught:
        parse(GOOD.replace(old, new, 1), "app.toml")
    assert message in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a = " + "[" * 5000, "not TOML that can be read: it is nested too deeply", ""),
        ("[application]\ndeadline = " + "9" * 5000, "a number in it has thousands of digits", ""),
        ("[application]\ndeadline = nan", "app.toml:2: application.deadline: expected `float` > 0", ""),
        ('[application]\nloop = "uvlop"', "app.toml:2: application.loop: no kind of loop is called 'uvlop'", ""),
        ("[services.a]\n[services.a]", "app.toml:2: not TOML: cannot declare services.a twice, in column", ""),
        ("services = 3", "app.toml:1: services: expected `table`, got `int`", ""),
        ("[services]\na = 3", "app.toml:2: services.a: expected `table`, got `int`", "single brackets"),
        ('[[services.a]]\nkind = "echo"', "app.toml:1: services.a: expected `table`, got `array`", "single brackets"),
        ("[[services]]\n", "app.toml:1: services: expected `table`, got `array`", ""),
        ('\nservices.a.kind = "echo"\nservices.a.listen = 3', "app.toml:3: services.a.listen: expected `str | arr", ""),
        ('[services.a]\nkind = ":"', "app.toml:2: services.a.kind: got ':', expected package.module:name", ""),
        ('[services.a]\nkind = "..a:b"', "app.toml:2: services.a.kind: got '..a:b', expected package", ""),
        (
            '[services.a]\nkind = "tests.service.broken:A"',
            "services.a.kind: tests.service.broken:A cannot be i",
            "the fault",
        ),
        ('[services.a]\nkind = "tests.service.kinds:NoStruct"', "NoStruct.Config is not a class of msgspec.Struct", ""),
        (
            '[services.a]\nkind = "tests.service.kinds:Lax"\nwrods = 1',
            "app.toml:3: services.a.wrods: unknown",
            "words?",
        ),
        ('[services.a]\nkind = "tests.service.kinds:Lax"\nodd = true', "app.toml:3: services.a.odd: it is odd", "even"),
        ('[services.a]\nkind = "echo"\nlisten = "tpc://*:1"', "app.toml:3: services.a.listen: scheme of endpoint", ""),
        (
            '[services.a]\nkind = "echo"\nlisten = ["tls://*:1?dev", "tls://*:2"]',
            "app.toml:3: services.a.listen: tls://*:2 has no certificate to show",
            "cert= and key=",
        ),
        (
            '[services.a]\nkind = "protocol"\nlisten = "tcp://*:1"\nfactory = "os:nothing"',
            "app.toml:4: services.a.factory: os:nothing cannot be imported",
            "PYTHONPATH",
        ),
    ],
)
def test_bad_input(text: str, message: str, hint: str) -> None:
    with pytest.raises(BadConfig) as caught:
        parse(text, "app.toml")
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "app.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load(path).application.name == "demo"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no file"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"\xff", "not UTF-8 at byte 0"), (b"#" * (1024 * 1024 + 1), "more than 1,048,576 bytes")],
)
def test_a_file_that_is_no_text(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "app.toml"
    path.write_bytes(data)
    with pytest.raises(BadConfig, match=message):
        load(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot be read: is a directory"):
        load(tmp_path)


def test_an_empty_file_is_an_application_without_services() -> None:
    assert parse("").plans == ()


HEADERS = ["[application]", "[log]", "[services.a]", "[[services]]", "[services.a.limits]"]
STARTS = ["kind = ", "listen = ", "limits = ", "needs = ", "deadline = ", "loop = ", "a.b = ", "services.a.", "="]
VALUES = ['"echo"', '"tcp://*:0"', '["a"]', "{ rate = 1 }", "-1", "nan", "1e400", "2020-01-01", "true", "{ rate =", "~"]
OTHERS = ["\n", "\n", "\n", "[", "]", ",", "}", "'", '"""', "#", "\u2028", "\x00"]


@given(st.lists(st.sampled_from(HEADERS + STARTS + VALUES + OTHERS), max_size=30).map("".join))
def test_any_text_is_an_application_or_a_bad_configuration(text: str) -> None:
    said = ""
    try:
        parse(text, "app.toml")
    except BadConfig as error:
        said = str(error)
    assert said == "" or said.startswith("app.toml:")
