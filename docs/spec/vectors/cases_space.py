"""Vectors of a whole small space: the objects of its stores, and what is to be read from them; and its reader.

Flow: files -> chunks, trees, a pack, two heads -> objects -> make.py -> space.json; objects -> `read_space` -> files
Never: imports ropewalk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from blake3 import blake3

from docs.spec.vectors.fixture import DEVICE, EPOCH, GENESIS, SPACE, Case, frame, record_name
from docs.spec.vectors.reference import MIB, Device, Space, h, m, made, open_chunk, seal_chunk
from docs.spec.vectors.reference_heads import (
    Head,
    Heading,
    embed,
    feature_of,
    head_name,
    layer,
    open_head,
    open_space,
    sign_head,
)
from docs.spec.vectors.reference_packs import (
    Share,
    column_root,
    directory_record,
    layout,
    leaf_hashes,
    open_directory,
    open_share,
    pack_name,
    rebuild,
    share_objects,
)
from docs.spec.vectors.reference_records import number, pack
from docs.spec.vectors.reference_tree import build, entry_key, entry_value, parse_key, parse_node, parse_value, scan

__all__ = ["cases", "files", "objects", "read_space"]

INCARNATION = made("incarnation", 16)
ROOT = bytes(16)
MANY = 150  # enough for a tree of two levels
TIME = 1_795_000_000_000_000_000
Child = int | bytes


def files() -> dict[str, bytes]:
    """The files of the newest version by path; those of the first lack `second.txt`."""
    small = {f"many/{i:03}.txt": b"file %d\n" % i for i in range(MANY)}
    zeros = bytes(MIB)
    return small | {
        "readme.txt": b"A space made by the reference implementation.\n",
        "empty": b"",
        "photos/large.bin": made("large 0", MIB) + zeros + made("large 2", MIB),
        "photos/medium.bin": made("medium", 2000),
        "photos/zeros.bin": 5 * zeros + b"\1",  # an offset map, and one chunk many times
        "second.txt": b"came with the second head\n",
    }


# ---- writing ---------------------------------------------------------------------------------------------------------


@dataclass
class _Writer:
    """Chunks on their way to a pack."""

    chunks: list[bytes] = field(default_factory=list)
    children: list[list[bytes] | None] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)

    def add(self, reference: bytes, sealed: bytes, children: list[bytes] | None) -> bytes:
        if reference[:32] not in self.ids:
            self.ids.append(reference[:32])
            self.chunks.append(sealed)
            self.children.append(children)
        return reference

    def data(self, plain: bytes) -> bytes:
        zeros = frame(*[(MIB // 8, 0)] * 8) if plain == bytes(MIB) else None
        return self.add(*seal_chunk(SPACE, 1, plain, frame=zeros), None)

    def node(self, kind: int, node: bytes, needs: list[bytes]) -> bytes:
        return self.add(*seal_chunk(SPACE, kind, node), [reference[:32] for reference in needs])

    def record(self, columns: list[int], elsewhere: dict[bytes, bytes]) -> bytes:
        """The directory's record; ``elsewhere`` tells the packs of chunks that are not in this one."""
        packs = sorted(set(elsewhere.values()))

        def child(one: bytes) -> Child:
            if one in self.ids:
                return self.ids.index(one)
            return one + number(packs.index(elsewhere[one]), 2)

        children = [None if of_one is None else [child(one) for one in of_one] for of_one in self.children]
        return directory_record(self.ids, columns, [len(chunk) for chunk in self.chunks], children, packs)


def _content(writer: _Writer, data: bytes) -> tuple[bytes, list[object]]:
    """Content id, and what the entry says of the content."""
    cuts = [data[at : at + MIB] for at in range(0, len(data), MIB)]
    hashes = [m(SPACE.key("plain"), cut) for cut in cuts]
    content_id = m(SPACE.key("content"), number(len(data), 8) + b"".join(hashes))
    if len(data) <= 512:
        return content_id, [0, data]
    references = [writer.data(cut) for cut in cuts]
    if len(data) <= 4 * MIB:
        return content_id, [1, b"".join(references)]
    pairs = zip(references, hashes, strict=True)
    items = [(number(i * MIB, 8), reference + digest) for i, (reference, digest) in enumerate(pairs)]
    root = build(
        SPACE.key("boundary"),
        items,
        lambda node, held: writer.node(3, node, [value[:73] for _, value, _ in held]),
    )
    assert root is not None
    return content_id, [2, root]


def _entries(writer: _Writer, heading: Heading) -> dict[bytes, bytes]:
    """The first version's entries, folders before what is in them."""
    dot = heading.writer_id, heading.sequence
    folders = {"": ROOT}
    entries: dict[bytes, bytes] = {}
    for path, data in files().items():
        if path == "second.txt":
            continue
        folder, name = path.rsplit("/", 1) if "/" in path else ("", path)
        if folder not in folders:
            folders[folder] = made(f"entry {folder}", 16)
            key = entry_key(ROOT, folder.encode(), folders[folder], *dot)
            entries[key] = entry_value(1, 0, None, None, mtime=TIME, mode=0o755)
        content_id, content = _content(writer, data)
        key = entry_key(folders[folder], name.encode(), made(f"entry {path}", 16), *dot)
        entries[key] = entry_value(0, len(data), content_id, content, mtime=TIME)
    target = b"photos/large.bin"
    content_id, content = _content(writer, target)
    entries[entry_key(ROOT, b"link", made("entry link", 16), *dot)] = entry_value(
        2, len(target), content_id, content, mode=0o777
    )
    return entries


def _needs(value: bytes) -> list[bytes]:
    match parse_value(value)[5]:
        case [int(tag), bytes(data)] if tag:
            return [data[at : at + 73] for at in range(0, len(data), 73)]
    return []


def _tree(writer: _Writer, entries: dict[bytes, bytes]) -> bytes:
    def save(node: bytes, items: list[tuple[bytes, bytes, int]]) -> bytes:
        level = parse_node(node)[0]
        return writer.node(2, node, [ref for _, value, _ in items for ref in ([value] if level else _needs(value))])

    root = build(SPACE.key("boundary"), list(entries.items()), save)
    assert root is not None
    return root


def _head(
    heading: Heading, packs: list[object], root: bytes, entries: int, embedded: bytes, note: str
) -> tuple[str, bytes]:
    steward = pack([1, 1, packs, [root[:32]], 0, [], [], [], None, {}])
    records = [h("record", _first(EPOCH))]
    member = pack([1, 1, records, [], root, entries, TIME + heading.sequence, note, {}])
    data = sign_head(SPACE, heading, heading.boxes(SPACE, layer(steward), layer(member), embedded))
    return head_name(SPACE.id, heading.writer_id, heading.sequence, data), data


def _first(record: bytes) -> bytes:
    return record[4 : 4 + int.from_bytes(record[2:4], "big")]  # a bin of two length bytes in an array


def objects() -> dict[str, bytes]:
    """All objects by name: records and heads go to every store, share i to store i."""
    first, writer = Heading(DEVICE, INCARNATION, 1), _Writer()
    entries = _entries(writer, first)
    root = _tree(writer, entries)
    dealt, columns = layout(2, 3, writer.chunks)
    shares = share_objects(SPACE, 3, columns, 2, writer.record(dealt, {}))
    opened = open_share(*next(iter(shares.items())))
    manifest = opened.manifest
    hashes = [h("manifest", manifest.encode()), h("directory hash", opened.directory)]
    packs: list[object] = [[manifest.name, *hashes, sum(map(len, columns))]]
    name, data = _head(first, packs, root, len(entries), b"", "made by the reference")
    made_so = {record_name(SPACE.id, record): record for record in (GENESIS, EPOCH)} | shares | {name: data}

    second = Heading(DEVICE, INCARNATION, 2, open_head(SPACE, name, data, _devices()).hash)
    late = _Writer()
    text = files()["second.txt"]
    content_id, content = _content(late, text)
    key = entry_key(ROOT, b"second.txt", made("entry second.txt", 16), second.writer_id, 2)
    entries[key] = entry_value(0, len(text), content_id, content, mtime=TIME)
    root = _tree(late, entries)
    for at in [at for at, chunk in enumerate(late.ids) if chunk in writer.ids][::-1]:
        del late.ids[at], late.chunks[at], late.children[at]
    column = b"".join(late.chunks)
    embedded_name = pack_name([len(column)], [column_root(len(column), leaf_hashes(column))])
    record = late.record([0] * len(late.ids), dict.fromkeys(writer.ids, manifest.name))
    box = SPACE.seal("directory", b"directory" + SPACE.id + embedded_name, record)
    name, data = _head(second, [], root, len(entries), embed(box, column), "")
    return made_so | {name: data}


def _devices() -> dict[bytes, bytes]:
    return {DEVICE.id: DEVICE.ed25519.public_key().public_bytes_raw()}


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_space(space_id: bytes, given: dict[str, bytes], device: Device) -> list[dict[str, bytes]]:
    """The files by path of the newest version of each writer, from the objects of one space.

    Links are left out, and a clash of names keeps one.  Shares that are not there are rebuilt.
    """
    records = {name: data for name, data in given.items() if "/records/" in name}
    space, devices = open_space(space_id, records, device)
    shares = [open_share(name, data) for name, data in given.items() if "/packs/" in name]
    feature = feature_of(space_id, records)
    heads = [open_head(space, name, data, devices, feature) for name, data in given.items() if "/heads/" in name]
    chunks = _chunks_of(space, shares)
    for head in heads:
        chunks |= _embedded(space, head.embedded)
    newest: dict[bytes, Head] = {}
    for head in sorted(heads, key=lambda head: head.sequence):
        assert head.sequence == 1 or newest[head.writer].hash == head.previous
        newest[head.writer] = head
    return [_files(space, head, chunks) for head in newest.values()]


def _chunks_of(space: Space, shares: list[Share]) -> dict[bytes, bytes]:
    chunks = {}
    for name in {share.manifest.name for share in shares}:
        of_pack = [share for share in shares if share.manifest.name == name]
        lengths = of_pack[0].manifest.lengths
        present = {share.number: share.column for share in of_pack}
        columns = rebuild(len(lengths), present, max(lengths))
        for i, share in present.items():
            assert i >= len(lengths) or columns[i][: lengths[i]] == share
        places, _ = open_directory(space, name, lengths, of_pack[0].directory)
        for chunk, (column, offset, length) in places.items():
            chunks[chunk] = columns[column][offset : offset + length]
    return chunks


def _embedded(space: Space, embedded: bytes) -> dict[bytes, bytes]:
    if not embedded:
        return {}
    end = 4 + int.from_bytes(embedded[:4], "big")
    box, column = embedded[4:end], embedded[end:]
    name = pack_name([len(column)], [column_root(len(column), leaf_hashes(column))])
    places, _ = open_directory(space, name, [len(column)], box)
    return {chunk: column[offset : offset + length] for chunk, (_, offset, length) in places.items()}


def _files(space: Space, head: Head, chunks: dict[bytes, bytes]) -> dict[str, bytes]:
    def load(kind: int, reference: bytes) -> bytes:
        return open_chunk(space, kind, reference, chunks[reference[:32]])

    items = list(scan(head.root, lambda reference: load(2, reference)))
    assert len(items) == head.member[5]
    folders = {ROOT: ""}
    waiting = [(parse_key(key), parse_value(value)) for key, value in items]
    found = {}
    while waiting:
        left = []
        for key, fields in waiting:
            parent, name, entry, _, _ = key
            if parent not in folders:
                left.append((key, fields))
            elif fields[0] == 1:
                folders[entry] = f"{folders[parent]}{name.decode()}/"
            elif fields[0] == 0:
                data = _read(space, fields, load)
                found[folders[parent] + name.decode()] = data
        assert len(left) < len(waiting), "an entry whose folder is not there"
        waiting = left
    return found


def _read(space: Space, fields: list[object], load: Callable[[int, bytes], bytes]) -> bytes:
    match fields[5]:
        case [0, bytes(data)]:
            cuts = [data] if data else []
        case [1, bytes(joined)]:
            cuts = [load(1, joined[at : at + 73]) for at in range(0, len(joined), 73)]
        case [2, bytes(root)]:
            values = [value for _, value in scan(root, lambda reference: load(3, reference))]
            cuts = [load(1, value[:73]) for value in values]
            assert [m(space.key("plain"), cut) for cut in cuts] == [value[73:] for value in values]
        case _:
            raise AssertionError("content of a kind that the reference does not read")
    data = b"".join(cuts)
    hashes = b"".join(m(space.key("plain"), cut) for cut in cuts)
    assert len(data) == fields[1]
    assert m(space.key("content"), number(len(data), 8) + hashes) == fields[4]
    return data


# ---- the vectors -----------------------------------------------------------------------------------------------------


def cases() -> Case:
    """space.json."""
    kept = objects()
    first_share = next(name for name in kept if "/packs/" in name)
    without = {name: data for name, data in kept.items() if name != first_share}
    assert read_space(SPACE.id, kept, DEVICE) == read_space(SPACE.id, without, DEVICE) == [files()]

    def told(data: bytes) -> list[object]:
        return [len(data), blake3(data).hexdigest()]

    return {
        "space_id": SPACE.id.hex(),
        "device_seed": DEVICE.seed.hex(),
        "objects": {name: told(data) for name, data in sorted(kept.items())},
        "files": {path: told(data) for path, data in sorted(files().items()) if not path.startswith("many/")},
        "many": MANY,  # files `many/000.txt` and on, each of `file `, its number and a line's end
        "link": ["link", "photos/large.bin"],
    }
