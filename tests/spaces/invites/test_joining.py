"""What a joiner keeps until it has arrived: it is whole or not there, wherever the power went, and for it alone."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import RopewalkError
from ropewalk.spaces.invites import (
    InviteFileDamaged,
    Invites,
    Joining,
    Joinings,
    NoInvite,
    OpenInvite,
    TooManyInvites,
)
from ropewalk.spaces.invites.ceremony import Invited
from ropewalk.spaces.invites.folder import LONGEST_LIFE
from ropewalk.spaces.invites.joining import ANSWER_LIFE, MOST_ANSWERS, MOST_JOININGS
from ropewalk.spaces.invites.messages import read_grants
from ropewalk.spaces.records import encode
from ropewalk.testing.powerloss import PowerCut, PowerLossFileSystem
from tests.spaces.invites.parties import Clock, Door, device, offer, person

BOB = device("bob")
SECRET = bytes(range(32))
SEEDS = range(6)  # of ways in which a power cut may turn out


def joining(number: int = 1, *, spaces: int = 1, name: str = "") -> Joining:
    door = Door(offer(spaces=spaces))
    invited = Invited(door.offer, read_grants(door.grants("bob")))
    return Joining.of(bytes([number]) * 16, SECRET, invited, person("bob"), name)


def folder(files: PowerLossFileSystem | None = None, clock: Clock | None = None) -> Joinings:
    return Joinings("/invites", clock=clock or Clock(), files=files or PowerLossFileSystem())


def test_what_was_given_is_there_until_it_is_dropped() -> None:
    joinings, one, two = folder(), joining(1, spaces=2, name="pictures"), joining(2)
    joinings.keep(one, BOB)
    joinings.keep(two, BOB)
    assert joinings.ids() == sorted([one.id, two.id])
    assert joinings.load(one.id, BOB) == one
    assert (one.invited.offer, one.joiner) == (offer(spaces=2), person("bob"))
    assert joinings.offered(BOB) == {space.space for space in offer(spaces=2).spaces}
    joinings.drop(one.id)
    assert joinings.ids() == [two.id]
    joinings.drop(one.id)
    with pytest.raises(NoInvite):
        joinings.load(one.id, BOB)


def test_the_same_invite_is_kept_once() -> None:
    joinings = folder()
    joinings.keep(joining(), BOB)
    joinings.keep(joining(name="other"), BOB)
    assert [joinings.load(one, BOB).name for one in joinings.ids()] == ["other"]


def test_it_is_on_the_real_disk_for_this_device_alone(tmp_path: Path) -> None:
    joinings = Joinings(str(tmp_path / "invites"), clock=Clock())
    one = joining()
    joinings.keep(one, BOB)
    with pytest.raises(InviteFileDamaged):
        joinings.load(one.id, device("eve"))
    assert joinings.offered(device("eve")) == frozenset()
    secrets = one.invited.grants.spaces[0].secrets
    for file in (tmp_path / "invites").iterdir():
        assert not file.stat().st_mode & 0o077
        assert secrets not in file.read_bytes()


def test_one_does_not_go_by_anothers_name() -> None:
    files = PowerLossFileSystem()
    joinings = folder(files)
    joinings.keep(joining(1), BOB)
    files.link(f"/invites/{joining(1).id.hex()}.joining", f"/invites/{joining(2).id.hex()}.joining")
    with pytest.raises(InviteFileDamaged):
        joinings.load(joining(2).id, BOB)


@given(st.binary(max_size=200))
def test_junk_is_told_and_can_be_dropped(data: bytes) -> None:
    files = PowerLossFileSystem()
    joinings = folder(files)
    files.mkdir("/invites")
    fd = files.open(f"/invites/{joining().id.hex()}.joining", 0o102)
    files.writev(fd, [memoryview(data)])
    files.close(fd)
    with pytest.raises(InviteFileDamaged, match="cannot be read"):
        joinings.load(joining().id, BOB)
    assert joinings.offered(BOB) == frozenset()
    joinings.drop(joining().id)
    assert joinings.ids() == []


def test_there_is_room_for_so_many() -> None:
    joinings = folder()
    for number in range(MOST_JOININGS):
        joinings.check_room()
        joinings.keep(joining(number), BOB)
    with pytest.raises(TooManyInvites, match="under way"):
        joinings.check_room()


@pytest.mark.parametrize("again", [False, True])
def test_wherever_the_power_goes_it_is_kept_whole_or_not_at_all(again: bool) -> None:
    """Also in place of an older one, which is then not lost either."""
    old, new = joining(name="old"), joining(name="new")
    for stop in range(100):
        files = PowerLossFileSystem()
        if again:
            folder(files).keep(old, BOB)
        files.stop_at(stop)
        kept = False
        with suppress(PowerCut):
            folder(files).keep(new, BOB)
            kept = True
        for seed in SEEDS:
            left = folder(files.crash(seed))
            found = [left.load(one, BOB) for one in left.ids()]
            if kept:
                assert found == [new]
            else:
                assert found in ([old], [new]) if again else found in ([], [new])
            left.keep(new, BOB)  # what a crash left does not stand in the way
            assert left.load(new.id, BOB) == new
        if kept:
            assert stop > 8
            return
    pytest.fail("it was never kept")


# ---- answers ---------------------------------------------------------------------------------------------------------


def test_one_answer_is_given_to_an_invite() -> None:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(bytes([len(made)]) * 50)
        return made[-1]

    clock = Clock()
    joinings = folder(clock=clock)
    with pytest.raises(NoInvite, match="given no answer"):
        joinings.answered(bytes(16), SECRET)
    first = joinings.answer(bytes(16), SECRET, make)
    clock.now += ANSWER_LIFE - 1
    assert joinings.answer(bytes(16), SECRET, make) == joinings.answered(bytes(16), SECRET) == first
    clock.now += 1
    assert joinings.answer(bytes(16), SECRET, make) != first, "it is kept no longer than a welcome may be on its way"


def test_who_has_arrived_gives_the_same_answer_again() -> None:
    """So it signs one consent for one invite; and who only forgets what was given can take the same welcome file."""
    joinings, one, other = folder(), joining(1), joining(2)
    for number in (1, 2):
        joinings.answer(bytes([number]) * 16, SECRET, lambda: b"an answer")
        joinings.keep(joining(number), BOB)
    joinings.drop(one.id)
    joinings.drop(other.id)
    assert joinings.answered(bytes([1]) * 16, SECRET) == b"an answer"
    joinings.keep(one, BOB)
    joinings.drop(one.id)
    assert joinings.ids() == []
    for number in (1, 2):
        assert joinings.answer(bytes([number]) * 16, SECRET, lambda: b"another") == b"an answer"


def test_so_many_answers_are_kept_until_time_makes_room() -> None:
    clock = Clock()
    joinings = folder(clock=clock)
    for number in range(MOST_ANSWERS):
        joinings.answer(bytes([number]) * 16, SECRET, lambda: b"an answer")
    with pytest.raises(TooManyInvites):
        joinings.answer(b"x" * 16, SECRET, lambda: b"an answer")
    clock.now += ANSWER_LIFE
    joinings.answer(b"x" * 16, SECRET, lambda: b"an answer")


def test_wherever_the_power_goes_no_half_answer_is_given() -> None:
    """It may be the other half that was handed over."""
    whole = bytes(range(256)) * 40
    for stop in range(100):
        files = PowerLossFileSystem(at_once=4096)
        files.stop_at(stop)
        given = b""
        with suppress(PowerCut):
            given = folder(files).answer(bytes(16), SECRET, lambda: whole)
        for seed in SEEDS:
            left = folder(files.crash(seed))
            with suppress(NoInvite):
                assert left.answered(bytes(16), SECRET) == whole
            assert left.answer(bytes(16), SECRET, lambda: b"another") in ((whole,) if given else (whole, b"another"))
        if given:
            return
    pytest.fail("it was never kept")


# ---- the inviter's side of answers -----------------------------------------------------------------------------------


def kept_by_file(files: PowerLossFileSystem) -> tuple[Invites, bytes]:
    invites = Invites("/invites", clock=Clock(), files=files)
    one = OpenInvite(bytes([1]) * 16, bytes([1]) * 16, SECRET, encode(offer()), [])
    invites.keep(one, device("anna"))
    return invites, one.id


def goes_on(invites: Invites, one: bytes, answer: bytes) -> bool:
    """Whether an answer may go on, by all that is asked on its way."""
    try:
        invites.load(one, device("anna"), answer)
        invites.burn(one, answer)
    except RopewalkError:
        return False
    return True


def test_the_same_answer_goes_on_and_no_other() -> None:
    invites, one = kept_by_file(PowerLossFileSystem())
    assert goes_on(invites, one, b"a" * 32)
    assert goes_on(invites, one, b"a" * 32)
    assert not goes_on(invites, one, b"b" * 32)
    assert not goes_on(invites, one, b"")
    assert invites.open_ids() == []


def test_wherever_the_power_goes_one_answer_is_taken() -> None:
    for stop in range(100):
        files = PowerLossFileSystem()
        invites, one = kept_by_file(files)
        files.stop_at(stop)
        taken = False
        with suppress(PowerCut):
            invites.burn(one, b"a" * 32)
            taken = True
        for seed in SEEDS:
            left = Invites("/invites", clock=Clock(), files=files.crash(seed))
            other = goes_on(left, one, b"b" * 32)
            assert not (taken and other), f"stopped at call {stop}, crash {seed}"
            assert goes_on(left, one, b"a" * 32) is not other
        if taken:
            return
    pytest.fail("it was never taken")


def test_what_was_withdrawn_is_not_gone_on_with() -> None:
    """Not even by the answer that was on its way in when the machine stopped."""
    for stop in range(100):
        files = PowerLossFileSystem()
        invites, one = kept_by_file(files)
        files.stop_at(stop)
        try:
            invites.burn(one, b"a" * 32)
        except PowerCut:
            files.kill()
        else:
            return
        again = Invites("/invites", clock=Clock(), files=files)
        if one in again.open_ids():
            again.burn(one)
            assert not goes_on(again, one, b"a" * 32), f"stopped at call {stop}"
    pytest.fail("it was never taken")


def test_one_welcome_is_made_for_an_answer() -> None:
    files = PowerLossFileSystem()
    invites, one = kept_by_file(files)
    assert invites.welcome(one) is None
    assert invites.keep_welcome(one, b"first") == b"first"
    assert invites.keep_welcome(one, b"second") == b"first"
    assert invites.welcome(one) == b"first"
    late = Clock(Clock().now + LONGEST_LIFE)
    Invites("/invites", clock=late, files=files).mark(bytes(4), b"ab")
    assert {name for name in files.scan("/invites") if name.endswith((".welcome", ".answered", ".open"))} == set()
