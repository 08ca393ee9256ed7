"""Invites say what the vectors say, case by case."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from docs.spec.vectors.reference_invites import Ceremony, Half
from ropewalk.errors import RopewalkError
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites import (
    NEW_MEMBER,
    Code,
    InviteFile,
    Inviter,
    Joiner,
    JoinerKeys,
    LetterInviter,
    Offer,
    OfferedSpace,
    Step,
    accept,
    answer,
    read_invite,
)
from ropewalk.spaces.invites.files import AnswerFile, WelcomeFile
from ropewalk.spaces.invites.messages import Welcome, read_grants, read_join
from ropewalk.spaces.invites.pake import Exchange
from ropewalk.spaces.invites.transcript import Transcript, code_hash, first_of_file
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import Role
from ropewalk.spaces.records import encode

FOLDER = Path(__file__).parents[3] / "docs" / "spec" / "vectors"
ALL: list[dict[str, Any]] = json.loads((FOLDER / "invites.json").read_text())
Case = dict[str, Any]


def of(what: str, *, bad: bool | None = None) -> pytest.MarkDecorator:
    """A test for each case of one kind; those that must be refused, or must not, where it says."""
    found = [case for case in ALL if case["what"] == what and (bad is None or bad is ("error" in case))]
    assert found
    return pytest.mark.parametrize("case", found, ids=[case["why"] for case in found])


def one(what: str) -> Case:
    (found,) = [case for case in ALL if case["what"] == what]
    return found


def raw(case: Case, field: str) -> bytes:
    return bytes.fromhex(case[field])


def drawing(*parts: bytes) -> Callable[[int], bytes]:
    """Random bytes that are these, one after the other."""
    left: Iterator[bytes] = iter(parts)

    def draw(size: int) -> bytes:
        part = next(left)
        assert len(part) == size
        return part

    return draw


def refused(case: Case, call: Callable[[], object]) -> None:
    with pytest.raises(RopewalkError) as caught:
        call()
    assert caught.value.code == case["error"]


def test_every_kind_of_case_has_a_test() -> None:
    assert {case["what"] for case in ALL} == {"code", "exchange", "point", "ceremony", "files", "message-1"}


@of("code", bad=False)
def test_codes(case: Case) -> None:
    code = Code.parse(case["text"])
    assert (str(code), code.slot, code.secret) == (case["said"], raw(case, "slot"), raw(case, "secret"))
    assert code_hash(code.slot, code.secret)[:16].hex() + ".used" == case["used"]


@of("code", bad=True)
def test_codes_to_refuse(case: Case) -> None:
    refused(case, lambda: Code.parse(case["text"]))


@of("exchange")
def test_exchanges(case: Case) -> None:
    inviter = Exchange("inviter", raw(case, "secret"), drawing(raw(case, "inviter_random")))
    joiner = Exchange("joiner", raw(case, "secret"), drawing(raw(case, "joiner_random")))
    assert (joiner.message, inviter.message) == (raw(case, "X"), raw(case, "Y"))
    assert inviter.key(joiner.message) == joiner.key(inviter.message) == raw(case, "K")
    assert hashed("invite key", raw(case, "exchanged")) == raw(case, "K")


@of("point")
def test_points_to_refuse(case: Case) -> None:
    inviter = Exchange("inviter", raw(case, "secret"), drawing(raw(case, "inviter_random")))
    refused(case, lambda: inviter.key(raw(case, "X")))


@of("message-1")
def test_messages_to_refuse(case: Case) -> None:
    refused(case, lambda: read_join(raw(case, "bytes")))


def offered(case: Case) -> Offer:
    grants = read_grants(raw(case, "grants"))
    member = msgspec.msgpack.decode(_held(case)[1])[2][0][1]
    spaces = [OfferedSpace(grants.spaces[0].space, member, Role.WRITER)]
    return Offer(DeviceKeys(raw(case, "inviter_seed")).public(), NEW_MEMBER, spaces, case["expires"])


def _held(case: Case) -> list[Any]:
    """What is in the box of the welcome, opened by the reference."""
    messages = [bytes.fromhex(message) for message in case["messages"]]
    x, y = (msgspec.msgpack.decode(message)[2] for message in messages[:2])
    key = Half(True, Code.parse(case["code"]).secret, raw(case, "inviter_random")).key(x)
    assert key == Half(False, Code.parse(case["code"]).secret, raw(case, "joiner_random")).key(y)
    return Ceremony(key, raw(case, "T1")).open_welcome(*msgspec.msgpack.decode(messages[3])[2:])


def signing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device signs as it did when the vector was recorded: ML-DSA draws at random."""
    label = "by words" if case["what"] == "ceremony" else "by files"
    drawn = bytes.fromhex(json.loads((FOLDER / "recorded.json").read_text())[f"ml-dsa consent {label}"])
    monkeypatch.setattr(DeviceKeys, "sign_slow", lambda keys, message: (keys.sign_quick(message), drawn))


def test_the_ceremony_by_words_as_the_joiner(monkeypatch: pytest.MonkeyPatch) -> None:
    case = one("ceremony")
    signing(case, monkeypatch)
    code, keys = Code.parse(case["code"]), DeviceKeys(raw(case, "joiner_seed"))
    me = JoinerKeys(keys.public(), None, "Bob", "Bob's laptop")
    joiner = Joiner(code.slot, code.secret, keys, me, random=drawing(raw(case, "joiner_random"), raw(case, "salt")))
    sent = [joiner.ask(lambda: None), joiner.confirm(bytes.fromhex(case["messages"][1]))]
    invited, done = joiner.accept(bytes.fromhex(case["messages"][3]))
    assert [message.hex() for message in (*sent, done)] == [case["messages"][number] for number in (0, 2, 4)]
    assert encode(invited.grants) == raw(case, "grants")
    assert invited.offer == offered(case)
    assert joiner._transcript.said == raw(case, "T1")


def test_the_ceremony_by_words_as_the_inviter() -> None:
    """Up to the welcome, whose wrap differs each time; it is opened by the reference."""
    case = one("ceremony")
    code = Code.parse(case["code"])
    randoms = drawing(raw(case, "inviter_random"), raw(case, "blind"))
    inviter = Inviter(code.slot, code.secret, offered(case), clock=lambda: case["expires"] - 1, random=randoms)
    assert inviter.answer(bytes.fromhex(case["messages"][0]), lambda: None).hex() == case["messages"][1]
    assert inviter.confirm(bytes.fromhex(case["messages"][2])).name == "Bob"
    welcome = msgspec.msgpack.decode(inviter.welcome(raw(case, "grants")), type=Welcome)
    held = Ceremony(inviter._key, raw(case, "T1")).open_welcome(welcome.box, welcome.confirmation)
    assert held[:2] == _held(case)[:2]
    # The end that the vector has is of the recorded wrap.
    inviter._whole = raw(case, "T2")
    inviter.finish(bytes.fromhex(case["messages"][4]))
    assert inviter.step is Step.DONE


def test_the_ceremony_by_files(monkeypatch: pytest.MonkeyPatch) -> None:
    case, words = one("files"), one("ceremony")
    signing(case, monkeypatch)
    file = read_invite(raw(case, "invite"))
    assert isinstance(file, InviteFile)
    assert file.text() == case["text"]
    keys = DeviceKeys(raw(words, "joiner_seed"))
    me = JoinerKeys(keys.public(), None, "Bob", "Bob's laptop")
    told = answer(file, keys, me, drawing(raw(case, "nonce"), raw(case, "salt")))
    assert [len(told), hashed("object", told).hex()] == case["answer"]
    parts = msgspec.msgpack.decode(told, type=AnswerFile)
    offer = offered(words)
    inviter = LetterInviter(file.slot, file.secret, offer, clock=lambda: file.expires - 1)
    assert inviter.confirm(told, lambda: None).device == keys.public()
    said = inviter._transcript
    assert said.said == raw(case, "T1")
    assert said.whole(encode(offer), raw(case, "wrap")) == raw(case, "T2")
    sealed = said.seal_welcome(b"", encode(offer), raw(case, "wrap"))
    welcome = encode(WelcomeFile("ropewalk welcome", 1, file.slot, parts.nonce, *sealed))
    assert [len(welcome), hashed("object", welcome).hex()] == case["welcome"]
    invited = accept(file, told, welcome, keys)
    assert encode(invited.grants) == raw(case, "grants")
    assert invited.grants.spaces[0].member not in (None, offer.spaces[0].member)
    assert Transcript(b"", first_of_file(file.slot, raw(case, "nonce"), file.inviter, b"")).said != said.said
