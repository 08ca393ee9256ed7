"""`ropewalk audit`: who did what is told, and a file shows it to whoever has nothing else."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from ropewalk.errors import Misuse
from ropewalk.spaces.learning import learn, witness
from ropewalk.spaces.members import Role
from tests.cli.conftest import Run
from tests.cli.pair import Pair, a_pair


@pytest.fixture
def pair(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return a_pair(photos, run, monkeypatch, Role.ADMIN)


def fork(pair: Pair) -> None:
    """Bob's machine is cloned, and both of them write; Anna, who hears of both, reports it."""
    pair.put("bob", "before", "x")
    home = pair.home("bob").config
    shutil.copytree(home, home.with_name("clone"))
    pair.apart(lambda: pair.put("bob", "one", "1"), lambda: pair.put("clone", "two", "2"))
    pair.anna("mkdir", "photos:/seen")


def proof_of(pair: Pair) -> dict[str, object]:
    """What the audit says of the one proof."""
    lines = pair.anna("audit", "photos", "--json").lines
    (found,) = [line for line in lines if line["kind"] == "proof"]
    return dict(found)


def exported(pair: Pair, name: str = "shown.rwproof") -> Path:
    pair.anna("audit", "export", "photos", str(proof_of(pair)["id"])[:8], name)
    return pair.work / name


# -- all of it -----------------------------------------------------------------------------------------------------


def test_who_did_what_is_told_newest_first(pair: Pair) -> None:
    pair.put("bob", "a", "x")
    pair.anna("member", "remove", "bob")
    lines = pair.anna("audit", "photos").out.splitlines()
    members, changes = (
        lines[lines.index("members:") + 1 : lines.index("changes:")],
        lines[lines.index("changes:") + 1 :],
    )
    told = [" ".join(line.split()) for line in members]
    assert told[0].endswith(" anna (laptop) began an epoch, with new keys")
    assert told[1].endswith(" anna (laptop) put bob out")
    assert members[0][:18] == members[1][:18], "an epoch has no time of its own"
    assert "time not known" not in "".join(lines)
    assert told[2].endswith(" anna (laptop) let bob in, as admin")
    assert told[-1].endswith(" anna (laptop) made the space")
    assert "named a member anna" in "".join(told)
    assert len(changes) == 1
    assert "bob (device " in changes[0]
    assert changes[0].endswith("put a (newest)")


def test_each_part_can_be_short(pair: Pair) -> None:
    for name in "ab":
        pair.put("bob", name, "x")
    lines = pair.anna("audit", "photos", "-n", "1").out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["members:", "changes:"]
    assert len(lines) == 4
    assert "put b" in lines[3]
    pair.anna("audit", "photos", "--limit", "-1", status=2)


def test_programs_get_all_of_it(pair: Pair) -> None:
    pair.put("bob", "a", "x")
    lines = pair.anna("audit", "photos", "--json").lines
    added = next(line for line in lines if line.get("deed") == "add")
    assert (added["who"], added["role"], added["effect"]) == ("anna (laptop)", "admin", "stands")
    assert added["seen"] >= added["time"] > "20"
    (head,) = [line for line in lines if line["kind"] == "head"]
    assert (head["note"], head["stand"], head["newest"]) == ("put a", "counts", True)


def test_what_had_no_effect_is_told_with_the_reason(pair: Pair) -> None:
    pair.machine("carol")
    pair.apart(lambda: pair.let_in("carol", Role.WRITER, by="bob"), lambda: pair.anna("member", "remove", "bob"))
    out = pair.anna("audit", "photos").out
    assert "let carol in, as writer -- no effect: anna (laptop) had removed who signed it, at the same time" in out
    struck = [line for line in pair.anna("audit", "photos", "--json").lines if line.get("effect") == "struck"]
    assert [line["deed"] for line in struck] == ["add"]
    assert "carol" not in pair.anna("members", "photos").out


def test_a_space_may_be_called_verify(pair: Pair) -> None:
    pair.anna("space", "create", "verify", "--stores", "s0,s1", "--survive", "1")
    assert "made the space" in pair.anna("audit", "verify:").out


# -- proofs --------------------------------------------------------------------------------------------------------


def test_a_fork_is_found_out_and_told(pair: Pair) -> None:
    fork(pair)
    lines = pair.anna("audit", "photos").out.splitlines()
    found = [" ".join(line.split()) for line in lines[: lines.index("members:")]]
    assert found[0] == "found out:"
    assert "proven bob (device " in found[1]
    assert "signed two different changes as one and the same" in found[1]
    assert "is frozen" in found[2]
    assert "both count, each as a branch of its own" in found[3]
    assert any("reported bob (device " in line for line in lines)
    assert pair.anna("ls", "photos").out.split() == ["before", "one", "seen/", "two"]
    status = pair.anna("status", "photos")
    assert "is frozen: it was shown to have lied" in status.out
    assert [one["device"] for one in pair.anna("status", "photos", "--json").json["frozen"]] == [
        proof_of(pair)["device"]
    ]


def test_a_stranger_can_check_a_proof(pair: Pair) -> None:
    fork(pair)
    told = proof_of(pair)
    assert (told["proven"], told["of"], told["recorded"]) == (True, "fork", True)
    file = exported(pair)
    nobody = pair.of("nobody", "audit", "verify", str(file))
    assert nobody.out.splitlines()[:2] == [
        "proven: the device signed two different changes as one and the same",
        f"device  {told['device']}",
    ]
    answer = pair.of("nobody", "audit", "verify", str(file), "--json").json
    space = pair.anna("space", "list", "--json").json["id"]
    assert (answer["verdict"], answer["id"], answer["space"]) == ("proven", told["id"], space)
    assert not pair.home("nobody").config.exists()


def test_a_file_that_was_changed_shows_nothing(pair: Pair) -> None:
    fork(pair)
    file = exported(pair)
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
    result = pair.of("nobody", "audit", "verify", str(file), status=6)
    assert result.out.startswith(f"nothing: {file} shows nothing\nbecause ")
    answer = pair.of("nobody", "audit", "verify", str(file), "--json", status=6).json
    assert answer["verdict"] == "nothing"


def test_testimony_is_not_called_proven(pair: Pair) -> None:
    for name in "ab":
        pair.put("home", name, "x")

    async def testify() -> None:
        async with pair.open() as space:
            await learn(space.core)
            heads = [path for path in pair.files() if "heads" in path.parts and "s1" in path.parts]
            max(heads, key=lambda path: path.stat().st_mtime_ns).unlink()
            gone = (await learn(space.core)).went_back
            assert [one.store for one in gone] == ["s1"]
            marker = bytes.fromhex(pair.home("home").store("s1").id)
            if await witness(space.core, gone[0], marker) is None:
                raise Misuse("no testimony")

    asyncio.run(testify())
    lines = pair.anna("audit", "photos").out.splitlines()
    assert any("testimony  store s1 no longer shows a change that it had, says anna (laptop)" in line for line in lines)
    file = exported(pair)
    result = pair.of("nobody", "audit", "verify", str(file), status=6)
    assert result.out.startswith("testimony: a store no longer shows a change that it had\nstore   ")
    answer = pair.of("nobody", "audit", "verify", str(file), "--json", status=6).json
    assert (answer["verdict"], answer["of"]) == ("testimony", "rollback")


@pytest.mark.parametrize("content", [b"", b"junk", bytes(100), b"\x98" * 1000])
def test_junk_shows_nothing(run: Run, user: Path, content: bytes) -> None:
    (user / "junk").write_bytes(content)
    assert run("audit", "verify", "junk", "--json", status=6).json["verdict"] == "nothing"


def test_no_file(run: Run) -> None:
    assert "no such file" in run("audit", "verify", "nope", status=3).err


def test_what_cannot_be_exported(pair: Pair) -> None:
    fork(pair)
    for digits in ("abc", "not hex", "0" * 64):
        result = pair.anna("audit", "export", "photos", digits, "new", "--json", status=3)
        assert result.error["code"] == "audit.no-such-proof"
    (pair.work / "old").touch()
    pair.anna("audit", "export", "photos", str(proof_of(pair)["id"]), "old", status=2)
    assert not (pair.work / "new").exists()


# -- accepting -----------------------------------------------------------------------------------------------------


def test_what_was_set_aside_is_taken_in(pair: Pair) -> None:
    pair.put("home", "before", "x")
    pair.bob("ls", "photos")

    def bob_goes_on() -> None:
        for name in ("one", "two", "three"):
            pair.put("bob", name, "x")

    pair.apart(lambda: pair.anna("member", "remove", "bob"), bob_goes_on)
    changes = [line for line in pair.anna("audit", "photos", "--json").lines if line.get("stand") == "quarantined"]
    assert [line["note"] for line in changes] == ["put three", "put two", "put one"]
    result = pair.anna("audit", "accept", "photos", changes[1]["version"][:12])
    assert result.out == "photos: 2 changes taken in\n"
    assert pair.anna("ls", "photos").out.split() == ["before", "one", "two"]
    refused = pair.anna("audit", "accept", "photos", changes[1]["version"][:12], "--json", status=3)
    assert refused.error["code"] == "audit.nothing-to-accept"


def test_a_frozen_device_is_let_go_on(pair: Pair) -> None:
    fork(pair)
    device = str(proof_of(pair)["device"])
    pair.bob("mkdir", "photos:/b", status=4)
    assert "may go on" in pair.anna("audit", "accept", "photos", device[:8]).out
    assert pair.anna("status", "photos", "--json").json["frozen"] == []
    pair.bob("mkdir", "photos:/b")
    assert "b/" in pair.anna("ls", "photos").out


def test_who_is_no_admin_accepts_nothing(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = a_pair(photos, run, monkeypatch)
    pair.machine("carol")
    pair.let_in("carol", Role.WRITER)
    pair.attach("carol")
    fork(pair)
    device = str(proof_of(pair)["device"])
    result = pair.of("carol", "audit", "accept", "photos", device[:8], "--json", status=4)
    assert result.error["code"] == "members.not-allowed"
    pair.of("carol", "audit", "accept", "photos", status=2)
