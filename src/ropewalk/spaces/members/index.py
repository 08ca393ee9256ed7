"""Where records stand that say something of a member or a device, whether they have any effect or not.

Flow: Graph -> sets of records by member, device and kind -> grounding
Never: judges a record.
"""

from __future__ import annotations

from collections import defaultdict

from ropewalk.spaces.members.graph import Graph, introduced
from ropewalk.spaces.members.operations import (
    Add,
    AddDevice,
    Prove,
    Remove,
    Revoke,
    Role,
    SetLabel,
    SetLevel,
    SetPolicy,
    SetRole,
    member_of,
)
from ropewalk.spaces.members.records import EpochBody, Genesis

__all__ = ["Index"]


class Index:
    """What each record is about; sets are numbers, as in `Graph`."""

    def __init__(self, graph: Graph) -> None:
        first = graph.records[0].content
        assert isinstance(first, Genesis)
        self.genesis = first
        self.added: dict[int, bytes] = {}  # the member that an add lets in
        self.given: dict[int, Role] = {}  # the role that a record gives
        self.brings: dict[int, list[bytes]] = {}  # the devices that come with a record
        self.numbers: dict[int, int] = {}  # what an epoch's number must be
        self.adds: defaultdict[bytes, int] = defaultdict(int)  # by member
        self.removals: defaultdict[bytes, int] = defaultdict(int)
        self.roles: defaultdict[bytes, int] = defaultdict(int)
        self.admits: defaultdict[bytes, int] = defaultdict(int)  # by device
        self.revocations: defaultdict[bytes, int] = defaultdict(int)
        self.authored: defaultdict[bytes, int] = defaultdict(int)
        self.labels: defaultdict[bytes, int] = defaultdict(int)  # by member or device
        self.levels: defaultdict[int, int] = defaultdict(int)  # by feature level
        self.private = self.policies = self.device_records = self.epochs = self.proofs = 0
        deepest: list[int] = []  # the greatest number of an epoch that each record is or has seen
        for record in graph.records:
            place, bit, content = record.position, 1 << record.position, record.content
            seen = max((deepest[graph.places[parent]] for parent in record.parents), default=0)
            if isinstance(content, EpochBody):
                seen += 1
                self.numbers[place] = seen
                self.epochs |= bit
            deepest.append(seen)
            self.authored[record.author] |= bit
            if brought := [keys.id for keys in introduced(content)]:
                self.brings[place] = brought
                for device in brought:
                    self.admits[device] |= bit
            self._file(content, graph.space_id, record.author, place)

    def _file(self, content: object, space_id: bytes, author: bytes, place: int) -> None:
        bit = 1 << place
        match content:
            case Genesis(member=member):
                self.adds[member] |= bit
                self.added[place], self.given[place] = member, Role.ADMIN
            case Add(role=role):
                member = member_of(space_id, author, content)
                self.adds[member] |= bit
                self.added[place], self.given[place] = member, role
            case Remove(member=member):
                self.removals[member] |= bit
            case SetRole(member=member, role=role):
                self.roles[member] |= bit
                self.given[place] = role
            case AddDevice():
                self.device_records |= bit
            case Revoke(device=device):
                self.revocations[device] |= bit
            case SetPolicy(privacy=privacy):
                self.policies |= bit
                self.private |= bit if privacy == 2 else 0
            case SetLevel(feature=feature):
                self.levels[feature] |= bit
            case SetLabel(bearer=bearer):
                self.labels[bearer] |= bit
            case Prove():
                self.proofs |= bit
