"""Vectors of chunks, padding and content ids (space.md 4).

Flow: fixture, reference -> cases -> make.py -> chunks.json
Never: imports ropewalk.
"""

from __future__ import annotations

from dataclasses import replace

from docs.spec.vectors.fixture import SPACE, Case, frame, zstd_frame
from docs.spec.vectors.reference import MIB, Space, aead_seal, h, m, made, open_chunk, padme, seal_chunk
from docs.spec.vectors.reference_records import number

__all__ = ["cases", "plain_of"]

ERROR = "chunk.damaged"
TEXT = b"".join(b"line %d of a text that a compressor likes\n" % i for i in range(15))
_LENGTHS = [*range(1, 40), 63, 64, 65, 100, 127, 128, 129, 1000, 4095, 4096, 4097, 10_000, 65_535, 65_536, 65_537]


def plain_of(case: dict[str, object]) -> bytes:
    """The plain bytes of a case: in hex, or as label and size of bytes that are made (README)."""
    plain = case["plain"]
    if isinstance(plain, str):
        return bytes.fromhex(plain)
    assert isinstance(plain, list)
    return made(plain[0], plain[1]) if isinstance(plain[0], str) else bytes(plain[1])


def cases() -> list[Case]:
    """All cases of chunks.json."""
    return [_padme(), *_content_ids(), *_sealed(), *_references(), *_damaged(), *_frames()]


def _padme() -> Case:
    lengths = [*_LENGTHS, 1_000_000, MIB - 1, MIB]
    return {"what": "padme", "why": "lengths as they are, and padded", "table": [[n, padme(n)] for n in lengths]}


def _content_ids() -> list[Case]:
    def case(why: str, plain: list[object] | str) -> Case:
        data = plain_of({"plain": plain})
        cuts = [m(SPACE.key("plain"), data[at : at + MIB]) for at in range(0, len(data), MIB)]
        content = m(SPACE.key("content"), number(len(data), 8) + b"".join(cuts))
        hashes = [cut.hex() for cut in cuts]
        return {"what": "content-id", "why": why, "plain": plain, "plain_hashes": hashes, "content_id": content.hex()}

    return [
        case("an empty file", ""),
        case("five bytes", b"hello".hex()),
        case("a whole cut", ["content", MIB]),
        case("a byte more", ["content", MIB + 1]),
    ]


def _sealed() -> list[Case]:
    exact = frame(made("raw", 370), (46, 7))  # 390 bytes for 416
    assert 16 * len(exact) == 15 * 416
    over = frame(made("raw", 371), (45, 7))
    rows: list[tuple[str, int, str | list[object], bytes | None, bool]] = [
        ("one byte", 1, "61", None, False),
        ("bytes that do not shrink", 1, ["noise", 1000], None, False),
        ("the largest chunk", 1, ["noise", MIB], None, False),
        ("a frame that a compressor made", 1, TEXT.hex(), zstd_frame("text", TEXT), False),
        ("a frame of just 15/16", 1, (made("raw", 370) + b"\7" * 46).hex(), exact, False),
        ("a frame of a byte more is not used", 1, (made("raw", 371) + b"\7" * 45).hex(), over, False),
        ("zeros of the largest size", 1, [0, MIB], frame(*[(MIB // 8, 0)] * 8), False),
        ("a node is not compressed", 2, TEXT.hex(), zstd_frame("text", TEXT), False),
        ("a node of an offset map", 3, ["noise", 300], None, False),
        ("an index segment", 4, ["noise", 300], None, False),
        ("padded", 1, ["noise", 1000], None, True),
        ("padded by nothing", 1, ["noise", 1024], None, True),
        ("a frame, padded", 1, TEXT.hex(), zstd_frame("text", TEXT), True),
        ("a node, padded", 2, ["noise", 1001], None, True),
        ("the largest chunk, padded", 1, ["noise", MIB], None, True),
        ("a byte less, padded", 1, ["noise", MIB - 1], None, True),
    ]
    return [_chunk(*row) for row in rows]


def _chunk(why: str, kind: int, plain: str | list[object], frame_: bytes | None, padded: bool) -> Case:
    data = plain_of({"plain": plain})
    reference, sealed = seal_chunk(SPACE, kind, data, frame=frame_, padded=padded)
    assert open_chunk(SPACE, kind, reference, sealed) == data
    return {
        "what": "chunk",
        "why": why,
        "type": kind,
        "padded": padded,
        "plain": plain,
        "frame": frame_.hex() if frame_ else None,
        "reference": reference.hex(),
        "size": len(sealed),
        "plain_hash": m(SPACE.key("plain"), data).hex(),
    }


def _references() -> list[Case]:
    start = made("reference", 64)
    rows = [
        ("flags 2", 10, 10, 2),
        ("flags 255", 10, 10, 255),
        ("no plain bytes", 0, 0, 0),
        ("no body", 10, 0, 1),
        ("over 1 MiB", MIB + 1, 10, 1),
        ("a body longer than the plain bytes", 10, 11, 1),
        ("a body of another size, not compressed", 10, 9, 0),
    ]
    cases: list[Case] = [
        _refused("reference", why, start + number(size, 4) + number(body, 4) + bytes([flags]))
        for why, size, body, flags in rows
    ]
    sound = start + number(MIB, 4) + number(1, 4) + b"\1"
    return [
        {"what": "reference", "why": "sizes at their ends", "bytes": sound.hex()},
        *cases,
        _refused("reference", "72 bytes", sound[:-1]),
        _refused("reference", "74 bytes", sound + b"\0"),
    ]


def _refused(what: str, why: str, data: bytes) -> Case:
    return {"what": what, "why": why, "bytes": data.hex(), "error": ERROR}


# ---- sealed bytes that must be refused -------------------------------------------------------------------------------


def _damaged() -> list[Case]:
    plain = made("noise", 100)
    reference, sealed = seal_chunk(SPACE, 1, plain)
    padded, sealed_padded = seal_chunk(SPACE, 1, plain, padded=True)
    strangers = replace(SPACE, id=made("another space", 32))
    foreign, sealed_foreign = seal_chunk(strangers, 1, plain)
    flipped = sealed[:50] + bytes([sealed[50] ^ 4]) + sealed[51:]
    long = aead_seal(reference[32:64], plain + bytes(5), _context(SPACE, 1))
    short = aead_seal(reference[32:64], plain[:-1], _context(SPACE, 1))

    def named(data: bytes, like: bytes = reference) -> bytes:
        return h("chunk id", data) + like[32:]

    return [
        _opened("as it was", 1, reference, sealed, plain),
        _opened("as it was, padded", 1, padded, sealed_padded, plain),
        _opened("a flipped bit", 1, reference, flipped),
        _opened("a flipped bit that the id knows of", 1, named(flipped), flipped),
        _opened("another key", 1, reference[:32] + made("another key", 32) + reference[64:], sealed),
        _opened("another type", 2, reference, sealed),
        _opened("another space", 1, foreign, sealed_foreign),
        _opened("cut short", 1, reference, sealed[:-1]),
        _opened("a byte more", 1, reference, sealed + b"\0"),
        _opened("nothing", 1, reference, b""),
        _opened("longer than padding makes it", 1, named(long), long),
        _opened("shorter than its body", 1, named(short), short),
    ]


def _context(space: Space, kind: int) -> bytes:
    return b"ropewalk chunk 1\0" + bytes([kind]) + space.id


def _opened(why: str, kind: int, reference: bytes, sealed: bytes, plain: bytes | None = None) -> Case:
    fields: Case = {"what": "open", "why": why, "type": kind, "reference": reference.hex(), "bytes": sealed.hex()}
    return fields | ({"error": ERROR} if plain is None else {"plain": plain.hex()})


def _frames() -> list[Case]:
    """Chunks whose frames break the rules, sealed by one who has the keys."""
    plain = b"a" * 300
    good = frame((300, 97))
    small_bomb = frame(*[(MIB // 8, 0)] * 60, size=300, window=0x50)
    bomb = frame(*[(MIB // 8, 0)] * 300, size=MIB, window=0x50)  # 37 MiB in 1.2 KiB
    rows = [
        ("a frame in blocks of its own making", good, plain),
        ("a window of just 1 MiB", frame((300, 97), window=0x50), plain),
        ("a window of over 1 MiB", frame((300, 97), window=0x51), None),
        ("a window of 2 GiB", frame((300, 97), window=0xA8), None),
        ("states a byte less", frame((300, 97), size=299), None),
        ("states a byte more", frame((300, 97), size=301), None),
        ("gives a byte less than stated", frame((299, 97), size=300), None),
        ("gives a byte more than stated", frame((301, 97), size=300), None),
        ("gives far more than stated", small_bomb, None),
        ("states no size", b"\x28\xb5\x2f\xfd\x00\x50" + good[13:], None),
        ("names a dictionary", b"\x28\xb5\x2f\xfd\xe1" + b"\7" + good[5:], None),
        ("a byte after the frame", good + b"\0", None),
        ("a second frame after it", frame((150, 97), size=300) + frame((150, 97)), None),
        ("two frames", good + frame((0, 0)), None),
        ("cut within its last block", good[:-1], None),
        ("no last block", good[:13] + bytes([good[13] & 0xFE]) + good[14:], None),
        ("a skippable frame", b"\x50\x2a\x4d\x18" + (300).to_bytes(4, "little") + plain[:200], None),
        ("no frame", made("no frame", 40), None),
    ]
    cases = [_framed(why, body, sound) for why, body, sound in rows]
    return [*cases, _framed("a bomb: memory for it must not be asked for", bomb, None, MIB)]


def _framed(why: str, body: bytes, sound: bytes | None, size: int = 300) -> Case:
    context = _context(SPACE, 1)
    key = m(SPACE.key("chunk"), context + m(SPACE.key("plain"), body))
    sealed = aead_seal(key, body, context)
    reference = h("chunk id", sealed) + key + number(size, 4) + number(len(body), 4) + b"\1"
    return _opened(why, 1, reference, sealed, sound)
