"""Mailboxes that lie: whoever runs one can stop a ceremony, and can neither take part in it nor go unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ropewalk.errors import RopewalkError
from ropewalk.mailbox import Abandoned, Admitted
from ropewalk.spaces.invites import Invited, Inviter, InvitesUnwritable, Joiner, MessageMalformed, WrongCode
from ropewalk.spaces.invites.messages import Welcome
from ropewalk.spaces.records import encode
from tests.broker.hosts import simulated
from tests.mailbox.offices import SECRET, End, Ends, Liar
from tests.spaces.invites.parties import Clock, Door, device, drawn, offer, person

SLOT = bytes([0, 0, 0, 7])
BOB = device("bob").public().id


def met(liar: Liar, ends: Ends) -> list[Admitted | Invited | BaseException]:
    """What became of both sides: the inviter's, the joiner's."""
    out: list[Admitted | Invited | BaseException] = []

    async def main() -> None:
        out.extend(
            await asyncio.gather(ends.invite(liar.inviter, SLOT), ends.join(liar.joiner, SLOT), return_exceptions=True)
        )
        ends.seconds = asyncio.get_running_loop().time()

    simulated(main)
    for one in out:
        assert isinstance(one, Admitted | Invited | RopewalkError), one
    return out


def test_an_honest_one_only_passes_on() -> None:
    liar, ends = Liar(), Ends()
    admitted, invited = met(liar, ends)
    assert isinstance(admitted, Admitted)
    assert isinstance(invited, Invited)
    assert admitted.told
    assert ends.door.belongs(invited, device("bob"))
    assert (ends.burnt, ends.marked) == (1, 1)
    assert [who for who, _ in liar.passed] == ["joiner", "inviter", "joiner", "inviter", "joiner"]


def test_the_inviter_hears_that_all_is_well_only_when_it_is_kept() -> None:
    """Else it would not tell its user what to do for a joiner that has lost it."""
    liar, ends = Liar(), Ends()
    told: list[int] = []

    def counted(end: End, number: int, message: bytes) -> list[bytes]:
        told.append(len(ends.given))
        return [message]

    liar._meddle = counted
    admitted, invited = met(liar, ends)
    assert told == [0, 0, 0, 0, 1]
    assert ends.given == [invited]
    ends = Ends()
    ends.full = True
    admitted, error = met(Liar(), ends)
    assert isinstance(admitted, Admitted)
    assert not admitted.told
    assert isinstance(error, InvitesUnwritable)


def test_a_joiner_that_is_left_out_is_told_what_helps() -> None:
    _, error = met(Liar(at("inviter", 1, lambda message: [])), Ends())
    assert isinstance(error, Abandoned)
    assert "ask for a new invite" in error.hint
    assert "let in and did not hear of it" in error.hint


def nothing(end: End, number: int, message: bytes) -> list[bytes]:
    return []


def at(side: str, number: int, change: Callable[[bytes], list[bytes]]) -> Callable[[End, int, bytes], list[bytes]]:
    """Meddle with one message."""
    return lambda end, this, message: change(message) if (end.name, this) == (side, number) else [message]


PLACES = [("joiner", 0), ("inviter", 0), ("joiner", 1), ("inviter", 1), ("joiner", 2)]


@pytest.mark.parametrize(("side", "number"), PLACES)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda message: [], id="dropped"),
        pytest.param(lambda message: [message[:-1] + bytes([message[-1] ^ 1])], id="changed at its end"),
        pytest.param(lambda message: [message[:9] + bytes([message[9] ^ 1]) + message[10:]], id="changed"),
        pytest.param(lambda message: [message[:-1]], id="cut"),
        pytest.param(lambda message: [bytes(100)], id="another one"),
        pytest.param(lambda message: [b""], id="empty"),
    ],
)
def test_what_is_dropped_or_changed_ends_it_and_nobody_is_deceived(
    side: str, number: int, change: Callable[[bytes], list[bytes]]
) -> None:
    ends = Ends()
    admitted, invited = met(Liar(at(side, number, change)), ends)
    assert ends.door.admitted in ([], [BOB])
    assert ends.burnt <= 1
    if (side, number) == ("joiner", 2):  # only that it is done does not come across
        assert isinstance(invited, Invited)
        assert isinstance(admitted, Admitted)
        assert not admitted.told
        return
    assert isinstance(invited, RopewalkError)
    if (side, number) == ("inviter", 1):  # it is admitted, does not know it, and the inviter knows that
        assert isinstance(admitted, Admitted)
        assert not admitted.told
    else:
        assert isinstance(admitted, RopewalkError)
        assert ends.door.admitted == []


@pytest.mark.parametrize(("side", "number"), PLACES)
def test_what_comes_twice_is_not_taken_twice(side: str, number: int) -> None:
    ends = Ends()
    admitted, _ = met(Liar(at(side, number, lambda message: [message, message])), ends)
    assert ends.burnt <= 1
    if (side, number) in (("joiner", 2), ("inviter", 1)):  # nobody reads on
        assert isinstance(admitted, Admitted)
    assert ends.door.admitted in ([], [BOB])


def test_messages_of_one_side_that_are_swapped_end_it() -> None:
    held: list[bytes] = []

    def swap(end: End, number: int, message: bytes) -> list[bytes]:
        if end.name == "joiner" and number == 0:
            held.append(message)
            return [b""]  # something must come, or nobody would say more
        return [message, *held] if end.name == "joiner" else [message]

    ends = Ends()
    admitted, invited = met(Liar(swap), ends)
    assert isinstance(admitted, MessageMalformed)
    assert isinstance(invited, RopewalkError)
    assert (ends.burnt, ends.door.admitted) == (0, [])


def test_what_was_said_in_an_earlier_ceremony_with_this_very_code_is_refused() -> None:
    before = Liar()
    met(before, Ends(1))
    for side, number in PLACES:
        old = [message for who, message in before.passed if who == side][number]
        ends = Ends(2)
        admitted, invited = met(Liar(at(side, number, lambda _, old=old: [old])), ends)  # type: ignore[misc]
        if (side, number) == ("joiner", 0):
            # The inviter's one answer goes to an old message: the code is burnt for it, and then nothing fits.
            assert isinstance(admitted, WrongCode)
        assert not (isinstance(invited, Invited) and ends.door.admitted != [BOB])
        assert not (isinstance(admitted, Admitted) and admitted.told)
        assert ends.burnt == 1


def test_two_ceremonies_crossed_by_the_mailbox_both_end() -> None:
    """Same inviter, two codes, two joiners; the mailbox gives each the other's."""
    one, other = Ends(1), Ends(2, secret=b"\x01\x02", who="carol")
    lines = [Liar(), Liar()]
    out: list[BaseException | Admitted | Invited] = []

    def crossed(end: End, number: int, message: bytes) -> list[bytes]:
        to = lines[1] if end.liar is lines[0] else lines[0]
        (to.joiner if end.name == "inviter" else to.inviter).came.put_nowait(message)
        return []

    for line in lines:
        line._meddle = crossed

    async def main() -> None:
        calls = [
            call
            for ends, line in zip((one, other), lines, strict=True)
            for call in (ends.invite(line.inviter, SLOT), ends.join(line.joiner, SLOT))
        ]
        out.extend(await asyncio.gather(*calls, return_exceptions=True))

    simulated(main)
    assert WrongCode in {type(each) for each in out[::2]}  # the other may be left alone before it comes to that
    assert all(isinstance(each, WrongCode | Abandoned) for each in out)
    assert (one.door.admitted, other.door.admitted) == ([], [])


class Middle:
    """A mailbox that plays the other side to both, with a code that it guesses."""

    def __init__(self, guess: bytes) -> None:
        self.inviter = Inviter(SLOT, guess, offer(), clock=Clock(), random=drawn(90))
        self.joiner = Joiner(SLOT, guess, device("eve"), person("eve"), random=drawn(91))
        self.door = Door(offer())
        self.learnt: list[object] = []

    def __call__(self, end: End, number: int, message: bytes) -> list[bytes]:
        try:
            if end.name == "joiner" and number == 0:
                end.came.put_nowait(self.inviter.answer(message, lambda: None))
                return [self.joiner.ask(lambda: None)]
            if end.name == "joiner" and number == 1:
                self.learnt.append(self.inviter.confirm(message))
                end.came.put_nowait(self.inviter.welcome(self.door.grants("bob")))
            if end.name == "inviter" and number == 0:
                end.came.put_nowait(self.joiner.confirm(message))
            if end.name == "inviter" and number == 1:
                self.learnt.append(self.joiner.accept(message))
        except WrongCode:
            end.came.put_nowait(encode(Welcome(1, "welcome", bytes(64), bytes(32))))
        return []


def test_a_man_in_the_middle_who_guesses_wrong_is_seen_by_both() -> None:
    middle, ends = Middle(b"\x3c\x3c"), Ends()
    admitted, invited = met(Liar(middle), ends)
    assert isinstance(admitted, WrongCode)  # which is what the user is told
    assert "void" in admitted.hint
    assert isinstance(invited, WrongCode)
    assert middle.learnt == []
    assert ends.door.admitted == []
    assert ends.burnt == 1


def test_the_middle_of_this_test_would_get_in_if_it_knew_the_code() -> None:
    """So that the test above shows something."""
    middle, ends = Middle(SECRET), Ends()
    met(Liar(middle), ends)
    assert len(middle.learnt) == 2
    assert ends.door.admitted == [device("eve").public().id]


def test_a_guess_is_not_answered_again() -> None:
    ends = Ends(typed=b"\x3c\x3c")
    liar = Liar()
    admitted, invited = met(liar, ends)
    assert isinstance(admitted, WrongCode)
    assert isinstance(invited, Abandoned)
    assert [who for who, _ in liar.passed] == ["joiner", "inviter", "joiner"]
    assert (ends.burnt, ends.marked, ends.door.admitted) == (1, 1, [])
    assert (
        ends.seconds < 1
    )  # simulated: the slot is freed at once, and the joiner does not wait for its time to run out


def test_a_guess_that_is_broken_off_is_told_too() -> None:
    """The code is burnt by then, and the user has to know it."""
    ends = Ends()
    admitted, _ = met(Liar(at("joiner", 1, lambda message: [])), ends)
    assert isinstance(admitted, Abandoned)
    assert "somebody used the code" in str(admitted)
    assert "void" in admitted.hint
    assert ends.burnt == 1


def test_a_mailbox_that_says_nothing_is_not_waited_for_for_ever() -> None:
    ends = Ends()
    admitted, invited = met(Liar(nothing), ends)
    assert isinstance(admitted, Abandoned)
    assert "nobody" in str(admitted)
    assert isinstance(invited, Abandoned)
    assert (ends.burnt, ends.marked) == (0, 1)
