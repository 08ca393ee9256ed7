"""A side that knows the code and lies: it gets what it could have had honestly, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from ropewalk.spaces.identity import DeviceKeys, PublicKeys
from ropewalk.spaces.invites import (
    BadOffer,
    Joiner,
    MessageMalformed,
    NotAsOffered,
)
from ropewalk.spaces.invites.messages import Me, Sealed, Welcome, read_grants
from ropewalk.spaces.invites.transcript import Transcript, first, seal_me
from ropewalk.spaces.members import Role
from ropewalk.spaces.records import encode
from tests.spaces.invites.parties import Door, device, drawn, offer, person
from tests.spaces.invites.table import CODE, SLOT, Table


def _resealed(table: Table, change: Callable[[Sealed], Sealed]) -> bytes:
    """The welcome of an inviter who says another thing, and confirms it."""
    welcome = msgspec.msgpack.decode(table.until_welcomed(), type=Welcome)
    said: Transcript = table.inviter._transcript
    held = said.open_welcome(welcome.box, welcome.confirmation)
    changed = change(held)
    box, confirmation = said.seal_welcome(changed.blind, changed.offer, changed.wrap)
    return encode(Welcome(1, "welcome", box, confirmation))


def test_an_offer_cannot_be_changed_once_the_joiner_is_known() -> None:
    table = Table()
    other = encode(offer(role=2))
    message = _resealed(table, lambda held: Sealed(held.blind, other, held.wrap))
    with pytest.raises(NotAsOffered, match="committed"):
        table.joiner.accept(message)


def test_bytes_cannot_move_between_blind_and_offer() -> None:
    table = Table()
    message = _resealed(table, lambda held: Sealed(held.blind[:-1], held.blind[-1:] + held.offer, held.wrap))
    with pytest.raises(NotAsOffered, match="committed"):
        table.joiner.accept(message)


def test_a_wrap_for_another_device_or_another_ceremony_is_refused() -> None:
    for keys, info in ((device("eve"), None), (device("bob"), b"ropewalk invite 1\0" + bytes(48))):
        table = Table()

        def to(held: Sealed, keys: DeviceKeys = keys, info: bytes | None = info, table: Table = table) -> Sealed:
            said = table.inviter._transcript.said
            wrap = keys.public().wrap(
                table.door.grants("bob"), info or b"ropewalk invite 1\0" + said + keys.public().id
            )
            return Sealed(held.blind, held.offer, wrap)

        with pytest.raises(NotAsOffered, match="do not open"):
            table.joiner.accept(_resealed(table, to))


def test_grants_must_be_those_of_the_offer() -> None:
    for other in (offer(spaces=2), offer(Role.STEWARD)):
        table = Table()
        table.until_confirmed()
        with pytest.raises(BadOffer):
            table.inviter.welcome(Door(other).grants("bob"))
    table = Table()
    table.until_confirmed()
    with pytest.raises(BadOffer):
        table.inviter.welcome(b"junk")


def test_a_joiner_refuses_grants_that_are_not_those_of_the_offer() -> None:
    table = Table(offer(spaces=2))

    def fewer(held: Sealed) -> Sealed:
        said, public = table.inviter._transcript.said, device("bob").public()
        wrap = public.wrap(Door(offer()).grants("bob"), b"ropewalk invite 1\0" + said + public.id)
        return Sealed(held.blind, held.offer, wrap)

    with pytest.raises(NotAsOffered, match="not sound"):
        table.joiner.accept(_resealed(table, fewer))


def test_an_offer_by_another_device_than_the_file_names_is_refused() -> None:
    Table(file_of=device("anna").public().id, secret=bytes(32)).whole()
    table = Table(file_of=device("eve").public().id, secret=bytes(32))
    welcome = table.until_welcomed()
    with pytest.raises(NotAsOffered, match="another device"):
        table.joiner.accept(welcome)


def _joining_with(change: Callable[[PublicKeys], PublicKeys]) -> None:
    table = Table()
    table.joiner.confirm(table.until_answered())
    key, keys = table.inviter._key, person("bob")
    plain = encode(msgspec.structs.replace(keys, device=change(keys.device)))
    heard = first(SLOT, table.inviter._joined, table.inviter._exchange.message, table.inviter._commitment, plain)
    message = encode(Me(1, "me", seal_me(key, plain), Transcript(key, heard).confirmed_by_joiner()))
    table.inviter.confirm(message)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda keys: msgspec.structs.replace(keys, mlkem=b"\xff" * 1184), id="no ML-KEM key"),
        pytest.param(lambda keys: msgspec.structs.replace(keys, x25519=bytes(32)), id="an X25519 key of low order"),
        pytest.param(lambda keys: device("anna").public(), id="the inviter's own"),
    ],
)
def test_keys_that_nothing_can_be_wrapped_for_are_refused_before_they_are_admitted(
    change: Callable[[PublicKeys], PublicKeys],
) -> None:
    with pytest.raises(MessageMalformed):
        _joining_with(change)


def test_a_joiner_cannot_be_told_other_keys_than_its_own() -> None:
    with pytest.raises(BadOffer):
        Joiner(SLOT, CODE.secret, device("bob"), person("eve"), random=drawn(1))


def test_a_device_does_not_invite_itself() -> None:
    own = msgspec.structs.replace(offer(), inviter=device("bob").public())
    with pytest.raises(MessageMalformed, match="inviter's keys"):
        Table(own).until_confirmed()
    table = Table()
    welcome = table.until_welcomed()
    table.joiner._keys = device("anna")
    with pytest.raises(NotAsOffered, match="itself"):
        table.joiner.accept(welcome)


def test_a_welcome_that_no_mailbox_would_take_is_not_sent() -> None:
    table = Table(offer(spaces=2))
    joiner = table.until_confirmed()
    held = read_grants(table.door.let_in(joiner))
    stores = [msgspec.structs.replace(held.stores[0], paths=["x" * 4096])] * 16
    with pytest.raises(BadOffer, match="expected at most"):
        table.inviter.welcome(encode(msgspec.structs.replace(held, stores=stores)))
