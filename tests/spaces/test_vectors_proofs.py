"""Proof files, branches and commitments are what the vectors say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from docs.spec.vectors.cases_proofs import file_of
from docs.spec.vectors.fixture import SECRETS, SPACE
from ropewalk.spaces.conduct import branch_writer
from ropewalk.spaces.envelope import commitment
from ropewalk.spaces.keys import KeyRing, Secrets, keyed
from ropewalk.spaces.proof import ProofDamaged, verify

VECTORS = json.loads((Path(__file__).parents[2] / "docs/spec/vectors/proofs.json").read_text())


@pytest.mark.parametrize("case", [case for case in VECTORS if case["what"] == "proof"], ids=lambda case: case["why"])
def test_vectors_of_files(case: dict[str, str | int]) -> None:
    data = file_of(dict(case))
    if "error" in case:
        with pytest.raises(ProofDamaged) as refused:
            verify(data)
        assert refused.value.code == case["error"]
    else:
        found = verify(data)
        assert (found.kind, found.device.hex(), found.file.hex()) == (case["kind"], case["device"], case["hash"])


@pytest.mark.parametrize("case", [case for case in VECTORS if case["what"] == "branch"])
def test_vectors_of_branches(case: dict[str, str]) -> None:
    assert branch_writer(bytes.fromhex(case["writer"]), bytes.fromhex(case["head"])).hex() == case["branch"]


def test_vectors_of_commitments() -> None:
    case = next(case for case in VECTORS if case["what"] == "commitment")
    assert commitment(bytes.fromhex(case["blind"]), bytes.fromhex(case["seen"])).hex() == case["commitment"]
    secrets = Secrets(*(SECRETS[at : at + 32] for at in (0, 32, 64)))
    keys = KeyRing.derive(SPACE.id, SPACE.epoch_tag.ljust(32, b"0"), secrets)
    place = SPACE.id + bytes.fromhex(case["writer"]) + (1).to_bytes(8, "big") + bytes(32)
    assert keyed(keys.members.blind, place).hex() == case["blind"]
