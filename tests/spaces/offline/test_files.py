"""What waits at home is whole or not there, whenever the power goes, and never more than there may be."""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ropewalk.errors import Unavailable
from ropewalk.spaces.offline import QueuedDamaged, QueuedPack, QueueFiles, QueueFull, files
from ropewalk.spaces.pack.packing import Pack, Packing
from ropewalk.testing.powerloss import PowerCut, PowerLossFileSystem
from tests.spaces.making import some_keys, truncations

PLENTY = 1 << 30
SPACE = some_keys().space_id


def packed(seed: int = 0, k: int = 2, n: int = 4, chunks: int = 5) -> Pack:
    chance = random.Random(seed)
    packing = Packing(k, n)
    for number in range(chunks):
        packing.add(chance.randbytes(32), chance.randbytes(1000 + 997 * number))
    return packing.finish(some_keys())


def objects(pack: Pack) -> dict[str, bytes]:
    return {share.name: b"".join(map(bytes, share.parts)) for share in pack.shares}


def head_name(number: int) -> str:
    return f"{SPACE.hex()}/heads/{'ab' * 16}/{number:016x}-{number:064x}"


def bytes_of(kept: QueueFiles, pack: Pack) -> bytes:
    return (Path(kept.folder) / f"{pack.name.hex()}.pack").read_bytes()


def in_folder(folder: Path, limit: int = PLENTY) -> QueueFiles:
    return QueueFiles(str(folder / "queue"), limit)


@pytest.mark.parametrize(("k", "n", "chunks"), [(1, 1, 1), (1, 3, 2), (2, 4, 5), (3, 5, 2)])
def test_all_shares_come_out_as_they_were(tmp_path: Path, k: int, n: int, chunks: int) -> None:
    pack, kept = packed(k, k, n, chunks), in_folder(tmp_path)
    kept.keep_pack(pack)
    found = kept.load(pack.name)
    assert found is not None
    assert (found.manifest, found.directory_hash) == (pack.manifest, pack.directory_hash)
    assert objects(found.whole(SPACE)) == objects(pack)


def test_a_chunk_is_read_from_where_its_column_says(tmp_path: Path) -> None:
    pack, kept = packed(), in_folder(tmp_path)
    kept.keep_pack(pack)
    lengths = pack.manifest.lengths
    wanted = [(sum(lengths[: place.column]) + place.offset, place.length) for place in pack.directory.places]
    columns = [bytes(share.parts[0]) for share in pack.shares]
    assert kept.ranges(pack.name, wanted) == [
        columns[place.column][place.offset : place.offset + place.length] for place in pack.directory.places
    ]
    assert kept.ranges(bytes(32), wanted) is None


def test_junk_is_no_pack(tmp_path: Path) -> None:
    pack, kept = packed(), in_folder(tmp_path)
    kept.keep_pack(pack)
    whole = bytes_of(kept, pack)
    chance = random.Random(3)
    flipped = [whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :] for at in chance.sample(range(len(whole)), 200)]
    for junk in [*flipped, *truncations(whole)[-20:], b"", b"\0" * len(whole)]:
        try:
            found = QueuedPack.decode(junk, pack.name)
        except QueuedDamaged:
            continue
        # What is left to be wrong is what a head signs the hash of.
        assert (found.manifest.digest, found.directory_hash) != (pack.manifest.digest, pack.directory_hash)
    with pytest.raises(QueuedDamaged, match="another pack"):
        QueuedPack.decode(whole, bytes(32))


def test_parity_by_forged_roots_does_not_come_out(tmp_path: Path) -> None:
    pack, kept = packed(), in_folder(tmp_path)
    roots = [*pack.manifest.roots[:-1], bytes(32)]
    forged = type(pack.manifest)(pack.manifest.k, pack.manifest.n, pack.manifest.lengths, roots)
    found = QueuedPack(forged.name, forged, b"", [memoryview(pack.shares[at].parts[0]) for at in range(2)])
    with pytest.raises(QueuedDamaged, match="share 3"):
        found.whole(SPACE)
    assert kept.load(pack.name) is None


def test_the_queue_keeps_to_its_bytes(tmp_path: Path) -> None:
    one, other = packed(1), packed(2)
    probe = in_folder(tmp_path / "probe")
    (tmp_path / "probe").mkdir()
    probe.keep_pack(one)
    limit = len(bytes_of(probe, one)) + 100
    kept = in_folder(tmp_path, limit)
    kept.keep_pack(one)
    with pytest.raises(QueueFull, match="may have"):
        kept.keep_pack(other)
    with pytest.raises(QueueFull):
        kept.keep_head(head_name(1), bytes(101))
    kept.keep_head(head_name(1), bytes(100))
    assert kept.waiting().size == limit
    kept.drop([one.name], [head_name(1)])
    kept.keep_pack(other)
    assert kept.waiting().packs == {other.name}


def test_the_queue_keeps_to_its_number_of_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_HEADS", 2)
    kept = in_folder(tmp_path)
    for number in range(2):
        kept.keep_head(head_name(number), b"head")
    with pytest.raises(QueueFull, match="2 changes wait"):
        kept.keep_head(head_name(2), b"head")


class _Failing(PowerLossFileSystem):
    code = 0

    def writev(self, fd: int, parts: Sequence[memoryview]) -> int:
        if self.code:
            super().writev(fd, [parts[0][:10]])
            raise OSError(self.code, "a test said so")
        return super().writev(fd, parts)


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, QueueFull), (errno.EIO, Unavailable)])
def test_a_disk_without_room_refuses_and_leaves_nothing(code: int, error: type[Exception]) -> None:
    disk = _Failing()
    kept = QueueFiles("/queue", PLENTY, disk)
    kept.keep_head(head_name(1), b"before")
    disk.code = code
    with pytest.raises(error):
        kept.keep_pack(packed())
    disk.code = 0
    assert list(disk.scan("/queue")) == [f"{'ab' * 16}-{1:016x}-{1:064x}.head"]
    kept.keep_pack(packed())
    assert kept.waiting().packs == {packed().name}


PACKS = [packed(seed) for seed in range(2)]
HEADS = {head_name(number): random.Random(number).randbytes(9000) for number in range(2)}


def play(disk: PowerLossFileSystem, done: list[Any]) -> None:
    """Keep, publish, keep more; what has returned is in ``done``."""
    kept = QueueFiles("/queue", PLENTY, disk)
    for pack, (name, data) in zip(PACKS, HEADS.items(), strict=True):
        kept.keep_pack(pack)
        done.append(pack.name)
        kept.keep_head(name, data)
        done.append(name)
    kept.sweep()


def test_what_was_kept_outlasts_a_power_cut_at_any_call_and_nothing_is_half_there() -> None:
    disk = PowerLossFileSystem(at_once=4000)
    play(disk, [])
    total, partly = disk.calls, 0
    assert total > 30
    for at in range(total + 1):
        disk, done = PowerLossFileSystem(at_once=4000), list[Any]()
        disk.stop_at(at)
        try:
            play(disk, done)
        except PowerCut:
            partly += 1
        for chance in range(3):
            left = QueueFiles("/queue", PLENTY, disk.crash(chance))
            there = left.waiting()
            assert {one for one in done if isinstance(one, bytes)} <= there.packs
            assert {one.partition("/heads/")[2] for one in done if isinstance(one, str)} <= there.heads
            for pack in PACKS:
                if pack.name in there.packs:
                    found = left.load(pack.name)
                    assert found is not None
                    assert objects(found.whole(SPACE)) == objects(pack)
            for name, data in HEADS.items():
                assert left.head(name) in ((data,) if name.partition("/heads/")[2] in there.heads else (None,))
            left.sweep()
            for pack in PACKS:  # whatever was left, it can be gone on with
                left.keep_pack(pack)
            assert left.waiting().packs == {pack.name for pack in PACKS}
    assert partly == total
