"""Vectors of hashes, boxes, keys, names and membership (space.md 1 to 3, store.md 3 and 5).

Flow: fixture, reference -> cases -> make.py -> basics.json, members.json
Never: imports ropewalk.
"""

from __future__ import annotations

from docs.spec.vectors.fixture import DEVICE, EPOCH, GENESIS, PAPER, SECRETS, SPACE, STRANGER, Case, record_name, signed
from docs.spec.vectors.reference import aead_seal, h, m, made, open_box, seal_box, words_of
from docs.spec.vectors.reference_heads import writer_of
from docs.spec.vectors.reference_records import pack, unpack

__all__ = ["basics", "members"]


def basics() -> list[Case]:
    """All cases of basics.json."""
    return [*_hashes(), *_boxes(), _space_keys(), *_devices(), *_words(), *_names()]


def _hashes() -> list[Case]:
    key = made("some key", 32)
    cases: list[Case] = [
        {"what": "hash", "why": why, "tag": tag, "input": data.hex(), "output": h(tag, data).hex()}
        for why, tag, data in (
            ("nothing", "object", b""),
            ("three bytes", "object", b"abc"),
            ("another tag", "chunk id", b"abc"),
            ("more than one block of BLAKE3", "leaf", made("input", 1025)),
        )
    ]
    return cases + [
        {
            "what": "keyed-hash",
            "why": why,
            "key": key.hex(),
            "input": data.hex(),
            "length": size,
            "output": m(key, data, size).hex(),
        }
        for why, data, size in (
            ("nothing", b"", 32),
            ("three bytes", b"abc", 32),
            ("extended output", b"abc", 100),
            ("output cut short", b"abc", 5),
        )
    ]


def _boxes() -> list[Case]:
    key, place, plain = made("some key", 32), b"some place", made("some record", 70)
    tag = SPACE.epoch_tag
    box = seal_box(key, tag, place, plain)
    iv = made("an iv of one's own", 32)
    chosen = tag + iv + aead_seal(m(h("box key", key), iv), plain, tag + place)

    def case(why: str, data: bytes, *, key: bytes = key, place: bytes = place, error: bool = True) -> Case:
        fields: Case = {"what": "box", "why": why, "key": key.hex(), "epoch": tag.hex(), "context": place.hex()}
        return fields | ({"bytes": data.hex(), "error": "keys.box-damaged"} if error else {})

    assert open_box(key, tag, place, box) == plain
    sound: list[Case] = [
        case("a record", b"", error=False) | {"plain": plain.hex(), "bytes": box.hex()},
        case("nothing", b"", error=False) | {"plain": "", "bytes": seal_box(key, tag, place, b"").hex()},
    ]
    return [
        *sound,
        case("of another epoch", bytes(8) + box[8:]),
        case("a bit of the epoch tag", _flipped(box, 0)),
        case("a bit of the iv", _flipped(box, 8)),
        case("a bit of the ciphertext", _flipped(box, 40)),
        case("a bit of the tag", _flipped(box, len(box) - 1)),
        case("another context", box, place=b"some other place"),
        case("another key", box, key=made("some other key", 32)),
        case("an iv that was chosen, not computed", chosen),
        case("cut within the tag", box[:-1]),
        case("no room for a tag", box[:55]),
        case("nothing at all", b""),
    ]


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _space_keys() -> Case:
    names = ("content", "plain", "boundary", "chunk", "pad", "member", "chain", "steward", "directory")
    return {
        "what": "space-keys",
        "why": "all keys of a space from its three secrets",
        "space_id": SPACE.id.hex(),
        "epoch_record": h("record", _body(EPOCH)).hex(),
        "epoch_tag": SPACE.epoch_tag.hex(),
        "E": SECRETS[:32].hex(),
        "S": SECRETS[32:64].hex(),
        "W": SECRETS[64:].hex(),
        "keys": {name: SPACE.key(name).hex() for name in names},
    }


def _body(record: bytes) -> bytes:
    body = unpack(record, 2 << 20)[0]
    assert isinstance(body, bytes)
    return body


def _devices() -> list[Case]:
    names = ("kind", "ed25519", "mldsa", "x25519", "mlkem")
    message = b"some message"
    listed = [key.hex() if isinstance(key, bytes) else key for key in DEVICE.public]
    return [
        {
            "what": "device",
            "why": why,
            "seed": device.seed.hex(),
            "public": dict(zip(names, listed, strict=True)) if device is DEVICE else None,  # the id commits to them all
            "kind": device.kind,
            "id": device.id.hex(),
            "incarnation": made("incarnation", 16).hex(),
            "writer": writer_of(device.id, made("incarnation", 16)).hex(),
            "message": message.hex(),
            "ed25519_signature": device.ed25519.sign(message).hex(),
        }
        for why, device in (("a device", DEVICE), ("a paper key", PAPER))
    ]


def _words() -> list[Case]:
    good = words_of(PAPER.seed)
    listed = good.split()
    cases: list[Case] = [
        {"what": "words", "why": why, "seed": seed.hex(), "words": words_of(seed)}
        for why, seed in (("the paper key", PAPER.seed), ("zeros", bytes(32)), ("ones", b"\xff" * 32))
    ]
    wrong = [
        ("two words swapped", [listed[1], listed[0], *listed[2:]]),
        ("the last word is another", [*listed[:-1], "zoo" if listed[-1] != "zoo" else "zone"]),
        ("a word that is not of the list", ["ropewalk", *listed[1:]]),
        ("23 words", listed[:-1]),
        ("12 words, sound by BIP-39", ["abandon"] * 11 + ["about"]),
        ("none", []),
    ]
    return cases + [
        {"what": "words", "why": why, "words": " ".join(words), "error": "identity.wrong-words"} for why, words in wrong
    ]


def _names() -> list[Case]:
    space, wide, half = "1a" * 32, "2b" * 32, "3c" * 16
    return [
        {"what": "name", "why": why, "name": name, "kind": kind}
        for why, name, kind in (
            ("a record", f"{space}/records/{wide}", "record"),
            ("a share", f"{space}/packs/{wide}-3f-{half}", "share"),
            ("a head of sequence 1", f"{space}/heads/{half}/{2**64 - 2:016x}-{wide}", "head"),
            ("a head of the last sequence", f"{space}/heads/{half}/{0:016x}-{wide}", "head"),
            ("a head of sequence 0", f"{space}/heads/{half}/{2**64 - 1:016x}-{wide}", None),
            ("share 64", f"{space}/packs/{wide}-40-{half}", None),
            ("upper case", f"{space}/packs/{wide.upper()}-00-{half}", None),
            ("a trailer hash that is too long", f"{space}/packs/{wide}-00-{wide}", None),
            ("a writer that is too short", f"{space}/heads/{half[2:]}/{0:016x}-{wide}", None),
            ("something after it", f"{space}/records/{wide}.tmp", None),
            ("a line's end after it", f"{space}/heads/{half}/{0:016x}-{wide}\n", None),
            ("digits that are not ASCII", f"{space}/packs/{wide}-0\u0661-{half}", None),
            ("something before it", f"x/{space}/records/{wide}", None),
            ("a hint", f"{space}/hints/{half}", None),
        )
    ]


# ---- membership ------------------------------------------------------------------------------------------------------


def members() -> dict[str, object]:
    """members.json: records by label, and what a reader makes of some of them."""
    genesis, epoch = _body(GENESIS), _body(EPOCH)
    operation = pack(["op", 2, SPACE.id, DEVICE.id, made("of a later version", 16)])
    before: list[object] = ["op", 1, SPACE.id, DEVICE.id, made("before the first release", 16), 1]
    before += [[h("record", epoch)], 4, [STRANGER.public, b"", []], 1, {}]
    fields = unpack(epoch, 2 << 20)
    fields[5] = STRANGER.id
    records = {
        "genesis": GENESIS,
        "epoch": EPOCH,
        "epoch by a stranger": signed("epoch by a stranger", pack(fields), STRANGER),
        "later operation": signed("later operation", operation, DEVICE),
        "device without consent": signed("device without consent", pack(before), DEVICE),
        "device without consent, forged": signed("device without consent, forged", pack(before), STRANGER),
    }
    for why, at, value in (
        ("feature level 3", 3, 3),
        ("a floor below k", 6, [2, 3, 1, {}]),
        ("no paper key", 9, [DEVICE.public]),
    ):
        body = unpack(genesis, 2 << 20)
        body[at] = value
        # What is wrong is to be seen whatever the signatures are, so these carry none that count.
        records[f"genesis with {why}"] = pack([pack(body), b"", b""])

    def case(why: str, labels: list[str], **more: object) -> Case:
        space_id = h("space", _body(records[labels[0]]))
        return {"why": why, "space_id": space_id.hex(), "records": labels} | more

    def wrong(why: str, labels: list[str], error: str = "members.record-damaged", **more: object) -> Case:
        return case(why, labels, error=error, **more)

    good = {
        "epoch": h("record", epoch).hex(),
        "devices": sorted(device.id.hex() for device in (DEVICE, PAPER)),
        "policy": [2, 3, 3, {"site": 1, "store": 1}],
        "secrets": SECRETS.hex(),
        "read_only": False,
    }
    seeds = {"seed": DEVICE.seed.hex(), "kind": 0}
    cases = [
        case("opened by the device", ["genesis", "epoch"], **seeds, **good),
        case("opened by the paper key", ["epoch", "genesis"][::-1], seed=PAPER.seed.hex(), kind=1, **good),
        case("an epoch by a stranger is passed over", ["genesis", "epoch by a stranger", "epoch"], **seeds, **good),
        case("an operation not known", ["genesis", "epoch", "later operation"], **seeds, **good | {"read_only": True}),
        case(
            "a device as before the first release",
            ["genesis", "epoch", "device without consent"],
            **seeds,
            **good | {"read_only": True},
        ),
        case("the same, forged", ["genesis", "epoch", "device without consent, forged"], **seeds, **good),
        wrong("a stranger", ["genesis", "epoch"], "members.not-a-member", seed=STRANGER.seed.hex(), kind=0),
        wrong("no epoch", ["genesis"]),
        wrong("only an epoch by a stranger", ["genesis", "epoch by a stranger"]),
        wrong(
            "a bit of the genesis's Ed25519 signature",
            ["genesis", "epoch"],
            flipped=["genesis", len(GENESIS) - 3309 - 4],
        ),
        wrong("a bit of the genesis's ML-DSA signature", ["genesis", "epoch"], flipped=["genesis", len(GENESIS) - 1]),
        wrong("a bit of the genesis", ["genesis", "epoch"], flipped=["genesis", 30]),
        wrong("a bit of the epoch", ["genesis", "epoch"], flipped=["epoch", 100]),
        wrong("a bit of the epoch's ML-DSA signature", ["genesis", "epoch"], flipped=["epoch", len(EPOCH) - 1]),
    ]
    for label in records:
        if label.startswith("genesis with"):
            error = "refused" if "feature" in label else "members.record-damaged"
            cases.append(wrong(label, [label], error))
    return {"records": {label: _told(label, data) for label, data in records.items()}, "cases": cases}


def _told(label: str, data: bytes) -> Case:
    """A record in its parts; its ML-DSA signature lies in recorded.json."""
    body, quick, slow = unpack(data, 2 << 20)
    assert isinstance(body, bytes)
    assert isinstance(quick, bytes)
    recorded = f"ml-dsa {label}" if slow else None
    return {"name": record_name(SPACE.id, data), "body": body.hex(), "ed25519": quick.hex(), "ml-dsa": recorded}
