"""Adopting: changes that waited to be published when the local state was lost, found again in the queue's folder.

Flow: names of head files that the journal does not know -> bytes, checked -> packs, heads in the ledger, queued again
Never: takes a head that is not by this device, that the stores have something else for, or of which a pack lacks.
"""

from __future__ import annotations

from collections.abc import Sequence

from ropewalk.errors import Damaged, RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import Head, HeadName, open_head
from ropewalk.spaces.learning import known_head, remember_embedded
from ropewalk.spaces.offline import QueuedPack, QueueFiles
from ropewalk.spaces.pack.directory import Directory
from ropewalk.spaces.state import QUEUED, State

__all__ = ["adopt"]


def adopt(state: State, core: Core, queue: QueueFiles, names: Sequence[str]) -> list[str]:
    """Let heads wait again whose journal was lost; what to tell people of it.

    Args:
        state: The ledger's.
        core: The space; the caller has the turn.
        queue: The folder.
        names: Of the heads' objects.
    """
    parsed = [name for one in names if (name := HeadName.decode(one)) is not None]
    done, why = 0, ""
    for name in sorted(parsed, key=lambda name: (name.writer, name.sequence)):
        try:
            _adopt(state, core, queue, name)
        except RopewalkError as error:
            why = str(error)
            break  # what follows rests on it
        done += 1
    told = []
    if done:
        told.append(f"the local state was lost while changes waited to be published; {done} of them wait again")
    if done < len(names):
        told.append(
            f"{len(names) - done} changes that waited to be published when the local state was lost cannot be: {why};"
            f" what is left of them lies in {queue.folder}"
        )
    return told


def _adopt(state: State, core: Core, queue: QueueFiles, name: HeadName) -> None:
    data = queue.head(name.encode()) or b""
    head = open_head(data, name, core.membership, core.keys)
    if head.envelope.device != core.device.public().id:
        raise Damaged("one of them is by another device")
    if state.has_head_from(name.writer, name.sequence):
        raise Damaged("the stores hold other changes of this device under the same numbers")
    packs = [_pack(queue, head, at) for at, pack in enumerate(head.steward.packs) if not state.pack_named(pack.name)]
    places = [Directory.open(one.directory, one.name, one.manifest.lengths, core.keys).places for one in packs]
    with state.transaction(durable=True):
        for one, of_one in zip(packs, places, strict=True):
            manifest = one.manifest
            stored = sum(manifest.column_length(number) for number in range(manifest.n))
            number = state.add_pack(
                *(one.name, manifest.k, manifest.n, manifest.lengths, manifest.digest, one.directory_hash, stored),
                reusable=False,
                announced=False,
            )
            state.add_chunks(number, of_one)
        known = known_head(head, QUEUED)
        state.add_head(known, data)
        remember_embedded(state, known, head.embedded, core)
        state.name_packs(known.name, [(one.name, one.manifest, one.directory) for one in head.steward.packs])
        state.queue_head(known.name, known.time, [one.name for one in head.steward.packs])


def _pack(queue: QueueFiles, head: Head, at: int) -> QueuedPack:
    added = head.steward.packs[at]
    kept = queue.load(added.name)
    if kept is None or (kept.manifest.digest, kept.directory_hash) != (added.manifest, added.directory):
        raise Damaged(f"pack {added.name.hex()[:8]} is not there")
    return kept
