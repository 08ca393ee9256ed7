"""The package says what the vectors say, case by case."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from docs.spec.vectors import cases_heads, fixture, reference_heads
from docs.spec.vectors.cases_chunks import plain_of
from docs.spec.vectors.cases_heads import object_of
from docs.spec.vectors.reference import made
from docs.spec.vectors.reference_records import Refused, pack
from ropewalk.errors import RopewalkError
from ropewalk.spaces import chunk as chunks
from ropewalk.spaces.chunk import ChunkType, Reference, content_id, open_chunk, padme, plain_hash, seal
from ropewalk.spaces.head import (
    AddedPack,
    HeadDamaged,
    HeadName,
    MemberLayer,
    Owed,
    StewardLayer,
    open_head,
    seal_head,
    split_embedded,
    writer_id,
)
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.keys import KeyRing, Secrets, SpaceKeys, hashed, keyed_stream, open_box, seal_box
from ropewalk.spaces.members import Membership, is_record, record_name
from ropewalk.spaces.pack.directory import Directory, directory_hash
from ropewalk.spaces.pack.packing import Packing
from ropewalk.spaces.pack.roots import column_root, leaf_hashes, pack_name
from ropewalk.spaces.pack.share import FOOTER_SIZE, Manifest, ShareDamaged, ShareName, Trailer

Case = dict[str, Any]
FOLDER = Path(__file__).parents[2] / "docs" / "spec" / "vectors"
FILES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
ALL = [case for name in ("basics", "chunks", "packs", "heads") for case in FILES[name]]
MEMBERS = FILES["members"]
KNOWN = next(case for case in ALL if case["what"] == "space-keys")
SECRETS = Secrets(*(bytes.fromhex(KNOWN[name]) for name in "ESW"))
KEYS = KeyRing.derive(bytes.fromhex(KNOWN["space_id"]), bytes.fromhex(KNOWN["epoch_record"]), SECRETS)


def of(what: str) -> pytest.MarkDecorator:
    """A test for each case of one kind."""
    found = [case for case in ALL if case["what"] == what]
    assert found
    return pytest.mark.parametrize("case", found, ids=[case["why"] for case in found])


def raw(case: Case, field: str) -> bytes:
    return bytes.fromhex(case[field])


def expect(case: Case, call: Callable[[], object]) -> None:
    """The call gives what it must: an error with the case's code, or none."""
    if "error" not in case:
        call()
        return
    with pytest.raises(RopewalkError) as caught:
        call()
    assert caught.value.code == case["error"]


def test_every_kind_of_case_has_a_test() -> None:
    assert {case["what"] for case in ALL} == {
        *("hash", "keyed-hash", "box", "space-keys", "device", "words", "name"),
        *("padme", "content-id", "chunk", "reference", "open"),
        *("deal", "root", "pack", "manifest", "directory", "share", "head", "embedded"),
    }


# ---- basics ----------------------------------------------------------------------------------------------------------


@of("hash")
def test_hashes(case: Case) -> None:
    assert hashed(case["tag"], raw(case, "input")).hex() == case["output"]


@of("keyed-hash")
def test_keyed_hashes(case: Case) -> None:
    assert keyed_stream(raw(case, "key"), case["length"], raw(case, "input")).hex() == case["output"]


@of("box")
def test_boxes(case: Case) -> None:
    keys = SpaceKeys.derive(KEYS.space_id, raw(case, "epoch"), SECRETS)
    key, context, box = (raw(case, name) for name in ("key", "context", "bytes"))
    expect(case, lambda: keys.open(key, context, box))
    if "error" not in case:
        assert keys.open(key, context, box).hex() == case["plain"]
        assert keys.seal(key, context, raw(case, "plain")) == box
        assert keys.epoch + seal_box(key, keys.epoch + context, raw(case, "plain")) == box
        assert open_box(key, keys.epoch + context, box[8:]).hex() == case["plain"]


@of("space-keys")
def test_keys_of_a_space(case: Case) -> None:
    assert KEYS.epoch.hex() == case["epoch_tag"]
    keys = SpaceKeys.derive(KEYS.space_id, KEYS.current, SECRETS)
    ours = {name: getattr(keys, name).hex() for name in case["keys"] if hasattr(keys, name)}
    assert case["keys"] == ours | {"chain": hashed("epoch chain", SECRETS.epoch).hex()}


@of("device")
def test_devices(case: Case) -> None:
    device = DeviceKeys(raw(case, "seed"), case["kind"])
    public = device.public()
    assert public.id.hex() == case["id"]
    assert writer_id(public.id, raw(case, "incarnation")).hex() == case["writer"]
    assert device.sign_quick(raw(case, "message")).hex() == case["ed25519_signature"]
    if case["public"]:
        keys = [public.ed25519, public.mldsa, public.x25519, public.mlkem]
        assert [public.kind, *(key.hex() for key in keys)] == list(case["public"].values())


@of("words")
def test_words(case: Case) -> None:
    expect(case, lambda: DeviceKeys.from_words(case["words"]))
    if "error" not in case:
        device = DeviceKeys(raw(case, "seed"), PAPER)
        assert device.words() == case["words"]
        assert DeviceKeys.from_words(case["words"]) == device


@of("name")
def test_names(case: Case) -> None:
    name = case["name"]
    share, head = ShareName.decode(name), HeadName.decode(name)
    assert (share is not None, head is not None) == (case["kind"] == "share", case["kind"] == "head")
    assert share is None or share.encode() == name
    assert head is None or head.encode() == name


# ---- members ---------------------------------------------------------------------------------------------------------


def record(label: str) -> bytes:
    told = MEMBERS["records"][label]
    slow = bytes.fromhex(FILES["recorded"][told["ml-dsa"]]) if told["ml-dsa"] else b""
    return pack([raw(told, "body"), raw(told, "ed25519"), slow])


@pytest.mark.parametrize("label", MEMBERS["records"])
def test_names_of_records(label: str) -> None:
    name = MEMBERS["records"][label]["name"]
    assert record_name(KEYS.space_id, record(label)) == name
    assert is_record(name, record(label))
    assert not is_record(name, record(label) + b"\0")


@pytest.mark.parametrize("case", MEMBERS["cases"], ids=[case["why"] for case in MEMBERS["cases"]])
def test_membership(case: Case) -> None:
    given = {label: bytearray(record(label)) for label in case["records"]}
    if "flipped" in case:
        label, at = case["flipped"]
        given[label][at] ^= 1

    def read() -> tuple[Membership, Secrets | None]:
        membership = Membership.read(raw(case, "space_id"), [bytes(data) for data in given.values()])
        keys = DeviceKeys(raw(case, "seed"), case["kind"]) if "seed" in case else None
        return membership, membership.secrets(keys) if keys else None

    expect(case, read)
    if "error" in case:
        return
    membership, secrets = read()
    assert secrets is not None
    assert (secrets.epoch + secrets.steward + secrets.space).hex() == case["secrets"]
    assert membership.epoch_id.hex() == case["epoch"]
    assert sorted(device.hex() for device in membership.devices) == case["devices"]
    policy = membership.policy
    assert [policy.k, policy.n, policy.floor, policy.survive] == case["policy"]
    assert membership.read_only is case["read_only"]


@pytest.mark.parametrize("case", [case for case in MEMBERS["cases"] if case["why"].startswith("genesis with")])
def test_a_genesis_is_refused_for_what_it_says_and_not_for_its_signature(case: Case) -> None:
    with pytest.raises(RopewalkError) as caught:
        Membership.read(raw(case, "space_id"), [record(label) for label in case["records"]])
    assert "signed" not in str(caught.value)


# ---- chunks ----------------------------------------------------------------------------------------------------------


@of("padme")
def test_padme(case: Case) -> None:
    assert [[length, padme(length)] for length, _ in case["table"]] == case["table"]


@of("content-id")
def test_content_ids(case: Case) -> None:
    plain = plain_of(case)
    hashes = [plain_hash(plain[at : at + chunks.CHUNK_SIZE], KEYS) for at in range(0, len(plain), chunks.CHUNK_SIZE)]
    assert [one.hex() for one in hashes] == case["plain_hashes"]
    assert content_id(len(plain), b"".join(hashes), KEYS).hex() == case["content_id"]


@of("chunk")
def test_sealing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = plain_of(case)

    class Recorded:  # the frame of the case, whatever the compressor at hand would make
        def compress(self, data: bytes) -> bytes:
            return raw(case, "frame") if case["frame"] else data + b"no smaller"

    monkeypatch.setattr(chunks._zstd, "compressor", Recorded())
    sealed = seal(plain, ChunkType(case["type"]), KEYS, padded=case["padded"])
    assert sealed.reference.encode().hex() == case["reference"]
    assert len(sealed.data) == case["size"]
    assert sealed.plain_hash.hex() == case["plain_hash"]
    assert open_chunk(sealed.data, Reference.decode(raw(case, "reference")), ChunkType(case["type"]), KEYS) == plain


@of("reference")
def test_references(case: Case) -> None:
    expect(case, lambda: Reference.decode(raw(case, "bytes")))
    if "error" not in case:
        assert Reference.decode(raw(case, "bytes")).encode() == raw(case, "bytes")


@of("open")
def test_opening_chunks(case: Case) -> None:
    def opened() -> bytes:
        reference = Reference.decode(raw(case, "reference"))
        return open_chunk(raw(case, "bytes"), reference, ChunkType(case["type"]), KEYS)

    tracemalloc.start()
    try:
        expect(case, opened)
        assert tracemalloc.get_traced_memory()[1] < 4 * chunks.CHUNK_SIZE
    finally:
        tracemalloc.stop()
    assert "error" in case or opened().hex() == case["plain"]


# ---- packs -----------------------------------------------------------------------------------------------------------


@of("deal")
def test_dealing(case: Case) -> None:
    packing = Packing(case["k"], case["k"])
    for number, length in enumerate(case["lengths"]):
        packing.add(number.to_bytes(32, "big"), bytes(length))
    assert [place.column for place in packing.finish(KEYS).directory.places] == case["columns"]


@of("root")
def test_roots(case: Case) -> None:
    column = made(*case["column"])
    assert leaf_hashes(column).hex() == case["leaves"]
    assert column_root(len(column), leaf_hashes(column)).hex() == case["root"]


@of("pack")
def test_packs(case: Case) -> None:
    packing = Packing(case["k"], case["n"])
    sealed = [made(f"sealed chunk {number}", size) for number, size in enumerate(case["sizes"])]
    ids = [hashed("chunk id", one) for one in sealed]
    packs_of = {}
    for chunk, one, children in zip(ids, sealed, case["children"], strict=True):
        for child in children or ():
            if isinstance(child, str) and not child.endswith("ffff"):
                packs_of[bytes.fromhex(child)[:32]] = bytes.fromhex(case["packs"][int(child[-4:], 16)])
        known = [ids[child] if isinstance(child, int) else bytes.fromhex(child)[:32] for child in children or ()]
        packing.add(chunk, one, None if children is None else known)
    made_pack = packing.finish(KEYS, packs_of)
    assert made_pack.name.hex() == case["name"]
    assert made_pack.manifest.encode().hex() == case["manifest"]
    assert made_pack.manifest.digest.hex() == case["manifest_hash"]
    assert made_pack.directory.seal(made_pack.name, KEYS).hex() == case["directory"]
    assert made_pack.directory_hash.hex() == case["directory_hash"]
    shares = {str(share.name): b"".join(share.parts) for share in made_pack.shares}
    assert {name: [len(data), blake3(data).hexdigest()] for name, data in shares.items()} == case["shares"]


@of("manifest")
def test_manifests(case: Case) -> None:
    expect(case, lambda: Manifest.decode(raw(case, "bytes")))
    if "error" not in case:
        assert Manifest.decode(raw(case, "bytes")).name.hex() == case["name"]


@of("directory")
def test_directories(case: Case) -> None:
    def opened() -> Directory:
        return Directory.open(raw(case, "bytes"), raw(case, "name"), case["lengths"], KEYS)

    expect(case, opened)
    if "error" not in case:
        places = [[place.id.hex(), place.column, place.offset, place.length] for place in opened().places]
        assert places == case["places"]
        assert opened().seal(raw(case, "name"), KEYS) == raw(case, "bytes")
        assert directory_hash(raw(case, "bytes")) == hashed("directory hash", raw(case, "bytes"))


@of("share")
def test_shares(case: Case) -> None:
    data, name = raw(case, "bytes"), ShareName.decode(case["name"])
    assert name is not None
    assert name.encode() == case["name"]

    def opened() -> None:
        size = Trailer.size_from_footer(data[-FOOTER_SIZE:], name, len(data))
        trailer = Trailer.decode(data[len(data) - size :], name)
        if not trailer.verify(data[: len(data) - size]):
            raise ShareDamaged("the column is another one")
        assert trailer.encode() == data[len(data) - size :]

    expect(case, opened)


# ---- heads -----------------------------------------------------------------------------------------------------------

MEMBERSHIP = Membership.read(KEYS.space_id, [record("genesis"), record("epoch")])


@of("head")
def test_opening_heads(case: Case) -> None:
    data, name = object_of(case), HeadName.decode(case["name"])
    if name is None:
        assert "error" in case
        return
    expect(case, lambda: open_head(data, name, MEMBERSHIP, KEYS))
    if "error" not in case:
        head = open_head(data, name, MEMBERSHIP, KEYS)
        assert head.hash.hex() == case["hash"]
        assert head.embedded.hex() == case["embedded"]
        assert head.size == len(data)
        for_stewards = open_head(data, name, MEMBERSHIP, steward_of(KEYS))
        assert (for_stewards.hash, for_stewards.steward, for_stewards.embedded) == (
            head.hash,
            head.steward,
            head.embedded,
        )
        assert for_stewards.member is None


def steward_of(keys: KeyRing) -> KeyRing:
    """The same epochs as a steward has them."""
    ring = KeyRing(keys.space_id)
    for epoch in keys.epochs:
        ring.add(epoch, keys.steward_secret(epoch), keys.number)
    ring.use(keys.current)
    return ring


@pytest.mark.parametrize("case", [case for case in FILES["heads"] if case.get("made_by_writers")])
def test_sealing_heads(case: Case) -> None:
    name = HeadName.decode(case["name"])
    assert name is not None
    head = open_head(raw(case, "bytes"), name, MEMBERSHIP, KEYS)
    others = {writer: seen for writer, seen in head.vector.items() if writer != name.writer}
    seed = next(one for one in ALL if one["what"] == "device")["seed"]
    member = head.member
    assert member is not None
    sealed = seal_head(
        incarnation=raw(case, "incarnation"),
        sequence=case["sequence"],
        previous=raw(case, "previous"),
        steward=StewardLayer(
            packs=[AddedPack(one.name, one.manifest, one.directory, one.stored) for one in head.steward.packs],
            roots=head.steward.roots,
            owed=head.steward.owed,
            debt=[Owed(one.name, one.numbers) for one in head.steward.debt],
            heads=head.steward.heads,
        ),
        member=MemberLayer(
            member.epoch, member.membership, others, member.root, member.entries, member.time, member.note
        ),
        embedded=raw(case, "embedded"),
        device=DeviceKeys(bytes.fromhex(seed)),
        keys=KEYS,
        feature=1,
    )
    assert sealed == (name, raw(case, "bytes"))
    assert name.encode() == case["name"]


TOO_LARGE = {  # not in JSON, for their size; (member layer, embedded pack)
    "a vector of 1,025 writers": (
        cases_heads.member_layer(vector=[part for i in range(1025) for part in (i.to_bytes(16, "big"), 1, bytes(32))]),
        b"",
    ),
    "an embedded pack of over 64 KiB": (None, bytes(64 * 1024 + 1)),
    "an object of over 256 KiB": (cases_heads.member_layer(membership=[bytes(256 * 1024)]), b""),
}


@pytest.mark.parametrize("why", TOO_LARGE)
def test_heads_over_a_limit(why: str) -> None:
    name, data = cases_heads.first_with(*TOO_LARGE[why])
    with pytest.raises(Refused):
        reference_heads.open_head(fixture.SPACE, name, data, cases_heads.DEVICES)
    parsed = HeadName.decode(name)
    assert parsed is not None
    with pytest.raises(HeadDamaged):
        open_head(data, parsed, MEMBERSHIP, KEYS)


@of("embedded")
def test_embedded_packs(case: Case) -> None:
    box, column = split_embedded(raw(case, "bytes"))
    assert bytes(column).hex() == case["column"]
    name = pack_name([len(column)], [column_root(len(column), leaf_hashes(column))])
    assert name.hex() == case["name"]
    assert [place.id.hex() for place in Directory.open(box, name, [len(column)], KEYS).places] == [case["chunk"]]
