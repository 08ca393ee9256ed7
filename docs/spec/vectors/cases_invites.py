"""Vectors of invites: codes, exchanges, one ceremony by words and one by files, and what must be refused (invites.md).

Flow: fixture, reference -> cases -> make.py -> invites.json
Never: imports ropewalk.
"""

from __future__ import annotations

from docs.spec.vectors.fixture import DEVICE, SECRETS, SPACE, STRANGER, TIME, Case, once, wrap
from docs.spec.vectors.reference import h, made
from docs.spec.vectors.reference_groups import consent_message, ticket
from docs.spec.vectors.reference_invites import (
    Ceremony,
    Half,
    P,
    code_of,
    commitment,
    file_key,
    file_random,
    file_text,
    invite_info,
    said,
    said_by_file,
    slot_of,
    text_of,
    used_name,
)
from docs.spec.vectors.reference_records import Refused, pack

__all__ = ["cases"]

CODE = "7-crossover-clockwork"
EXPIRES = TIME + 3_600_000_000_000
MEMBER = made("new member", 16)
EPOCH_RECORD = h("vector", b"epoch record")
MARKER = made("marker", 16)
SALT = made("invite salt", 16)
TICKETS = [ticket(SPACE.id, MEMBER, 3)]


def _me(label: str, c: bytes) -> bytes:
    said = consent_message([STRANGER.id], SALT, c)
    signatures = [STRANGER.ed25519.sign(said), once(f"ml-dsa {label}", lambda: STRANGER.mldsa.sign(said))]
    return pack([STRANGER.public, None, "Bob", "Bob's laptop", SALT, *signatures, {}])


def cases() -> list[Case]:
    """All cases of invites.json; the inviter is the device of basics.json, who joins is the stranger."""
    return [*_codes(), *_bad_codes(), *_exchanges(), *_bad_points(), _by_words(), _by_files(), *_malformed()]


def _codes() -> list[Case]:
    rows = [
        ("the example", CODE, CODE),
        ("capitals, blanks, and no more of a word than is needed", "7 CROSS Clockw", CODE),
        ("three words, for an admin", "12-yucatan-aardvark-adroitness", "12-yucatan-aardvark-adroitness"),
        ("the greatest number", "999999-adroitness-zulu", "999999-adroitness-zulu"),
    ]
    found: list[Case] = []
    for why, typed, spelt in rows:
        slot_number, secret = code_of(typed)
        assert text_of(slot_number, secret) == spelt
        slot = slot_of(slot_number)
        case: Case = {
            "what": "code",
            "why": why,
            "text": typed,
            "said": spelt,
            "slot": slot.hex(),
            "secret": secret.hex(),
        }
        found.append(case | {"used": used_name(slot, secret)})
    return found


def _bad_codes() -> list[Case]:
    rows = [
        ("words that were swapped", "7-clockwork-crossover"),
        ("a word that is missing", "7-crossover"),
        ("a word too many", "7-crossover-clockwork-crossover-clockwork"),
        ("no number", "crossover-clockwork"),
        ("number 0", "0-crossover-clockwork"),
        ("a leading zero", "07-crossover-clockwork"),
        ("a number too great", "1000000-crossover-clockwork"),
        ("a beginning that many words have", "7-c-clockwork"),
        ("a word that is none", "7-crossover-clockworks"),
    ]
    return [{"what": "code", "why": why, "text": text} | {"error": _error(lambda text=text: code_of(text))}  # type: ignore[misc]
            for why, text in rows]  # fmt: skip


def _error(call: object) -> str:
    assert callable(call)
    try:
        call()
    except Refused as refused:
        return refused.code
    raise AssertionError("nothing was refused")


def _exchanges() -> list[Case]:
    rows = [("two words", b"\x3c\x3b"), ("three words", b"\xff\0\0"), ("a file's secret", made("invite secret", 32))]
    found: list[Case] = []
    for why, secret in rows:
        inviter, joiner = _halves(why, secret)
        exchanged = inviter.exchanged(joiner.message)
        assert exchanged == joiner.exchanged(inviter.message)
        found.append(
            {
                "what": "exchange",
                "why": why,
                "secret": secret.hex(),
                "inviter_random": inviter.random.hex(),
                "joiner_random": joiner.random.hex(),
                "X": joiner.message.hex(),
                "Y": inviter.message.hex(),
                "exchanged": exchanged.hex(),
                "K": h("invite key", exchanged).hex(),
            }
        )
    return found


def _halves(label: str, secret: bytes) -> tuple[Half, Half]:
    return Half(True, secret, made(f"inviter {label}", 64)), Half(False, secret, made(f"joiner {label}", 64))


def _bad_points() -> list[Case]:
    secret = b"\x3c\x3b"
    inviter, joiner = _halves("two words", secret)

    def point(y: int) -> bytes:
        return b"B" + y.to_bytes(32, "little")

    rows = [
        ("a byte too many", joiner.message + b"\0"),
        ("a byte too few", joiner.message[:-1]),
        ("the side of its reader", b"A" + joiner.message[1:]),
        ("a side that there is not", b"S" + joiner.message[1:]),
        ("the reader's own, as the other side's", b"B" + inviter.message[1:]),
        ("the neutral point", point(1)),
        ("the neutral point, with a sign", point(1 + 2**255)),
        ("a point of order 2", point(P - 1)),
        ("a point of order 4", point(0)),
        ("an encoding that is not the shortest", point(P + 4)),
        ("no point of the curve", point(2)),
        ("a point outside of the subgroup", point(3)),
    ]
    return [
        {"what": "point", "why": why, "secret": secret.hex(), "inviter_random": inviter.random.hex()}
        | {"X": data.hex(), "error": _error(lambda data=data: inviter.exchanged(data))}  # type: ignore[misc]
        for why, data in rows
    ]


def _offer() -> bytes:
    return pack([DEVICE.public, 1, [[SPACE.id, MEMBER, 3]], EXPIRES, {}])


def _grants(member: bytes | None = None) -> bytes:
    store = [MARKER, {"disk": "usb"}, ["/mnt/usb", "tls://anna.example:4433#" + "0a" * 32 + "/usb"]]
    return pack([[[SPACE.id, EPOCH_RECORD, SECRETS, "photos", "Bob", [0], member]], [store], {}])


def _by_words() -> Case:
    slot_number, secret = code_of(CODE)
    slot, offer, grants, blind = slot_of(slot_number), _offer(), _grants(), made("invite blind", 32)
    inviter, joiner = _halves("ceremony", secret)
    c = commitment(blind, offer, TICKETS)
    me = _me("consent by words", c)
    t1 = said(slot, joiner.message, inviter.message, c, me)
    ceremony = Ceremony(inviter.key(joiner.message), t1)
    wrapped = wrap("invite by words", grants, STRANGER, invite_info(t1, STRANGER.id))
    welcome = ceremony.welcome(blind, offer, wrapped)
    box, confirmation = welcome
    assert isinstance(box, bytes)
    assert isinstance(confirmation, bytes)
    assert ceremony.open_welcome(box, confirmation) == [blind, offer, wrapped]
    messages = [
        [1, "join", joiner.message],
        [1, "answer", inviter.message, c],
        [1, "me", *ceremony.me(me)],
        [1, "welcome", *welcome],
        [1, "done", ceremony.done(offer, wrapped)],
    ]
    return {
        "what": "ceremony",
        "why": "by words, one space, a writer",
        "code": CODE,
        "inviter_seed": DEVICE.seed.hex(),
        "joiner_seed": STRANGER.seed.hex(),
        "inviter_random": inviter.random.hex(),
        "blind": blind.hex(),
        "joiner_random": joiner.random.hex(),
        "salt": SALT.hex(),
        "expires": EXPIRES,
        "grants": grants.hex(),
        "T1": t1.hex(),
        "T2": ceremony.t2(offer, wrapped).hex(),
        "messages": [pack(message).hex() for message in messages],
    }


def _by_files() -> Case:
    slot, secret, n = made("invite slot", 16), made("invite secret", 32), made("invite nonce", 32)
    offer, grants = _offer(), _grants(made("member of before", 16))  # who is in already
    url = "tcp://192.0.2.5:43121"
    c = commitment(file_random(secret), offer, TICKETS)
    me = _me("consent by files", c)
    invite = pack(["ropewalk invite", 1, slot, secret, DEVICE.id, c, [url], EXPIRES, {}])
    t1 = said_by_file(slot, n, DEVICE.id, me)
    ceremony = Ceremony(file_key(secret, n), t1)
    wrapped = wrap("invite by files", grants, STRANGER, invite_info(t1, STRANGER.id))
    answer = pack(["ropewalk answer", 1, slot, n, *ceremony.me(me)])
    welcome = pack(["ropewalk welcome", 1, slot, n, *ceremony.welcome(b"", offer, wrapped)])
    return {
        "what": "files",
        "why": "an invite file, an answer file, a welcome file for a member of before",
        "invite": invite.hex(),
        "text": file_text(invite),
        "nonce": n.hex(),
        "salt": SALT.hex(),
        "T1": t1.hex(),
        "T2": ceremony.t2(offer, wrapped).hex(),
        "grants": grants.hex(),
        "answer": [len(answer), h("object", answer).hex()],
        "welcome": [len(welcome), h("object", welcome).hex()],
        "wrap": wrapped.hex(),
    }


def _malformed() -> list[Case]:
    x = _halves("ceremony", b"\x3c\x3b")[1].message
    rows: list[tuple[str, bytes]] = [
        ("version 2", pack([2, "join", x])),
        ("another message", pack([1, "answer", x, bytes(32)])),
        ("a field too many", pack([1, "join", x, 0])),
        ("a field too few", pack([1, "join"])),
        ("a point as text", pack([1, "join", "x" * 33])),
        ("bytes left over", pack([1, "join", x]) + b"\0"),
        ("a number not in its shortest form", b"\x93\xcc\x01" + pack([1, "join", x])[2:]),
        ("nothing", b""),
    ]
    found: list[Case] = [{"what": "message-1", "why": why, "bytes": data.hex()} for why, data in rows]
    return [case | {"error": "invite.malformed"} for case in found]
