"""Invites as files and QR codes, and the ceremony by files."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.invites import (
    BadOffer,
    CodeUsed,
    InviteExpired,
    InviteFile,
    InviteFileDamaged,
    JoinerKeys,
    LetterInviter,
    MessageMalformed,
    NotAsOffered,
    OutOfTurn,
    WrongCode,
    accept,
    answer,
    qr,
    read_invite,
    write_private,
)
from ropewalk.spaces.invites.files import AnswerFile, WelcomeFile
from ropewalk.spaces.members import Role
from ropewalk.spaces.records import encode
from tests.spaces.invites.parties import HOUR, NOW, Clock, Door, device, drawn, offer, person

ANNA, BOB = device("anna"), device("bob")


def invite_file(role: int = 3) -> InviteFile:
    return InviteFile.draw(offer(role), ["tcp://192.0.2.5:43121"], random=drawn(7))


FILE = invite_file()


def nothing() -> None:
    """Burns nothing."""


class Post:
    """An inviter that waits for an answer file."""

    def __init__(self, role: int = 3, secret: bytes = FILE.secret) -> None:
        self.clock, self.offer = Clock(), offer(role)
        self.door = Door(self.offer)
        self.inviter = LetterInviter(FILE.slot, secret, self.offer, clock=self.clock)

    def welcome(self, data: bytes) -> bytes:
        return self.inviter.welcome(self.door.let_in(self.inviter.confirm(data, nothing)))


# ---- forms -----------------------------------------------------------------------------------------------------------

files = st.builds(
    InviteFile.draw,
    st.builds(offer, spaces=st.integers(1, 3), expires=st.integers(0, 2**63 - 1)),
    st.lists(st.text(min_size=1, max_size=40), max_size=8),
    random=st.integers().map(drawn),
)


@given(files)
def test_reading_undoes_writing(file: InviteFile) -> None:
    assert read_invite(file.encode()) == file
    assert read_invite(file.text()) == file
    assert read_invite(file.text().encode()) == file
    assert read_invite(" \n".join(file.text().lower())) == file


@given(
    st.binary(max_size=200) | st.text(max_size=200) | st.text("ABCDEFG234567", max_size=300).map("ROPEWALK:".__add__)
)
def test_junk_is_refused(data: bytes | str) -> None:
    with pytest.raises(InviteFileDamaged):
        read_invite(data)


def test_flips_and_cuts_are_read_otherwise_or_refused() -> None:
    data = FILE.encode()
    for place in range(len(data)):
        flipped = data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]
        try:
            assert read_invite(flipped).encode() == flipped
        except InviteFileDamaged:
            continue
    for place in range(len(data)):
        with pytest.raises(InviteFileDamaged):
            read_invite(data[:place])


def test_a_text_has_one_spelling() -> None:
    text = FILE.text()
    for wrong in (text[:-1] + "8", text + "A", text + "=", "x" * 200_000):
        with pytest.raises(InviteFileDamaged):
            read_invite(wrong)
    last = text[-1]
    others = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" if letter != last]
    assert all(_differs(text[:-1] + letter) for letter in others)


def _differs(text: str) -> bool:
    try:
        return read_invite(text) != FILE
    except InviteFileDamaged:
        return True


def test_mailboxes_are_few_and_short() -> None:
    for wrong in (["tcp://x"] * 9, ["x" * 513], [""]):
        with pytest.raises(Misuse):
            InviteFile.draw(offer(), wrong)


def test_a_secret_is_not_shown() -> None:
    assert repr(FILE) == f"InviteFile({FILE.slot.hex()[:8]})"


def test_a_file_is_its_owners_and_new(tmp_path: Path) -> None:
    path = tmp_path / "invite"
    write_private(path, FILE.encode())
    assert read_invite(path.read_bytes()) == FILE
    assert path.stat().st_mode & 0o777 == 0o600
    for wrong in (path, tmp_path / "no" / "folder"):
        with pytest.raises(Misuse):
            write_private(wrong, b"other")
    assert path.read_bytes() == FILE.encode()


def test_a_qr_code_holds_the_text_in_its_dense_alphabet() -> None:
    import segno

    assert segno.make_qr(FILE.text()).mode == "alphanumeric"
    shown = qr.terminal(FILE.text())
    assert len(shown.splitlines()) > 20
    picture = qr.svg(FILE.text())
    assert picture.startswith("<?xml")
    assert "<path" in picture


# ---- the ceremony by files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [1, 3, Role.ADMIN])
def test_two_files_bring_a_joiner_in(role: int) -> None:
    post, file = Post(role), invite_file(role)
    answered = answer(file, device("bob"), person("bob"), drawn(2))
    invited = accept(file, answered, post.welcome(answered), BOB)
    assert invited.offer == post.offer
    assert post.door.belongs(invited, BOB)
    assert post.door.admitted == [BOB.public().id]


def test_an_answer_with_another_secret_changes_nothing() -> None:
    post = Post()
    burnt: list[int] = []
    other = msgspec.structs.replace(FILE, secret=bytes(32))
    elsewhere = msgspec.structs.replace(FILE, slot=bytes(16))
    for wrong in (other, elsewhere):
        with pytest.raises(WrongCode):
            post.inviter.confirm(answer(wrong, device("bob"), person("bob"), drawn(2)), lambda: burnt.append(1))
    assert burnt == []
    post.welcome(answer(FILE, device("bob"), person("bob"), drawn(2)))


def test_an_answer_of_who_cannot_be_let_in_uses_nothing_up() -> None:
    post = Post()
    burnt: list[int] = []

    def refuse(joiner: JoinerKeys) -> None:
        raise Misuse(f"{joiner.name} cannot come")

    with pytest.raises(Misuse, match="bob cannot come"):
        post.inviter.confirm(answer(FILE, BOB, person("bob"), drawn(2)), lambda: burnt.append(1), refuse)
    assert burnt == []
    post.welcome(answer(FILE, device("eve"), person("eve"), drawn(3)))


def test_one_answer_is_taken() -> None:
    post = Post()
    post.welcome(answer(FILE, device("bob"), person("bob"), drawn(2)))
    with pytest.raises(OutOfTurn):
        post.inviter.confirm(answer(FILE, device("eve"), person("eve"), drawn(3)), nothing)
    with pytest.raises(OutOfTurn):
        post.inviter.welcome(post.door.grants("bob"))
    with pytest.raises(OutOfTurn):
        Post().inviter.welcome(post.door.grants("bob"))


def test_what_was_burnt_admits_nobody() -> None:
    post = Post()

    def burnt() -> None:
        raise CodeUsed("burnt")

    answered = answer(FILE, device("bob"), person("bob"), drawn(2))
    with pytest.raises(CodeUsed):
        post.inviter.confirm(answered, burnt)
    with pytest.raises(OutOfTurn):
        post.inviter.welcome(post.door.grants("bob"))


def test_time_runs_out() -> None:
    post = Post()
    post.clock.now = NOW + HOUR
    with pytest.raises(InviteExpired):
        post.inviter.confirm(answer(FILE, device("bob"), person("bob"), drawn(2)), nothing)


def test_an_invite_by_words_is_not_answered_by_a_file() -> None:
    with pytest.raises(OutOfTurn):
        Post(secret=b"\x3c\x3b")


def test_files_of_other_invites_answers_and_devices_are_refused() -> None:
    post = Post()
    answered = answer(FILE, device("bob"), person("bob"), drawn(2))
    welcome = post.welcome(answered)
    other_answer = answer(FILE, device("bob"), person("bob"), drawn(3))
    other_file = InviteFile.draw(offer(), [], random=drawn(8))
    by_eve = msgspec.structs.replace(FILE, inviter=device("eve").public().id)
    for file, said, came, keys, error in [
        (FILE, other_answer, welcome, BOB, InviteFileDamaged),
        (other_file, answered, welcome, BOB, InviteFileDamaged),
        (FILE, answered, answered, BOB, InviteFileDamaged),
        (FILE, welcome, welcome, BOB, InviteFileDamaged),
        (msgspec.structs.replace(FILE, secret=bytes(32)), answered, welcome, BOB, WrongCode),
        (by_eve, answered, welcome, BOB, WrongCode),
        (FILE, answered, welcome, device("eve"), NotAsOffered),
    ]:
        with pytest.raises(error):
            accept(file, said, came, keys)
    accept(FILE, answered, welcome, BOB)


def test_an_offer_that_was_not_committed_to_is_refused() -> None:
    """Else who joins had signed for one thing, and were told another."""
    other = msgspec.structs.replace(FILE, commitment=bytes(32))
    signed = answer(other, BOB, person("bob"), drawn(2))
    burnt: list[int] = []
    with pytest.raises(MessageMalformed, match="has not signed what was offered"):
        Post().inviter.confirm(signed, lambda: burnt.append(1))
    assert burnt == []
    answered = answer(FILE, BOB, person("bob"), drawn(2))
    welcome = Post().welcome(answered)
    with pytest.raises(NotAsOffered, match="committed to"):
        accept(other, answered, welcome, BOB)


def test_no_byte_of_the_files_can_be_changed() -> None:
    answered = answer(FILE, device("bob"), person("bob"), drawn(2))
    welcome = Post().welcome(answered)
    for data, take in (
        (answered, lambda wrong: Post().inviter.confirm(wrong, nothing)),
        (welcome, lambda wrong: accept(FILE, answered, wrong, BOB)),
    ):
        for place in range(0, len(data), 41):
            with pytest.raises(RopewalkError) as caught:
                take(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
            assert isinstance(caught.value, WrongCode | InviteFileDamaged | MessageMalformed)


def test_two_answers_to_one_invite_share_no_key() -> None:
    """Else one key would seal two things."""
    one, other = (
        msgspec.msgpack.decode(answer(FILE, device("bob"), person("bob"), drawn(n)), type=AnswerFile) for n in (2, 3)
    )
    assert one.nonce != other.nonce
    assert one.box[:16] != other.box[:16]


def test_a_welcome_of_a_ceremony_by_messages_is_none_of_a_file() -> None:
    post = Post()
    answered = answer(FILE, device("bob"), person("bob"), drawn(2))
    told = post.door.let_in(post.inviter.confirm(answered, nothing))
    said = post.inviter._transcript
    wrap = BOB.public().wrap(told, b"ropewalk invite 1\0" + said.said + BOB.public().id)
    box, confirmation = said.seal_welcome(bytes(32), encode(post.offer), wrap)
    nonce = msgspec.msgpack.decode(answered, type=AnswerFile).nonce
    with pytest.raises(NotAsOffered):
        accept(FILE, answered, encode(WelcomeFile("ropewalk welcome", 1, FILE.slot, nonce, box, confirmation)), BOB)


def test_grants_must_be_those_of_the_offer() -> None:
    post = Post()
    post.inviter.confirm(answer(FILE, device("bob"), person("bob"), drawn(2)), nothing)
    with pytest.raises(BadOffer):
        post.inviter.welcome(Door(offer(spaces=2)).grants("bob"))
