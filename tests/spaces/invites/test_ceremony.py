"""Five messages: both sides end with the same, or one of them says why not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from ropewalk.errors import RopewalkError
from ropewalk.spaces.invites import (
    NEW_DEVICE,
    BadOffer,
    CodeUsed,
    InviteExpired,
    Inviter,
    Joiner,
    MessageMalformed,
    NotAsOffered,
    OutOfTurn,
    Step,
    WrongCode,
)
from ropewalk.spaces.invites.messages import Done, Me, Welcome, read_grants
from ropewalk.spaces.keys import aead_open, aead_seal, keyed
from ropewalk.spaces.members import Role
from ropewalk.spaces.records import encode
from tests.spaces.invites.parties import HOUR, NOW, Clock, device, drawn, offer, person
from tests.spaces.invites.table import ADMIN_CODE, CODE, SLOT, Table, nothing


@pytest.mark.parametrize("role", [Role.STEWARD, Role.WRITER])
@pytest.mark.parametrize("spaces", [1, 3])
def test_the_joiner_ends_with_what_it_was_admitted_to(role: int, spaces: int) -> None:
    table = Table(offer(role, spaces=spaces))
    invited = table.whole()
    assert table.inviter.step is table.joiner.step is Step.DONE
    assert invited.offer == table.offer
    assert invited.grants == read_grants(table.door.grants("bob"))
    assert table.door.belongs(invited, device("bob"))
    expected = None if role == Role.STEWARD else table.door.secrets(table.offer.spaces[0].space)
    assert invited.grants.spaces[0].member_secrets() == expected


def test_who_is_admitted_is_who_joined() -> None:
    table = Table()
    joined = table.until_confirmed()
    assert joined == table.joiner.me
    assert (joined.keys, joined.name, joined.device_name) == (person("bob").keys, "bob", "bob's laptop")
    assert table.inviter.consent.is_by(device("bob").public())


def test_another_code_is_told_to_the_inviter_and_not_answered() -> None:
    table = Table(typed=b"\x3c\x3c")
    sent = table.joiner.confirm(table.until_answered())
    with pytest.raises(WrongCode) as caught:
        table.inviter.confirm(sent)
    assert "void" in caught.value.hint
    assert table.inviter.step is Step.VOID
    with pytest.raises(OutOfTurn):
        table.inviter.confirm(sent)  # nor is there a second guess
    with pytest.raises(OutOfTurn):
        table.inviter.welcome(table.door.grants("bob"))


def test_another_slot_is_another_ceremony() -> None:
    table = Table()
    other = Joiner(bytes([0, 0, 0, 8]), CODE.secret, device("bob"), person("bob"), random=drawn(2))
    sent = other.confirm(table.inviter.answer(other.ask(nothing), nothing))
    with pytest.raises(WrongCode):
        table.inviter.confirm(sent)


def test_nothing_leaves_before_the_code_is_burnt() -> None:
    table = Table()

    def cannot() -> None:
        raise CodeUsed("burnt")

    with pytest.raises(CodeUsed):
        table.inviter.answer(table.joiner.ask(nothing), cannot)
    assert table.inviter.step is Step.VOID
    with pytest.raises(CodeUsed):
        Table().joiner.ask(cannot)


def test_what_is_no_first_message_burns_nothing() -> None:
    burnt: list[int] = []
    table = Table()
    with pytest.raises(MessageMalformed):
        table.inviter.answer(b"junk", lambda: burnt.append(1))
    assert burnt == []


def test_a_call_while_one_is_under_way_is_refused_and_harms_nothing() -> None:
    table = Table()
    asked = table.joiner.ask(nothing)

    def again() -> None:
        with pytest.raises(OutOfTurn):
            table.inviter.answer(asked, nothing)

    table.inviter.answer(asked, again)
    assert table.inviter.step is Step.ANSWERED


@pytest.mark.parametrize("late", [0, 1])
def test_time_runs_out_by_the_clock_of_the_inviter(late: int) -> None:
    table = Table()
    asked = table.joiner.ask(nothing)
    table.clock.now = NOW + HOUR - 1
    sent = table.joiner.confirm(table.inviter.answer(asked, nothing))
    table.clock.now += late
    if late:
        with pytest.raises(InviteExpired):
            table.inviter.confirm(sent)
    else:
        table.inviter.confirm(sent)


def test_an_expired_invite_answers_nothing() -> None:
    table = Table()
    table.clock.now = NOW + HOUR
    with pytest.raises(InviteExpired):
        table.until_answered()


def test_admins_need_three_words() -> None:
    with pytest.raises(BadOffer):
        Table(offer(Role.ADMIN))
    Table(offer(Role.ADMIN), secret=ADMIN_CODE.secret).whole()
    Table(offer(Role.ADMIN, kind=NEW_DEVICE), secret=bytes(32)).whole()


def test_a_joiner_takes_no_admin_by_two_words() -> None:
    table = Table(offer(Role.ADMIN), secret=ADMIN_CODE.secret)
    welcome = table.until_welcomed()
    table.joiner._secret = CODE.secret
    with pytest.raises(NotAsOffered, match="three"):
        table.joiner.accept(welcome)


# ---- messages that come out of turn, twice, or from elsewhere --------------------------------------------------------


def test_each_call_has_its_turn() -> None:
    calls: list[Callable[[Table], Any]] = [
        lambda table: table.inviter.confirm(b""),
        lambda table: table.inviter.welcome(b""),
        lambda table: table.inviter.finish(b""),
        lambda table: table.joiner.confirm(b""),
        lambda table: table.joiner.accept(b""),
    ]
    for call in calls:
        with pytest.raises(OutOfTurn):
            call(Table())


def test_a_first_message_that_comes_twice_ends_it() -> None:
    table = Table()
    asked = table.joiner.ask(nothing)
    table.inviter.answer(asked, nothing)
    with pytest.raises(OutOfTurn):
        table.inviter.answer(asked, nothing)
    assert table.inviter.step is Step.VOID


def test_what_is_done_stays_done() -> None:
    table = Table()
    _, done = table.joiner.accept(table.until_welcomed())
    table.inviter.finish(done)
    with pytest.raises(OutOfTurn):
        table.inviter.finish(done)
    with pytest.raises(OutOfTurn):
        table.joiner.accept(b"")
    assert table.inviter.step is table.joiner.step is Step.DONE


def test_messages_of_another_ceremony_with_the_same_code_are_refused() -> None:
    """A replay: everything is the same but the randomness."""
    old = Table()
    sent = old.joiner.confirm(old.until_answered())
    welcome = old.inviter.welcome(old.door.let_in(old.inviter.confirm(sent)))

    def fresh() -> Table:
        table = Table()
        table.inviter = Inviter(SLOT, CODE.secret, table.offer, clock=table.clock, random=drawn(3))
        table.joiner = Joiner(SLOT, CODE.secret, device("bob"), person("bob"), random=drawn(4))
        return table

    table = fresh()
    table.until_answered()
    with pytest.raises(WrongCode):
        table.inviter.confirm(sent)
    table = fresh()
    table.inviter.confirm(table.joiner.confirm(table.until_answered()))
    with pytest.raises(WrongCode):
        table.joiner.accept(welcome)


def test_a_mailbox_that_answers_by_itself_learns_that_it_guessed_wrong() -> None:
    """It has one try, of 65,536, and the joiner notices."""
    table = Table()
    middle = Inviter(SLOT, b"\x3c\x3c", offer(), clock=Clock(), random=drawn(9))
    sent = table.joiner.confirm(middle.answer(table.joiner.ask(nothing), nothing))
    with pytest.raises(WrongCode):
        middle.confirm(sent)
    forged = encode(Welcome(1, "welcome", bytes(100), bytes(32)))
    with pytest.raises(WrongCode):
        table.joiner.accept(forged)


def changed(message: bytes, step: int) -> Iterator[bytes]:
    """With one bit another, and cut short, here and there."""
    for place in range(0, len(message), step):
        yield message[:place] + bytes([message[place] ^ 1 << place % 8]) + message[place + 1 :]
        yield message[:place]
    yield message + b"\0"


def test_no_byte_of_the_first_two_messages_can_be_changed() -> None:
    """A point may become another one: then the inviter notices by the third message."""
    sound = Table()
    asked = sound.joiner.ask(nothing)
    answer = sound.inviter.answer(asked, nothing)
    for number, message in ((1, asked), (2, answer)):
        for wrong in changed(message, 5):
            table = Table()
            table.joiner.ask(nothing)
            with pytest.raises(RopewalkError) as caught:  # noqa: PT012 - which of these refuses does not matter
                told = table.inviter.answer(wrong if number == 1 else asked, nothing)
                table.inviter.confirm(table.joiner.confirm(wrong if number == 2 else told))
            assert isinstance(caught.value, WrongCode | MessageMalformed)


def test_no_byte_of_the_later_messages_can_be_changed() -> None:
    table = Table()
    message = table.joiner.confirm(table.until_answered())
    for wrong in changed(message, 37):
        refused(copy.deepcopy(table).inviter.confirm, wrong)
    welcome = table.inviter.welcome(table.door.let_in(table.inviter.confirm(message)))
    for wrong in changed(welcome, 37):
        refused(copy.deepcopy(table).joiner.accept, wrong)
    done = table.joiner.accept(welcome)[1]
    for wrong in changed(done, 1):
        refused(copy.deepcopy(table).inviter.finish, wrong)
    table.inviter.finish(done)


def refused(take: Callable[[bytes], object], message: bytes) -> None:
    """By a copy of who takes it, which has one life as well."""
    with pytest.raises((WrongCode, MessageMalformed)):
        take(message)


# ---- what passes tells nothing ---------------------------------------------------------------------------------------


def test_what_passes_holds_neither_names_nor_ids_nor_secrets_nor_the_commitment_opened() -> None:
    table = Table()
    passed = [table.joiner.ask(nothing)]
    passed.append(table.inviter.answer(passed[0], nothing))
    passed.append(table.joiner.confirm(passed[1]))
    passed.append(table.inviter.welcome(table.door.let_in(table.inviter.confirm(passed[2]))))
    passed.append(table.joiner.accept(passed[3])[1])
    one = table.offer.spaces[0]
    secrets = table.door.secrets(one.space)
    hidden = [b"bob", b"photos", b"/mnt/usb", one.space, one.member, device("bob").public().ed25519]
    hidden += [device("anna").public().ed25519, secrets.epoch, secrets.steward, secrets.space, table.inviter._blind]
    assert not [each for each in hidden if any(each in message for message in passed)]


def test_secrets_are_wrapped_for_the_joiner_even_inside_of_the_box() -> None:
    """Who learns the key of the exchange later has the box, and not the secrets."""
    table = Table()
    welcome = msgspec.msgpack.decode(table.until_welcomed(), type=Welcome)
    plain = aead_open(keyed(table.inviter._key, b"inviter box"), welcome.box, b"inviter box")
    secrets = table.door.secrets(table.offer.spaces[0].space)
    assert table.offer.spaces[0].space in plain
    assert not [each for each in (secrets.epoch, secrets.steward, secrets.space, b"/mnt/usb") if each in plain]


def test_a_forged_end_does_not_count() -> None:
    table = Table()
    table.until_welcomed()
    with pytest.raises(WrongCode):
        table.inviter.finish(encode(Done(1, "done", bytes(32))))
    assert table.inviter.step is Step.VOID


def test_a_box_too_short_for_a_tag_is_another_code() -> None:
    table = Table()
    table.until_answered()
    with pytest.raises(WrongCode):
        table.inviter.confirm(encode(Me(1, "me", b"short", bytes(32))))


def test_what_a_joiner_seals_is_read_only_after_it_has_confirmed() -> None:
    """A box that opens to junk, with a confirmation that is none: it is the code that is wrong, not the form."""
    table = Table()
    table.joiner.confirm(table.until_answered())
    box = aead_seal(keyed(table.inviter._key, b"joiner box"), b"junk", b"joiner box")
    with pytest.raises(WrongCode):
        table.inviter.confirm(encode(Me(1, "me", box, bytes(32))))
