"""Forms: what is read is what was written, and junk is refused with one error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.identity import PAPER, PublicKeys
from ropewalk.spaces.invites import BadOffer, GrantedStore, Grants, JoinerKeys, MessageMalformed, Offer
from ropewalk.spaces.invites import messages as forms
from ropewalk.spaces.records import encode
from tests.spaces.invites.parties import NOW, Door, device, offer, paper_of, person

BOB, ANNA = person("bob"), device("anna").public()
READERS: dict[Callable[[bytes], Any], Any] = {
    forms.read_join: forms.Join(1, "join", bytes(33)),
    forms.read_answer: forms.Answer(1, "answer", bytes(33), bytes(32)),
    forms.read_me: forms.Me(1, "me", b"box", bytes(32)),
    forms.read_welcome: forms.Welcome(1, "welcome", b"box", bytes(32)),
    forms.read_done: forms.Done(1, "done", bytes(32)),
    forms.read_sealed: forms.Sealed(bytes(32), b"offer", b"wrap"),
    forms.read_joiner: BOB,
    forms.read_offer: offer(spaces=2),
    forms.read_grants: forms.read_grants(Door(offer(spaces=2)).grants("bob")),
}
each_reader = pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)


@each_reader
def test_reading_undoes_writing(read: Callable[[bytes], Any]) -> None:
    assert read(encode(READERS[read])) == READERS[read]


@each_reader
def test_flips_and_cuts_are_read_otherwise_or_refused(read: Callable[[bytes], Any]) -> None:
    data = encode(READERS[read])
    for place in range(0, len(data), 1 if len(data) < 300 else 17):
        flipped = data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]
        with suppress(MessageMalformed):
            assert encode(read(flipped)) == flipped
        with pytest.raises(MessageMalformed):
            read(data[:place])
    with pytest.raises(MessageMalformed):
        read(data + b"\0")
    with pytest.raises(MessageMalformed):
        read(data + bytes(forms.LARGEST_MESSAGE))


@each_reader
@given(data=st.binary(max_size=80))
def test_junk_is_refused(read: Callable[[bytes], Any], data: bytes) -> None:
    with pytest.raises(MessageMalformed):
        read(data)


@each_reader
def test_another_version_or_kind_is_refused(read: Callable[[bytes], Any]) -> None:
    fields = msgspec.msgpack.decode(encode(READERS[read]), type=list[msgspec.Raw])
    if len(fields) > 2 and bytes(fields[0]) == b"\x01" and bytes(fields[1])[0] & 0xE0 == 0xA0:
        for wrong in ([2, *fields[1:]], [1, "other", *fields[2:]], [1, "me ", *fields[2:]]):
            with pytest.raises(MessageMalformed) as caught:
                read(encode(wrong))
            assert "version" in caught.value.hint
    with pytest.raises(MessageMalformed):
        read(encode([*fields, 0]))
    with pytest.raises(MessageMalformed):
        read(encode(fields[:-2]))


names = st.sampled_from(["", "a\nb", "\x1b[2J", "a\u202eb", "a\u2028b", "\x7f", "x" * 101, "\u00e9" * 51, "\udc80"])


@given(names)
def test_a_name_that_cannot_be_shown_is_no_name(name: str) -> None:
    with pytest.raises(BadOffer):
        JoinerKeys(BOB.device, None, "bob", name)


@given(
    st.sampled_from(["Ann", "Zo\u00eb", "\u674e\u96f7", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "x" * 100])
)
def test_people_are_called_what_they_are_called(name: str) -> None:
    assert forms.read_joiner(encode(JoinerKeys(BOB.device, None, name, name))).name == name


def test_a_name_for_terminals_does_not_come_in_by_the_wire_either() -> None:
    for name in ("\x1b[2J", "a\u202eb"):
        with pytest.raises(MessageMalformed):
            forms.read_joiner(encode([BOB.device, None, name, "laptop", {}]))


def replaced(keys: PublicKeys, **fields: Any) -> PublicKeys:
    return msgspec.structs.replace(keys, **fields)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: JoinerKeys(paper_of("bob"), None, "b", "b"), id="a paper key as a device"),
        pytest.param(lambda: JoinerKeys(BOB.device, device("x").public(), "b", "b"), id="a device as a paper key"),
        pytest.param(lambda: JoinerKeys(replaced(BOB.device, ed25519=b""), None, "b", "b"), id="a key of another size"),
        pytest.param(lambda: JoinerKeys(replaced(BOB.device, kind=2), None, "b", "b"), id="a kind there is not"),
        pytest.param(lambda: Offer(ANNA, 1, [], NOW), id="no space"),
        pytest.param(lambda: Offer(ANNA, 1, offer(spaces=2).spaces[::-1], NOW), id="descending"),
        pytest.param(lambda: Offer(ANNA, 1, offer().spaces * 2, NOW), id="one space twice"),
        pytest.param(lambda: offer(spaces=65), id="too many spaces"),
        pytest.param(lambda: offer(role=0), id="no role"),
        pytest.param(lambda: offer(role=5), id="a role there is not"),
        pytest.param(lambda: Offer(replaced(ANNA, kind=PAPER), 1, offer().spaces, NOW), id="a paper key invites"),
    ],
)
def test_what_cannot_be_offered_is_not_made(make: Callable[[], object]) -> None:
    with pytest.raises(BadOffer):
        make()


@pytest.mark.parametrize(
    "stores",
    [
        pytest.param([], id="an index past the end"),
        pytest.param([GrantedStore(bytes(16), {"disk": "a\n"}, [])], id="a domain that cannot be shown"),
        pytest.param([GrantedStore(bytes(16), {}, ["/ab", "/a\0b"])], id="a path with a zero"),
        pytest.param([GrantedStore(bytes(16), {}, ["x" * 4097])], id="a path too long"),
        pytest.param([GrantedStore(bytes(16), {}, [""])], id="a path that is none"),
        pytest.param([GrantedStore(bytes(16), {}, ["/a"] * 5)], id="too many paths"),
    ],
)
def test_stores_that_cannot_be_told_are_not_granted(stores: list[GrantedStore]) -> None:
    with pytest.raises(BadOffer):
        Grants(READERS[forms.read_grants].spaces, stores)


def test_secrets_are_not_shown() -> None:
    assert "\\x" not in repr(READERS[forms.read_grants].spaces[0])


def test_fields_of_a_later_version_are_passed_over_and_kept() -> None:
    fields = msgspec.msgpack.decode(encode(offer()), type=list[msgspec.Raw])
    later = encode([*fields[:-1], msgspec.Raw(b"\x81\x07\xa5later")])
    assert encode(forms.read_offer(later)) == later
