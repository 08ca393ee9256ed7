"""Epochs: which one seals, who can open what, and that a new one shuts out who is gone and nobody else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ropewalk.spaces.identity import DeviceKeys, PublicKeys
from ropewalk.spaces.keys import EpochUnknown, KeyRing, MembersOnly, Secrets
from ropewalk.spaces.members import Consent, NotAMember, RecordDamaged, committed, consent_message, record_hash, ticket
from ropewalk.spaces.members import wraps as wraps_module
from ropewalk.spaces.members.epochs import MEMBER_WRAP, STEWARD_WRAP, Epoch
from ropewalk.spaces.members.operations import NO_CUT, Delivered
from ropewalk.spaces.members.records import Before, EpochBody, Wrap, parse, sign, steward_info
from ropewalk.spaces.members.wraps import TooManyDevices, deliver, open_ring, owed, rotate, unreached
from ropewalk.spaces.records import encode
from ropewalk.spaces.state import State
from ropewalk.testing.letting_in import SALT
from tests.spaces.club import ADMIN, READER, STEWARD, WRITER, Club, device, first, keys, opens
from tests.spaces.making import a_space


@pytest.fixture
def club() -> Club:
    return Club()


# ---- opening -----------------------------------------------------------------------------------------------------


def test_a_space_of_one_epoch_opens_for_its_devices_and_for_nobody_else(club: Club) -> None:
    for label in ("a1", "paperA"):
        opened = open_ring(club.epochs(), keys(label))
        assert (opened.waits, opened.problems) == (False, [])
        assert (opened.ring.current, opened.ring.number) == (first(club), 1)
        assert opened.ring.secrets(first(club)) == club.secrets
    with pytest.raises(NotAMember):
        club.ring("b1")
    assert club.epochs().due == ""


def test_a_newcomer_reads_all_of_the_history_by_one_wrap(club: Club) -> None:
    made = [club.rotate().hash for _ in range(5)]
    club.add("B", READER)
    ring = club.ring("b1")
    assert opens(ring, first(club), *made)
    assert (ring.current, ring.number) == (made[-1], 6)
    assert ring.secrets(first(club)) == club.secrets
    old = KeyRing.derive(club.space_id, first(club), club.secrets).seal("member", b"", b"of old")
    assert ring.open("member", b"", old) == b"of old"


def test_who_is_removed_reads_no_further_and_all_others_do(club: Club) -> None:
    club.add("B", WRITER, "b1", "b2")
    club.add("C", WRITER)
    club.add("S", STEWARD)
    club.put(club.author("a1").remove(club.member["B"], NO_CUT))
    epochs = club.epochs()
    assert epochs.exposed(epochs.current) == {device("b1"), device("b2")}
    assert "2 devices" in epochs.due
    made = club.rotate()
    after = club.epochs()
    assert (after.current.hash, after.due, after.exposed(after.current)) == (made.hash, "", frozenset())
    for label in ("a1", "paperA", "c1"):
        assert opens(club.ring(label), made.hash, first(club))
    for label in ("b1", "b2"):
        opened = open_ring(after, keys(label))
        assert opened.ring.epochs == {first(club)}
        assert (opened.waits, opened.ring.current) == (True, first(club))
        with pytest.raises(EpochUnknown):
            opened.ring.open("member", b"", club.ring("c1").seal("member", b"", b"news"))
    assert club.ring("s1").epochs == {made.hash, first(club)}


def test_a_revoked_device_is_shut_out_and_its_members_others_are_not(club: Club) -> None:
    club.put(
        club.author("a1").device(
            keys("a2").public(),
            b"",
            [deliver(club.epochs(), club.ring("a1"), keys("a2").public(), ADMIN)],
            consents=club.agreed(club.member["A"], 0, "a2"),
        )
    )
    club.put(club.author("a1").revoke(device("a2"), NO_CUT))
    made = club.rotate()
    assert opens(club.ring("a1"), made.hash)
    assert not club.ring("a2").knows(made.hash, members=False)


def test_a_steward_has_no_more_than_stewards_have_in_any_epoch(club: Club) -> None:
    club.add("S", STEWARD)
    made = [club.rotate().hash, club.rotate().hash]
    ring, members = club.ring("s1"), club.ring("a1")
    assert ring.epochs == {first(club), *made}
    for epoch in ring.epochs:
        assert ring.steward_secret(epoch) == members.steward_secret(epoch)
        with pytest.raises(MembersOnly):
            ring.secrets(epoch)
    assert ring.open("directory", b"", members.seal("directory", b"", b"plain")) == b"plain"
    with pytest.raises(MembersOnly):
        ring.open("member", b"", members.seal("member", b"", b"plain"))
    with pytest.raises(MembersOnly):
        rotate(club.epochs(), ring, keys("s1"), club.read().frontier)


def test_who_becomes_a_steward_keeps_what_he_had_and_gets_no_more_of_it(club: Club) -> None:
    club.add("B", WRITER)
    club.put(club.author("a1").role(club.member["B"], STEWARD))
    assert club.epochs().exposed(club.epochs().current) == {device("b1")}
    made = club.rotate()
    ring = club.ring("b1")
    assert opens(ring, first(club))
    assert (ring.knows(made.hash, members=False), ring.knows(made.hash, members=True)) == (True, False)
    assert club.epochs().due == ""


def test_who_was_a_steward_is_owed_the_rest_once_he_is_a_reader(club: Club) -> None:
    club.add("S", STEWARD)
    club.put(club.author("a1").role(club.member["S"], READER))
    assert not opens(club.ring("s1"), first(club))
    ((one,),) = owed(club.epochs(), club.ring("a1"))
    assert (one.device, len(one.wrap)) == (device("s1"), MEMBER_WRAP)
    club.put(club.author("a1").wrap([one]))
    assert opens(club.ring("s1"), first(club))
    assert owed(club.epochs(), club.ring("a1")) == []


def test_whoever_has_no_wrap_is_owed_one_by_any_member(club: Club) -> None:
    club.add("B", READER)
    for at in range(60):
        club.add(f"N{at}", STEWARD if at % 2 else READER, wrapped=False)
    with pytest.raises(NotAMember):
        club.ring("n01")
    batches = owed(club.epochs(), club.ring("b1"))
    assert [len(batch) for batch in batches] == [48, 12]
    for batch in batches:
        club.put(club.author("b1").wrap(batch))
    assert owed(club.epochs(), club.ring("b1")) == []
    assert opens(club.ring("n01"), first(club))
    assert club.ring("n11").steward_secret(first(club)) == club.secrets.steward
    for at in (1, 2):
        assert len(next(wrap for wrap in club.epochs().current.wraps[device(f"n{at}1")])) == (
            STEWARD_WRAP if at % 2 else MEMBER_WRAP
        )


def test_a_ring_in_use_learns_of_a_new_epoch_and_seals_in_it(club: Club) -> None:
    club.add("B", WRITER)
    ring = club.ring("b1")
    box = ring.seal("member", b"", b"before")
    made = club.rotate()
    opened = open_ring(club.epochs(), keys("b1"), ring)
    assert opened.ring is ring
    assert (ring.current, ring.number) == (made.hash, 2)
    assert ring.open("member", b"", box) == b"before"
    mine = club.ring("a1")
    made.enter(mine)
    assert mine.open("member", b"", ring.seal("member", b"", b"after")) == b"after"


async def test_a_process_reads_what_another_one_of_its_device_sealed_in_an_epoch_that_it_has_not_heard_of(
    tmp_path: Path,
) -> None:
    world = await a_space(tmp_path)
    async with world.open() as one, world.open() as other:
        await one.write("old", b"in the first epoch")
        read = one.core.membership
        made = rotate(read.epochs, one.core.keys, one.core.device, read.frontier)
        for store in world.stores.values():
            await store.put(made.name, (made.data,))
        await one.core.ledger.do(State.add_records, [(str(made.name), made.data)], 1)
        made.enter(one.core.keys)
        await one.write("new", b"in the second")
        assert await other.read("new") == b"in the second"
        assert await other.read("old") == b"in the first epoch"
        assert (other.core.keys.number, other.core.keys.epochs) == (1, one.core.keys.epochs)
    async with world.open() as later:
        assert later.core.keys.number == 2
        assert await later.read("new") == b"in the second"
        assert not later.warnings


# ---- choosing ----------------------------------------------------------------------------------------------------


def test_two_admins_who_rotate_at_once_give_two_epochs_that_the_next_one_unites(club: Club) -> None:
    """Each has removed somebody whom the other's epoch still has: neither is clean."""
    for name, role in (("B", ADMIN), ("X", WRITER), ("Y", WRITER)):
        club.add(name, role)
    before = list(club.objects)
    removed_x = club.put(club.author("a1", before).remove(club.member["X"], NO_CUT))
    one = club.rotate("a1", [*before, removed_x])
    removed_y = club.put(club.author("b1", before).remove(club.member["Y"], NO_CUT))
    other = club.rotate("b1", [*before, removed_y])
    epochs = club.epochs()
    assert {top.hash for top in epochs.tops} == {one.hash, other.hash}
    assert epochs.current.hash == max(one.hash, other.hash)  # both have one holder too many, and the number 2
    assert epochs.due
    assert opens(club.ring("a1"), one.hash, other.hash)
    united = club.rotate("b1")
    epochs = club.epochs()
    assert ([top.hash for top in epochs.tops], epochs.due, united.number) == ([united.hash], "", 3)
    assert {before.epoch for before in epochs.current.body.previous} == {one.hash, other.hash}
    for label in ("a1", "b1", "paperA"):
        assert opens(club.ring(label), united.hash, one.hash, other.hash, first(club))
    assert [club.ring(label).epochs & {one.hash, other.hash} for label in ("x1", "y1")] == [{other.hash}, {one.hash}]


def test_of_two_epochs_the_clean_one_seals_whatever_their_numbers(club: Club) -> None:
    club.add("B", ADMIN)
    club.add("X", WRITER)
    before = list(club.objects)
    club.rotate("b1", before)
    exposed = club.rotate("b1")  # number 3
    removed = club.put(club.author("a1", before).remove(club.member["X"], NO_CUT))
    clean = club.rotate("a1", [*before, removed])  # number 2
    epochs = club.epochs()
    assert [top.hash for top in epochs.tops] == [clean.hash, exposed.hash]
    assert (epochs.exposed(epochs.tops[1]), epochs.due) == (frozenset({device("x1")}), "2 epochs were begun at once")


def test_an_epoch_by_somebody_removed_meanwhile_opens_what_was_sealed_in_it_and_seals_no_more(club: Club) -> None:
    club.add("B", ADMIN)
    club.add("C", WRITER)
    before = list(club.objects)
    struck = club.rotate("b1", before)
    club.put(club.author("a1", before).remove(club.member["B"], NO_CUT))
    epochs = club.epochs()
    assert epochs.current.hash == first(club)
    assert epochs.due
    assert opens(club.ring("c1"), struck.hash)
    assert [one.hash for one in unreached(epochs, club.ring("c1"))] == [struck.hash]
    made = club.rotate("a1")
    assert unreached(club.epochs(), club.ring("c1")) == []
    assert club.epochs().due == ""
    assert (club.ring("c1").current, opens(club.ring("c1"), struck.hash, first(club))) == (made.hash, True)
    club.add("D", READER)
    assert opens(club.ring("d1"), struck.hash, first(club))


def test_all_agree_on_the_current_epoch_in_whatever_order_records_come(club: Club) -> None:
    club.add("B", ADMIN)
    before = list(club.objects)
    club.rotate("a1", before)
    club.rotate("b1", before)
    assert club.epochs(reversed(club.objects)).current == club.epochs().current


def test_a_writers_epoch_is_none(club: Club) -> None:
    club.add("B", WRITER)
    read = club.read()
    made = rotate(read.epochs, club.ring("b1"), keys("b1"), read.frontier)
    club.put(made)
    assert club.epochs().current.hash == first(club)
    assert made.hash not in club.epochs().known


def test_wraps_for_who_was_gone_before_do_not_make_anybody_rotate_for_ever(club: Club) -> None:
    """A member who hands secrets on does so in vain: what he leaks is his to leak, and he must not wear others out."""
    club.add("B", READER)
    club.add("X", WRITER)
    club.put(club.author("a1").remove(club.member["X"], NO_CUT))
    club.rotate()
    for label in ("x1", "never came"):
        one = deliver(club.epochs(), club.ring("b1"), keys(label).public(), READER)
        club.put(club.author("b1").wrap([one]))
        assert club.epochs().due == ""
    club.add("S", STEWARD)
    club.rotate()
    club.put(club.author("b1").wrap([deliver(club.epochs(), club.ring("b1"), keys("s1").public(), READER)]))
    assert club.epochs().due == ""


def test_exposure_says_who_and_since_when_until_an_admin_comes_by(club: Club) -> None:
    club.add("B", WRITER)
    club.add("C", WRITER)
    club.put(
        club.author("a1").device(
            keys("a2").public(),
            b"",
            [deliver(club.epochs(), club.ring("a1"), keys("a2").public(), ADMIN)],
            consents=club.agreed(club.member["A"], 0, "a2"),
        )
    )
    assert club.epochs().exposure == []
    club.put(replace(club.author("a1"), now=10).remove(club.member["B"], NO_CUT))
    club.put(replace(club.author("a1"), now=20).role(club.member["C"], STEWARD))
    club.put(replace(club.author("a1"), now=30).revoke(device("a2"), NO_CUT))
    since = {one.device: one.since for one in club.epochs().exposure}
    assert since == {device("b1"): 10, device("c1"): 20, device("a2"): 30}
    club.rotate()
    assert club.epochs().exposure == []


def test_who_came_and_went_since_the_epoch_has_it_and_is_shut_out_of_the_next(club: Club) -> None:
    club.add("X", WRITER)
    club.put(club.author("a1").remove(club.member["X"], NO_CUT))
    assert club.epochs().exposed(club.epochs().current) == {device("x1")}


def test_a_member_whose_add_was_struck_has_the_keys_all_the_same(club: Club) -> None:
    """B is no admin any more, and stays: nobody else would make the epoch look exposed."""
    club.add("B", ADMIN)
    before = list(club.objects)
    club.add("C", WRITER, by="b1", at=before)
    club.put(club.author("a1", before).role(club.member["B"], WRITER))
    assert device("c1") not in club.read().state.devices
    assert club.epochs().exposed(club.epochs().current) == {device("c1")}


# ---- what lies, or is broken -------------------------------------------------------------------------------------


def forged(club: Club, by: str, **fields: object) -> bytes:
    """An epoch that an admin's own program made, with some fields as he likes them."""
    read = club.read()
    epochs = read.epochs
    made = rotate(epochs, club.ring(by), keys(by), read.frontier)
    signed = parse(made.data)
    assert signed is not None
    body = msgspec.structs.replace(msgspec.msgpack.decode(signed.body, type=EpochBody), **fields)
    _, data = sign(club.space_id, encode(body), keys(by))
    club.objects.append(data)
    return record_hash(encode(body))


def test_an_epoch_with_wraps_that_fit_nothing_stops_nobody(club: Club) -> None:
    club.add("B", ADMIN)
    bad = forged(club, "b1", check=bytes(32))
    epochs = club.epochs()
    assert epochs.current.hash == bad
    opened = open_ring(epochs, keys("a1"))
    assert (opened.ring.current, opened.waits) == (first(club), True)
    assert opened.problems
    made = rotate(epochs, opened.ring, keys("a1"), club.read().frontier)
    club.put(made)
    assert club.epochs().current.hash == made.hash
    assert (club.epochs().due, opens(club.ring("b1"), made.hash, first(club))) == ("", True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"wraps": [Wrap(b"1" * 16, bytes(MEMBER_WRAP)), Wrap(b"1" * 16, bytes(MEMBER_WRAP))]},
        {"wraps": [Wrap(b"1" * 16, bytes(STEWARD_WRAP))]},
        {"steward_wraps": [Wrap(b"1" * 16, bytes(MEMBER_WRAP))]},
        {"previous": [Before(bytes(32), b"", b"")]},
        {"number": 5},
    ],
)
def test_an_epoch_that_is_not_what_the_format_says_is_passed_over(club: Club, wrong: dict[str, object]) -> None:
    club.add("B", ADMIN)
    assert forged(club, "b1", **wrong) not in club.epochs().known
    assert forged(club, "b1") in club.epochs().known


def test_a_chain_that_does_not_lead_back_is_found_and_the_next_epoch_mends_it(club: Club) -> None:
    club.add("B", ADMIN)
    club.add("C", READER)
    old = club.epochs().current.hash
    bad = forged(club, "b1", previous=[Before(old, bytes(8 + 112), bytes(8 + 80))])
    club.add("D", READER, by="b1")
    opened = open_ring(club.epochs(), keys("d1"))
    assert (opened.ring.epochs, opened.waits) == (frozenset({bad}), False)
    assert any("does not lead back to epoch 1" in problem for problem in opened.problems)
    assert opens(club.ring("c1"), bad, old)
    made = club.rotate("a1")
    assert {before.epoch for before in club.epochs().current.body.previous} == {bad, old}
    assert opens(club.ring("d1"), made.hash, bad, old)


def test_another_space_secret_than_the_known_one_is_refused(club: Club) -> None:
    """Else whoever makes an epoch could part a space in two, with one tree that each half reads as another's."""
    club.add("B", ADMIN)
    read = club.read()
    secrets = Secrets(club.secrets.epoch, club.secrets.steward, b"x" * 32)
    other = KeyRing.derive(club.space_id, first(club), secrets)
    club.put(rotate(read.epochs, other, keys("b1"), read.frontier))
    opened = open_ring(club.epochs(), keys("a1"), club.ring("a1", club.objects[:2]))
    assert (opened.ring.current, opened.waits) == (first(club), True)


def test_wraps_of_any_member_that_do_not_open_hide_none_that_does(club: Club) -> None:
    club.add("B", READER)
    club.add("N", READER, wrapped=False)
    for at in range(3):
        junk = [
            Delivered(first(club), device("n1"), bytes((at, count)) + bytes(MEMBER_WRAP - 2)) for count in range(48)
        ]
        club.put(club.author("b1").wrap(junk))
    with pytest.raises(RecordDamaged, match="no wrap for this device opens"):
        club.ring("n1")
    good = deliver(club.epochs(), club.ring("a1"), keys("n1").public(), READER)
    club.put(club.author("a1").wrap([good]))
    opened = open_ring(club.epochs(), keys("n1"))
    assert opens(opened.ring, first(club))
    assert not opened.problems  # an admin's are tried first


def test_a_device_with_unusable_keys_keeps_nobody_from_rotating(club: Club) -> None:
    broken = PublicKeys(
        0, keys("x1").public().ed25519, keys("x1").public().mldsa, keys("x1").public().x25519, b"\xff" * 1184
    )
    author = club.author("a1")
    nonce, pledge = author.new_member()
    asked = [ticket(club.space_id, pledge, READER)]
    said = keys("x1").sign_slow(consent_message([broken.id], SALT, committed(bytes(32), asked)))
    agreed = Consent([broken.id], SALT, bytes(32), asked, *said)
    club.put(author.add(nonce, READER, [broken], b"", consents=[agreed]))
    assert owed(club.epochs(), club.ring("a1")) == []
    made = club.rotate()
    assert made.left_out == [broken.id]
    assert opens(club.ring("a1"), made.hash)
    assert club.epochs().due == ""


def test_an_epoch_is_for_so_many_devices(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wraps_module, "MOST_WRAPS", 1)
    with pytest.raises(TooManyDevices):
        club.rotate()


# ---- the vectors -------------------------------------------------------------------------------------------------

CASES: list[dict[str, Any]] = json.loads(Path("docs/spec/vectors/epochs.json").read_text())


def raw(case: dict[str, Any], name: str) -> bytes:
    """A field in hexadecimal."""
    return bytes.fromhex(case[name])


def epoch_like(number: int, check: bytes, steward_check: bytes) -> Epoch:
    """An epoch of which no more is known than that."""
    body = EpochBody("epoch", 1, bytes(32), number, [], b"", check, steward_check, [], [], [])
    return Epoch(bytes(32), 0, body, {})


@pytest.mark.parametrize("case", [case for case in CASES if case["what"] == "chain"], ids=lambda case: str(case["why"]))
def test_an_epoch_leads_back_to_what_its_record_says_and_to_nothing_else(case: dict[str, Any]) -> None:
    newer = epoch_like(case["number"], bytes(32), bytes(32))
    older = epoch_like(1, raw(case, "check"), raw(case, "steward_check"))
    part = Before(*map(bytes.fromhex, case["previous"]))
    epoch, steward = map(bytes.fromhex, case["newer"])
    secrets = Secrets(epoch, steward, raw(case, "space_secret"))
    found = wraps_module._before(raw(case, "space"), newer, part, older, secrets)
    assert found is None or isinstance(found, Secrets)
    assert (found and (found.epoch + found.steward).hex()) == case["members"]
    for_stewards = wraps_module._before(raw(case, "space"), newer, part, older, steward)
    assert for_stewards is None or isinstance(for_stewards, bytes)
    assert (for_stewards and for_stewards.hex()) == case["stewards"]


def test_the_chain_is_sealed_as_the_vectors_say() -> None:
    case = CASES[0]
    ring = KeyRing(raw(case, "space"))
    members, part = raw(case, "members"), [bytes.fromhex(one) for one in case["previous"]]
    ring.add(part[0], Secrets(members[:32], members[32:], raw(case, "space_secret")), 1)
    epoch, steward = map(bytes.fromhex, case["newer"])
    secrets = Secrets(epoch, steward, raw(case, "space_secret"))
    made = wraps_module._chained(raw(case, "space"), part[0], ring, case["number"], secrets)
    assert [made.epoch, made.members, made.stewards] == part


def test_a_stewards_wrap_opens_as_the_vectors_say() -> None:
    (case,) = [case for case in CASES if case["what"] == "steward-wrap"]
    known = json.loads(Path("docs/spec/vectors/basics.json").read_text())
    (of,) = [one for one in known if one["what"] == "device" and one.get("kind", 0) == 0][:1]
    its = DeviceKeys(bytes.fromhex(of["seed"]))
    space = bytes.fromhex(CASES[0]["space"])
    assert steward_info(space, case["number"], its.public().id, raw(case, "steward_check")) == raw(case, "info")
    assert its.unwrap(raw(case, "wrap"), raw(case, "info")) == raw(case, "secret")


# ---- how much --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_removal_among_300_devices_puts_at_most_400_kb(club: Club) -> None:
    """Ten stewards among them, and paper keys count as devices."""
    for at in range(75):
        labels = (f"m{at}-1", f"m{at}-2", f"m{at}-3", f"paper {at}")
        club.add(f"M{at}", WRITER, *labels[: 4 if at < 72 else 3], wrapped=False)
    club.add("X", WRITER, wrapped=False)
    stewards = 300 - len(club.read().state.devices) + 1
    for at in range(stewards):
        club.add(f"S{at}", STEWARD, wrapped=False)
    made = club.rotate()
    before = len(club.objects)
    assert len(made.data) < 400_000
    club.put(club.author("a1").remove(club.member["X"], NO_CUT))
    club.rotate()
    assert len(club.read().state.devices) == 300
    assert 370_000 < sum(map(len, club.objects[before:])) <= 400_000
