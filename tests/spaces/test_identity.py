"""Identity: keys rest sealed, sign, unwrap, and are written as words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces import identity
from ropewalk.spaces.identity import (
    DEVICE,
    PAPER,
    DeviceKeys,
    KeysAhead,
    KeysDamaged,
    WrongPassphrase,
    WrongWords,
    open_keys,
    seal_keys,
)
from ropewalk.spaces.keys import BoxDamaged, hashed
from tests.spaces.making import device, flips, paper, truncations

pack = msgspec.msgpack.encode


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretching in no time: thousands of files are opened."""

    def stretch(passphrase: str, salt: bytes, memory: int, passes: int, lanes: int) -> bytes:
        assert 8 * lanes <= memory <= 1024 * 1024  # what Argon2 takes, and what we are ready to give it
        return hashed("test", repr((passphrase, salt, memory, passes, lanes)).encode())

    monkeypatch.setattr(identity, "_stretch", stretch)


def test_keys_come_back_with_their_passphrase_alone() -> None:
    sealed = seal_keys(device(), "correct horse")
    assert open_keys(sealed, "correct horse") == device()
    with pytest.raises(WrongPassphrase):
        open_keys(sealed, "correct house")
    assert device().seed not in sealed


@pytest.mark.parametrize("passphrase", ["", "słowo", "\udcff not UTF-8"])
def test_any_passphrase_that_can_be_typed_will_do(quick: None, passphrase: str) -> None:
    assert open_keys(seal_keys(paper(), passphrase), passphrase) == paper()


def test_a_passphrase_of_bytes_that_are_not_utf_8_is_stretched() -> None:
    assert len(identity._stretch("\udcff", bytes(16), 64, 1, 1)) == 32


def test_no_bit_and_no_length_of_a_key_file_can_change(quick: None) -> None:
    sealed = seal_keys(device(), "word")
    for changed in (*flips(sealed), *truncations(sealed)):
        with pytest.raises((KeysDamaged, WrongPassphrase)):
            open_keys(changed, "word")


@given(st.binary(max_size=200))
def test_fuzz_junk_is_no_key_file(junk: bytes) -> None:
    with pytest.raises(KeysDamaged):
        open_keys(junk, "word")


@pytest.mark.parametrize(
    "change",
    [
        {0: "other keys"},
        {1: 2},
        {2: 1024 * 1024 + 1},
        {2: 7},
        {2: 16, 4: 4},
        {3: 0},
        {3: 65},
        {4: 0},
        {4: 17},
        {5: b"short"},
        {6: 2},
    ],
)
def test_a_key_file_that_asks_for_what_cannot_be_is_refused(change: dict[int, object]) -> None:
    fields: list[object] = ["ropewalk keys", 1, 64 * 1024, 3, 4, bytes(16), 0, bytes(80)]
    for at, value in change.items():
        fields[at] = value
    with pytest.raises(KeysDamaged):
        open_keys(pack(fields), "word")


def test_keys_opened_ahead_are_those_of_the_file(quick: None) -> None:
    data = seal_keys(device(), "one")
    assert KeysAhead(data, "one").keys(data, "one") == open_keys(data, "one") == device()
    with pytest.raises(WrongPassphrase):
        KeysAhead(data, "two").keys(data, "two")
    with pytest.raises(KeysDamaged):
        KeysAhead(data[:-1], "one").keys(data[:-1], "one")


def test_passphrases_can_be_stretched_at_the_same_time() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda at: identity._stretch(str(at % 2), bytes(16), 1024, 1, 4), range(64)))
    assert len(set(made)) == 2


def test_what_was_opened_ahead_counts_for_nothing_else(quick: None) -> None:
    data, other = seal_keys(device(), "one"), seal_keys(paper(), "one")
    assert KeysAhead(data, "two").keys(data, "one") == device()
    assert KeysAhead(data, "one").keys(other, "one") == paper()
    assert KeysAhead(b"junk", "one").keys(data, "one") == device()
    with pytest.raises(WrongPassphrase):
        KeysAhead(data, "one").keys(data, "two")


def test_nothing_opened_ahead_is_kept_once_it_was_asked_for(quick: None) -> None:
    data = seal_keys(device(), "one")
    ahead = KeysAhead(data, "one")
    assert ahead.keys(data, "one") == device()
    assert [value for value in vars(ahead).values() if value] == [ahead._thread]
    assert ahead.keys(data, "one") == device()


def test_a_paper_key_comes_back_from_its_words_however_they_are_typed() -> None:
    words = paper().words()
    assert len(words.split()) == 24
    assert DeviceKeys.from_words(f"  {words.upper().replace(' ', '  ')}\n") == paper()


def test_words_that_are_wrong_are_refused() -> None:
    words = paper().words().split()
    swapped = [words[1], words[0], *words[2:]]
    twelve = "abandon " * 11 + "about"
    for wrong in ("", " ".join(words[:-1]), " ".join(swapped), " ".join(["ropewalk", *words[1:]]), twelve):
        with pytest.raises(WrongWords):
            DeviceKeys.from_words(wrong)


@given(st.text(max_size=100))
def test_fuzz_text_is_no_paper_key(text: str) -> None:
    with pytest.raises(WrongWords):
        DeviceKeys.from_words(text)


def test_signatures_verify_and_no_bit_of_them_can_change() -> None:
    public = device().public()
    quick, slow = device().sign_quick(b"message"), device().sign_slow(b"message")
    assert public.verify_quick(quick, b"message")
    assert public.verify_slow(slow, b"message")
    assert not public.verify_quick(quick, b"massage")
    assert not public.verify_slow(slow, b"massage")
    assert not paper().public().verify_slow(slow, b"message")
    assert not any(public.verify_quick(changed, b"message") for changed in (*flips(quick)[::7], quick[:-1], b""))
    assert not any(public.verify_slow((slow[0], changed), b"message") for changed in (*flips(slow[1])[::97], b""))
    assert not any(public.verify_slow((changed, slow[1]), b"message") for changed in flips(slow[0])[::31])


def test_keys_of_another_size_verify_nothing() -> None:
    broken = msgspec.structs.replace(device().public(), ed25519=b"", mldsa=b"short")
    assert not broken.verify_quick(device().sign_quick(b""), b"")
    assert not broken.verify_slow(device().sign_slow(b""), b"")


def test_a_wrap_opens_for_its_device_and_purpose_alone() -> None:
    wrapped = device().public().wrap(b"secret", b"here")
    assert device().unwrap(wrapped, b"here") == b"secret"
    for keys, info, data in (
        (paper(), b"here", wrapped),
        (device(), b"there", wrapped),
        (device(), b"here", wrapped[:-1]),
        (device(), b"here", wrapped[:10]),
        (device(), b"here", b""),
        *[(device(), b"here", changed) for changed in flips(wrapped)[::97]],
    ):
        with pytest.raises(BoxDamaged):
            keys.unwrap(data, info)


def test_one_seed_gives_one_device_and_kinds_differ() -> None:
    assert DeviceKeys(device().seed).public() == device().public()
    assert DeviceKeys(device().seed, PAPER).public().id != device().public().id
    assert len(device().public().id) == 16
    assert DeviceKeys.generate() != DeviceKeys.generate()
    assert DeviceKeys.generate().kind == DEVICE
    assert repr(device().seed)[2:-1] not in repr(device())
