"""Vectors of operations, and of who belongs to a space: the examples of groups.md, E1 to E17;
which records count where there are too many; and names in their boxes.

Records stand as rows of labels; `bodies` makes their bytes, whose hashes the file holds. Signatures are left out: that
they verify is taken as given.

Flow: rows -> bodies -> reference_groups -> cases -> make.py -> groups.json
Never: imports ropewalk.
"""

from __future__ import annotations

from functools import cache

from docs.spec.vectors.fixture import Case
from docs.spec.vectors.reference import Device, h, made, seal_box
from docs.spec.vectors.reference_groups import (
    Group,
    committed,
    consent_message,
    member_id,
    operation_body,
    pledged,
    ticket,
)
from docs.spec.vectors.reference_records import pack
from docs.spec.vectors.reference_room import settled

__all__ = ["SPACE", "bodies", "cases", "device", "member"]

Row = list[object]  # label, author's device, labels of parents, kind, and what it says
_ADD, _REMOVE, _ROLE, _DEVICE, _REVOKE, _POLICY, _LEVEL, _ACCEPT, _WRAP, _PROOF = range(1, 11)
_LABEL = 12
_EPOCH = 0
READER, WRITER, ADMIN = 2, 3, 4
TIME = 1_795_000_000_000_000_000


@cache
def device(label: str) -> Device:
    """A device, or a paper key, of the examples."""
    return Device(made(f"group {label}", 32), 1 if label.startswith("paper") else 0)


_FIRST = made("group member A", 16)
_GENESIS = pack(
    [
        *("genesis", 1, made("group nonce", 32), 2, 1, 1, [2, 3, 3, {"store": 1}], [0, 1], _FIRST),
        *([device("a1").public, device("paperA").public], TIME, {}),
    ]
)
SPACE = h("space", _GENESIS)


def member(label: str, author: str) -> bytes:
    """The id of a member of the examples; A is there from the beginning."""
    return _FIRST if label == "A" else member_id(_pledge(label, author), [device(first_device(label)).id], bytes(16))


def first_device(label: str) -> str:
    """The device that a member comes with; `C/e1` is the member of the nonce of C that comes with e1."""
    _, _, other = label.partition("/")
    return other or f"{label.lower()}1"


def _nonce(label: str) -> bytes:
    return made(f"group nonce {label.partition('/')[0]}", 16)


def _pledge(label: str, author: str) -> bytes:
    return pledged(SPACE, device(author).id, _nonce(label))


def bodies(rows: list[Row]) -> dict[str, bytes]:
    """The bodies of records by label, the genesis and the first epoch among them."""
    found = {"genesis": _GENESIS}
    found["epoch"] = _epoch("a1", [h("record", _GENESIS)], 1)
    members = {"A": _FIRST}
    owners = {"a1": {_FIRST}, "paperA": {_FIRST}}  # by device: the members that it was let in for
    past: dict[str, set[str]] = {"genesis": set(), "epoch": {"genesis"}}
    counts: dict[str, tuple[str, int]] = {}
    for label, author, parents, kind, *said in rows:
        assert isinstance(label, str)
        assert isinstance(author, str)
        assert isinstance(parents, list)
        assert isinstance(kind, int)
        past[label] = set(parents).union(*(past[parent] for parent in parents))
        hashes = sorted(h("record", found[parent]) for parent in parents)
        if kind == _EPOCH:
            found[label] = _epoch(author, hashes, int(str(said[0])))
            continue
        if kind == _ADD:
            members[str(said[0])] = member(str(said[0]), author)
            owners.setdefault(first_device(str(said[0])), set()).add(members[str(said[0])])
        if kind == _DEVICE:
            owners.setdefault(str(said[0]), set()).update(owners[author])
        count = 1 + max(
            (counts[one][1] for one in past[label] if one in counts and counts[one][0] == author), default=0
        )
        counts[label] = author, count
        content = _content(kind, author, said, members, owners.get(author, set()))
        life = made(f"group incarnation {author}", 16)
        found[label] = operation_body(SPACE, device(author).id, life, count, hashes, kind, content, TIME)
    return found


def _epoch(author: str, parents: list[bytes], number: int) -> bytes:
    zeros = bytes(32)
    return pack(["epoch", 1, SPACE, number, parents, device(author).id, zeros, zeros, [], [], [], {}])


def _consent(label: str, tickets: list[bytes]) -> list[object]:
    """That of a device, without its signatures; a paper key gives none."""
    return [] if label.startswith("paper") else [[[device(label).id], bytes(16), bytes(32), tickets, b"", b""]]


def _content(kind: int, author: str, said: list[object], members: dict[str, bytes], mine: set[bytes]) -> list[object]:
    first = str(said[0])
    cuts = [
        part for writer, sequence in _pairs(said[-1]) for part in (made(f"writer {writer}", 16), sequence, bytes(32))
    ]
    if kind == _ADD:
        new, agreed = first_device(first), ticket(SPACE, _pledge(first, author), int(str(said[1])))
        return [_nonce(first), said[1], [device(new).public], b"", [], _consent(new, [agreed])]
    if kind == _LABEL:
        bearer = members[first] if first in members else device(first).id
        return [bearer, str(said[1]).encode()]
    if kind == _DEVICE:
        return [device(first).public, b"", [], _consent(first, sorted(ticket(SPACE, one, 0) for one in mine))]
    if kind == _ROLE:
        return [members[first], said[1], cuts]
    if kind == _PROOF:  # the file stands for one that proves what is said; `reference_groups` takes it so
        return [pack([device(first).id, *said[1:]]), []]
    if kind == _ACCEPT:
        return [[], [device(first).id]]
    if kind not in (_REMOVE, _REVOKE):  # a level, or what is not known
        return [said[0]]
    return [device(first).id if kind == _REVOKE else members[first], cuts]


def _pairs(said: object) -> list[tuple[str, int]]:
    return [(str(writer), int(sequence)) for writer, sequence in said] if isinstance(said, list) else []


_B: Row = ["B", "a1", ["epoch"], _ADD, "B", ADMIN]
EXAMPLES: dict[str, list[Row]] = {
    "E1 mutual removal": [
        _B,
        ["A removes B", "a1", ["B"], _REMOVE, "B"],
        ["B removes A", "b1", ["B"], _REMOVE, "A"],
    ],
    "E2 what one does while being removed": [
        _B,
        ["A removes B", "a1", ["B"], _REMOVE, "B"],
        ["B adds C", "b1", ["B"], _ADD, "C", WRITER],
        ["c2", "c1", ["B adds C"], _DEVICE, "c2"],
    ],
    "E3 two roles at once": [
        _B,
        ["D", "a1", ["B"], _ADD, "D", WRITER],
        ["higher", "a1", ["D"], _ROLE, "D", ADMIN],
        ["lower", "b1", ["D"], _ROLE, "D", READER],
    ],
    "E4 a junior removes a silent senior": [_B, ["B removes A", "b1", ["B"], _REMOVE, "A"]],
    "E4 the senior says that he did not know": [
        _B,
        ["B removes A", "b1", ["B"], _REMOVE, "A"],
        ["A removes B", "a1", ["B"], _REMOVE, "B"],
    ],
    "E4 the senior knew": [
        _B,
        ["B removes A", "b1", ["B"], _REMOVE, "A"],
        ["A removes B", "a1", ["B removes A"], _REMOVE, "B"],
    ],
    "E5 a stolen laptop and the paper key": [
        ["thief", "a1", ["epoch"], _REVOKE, "paperA"],
        ["owner", "paperA", ["epoch"], _REVOKE, "a1"],
    ],
    "E6 old parents": [
        _B,
        ["D", "a1", ["B"], _ADD, "D", WRITER],
        ["A removes B", "a1", ["D"], _REMOVE, "B"],
        ["B removes D", "b1", ["D"], _REMOVE, "D"],
        ["B adds E", "b1", ["B removes D", "B"], _ADD, "E", ADMIN],
    ],
    "E7 a ring of removals": [
        _B,
        ["C", "a1", ["B"], _ADD, "C", ADMIN],
        ["A removes B", "a1", ["C"], _REMOVE, "B"],
        ["B removes C", "b1", ["C"], _REMOVE, "C"],
        ["C removes A", "c1", ["C"], _REMOVE, "A"],
    ],
    "E8 a device comes while its member goes": [
        ["D", "a1", ["epoch"], _ADD, "D", WRITER],
        ["A removes D", "a1", ["D"], _REMOVE, "D"],
        ["d2", "d1", ["D"], _DEVICE, "d2"],
    ],
    "E9 a cut": [
        ["D", "a1", ["epoch"], _ADD, "D", WRITER],
        ["A removes D", "a1", ["D"], _REMOVE, "D", [["d1", 7]]],
    ],
    "E10 two epochs at once": [
        _B,
        ["X", "a1", ["B"], _ADD, "X", WRITER],
        ["Y", "a1", ["X"], _ADD, "Y", WRITER],
        ["A removes X", "a1", ["Y"], _REMOVE, "X"],
        ["B removes Y", "b1", ["Y"], _REMOVE, "Y"],
        ["2a", "a1", ["A removes X"], _EPOCH, 2],
        ["2b", "b1", ["B removes Y"], _EPOCH, 2],
        ["3", "a1", ["2a", "2b"], _EPOCH, 3],
    ],
    "E11 old words": [
        ["retired", "paperA", ["epoch"], _REVOKE, "paperA"],
        ["paperA2", "a1", ["retired"], _DEVICE, "paperA2"],
        ["thief", "paperA", ["epoch"], _REVOKE, "a1"],
        ["a2", "paperA", ["thief"], _DEVICE, "a2"],
    ],
    "E11 old words, of who became an admin later": [
        ["B", "a1", ["epoch"], _ADD, "B", WRITER],
        ["paperB", "b1", ["B"], _DEVICE, "paperB"],
        ["raised", "a1", ["paperB"], _ROLE, "B", ADMIN],
        ["retired", "paperB", ["raised"], _REVOKE, "paperB"],
        ["paperB2", "b1", ["retired"], _DEVICE, "paperB2"],
        ["thief", "paperB", ["paperB"], _REVOKE, "b1"],
        ["b2", "paperB", ["paperB"], _DEVICE, "b2"],
        ["accomplice", "b2", ["b2"], _REVOKE, "paperB"],
    ],
    "E11 who was removed does not retire": [
        _B,
        ["paperB", "b1", ["B"], _DEVICE, "paperB"],
        ["D", "a1", ["paperB"], _ADD, "D", WRITER],
        ["B removes D", "paperB", ["D"], _REMOVE, "D"],
        ["A removes B", "a1", ["B removes D"], _REMOVE, "B"],
        ["retired", "paperB", ["paperB"], _REVOKE, "paperB"],
    ],
    "E12 a machine retires before it is sold": [
        ["a2", "a1", ["epoch"], _DEVICE, "a2"],
        ["retired", "a1", ["a2"], _REVOKE, "a1"],
        ["thief", "a1", ["a2"], _REVOKE, "a2"],
        ["a3", "a1", ["a2"], _DEVICE, "a3"],
    ],
    "E12 a member leaves": [
        _B,
        ["B leaves", "b1", ["B"], _REMOVE, "B"],
        ["thief", "b1", ["B"], _REMOVE, "A"],
    ],
    "E12 of what a key says at once, that which takes the least": [
        _B,
        ["b2", "b1", ["B"], _DEVICE, "b2"],
        ["B leaves", "b1", ["b2"], _REMOVE, "B"],
        ["retired", "b1", ["b2"], _REVOKE, "b1"],
    ],
    "E13 a raised level": [_B, ["raised", "b1", ["B"], _LEVEL, 255]],
    "E13 a raised level is taken back with who raised it": [
        _B,
        ["raised", "b1", ["B"], _LEVEL, 255],
        ["again", "b1", ["raised"], 13, "x"],
        ["epoch of B", "b1", ["again"], _EPOCH, 2],
        ["A removes B", "a1", ["B"], _REMOVE, "B"],
        ["next", "a1", ["A removes B", "epoch of B"], _EPOCH, 3],
    ],
    "E13 a senior raises the level": [
        _B,
        ["raised", "a1", ["B"], _LEVEL, 255],
        ["B removes A", "b1", ["B"], _REMOVE, "A"],
    ],
    "E13 a senior raises the level, and fights": [
        _B,
        ["raised", "a1", ["B"], _LEVEL, 255],
        ["B removes A", "b1", ["B"], _REMOVE, "A"],
        ["A removes B", "a1", ["raised"], _REMOVE, "B"],
    ],
    "E14 a junior lets in a paper key of an old date": [
        _B,
        ["b2", "b1", ["B"], _DEVICE, "b2"],
        ["b1 revokes b2", "b1", ["b2"], _REVOKE, "b2"],
        ["paperB", "b2", ["b2"], _DEVICE, "paperB"],
        ["paperB revokes b1", "paperB", ["paperB"], _REVOKE, "b1"],
    ],
    "E14 two devices of who became an admin later": [
        ["W", "a1", ["epoch"], _ADD, "W", WRITER],
        ["w2", "w1", ["W"], _DEVICE, "w2"],
        ["raised", "a1", ["w2"], _ROLE, "W", ADMIN],
        ["w1 revokes w2", "w1", ["raised"], _REVOKE, "w2"],
        ["w2 revokes w1", "w2", ["w2"], _REVOKE, "w1"],
    ],
    "E15 a minted device leaves with its member": [
        _B,
        ["b2", "b1", ["B"], _DEVICE, "b2"],
        ["C", "b1", ["b2"], _ADD, "C", WRITER],
        ["b1 revokes b2", "b1", ["C"], _REVOKE, "b2"],
        ["b3", "b2", ["b2"], _DEVICE, "b3"],
        ["B leaves", "b3", ["b3"], _REMOVE, "B"],
    ],
    "E15 a device that a retired one lets in leaves with its member": [
        ["a2", "a1", ["epoch"], _DEVICE, "a2"],
        ["C", "a2", ["a2"], _ADD, "C", WRITER],
        ["retired", "paperA", ["C"], _REVOKE, "paperA"],
        ["a3", "paperA", ["epoch"], _DEVICE, "a3"],
        ["A leaves", "a3", ["a3"], _REMOVE, "A"],
    ],
    "E16 who was demoted retires under an old date": [
        *(_B, ["X", "a1", ["B"], _ADD, "X", WRITER]),
        *(["B removes X", "b1", ["X"], _REMOVE, "X"], ["C", "b1", ["B removes X"], _ADD, "C", ADMIN]),
        ["lower", "a1", ["C"], _ROLE, "B", READER],
        ["retired", "b1", ["X"], _REVOKE, "b1"],
    ],
    "E16 who was demoted revokes the device that removed somebody": [
        *(_B, ["X", "a1", ["B"], _ADD, "X", WRITER], ["b2", "b1", ["X"], _DEVICE, "b2"]),
        *(["b2 removes X", "b2", ["b2"], _REMOVE, "X"], ["lower", "a1", ["b2 removes X"], _ROLE, "B", READER]),
        ["b1 revokes b2", "b1", ["b2"], _REVOKE, "b2"],
    ],
    "E16 who became an admin later is removed, and says that he had left": [
        ["W", "a1", ["epoch"], _ADD, "W", WRITER],
        ["B", "a1", ["W"], _ADD, "B", ADMIN],
        ["raised", "a1", ["B"], _ROLE, "W", ADMIN],
        ["C", "w1", ["raised"], _ADD, "C", WRITER],
        ["B removes W", "b1", ["C"], _REMOVE, "W"],
        ["W leaves", "w1", ["raised"], _REMOVE, "W"],
    ],
    "E18 a member is added twice at once, with other keys": [
        _B,
        ["C", "b1", ["B"], _ADD, "C", WRITER],
        ["c2", "c1", ["C"], _DEVICE, "c2"],
        ["C again", "b1", ["epoch", "B"], _ADD, "C/e1", WRITER],
        ["e1 takes c2", "e1", ["C again", "c2"], _REVOKE, "c2"],
    ],
    "E18 a member is added twice at once, with the same keys": [
        _B,
        ["C", "b1", ["B"], _ADD, "C", WRITER],
        ["C again", "b1", ["epoch", "B"], _ADD, "C", WRITER],
    ],
    "E17 a fork that was let off is shown once more": [
        *(["D", "a1", ["epoch"], _ADD, "D", WRITER], ["W", "a1", ["D"], _ADD, "W", READER]),
        ["shown", "w1", ["W"], _PROOF, "d1", "fork at 3", "file 1"],
        ["let off", "a1", ["shown"], _ACCEPT, "d1"],
        ["A removes W", "a1", ["let off"], _REMOVE, "W"],
        ["again", "w1", ["W"], _PROOF, "d1", "fork at 3", "file 2"],
    ],
    "E17 another fork is shown": [
        *(["D", "a1", ["epoch"], _ADD, "D", WRITER], ["W", "a1", ["D"], _ADD, "W", READER]),
        ["shown", "w1", ["W"], _PROOF, "d1", "fork at 3", "file 1"],
        ["let off", "a1", ["shown"], _ACCEPT, "d1"],
        ["again", "w1", ["W"], _PROOF, "d1", "fork at 4", "file 1"],
    ],
    "a demotion leaves what the lower role may": [
        _B,
        ["lower", "a1", ["B"], _ROLE, "B", WRITER],
        ["b2", "b1", ["B"], _DEVICE, "b2"],
        ["B adds C", "b1", ["b2"], _ADD, "C", WRITER],
    ],
    "who became an admin later is junior": [
        ["W", "a1", ["epoch"], _ADD, "W", WRITER],
        ["C", "a1", ["W"], _ADD, "C", ADMIN],
        ["raised", "a1", ["C"], _ROLE, "W", ADMIN],
        ["W removes C", "w1", ["raised"], _REMOVE, "C"],
        ["C removes W", "c1", ["raised"], _REMOVE, "W"],
    ],
    "names": [
        _B,
        ["own", "b1", ["B"], _LABEL, "B", "by himself"],
        ["senior", "a1", ["B"], _LABEL, "B", "by A"],
        ["laptop", "b1", ["own"], _LABEL, "b1", "laptop"],
        ["not his", "b1", ["laptop"], _LABEL, "a1", "by B, who is an admin"],
        ["lower", "a1", ["not his", "senior"], _ROLE, "B", READER],
        ["not his any more", "b1", ["lower"], _LABEL, "A", "by B, who is none"],
        ["still his", "b1", ["lower"], _LABEL, "b1", "phone"],
    ],
    "a junior does not become the elder": [
        _B,
        ["lower", "b1", ["B"], _ROLE, "A", WRITER],
        ["raised", "b1", ["lower"], _ROLE, "A", ADMIN],
        ["A removes B", "a1", ["B"], _REMOVE, "B"],
    ],
}


_W: Row = ["W", "a1", ["B"], _ADD, "W", WRITER]
_JUNK: list[Row] = [[f"junk {number}", "w1", ["W"], _LABEL, "w1", f"junk {number}"] for number in range(6)]
ROOM: dict[str, tuple[int, list[Row]]] = {
    "who was put out takes no room": (6, [_B, _W, ["B removes W", "b1", ["W"], _REMOVE, "W"], *_JUNK]),
    "what others had seen of it stays": (
        6,
        [_B, _W, *_JUNK, ["A removes W", "a1", ["W", "junk 1"], _REMOVE, "W"]],
    ),
    "who is in floods, and others go on": (6, [_B, _W, *_JUNK, ["b2", "b1", ["W"], _DEVICE, "b2"]]),
    "who was put out by a senior puts nobody out": (
        7,
        [
            *(_B, _W, ["A removes B", "a1", ["W"], _REMOVE, "B"], ["B removes A", "b1", ["W"], _REMOVE, "A"]),
            *(["B adds C", "b1", ["W"], _ADD, "C", ADMIN], ["C removes A", "c1", ["B adds C"], _REMOVE, "A"]),
            *(["B removes W", "b1", ["B removes A"], _REMOVE, "W"], ["w2", "w1", ["W"], _DEVICE, "w2"]),
        ],
    ),
}


def cases() -> list[Case]:
    """groups.json."""
    examples = [_example(why, rows) for why, rows in EXAMPLES.items()]
    return [*_operations(), _consent_case(), *examples, *(_room(why, *one) for why, one in ROOM.items()), *_labels()]


def _consent_case() -> Case:
    author, nonce, blind, salt = device("a1").id, made("group nonce", 16), made("blind", 32), made("salt", 16)
    pledge, names = pledged(SPACE, author, nonce), sorted([device("b1").id, device("paperB").id])
    tickets = [ticket(SPACE, pledge, WRITER), ticket(SPACE, _FIRST, 0)]
    return {
        "what": "consent",
        "why": "to be a writer, and to be one more device",
        "space_id": SPACE.hex(),
        "author": author.hex(),
        "nonce": nonce.hex(),
        "pledge": pledge.hex(),
        "names": [one.hex() for one in names],
        "salt": salt.hex(),
        "member": member_id(pledge, names, salt).hex(),
        "role": WRITER,
        "of": _FIRST.hex(),
        "blind": blind.hex(),
        "tickets": [one.hex() for one in tickets],
        "signed": consent_message(names, salt, committed(blind, tickets)).hex(),
    }


def _room(why: str, room: int, rows: list[Row]) -> Case:
    made_of = bodies(rows)
    labels = {h("record", body): label for label, body in made_of.items()}
    group, flooding = settled(Group(SPACE, list(made_of.values())), room)
    devices = {device(label).id: label for label in _devices(rows)}
    return {
        "what": "room",
        "why": why,
        "room": room,
        "records": rows,
        "count": sorted(labels[one] for one in group.records),
        "flooding": sorted(devices[one] for one in flooding),
    }


def _labels() -> list[Case]:
    secret, epoch, bearer = made("label epoch secret", 32), made("label epoch", 32), made("label bearer", 16)
    plain = bytes([4]) + b"Anna" + bytes(107)
    found: list[Case] = []
    for why, inside, of, name in (
        ("a name", plain, bearer, "Anna"),
        ("a name of 100 bytes", bytes([100]) + b"x" * 100 + bytes(11), bearer, "x" * 100),
        ("a name of somebody else", plain, made("label of another", 16), None),
        ("something after the name", plain[:-1] + b"\1", bearer, None),
        ("a byte too few", plain[:-1], bearer, None),
        ("no name", bytes(112), bearer, None),
        ("a name with a line in it", bytes([2]) + b"a\n" + bytes(109), bearer, None),
        ("space before a name", bytes([2]) + b" a" + bytes(109), bearer, None),
    ):
        box = seal_box(h("label", secret), epoch[:8], b"label" + SPACE + of, inside)
        told: Case = {"what": "label", "why": why, "space_id": SPACE.hex(), "epoch": epoch.hex()}
        told |= {"epoch_secret": secret.hex(), "bearer": bearer.hex(), "box": box.hex(), "name": name}
        found.append(told)
    return found


def _example(why: str, rows: list[Row]) -> Case:
    made_of = bodies(rows)
    labels = {h("record", body): label for label, body in made_of.items()}
    group = Group(SPACE, list(made_of.values()))
    assert set(group.records) == set(labels)
    outcome = group.outcome()
    authors = {str(said[0]): str(author) for _, author, _, kind, *said in rows if kind == _ADD}
    people = {member(label, author): label for label, author in (authors | {"A": "a1"}).items()}
    devices = {device(label).id: label for label in _devices(rows)}
    return {
        "what": "example",
        "why": why,
        "records": rows,
        "hashes": {label: digest.hex() for digest, label in labels.items()},
        "members": {people[one]: role for one, role in sorted(outcome.members.items(), key=lambda one: people[one[0]])},
        "devices": {
            devices[one]: people[of] for one, of in sorted(outcome.devices.items(), key=lambda one: devices[one[0]])
        },
        "struck": {
            labels[one]: labels[by] for one, by in sorted(outcome.struck.items(), key=lambda one: labels[one[0]])
        },
        "standing": sorted(labels[one] for one in outcome.good),
        "frozen": sorted(devices[one] for one in outcome.frozen),
        "feature": outcome.feature,
        "unknown": outcome.unknown,
        "labels": {
            (people | devices)[one]: box.decode()
            for one, box in sorted(outcome.labels.items(), key=lambda one: (people | devices)[one[0]])
            if isinstance(box, bytes) and box
        },
    }


def _devices(rows: list[Row]) -> list[str]:
    came = [
        first_device(str(said[0])) if kind == _ADD else str(said[0]) for _, _, _, kind, *said in rows if kind in (1, 4)
    ]
    return ["a1", "paperA", *came]


def _operations() -> list[Case]:
    """One of each kind, its keys those of the device of basics.json or left out."""
    a, d = made("group member", 16), made("group device", 16)
    one, other = sorted(made(f"writer {letter}", 16) for letter in "ab")
    cuts: list[object] = [one, 1, made("head a", 32), other, 2**63 - 1, made("head b", 32)]
    wraps: list[object] = [[made("group epoch", 32), d, made("group wrap", 64)]]
    keys: list[object] = [device("a1").public]
    names = [device("a1").id]
    agreed: list[object] = [names, made("salt", 16), made("blind", 32), [made("ticket", 32)], b"", b""]
    of_two, of_another = [sorted([*names, d]), *agreed[1:]], [[d], *agreed[1:]]
    rows: list[tuple[str, int, list[object]]] = [
        ("add", _ADD, [made("group nonce", 16), WRITER, keys, made("label", 80), wraps, [agreed]]),
        ("device", _DEVICE, [device("a1").public, made("label", 80), wraps, [agreed]]),
        ("remove", _REMOVE, [a, cuts]),
        ("role", _ROLE, [a, READER, []]),
        ("revoke", _REVOKE, [d, cuts]),
        ("policy", _POLICY, [[2, 5, 4, {"site": 1, "store": 1}], [1, 1], 2]),
        ("level", _LEVEL, [2]),
        ("accept", _ACCEPT, [cuts, [d]]),
        ("wrap", _WRAP, [wraps]),
        ("proof", _PROOF, [made("group proof", 100), cuts]),
        ("label", _LABEL, [d, made("label", 80)]),
        ("a kind of a later version", 11, [1, "x"]),
    ]
    good = [_operation(why, kind, content, counts=True) for why, kind, content in rows]
    wrong: list[tuple[str, int, list[object]]] = [
        ("a role that is none", _ROLE, [a, 5, []]),
        ("a member id of 15 bytes", _REMOVE, [a[1:], []]),
        ("cuts out of order", _REMOVE, [a, cuts[3:] + cuts[:3]]),
        ("a cut at 0", _REMOVE, [a, [made("writer a", 16), 0, bytes(32)]]),
        ("two admins needed", _POLICY, [[2, 5, 4, {}], [1, 2], 2]),
        ("a floor below k and f", _POLICY, [[3, 5, 3, {}], [1, 1], 2]),
        ("level 1", _LEVEL, [1]),
        ("a field too many", _LEVEL, [2, 0]),
        ("thawed devices out of order", _ACCEPT, [[], [d, d]]),
        ("a label over 256 bytes", _LABEL, [d, made("label", 257)]),
        ("no keys", _ADD, [made("group nonce", 16), WRITER, [], b"", [], []]),
        ("a device that does not consent", _ADD, [made("group nonce", 16), WRITER, keys, b"", [], []]),
        ("a key that a consent does not name", _ADD, [made("group nonce", 16), WRITER, keys, b"", [], [of_two]]),
        ("the consent of another", _DEVICE, [device("a1").public, b"", [], [of_another]]),
    ]
    return good + [_operation(why, kind, content, counts=False) for why, kind, content in wrong]


def _operation(why: str, kind: int, content: list[object], *, counts: bool) -> Case:
    parents = sorted(made(f"group parent {number}", 32) for number in range(2))
    author, life = made("group author", 16), made("group incarnation", 16)
    body = operation_body(SPACE, author, life, 7, parents, kind, content, TIME)
    told: Case = {"what": "operation", "why": why, "space_id": SPACE.hex(), "kind": kind, "body": body.hex()}
    if why == "add":
        names = [device("a1").id]
        told["member"] = member_id(pledged(SPACE, author, made("group nonce", 16)), names, made("salt", 16)).hex()
    return told | {"hash": h("record", body).hex(), "counts": counts}
