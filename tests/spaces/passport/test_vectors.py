"""Passports, and what follows from them, are what the vectors say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ropewalk.spaces.passport import Passport, PassportDamaged, joined, open_passport, terms
from ropewalk.spaces.passport.ground import left_prefix, prefix_of

VECTORS = json.loads((Path(__file__).parents[3] / "docs/spec/vectors/passport.json").read_text())


def test_vectors_of_prefixes() -> None:
    (case,) = [case for case in VECTORS if case["what"] == "prefixes"]
    key, store = bytes.fromhex(case["device"]), bytes.fromhex(case["store"])
    assert (prefix_of(key, store), left_prefix(key, store)) == (case["probes"], case["left"])


@pytest.mark.parametrize("case", [case for case in VECTORS if case["what"] == "passport"], ids=lambda case: case["why"])
def test_vectors_of_passports(case: dict[str, Any]) -> None:
    data, store, key = (bytes.fromhex(case[field]) for field in ("bytes", "store", "device"))
    if "error" in case:
        with pytest.raises(PassportDamaged) as refused:
            open_passport(data, store, key)
        assert refused.value.code == case["error"]
        return
    assert _follows(open_passport(data, store, key)) == case["terms"]


@pytest.mark.parametrize("case", [case for case in VECTORS if case["what"] == "kept"], ids=lambda case: case["why"])
def test_vectors_of_what_is_kept(case: dict[str, Any]) -> None:
    store, key = bytes.fromhex(case["store"]), bytes.fromhex(case["device"])
    before, new, kept = (open_passport(bytes.fromhex(case[field]), store, key) for field in ("before", "bytes", "kept"))
    assert joined(before, new) == kept
    assert _follows(kept) == case["terms"]


def _follows(passport: Passport) -> dict[str, Any]:
    follows = terms(passport)
    return {
        "refused": bool(follows.refused),
        "largest": follows.largest,
        "deletes": follows.deletes,
        "hints": follows.hints,
    }
