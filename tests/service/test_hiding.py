"""Hiding: no secret of a configuration is shown, and what is none is."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.service.hiding import HIDDEN, shown_config, shown_of


class Inner(msgspec.Struct):
    api_key: str = "geheim"
    depth: int = 2


class Outer(msgspec.Struct):
    token_file: str = "token.txt"
    secret_path: str = "x"
    access_token: str = "geheim"
    key: str = "server.pem"
    passphrase: str = ""
    inner: Inner = msgspec.field(default_factory=Inner)
    headers: Any = msgspec.field(default_factory=lambda: {"Authorization": "geheim", "Accept": "text"})
    odd: Annotated[str, msgspec.Meta(extra={"secret": True})] = "geheim"
    tokens: Annotated[int, msgspec.Meta(extra={"secret": False})] = 5
    urls: tuple[str, ...] = ("https://u:geheim@h/p?x=1", "tls://h?api_key=geheim;cert=a.pem")
    thing: Any = None


def test_secrets_are_hidden_and_places_are_not() -> None:
    told = shown_config(Outer(thing=object()))
    assert "geheim" not in msgspec.json.encode(told).decode()
    assert told["token_file"] == "token.txt"
    assert told["secret_path"] == "x"
    assert told["key"] == "server.pem"
    assert told["passphrase"] == ""
    assert told["inner"] == {"api_key": HIDDEN, "depth": 2}
    assert told["headers"] == {"Authorization": HIDDEN, "Accept": "text"}
    assert (told["odd"], told["tokens"], told["thing"]) == (HIDDEN, 5, "<object>")
    assert told["urls"] == [f"https://u:{HIDDEN}@h/p?x=1", f"tls://h?api_key={HIDDEN};cert=a.pem"]


@pytest.mark.parametrize("key", ["password", "dbPassword", "SECRET", "client-token", "cookie", "api-key", "private"])
@given(value=st.text(min_size=1).filter(lambda text: text not in HIDDEN))
def test_whatever_a_secret_is_it_does_not_show(key: str, value: str) -> None:
    class One(msgspec.Struct):
        told: dict[str, Any]

    assert shown_config(One({key: value})) == {"told": {key: HIDDEN}}
    assert shown_config(One({key: [value]})) == {"told": {key: HIDDEN}}


def test_what_has_no_end_is_cut() -> None:
    class One(msgspec.Struct):
        more: list[Any]

    deep: list[Any] = []
    deep.append(deep)
    assert "..." in str(shown_config(One(deep)))


def test_what_is_said_of_a_text_has_no_secret_of_it() -> None:
    text = """
    [services.a]
    password = "hunter2"
    pins = [4711]
    url = "https://u:sesame@h"
    name = "shop"
    [services.a.private]
    "x y" = "it's"
    """
    said = "got 'shop', 4711, \"it's\" and hunter2 in https://u:sesame@h"
    assert shown_of(text, said) == f"got 'shop', {HIDDEN}, \"{HIDDEN}\" and {HIDDEN} in https://u:{HIDDEN}@h"
    assert shown_of("= no TOML", "https://u:sesame@h") == f"https://u:{HIDDEN}@h"
