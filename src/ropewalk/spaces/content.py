"""Content: bytes of a file to chunks and what an entry says of them, and ranges of a file back to bytes.

Flow: sealed cuts -> Writer, offset map -> Stored -> entry; entry, range -> references -> Reader -> bytes
Never: holds more of a file than the few cuts under way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from ropewalk.spaces.chunk import CHUNK_SIZE, REFERENCE_SIZE, ChunkType, Reference, Sealed, open_chunk, plain_hash, seal
from ropewalk.spaces.chunk import content_id as id_of_content
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.reader import Reader
from ropewalk.spaces.tree.entry import (
    LARGEST_INLINE,
    MOST_CHUNKS,
    Chunks,
    Content,
    Entry,
    EntryDamaged,
    Inline,
    Offsets,
)
from ropewalk.spaces.tree.prolly import Tree
from ropewalk.spaces.tree.source import NodeCache
from ropewalk.spaces.writer import Writer

__all__ = [
    "ContentSource",
    "Nodes",
    "Stored",
    "Unsaved",
    "check_content",
    "few_references",
    "offset_map",
    "seal_cuts",
    "seal_small",
    "store_cuts",
]

_CUT_REFS = REFERENCE_SIZE


class Stored(msgspec.Struct, frozen=True):
    """What an entry says of a file's content."""

    size: int
    content_id: bytes
    content: Content


class Nodes:
    """Keeps the nodes of one kind of tree as chunks (a `NodeStore`).

    Args:
        writer: None where nothing will be written.
    """

    def __init__(
        self, kind: ChunkType, keys: KeyRing, reader: Reader, writer: Callable[[], Writer | None], *, padded: bool
    ) -> None:
        self._kind, self._keys, self._reader, self._writer, self._padded = kind, keys, reader, writer, padded
        self.saved = 0  # sealed bytes of new nodes, for tests and metrics

    async def load(self, ref: bytes) -> bytes:
        """The plain bytes of a node."""
        reference = Reference.decode(ref)
        writer = self._writer()
        if writer is not None and (sealed := writer.peek(reference.id)) is not None:
            return open_chunk(sealed, reference, self._kind, self._keys)
        return (await self._reader.read([reference], self._kind))[0]

    async def load_many(self, refs: Sequence[bytes]) -> Sequence[bytes]:
        """The plain bytes of nodes."""
        writer, wanted = self._writer(), [Reference.decode(ref) for ref in refs]
        new = {one.id: sealed for one in wanted if writer is not None and (sealed := writer.peek(one.id)) is not None}
        kept = [one for one in wanted if one.id not in new]
        plains = iter(await self._reader.read(kept, self._kind)) if kept else iter(())
        return [
            open_chunk(new[one.id], one, self._kind, self._keys) if one.id in new else next(plains) for one in wanted
        ]

    async def save(self, node: bytes, refs: Sequence[bytes]) -> bytes:
        """Keep a node and give its reference."""
        writer = self._writer()
        assert writer is not None, "a tree is changed only within a change"
        sealed = self.seal(node)
        self.saved += len(sealed.data)
        await writer.add([(sealed, [ref[:32] for ref in refs])])
        return sealed.reference.encode()

    def seal(self, node: bytes) -> Sealed:
        """A node as the chunk that it would be."""
        return seal(node, self._kind, self._keys, padded=self._padded)


class Unsaved:
    """New nodes in memory above those that are kept, for a tree that is only looked at (a `NodeStore`)."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._new: dict[bytes, bytes] = {}

    async def load(self, ref: bytes) -> bytes:
        """The plain bytes of a node."""
        return self._new.get(ref) or await self._nodes.load(ref)

    async def load_many(self, refs: Sequence[bytes]) -> Sequence[bytes]:
        """The plain bytes of nodes."""
        if self._new.keys().isdisjoint(refs):
            return await self._nodes.load_many(refs)
        return [await self.load(ref) for ref in refs]

    async def save(self, node: bytes, refs: Sequence[bytes]) -> bytes:  # noqa: ARG002 - as every NodeStore
        """Remember a node and give the reference that it would have."""
        ref = self._nodes.seal(node).reference.encode()
        self._new[ref] = node
        return ref


def offset_map(nodes: Nodes, keys: KeyRing, cache: NodeCache, root: bytes | None = None) -> Tree:
    """The map from offsets to cuts of one large file."""
    return Tree(nodes, keys.members.boundary, root, lambda value: (value[:_CUT_REFS],), cache)


def seal_cuts(data: bytes | memoryview, keys: KeyRing, *, padded: bool) -> list[Sealed]:
    """Seal bytes that start at a multiple of 1 MiB of a file.  CPU work: about 1 ms for 1 MiB."""
    view = memoryview(data)
    return [
        seal(view[at : at + CHUNK_SIZE], ChunkType.DATA, keys, padded=padded) for at in range(0, len(view), CHUNK_SIZE)
    ]


def seal_small(
    data: bytes | memoryview, keys: KeyRing, *, padded: bool, inline: int = LARGEST_INLINE
) -> tuple[Stored, list[Sealed]]:
    """A whole file of up to 4 MiB, sealed, and what its entry says; up to ``inline`` bytes stand in the entry."""
    if len(data) <= inline:
        hashes = plain_hash(data, keys) if data else b""
        return Stored(len(data), id_of_content(len(data), hashes, keys), Inline(bytes(data))), []
    cuts = seal_cuts(data, keys, padded=padded)
    content = Chunks([cut.reference.encode() for cut in cuts])
    return Stored(len(data), id_of_content(len(data), b"".join([cut.plain_hash for cut in cuts]), keys), content), cuts


async def store_cuts(cuts: AsyncIterator[Sequence[Sealed]], writer: Writer, maps: Tree, keys: KeyRing) -> Stored:
    """Store a file of any size from its sealed cuts, in order.

    Args:
        cuts: All but the last hold 1 MiB.
        writer: Takes the chunks.
        maps: The empty offset map.
        keys: The space's.
    """
    hashes: list[bytes] = []
    size = 0

    async def stored() -> AsyncIterator[bytes]:
        nonlocal size
        async for batch in cuts:
            await writer.add([(cut, None) for cut in batch])
            for cut in batch:
                size += cut.reference.size
                hashes.append(cut.plain_hash)
                yield cut.reference.encode()

    first: list[bytes] = []
    references = stored()
    async for reference in references:
        first.append(reference)
        if len(first) > MOST_CHUNKS:
            break
    if len(first) <= MOST_CHUNKS:
        return Stored(size, id_of_content(size, b"".join(hashes), keys), Chunks(first) if first else Inline(b""))

    async def items() -> AsyncIterator[tuple[bytes, bytes]]:
        for at, reference in enumerate(first):
            yield (at * CHUNK_SIZE).to_bytes(8, "big"), reference + hashes[at]
        at = len(first)
        async for reference in references:
            yield (at * CHUNK_SIZE).to_bytes(8, "big"), reference + hashes[at]
            at += 1

    tree = await maps.apply(items())
    assert tree.root is not None
    return Stored(size, id_of_content(size, b"".join(hashes), keys), Offsets(tree.root))


class ContentSource:
    """Finds and reads the content of files.

    Args:
        reader: Gives the chunks.
        maps: An offset map, of any file.
        keys: The space's.
    """

    def __init__(self, reader: Reader, maps: Tree, keys: KeyRing) -> None:
        self._reader, self._maps, self._keys = reader, maps, keys

    async def references(
        self, entry: Entry, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[list[tuple[int, Reference]]]:
        """(offset, reference) of the cuts that hold the bytes from ``start`` to ``stop``, in batches.

        Raises:
            EntryDamaged: The map has a hole, or ends elsewhere than the entry says.
        """
        if not isinstance(entry.content, Inline | Chunks | Offsets):
            raise EntryDamaged("content is of a kind that this version cannot read")
        end = entry.size if stop is None else min(stop, entry.size)
        if start >= end:
            return
        first = start // CHUNK_SIZE * CHUNK_SIZE
        match entry.content:
            case Chunks():
                yield [(at, reference) for at, reference in few_references(entry) if first <= at < end]
            case Offsets(root):
                expected = first
                async for batch in self._maps.at(root).scan(first.to_bytes(8, "big"), end.to_bytes(8, "big")):
                    cuts = []
                    for key, value in batch:
                        if int.from_bytes(key, "big") != expected:
                            raise EntryDamaged(f"map of a file has no cut at {expected}")
                        cuts.append((expected, _checked(entry, expected, value[:_CUT_REFS])))
                        expected += CHUNK_SIZE
                    yield cuts
                if expected < end:
                    raise EntryDamaged(f"map of a file ends at {expected}, expected {end}")
            case _:
                raise EntryDamaged("content is of a kind that this version cannot read")

    async def read(self, entry: Entry, offset: int = 0, length: int | None = None) -> bytes:
        """A range of a file; fewer bytes where the file ends before.  A whole one is checked against its content id.

        Raises:
            EntryDamaged: It is not what its entry says, and its writer lied.
        """
        stop = entry.size if length is None else min(entry.size, offset + length)
        if isinstance(entry.content, Inline):
            return self._checked(entry, [entry.content.data])[offset:stop]
        parts = []
        async for batch in self.references(entry, offset, stop):
            plains = await self._reader.read([reference for _, reference in batch], ChunkType.DATA)
            for (at, _), plain in zip(batch, plains, strict=True):
                parts.append(plain[max(offset - at, 0) : stop - at])
        return self._checked(entry, parts) if (offset, stop) == (0, entry.size) else b"".join(parts)

    def _checked(self, entry: Entry, cuts: Sequence[bytes]) -> bytes:
        check_content(entry, b"".join([plain_hash(cut, self._keys) for cut in cuts if cut]), self._keys)
        return b"".join(cuts)


def check_content(entry: Entry, hashes: bytes, keys: KeyRing) -> None:
    """See that a file holds what its content id says: references alone could lead to anything.

    Args:
        entry: The file's.
        hashes: The plain hashes of all its cuts, joined.
        keys: The space's.

    Raises:
        EntryDamaged: It does not; a file without a content id holds what it holds.
    """
    if entry.content_id not in (None, id_of_content(entry.size, hashes, keys)):
        raise EntryDamaged(f"file of {entry.size} bytes has other content than its id says: who wrote it lied")


def few_references(entry: Entry) -> list[tuple[int, Reference]]:
    """(offset, reference) of every cut of a file whose entry holds them all.

    Raises:
        EntryDamaged: The sizes of the cuts are not those that the file's size tells.
    """
    assert isinstance(entry.content, Chunks)
    return [(at * CHUNK_SIZE, _checked(entry, at * CHUNK_SIZE, ref)) for at, ref in enumerate(entry.content.refs)]


def _checked(entry: Entry, offset: int, ref: bytes) -> Reference:
    reference = Reference.decode(ref)
    if reference.size != min(CHUNK_SIZE, entry.size - offset):
        raise EntryDamaged(f"cut at {offset} has {reference.size} bytes in a file of {entry.size}")
    return reference
