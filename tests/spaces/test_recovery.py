"""Recovery: words on paper bring a member back, new words end the old ones, and neither is lost by a stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from ropewalk.spaces.discover import FoundSpace, discover
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import Cut, Membership, NotAMember, record_name
from ropewalk.spaces.members.authoring import Author
from ropewalk.spaces.members.operations import Kind, SetLevel
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore
from ropewalk.spaces.recovery import (
    NoPaperKey,
    come_back,
    deeds_of,
    is_retired,
    others_of,
    paper_of,
    replace_paper,
    restore,
)
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.club import WRITER, Club, device, first, keys, opens
from tests.spaces.making import Clock, KeptStore

LIFE = b"i" * 16


def label(membership: Membership, of: bytes) -> bytes:
    """No name at all."""
    return b"" if of else bytes(membership.epoch)


def drawn(size: int) -> bytes:
    """Chance of a kind."""
    return hashed("test chance", bytes(8))[:size]


@pytest.fixture
def club() -> Club:
    return Club()


def new_paper(club: Club, new: str, *, old: str | None = None, by: str = "a1") -> list[bytes]:
    words = None if old is None else keys(old)
    made = replace_paper(club.space_id, club.objects, keys(by), LIFE, 7, keys(new).public(), label, old=words)
    return [club.put(record) for record in made]


def with_words(club: Club, objects: Sequence[bytes], words: str = "paperA") -> Author:
    """Who has the words, and claims to know these records and no others."""
    return Author(club.read(objects), keys(words), hashed("test thief", words.encode())[:16], 9)


# ---- a new paper key ---------------------------------------------------------------------------------------------


def test_a_new_paper_key_opens_all_and_ends_the_old_one(club: Club) -> None:
    assert paper_of(club.read(), device("a1")) == device("paperA")
    assert len(new_paper(club, "paper 2")) == 2
    read = club.read()
    assert paper_of(read, device("a1")) == device("paper 2")
    assert device("paperA") not in read.state.devices
    assert opens(club.ring("paper 2"), first(club))
    assert read.epochs.exposed(read.epochs.current) == {device("paperA")}
    made = club.rotate()
    assert opens(club.ring("paper 2"), made.hash)
    assert not club.ring("paperA").knows(made.hash, members=False)
    words = DeviceKeys.from_words(keys("paper 2").words())
    assert words.public() == keys("paper 2").public()


def test_a_stop_between_the_old_key_and_the_new_one_is_mended_by_another_run(club: Club) -> None:
    old_ends, _ = replace_paper(club.space_id, club.objects, keys("a1"), LIFE, 7, keys("paper 2").public(), label)
    club.put(old_ends)
    assert paper_of(club.read(), device("a1")) is None
    assert len(new_paper(club, "paper 2")) == 1
    assert paper_of(club.read(), device("a1")) == device("paper 2")
    assert new_paper(club, "paper 2") == []


def test_who_is_no_member_writes_no_paper_key(club: Club) -> None:
    with pytest.raises(NotAMember):
        replace_paper(club.space_id, club.objects, keys("x1"), LIFE, 7, keys("paper X").public(), label)


# ---- old words that somebody else has ------------------------------------------------------------------------------


def test_without_the_old_words_who_has_them_undoes_all_of_it(club: Club) -> None:
    """Why they are asked for: the paper key is senior to the device that puts it out."""
    before = list(club.objects)
    new_paper(club, "paper 2")
    club.put(with_words(club, before).revoke(device("a1"), Cut({})))
    assert set(club.read().state.devices) == {device("paperA")}


def puts_a_device_out(club: Club, before: list[bytes]) -> None:
    club.put(with_words(club, before).revoke(device("a1"), Cut({})))


def puts_its_own_member_out(club: Club, before: list[bytes]) -> None:
    club.put(with_words(club, before).remove(club.member["A"], Cut({})))


def puts_another_member_out(club: Club, before: list[bytes]) -> None:
    club.put(with_words(club, before).remove(club.member["B"], Cut({})))


def lets_a_device_in_that_puts_the_others_out(club: Club, before: list[bytes]) -> None:
    agreed = club.agreed(club.member["A"], 0, "t1")
    late = [*before, club.put(with_words(club, before).device(keys("t1").public(), b"", consents=agreed))]
    club.put(Author(club.read(late), keys("t1"), LIFE, 9).revoke(device("a1"), Cut({})))


def retires_as_well(club: Club, before: list[bytes]) -> None:
    late = [*before, club.put(with_words(club, before).revoke(device("a1"), Cut({})))]
    club.put(with_words(club, late).revoke(device("paperA"), Cut({})))


def asks_for_a_later_version(club: Club, before: list[bytes]) -> None:
    club.put(with_words(club, before).write(Kind.LEVEL, SetLevel(255)))


ATTACKS = [
    puts_a_device_out,
    puts_its_own_member_out,
    puts_another_member_out,
    lets_a_device_in_that_puts_the_others_out,
    retires_as_well,
    asks_for_a_later_version,
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_with_the_old_words_nothing_that_they_sign_of_old_dates_counts(
    club: Club, attack: Callable[[Club, list[bytes]], None]
) -> None:
    club.add("B", WRITER)
    before = list(club.objects)
    assert len(new_paper(club, "paper 2", old="paperA")) == 2
    assert is_retired(club.read(), device("paperA"))
    attack(club, before)
    read = club.read()
    assert set(read.state.devices) == {device("a1"), device("paper 2"), device("b1")}
    assert not read.read_only


def test_old_words_that_are_found_later_still_retire(club: Club) -> None:
    before = list(club.objects)
    new_paper(club, "paper 2")
    club.rotate()
    assert len(new_paper(club, "paper 2", old="paperA")) == 1
    assert paper_of(club.read(), device("a1")) == device("paper 2")
    club.put(with_words(club, before).revoke(device("a1"), Cut({})))
    assert set(club.read().state.devices) == {device("a1"), device("paper 2")}
    assert new_paper(club, "paper 2", old="paperA") == []


def test_a_stop_after_the_retirement_is_mended_without_the_old_words(club: Club) -> None:
    old = keys("paperA")
    first_of, _ = replace_paper(
        club.space_id, club.objects, keys("a1"), LIFE, 7, keys("paper 2").public(), label, old=old
    )
    club.put(first_of)
    assert paper_of(club.read(), device("a1")) is None
    assert len(new_paper(club, "paper 2")) == 1
    assert paper_of(club.read(), device("a1")) == device("paper 2")


def test_the_old_words_of_somebody_else_retire_nothing(club: Club) -> None:
    club.add("B", WRITER, "b1", "paperB")
    for words in ("paperB", "paper X"):
        with pytest.raises(NoPaperKey) as caught:
            new_paper(club, "paper 2", old=words)
        assert caught.value.code == "recovery.no-paper-key"
    assert {device("paperA"), device("paperB")} <= set(club.read().state.devices)


def test_what_the_old_words_did_themselves_is_named_and_can_be_taken_back(club: Club) -> None:
    before = list(club.objects)
    assert deeds_of(club.read(), device("paperA")) == []
    record = come_back(club.read(), keys("paperA"), keys("a2"), 9, label, drawn)
    assert record is not None
    club.put(record)
    new_paper(club, "paper 2", old="paperA")
    assert deeds_of(club.read(), device("paperA")) == [device("a2")]
    club.put(with_words(club, before).revoke(device("paperA"), Cut({})))
    assert set(club.read().state.devices) == {device("a1"), device("paper 2")}


def test_what_the_old_key_had_written_counts_up_to_its_cut(club: Club) -> None:
    wrote = Cut({b"w" * 16: (3, b"h" * 32)})
    for old in (None, keys("paperA")):
        made = replace_paper(
            *(club.space_id, club.objects, keys("a1"), LIFE, 7, keys("paper 2").public(), label),
            old=old,
            cuts={device("paperA"): wrote},
        )
        assert club.read([*club.objects, *(data for _, data in made)]).state.gone[device("paperA")] == wrote


# ---- coming back -------------------------------------------------------------------------------------------------


def test_words_let_fresh_keys_in_and_revoke_those_that_were_lost(club: Club) -> None:
    record = come_back(club.read(), keys("paperA"), keys("a2"), 9, label, drawn)
    assert record is not None
    club.put(record)
    assert opens(club.ring("a2"), first(club))
    assert set(others_of(club.read(), device("paperA"))) == {device("a1"), device("a2")}
    club.put(with_words(club, club.objects).revoke(device("a1"), Cut({})))
    assert set(club.read().state.devices) == {device("paperA"), device("a2")}
    made = club.rotate("a2")
    assert [club.ring(one).knows(made.hash, members=True) for one in ("a1", "a2", "paperA")] == [False, True, True]


def test_a_thief_who_revokes_the_paper_key_at_the_same_time_is_out(club: Club) -> None:
    """The paper key is senior to its member's devices."""
    before = list(club.objects)
    club.put(club.author("a1", before).revoke(device("paperA"), Cut({})))
    club.put(with_words(club, before).revoke(device("a1"), Cut({})))
    assert set(club.read().state.devices) == {device("paperA")}


def test_words_that_were_replaced_are_refused(club: Club) -> None:
    new_paper(club, "paper 2")
    with pytest.raises(NoPaperKey) as caught:
        come_back(club.read(), keys("paperA"), keys("a2"), 9, label, drawn)
    assert caught.value.code == "recovery.no-paper-key"


def test_keys_that_are_in_already_need_no_record(club: Club) -> None:
    assert come_back(club.read(), keys("paperA"), keys("a1"), 9, label, drawn) is None


# ---- in stores ---------------------------------------------------------------------------------------------------


@dataclass
class Stores:
    """Some stores with the records of some clubs in all of them."""

    made: dict[str, KeptStore]
    pool: Pool

    async def records(self, club: Club) -> list[list[bytes]]:
        """What each store has of a space."""
        found = []
        for store in self.made.values():
            names = await store.names(f"{club.space_id.hex()}/records/")
            found.append([await store.get(name) for name in names])
        return found

    async def found(self, paper: str = "paperA") -> Sequence[FoundSpace]:
        """What a paper key opens."""
        return (await discover(self.pool, keys(paper))).spaces


async def stores_with(*clubs: Club) -> Stores:
    made = {f"d{at}": KeptStore() for at in range(5)}
    for club in clubs:
        for data in club.objects:
            for store in made.values():
                await store.put(record_name(club.space_id, data), (data,))
    pool = Pool([PoolStore(StoreDomains(name), store) for name, store in made.items()], Clock())
    return Stores(made, pool)


async def test_all_spaces_in_the_stores_are_restored_at_once() -> None:
    mine, other = Club(), Club()
    mine.add("B", WRITER)
    mine.rotate()
    made = await stores_with(mine, other)
    fresh = keys("a2")
    restored = await restore(made.pool, await made.found(), keys("paperA"), fresh, 9, label, drawn)
    assert (set(restored.back), restored.problems) == ({mine.space_id, other.space_id}, {})
    assert restored.devices == {club.space_id: [device("a1")] for club in (mine, other)}
    for club in (mine, other):
        for held in await made.records(club):
            assert fresh.public().id in Membership.read(club.space_id, held).state.devices
    spaces = (await discover(made.pool, keys("a2"))).spaces
    assert {space.id for space in spaces} == {mine.space_id, other.space_id}


async def test_below_the_floor_nobody_is_back_and_another_run_finishes_it() -> None:
    club = Club()
    made = await stores_with(club)
    for name in ("d0", "d1", "d2"):
        made.made[name].rules.append(Rule(Fault.FULL, on={"put"}))
    fresh = keys("a2")
    restored = await restore(made.pool, await made.found(), keys("paperA"), fresh, 9, label, drawn)
    assert restored.back == []
    assert "2 of 5 stores took the record, 3 must" in restored.problems[club.space_id]
    for store in made.made.values():
        store.rules.clear()
    restored = await restore(made.pool, await made.found(), keys("paperA"), fresh, 9, label, drawn)
    assert restored.back == [club.space_id]
    held = await made.records(club)
    assert all(sorted(one) == sorted(held[0]) for one in held)
    assert len(held[0]) == 3  # and not one more for the second run


async def test_a_space_in_which_the_words_count_no_more_keeps_no_other_from_coming_back() -> None:
    mine, other = Club(), Club()
    new_paper(mine, "paper 2")
    made = await stores_with(mine, other)
    restored = await restore(made.pool, await made.found(), keys("paperA"), keys("a2"), 9, label, drawn)
    assert restored.back == [other.space_id]
    assert "no paper key" in restored.problems[mine.space_id]
