"""Codes and exit statuses are API: scripts, logs and other languages go by them."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import re
import traceback
from collections.abc import Callable, Iterator

import pytest

import ropewalk
from ropewalk.errors import Damaged, Missing, Misuse, PeerFault, Refused, RopewalkError, Unavailable

FAMILIES: list[tuple[type[RopewalkError], str, int]] = [
    (Misuse, "misuse", 2),
    (Missing, "missing", 3),
    (Refused, "refused", 4),
    (Unavailable, "unavailable", 5),
    (Damaged, "damaged", 6),
    (PeerFault, "peer-fault", 7),
]
CODE = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*\Z")


def errors_of_the_package() -> list[type[RopewalkError]]:
    for module in pkgutil.walk_packages(ropewalk.__path__, "ropewalk."):
        if not module.name.endswith("__main__"):  # importing it would run it
            importlib.import_module(module.name)
    return [error for error in descendants(RopewalkError) if error.__module__.startswith("ropewalk.")]


def descendants(error: type[RopewalkError]) -> Iterator[type[RopewalkError]]:
    for child in error.__subclasses__():
        yield child
        yield from descendants(child)


@pytest.mark.parametrize(("family", "code", "status"), FAMILIES)
def test_each_family_keeps_its_code_and_exit_status(family: type[RopewalkError], code: str, status: int) -> None:
    assert (family.code, family.status) == (code, status)
    assert family.__bases__ == (RopewalkError,)


def test_an_error_of_no_family_ends_a_command_with_1() -> None:
    assert (RopewalkError.code, RopewalkError.status) == ("error", 1)


def test_an_error_carries_its_message_and_hint() -> None:
    error = Missing("no space photos", hint="`ropewalk space list` names those there are")
    assert (str(error), error.hint) == ("no space photos", "`ropewalk space list` names those there are")
    assert Missing("no space photos").hint == ""


def test_a_traceback_shows_the_hint_and_the_message_does_not() -> None:
    error = Missing("no space photos", hint="`ropewalk space list` names those there are")
    shown = "".join(traceback.format_exception(error))
    assert shown.count("hint: `ropewalk space list` names those there are") == 1
    assert "space list" not in str(error)
    assert "hint" not in "".join(traceback.format_exception(Missing("no space photos")))


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301 - ours
def test_a_copy_has_the_hint_once(copied: Callable[[Missing], Missing]) -> None:
    error = copied(Missing("no space photos", hint="make one"))
    assert (str(error), error.hint) == ("no space photos", "make one")
    assert "".join(traceback.format_exception(error)).count("hint: make one") == 1


def test_each_error_class_of_the_package_has_a_code_of_its_own() -> None:
    holders: dict[str, set[type[RopewalkError]]] = {}
    for error in errors_of_the_package():
        holders.setdefault(error.code, set()).add(error)
    assert {code: classes for code, classes in holders.items() if len(classes) > 1} == {}
    assert [code for code in holders if not CODE.match(code)] == []


def test_each_error_class_of_the_package_belongs_to_one_family() -> None:
    families = tuple(family for family, _, _ in FAMILIES)
    for error in errors_of_the_package():
        assert sum(issubclass(error, family) for family in families) == 1, error
