"""Every kind of loop keeps the contract for what it claims, and refuses the rest."""

from __future__ import annotations

import sys

import pytest

from ropewalk.loops import FEATURES, LoopKind, Simulated, kind
from ropewalk.loops.private import GUEST, SIMULATED, lacking
from ropewalk.testing import check_loop
from tests.loops.hosts import ThreadKind

KINDS: list[LoopKind] = [kind("asyncio"), kind("uvloop"), kind("qt"), ThreadKind(), Simulated(), Simulated(None)]


@pytest.mark.system
@pytest.mark.parametrize("chosen", KINDS, ids=lambda chosen: f"{chosen.name}-{getattr(chosen, 'seed', '')}")
@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_keeps_the_loop_contract(chosen: LoopKind, feature: str) -> None:
    check_loop(chosen, feature)


def test_a_kind_that_claims_too_much_is_caught() -> None:
    class Boaster(Simulated):
        features = frozenset({"tcp"})

    with pytest.raises(AssertionError, match=r"simulated: tcp: NotSimulated"):
        check_loop(Boaster(), "tcp")


def test_a_kind_that_claims_too_little_is_caught() -> None:
    class Modest(Simulated):
        features = frozenset[str]()

    with pytest.raises(AssertionError, match="it works, and is not among"):
        check_loop(Modest(), "timers")


@pytest.mark.parametrize("names", [GUEST, SIMULATED])
def test_this_python_has_the_private_names_that_guests_and_simulations_need(names: tuple[str, ...]) -> None:
    assert lacking(names) is None, f"Python {sys.version_info[:2]}: see ropewalk/loops/private.py"


def test_a_private_name_that_is_gone_is_told() -> None:
    assert lacking(("_gone",)) == "asyncio of this Python lacks SelectorEventLoop._gone, the use of self._gone"
