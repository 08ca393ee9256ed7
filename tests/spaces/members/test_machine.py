"""Devices that know different records, and some that lie: whoever has the same records sees the same group."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ropewalk.spaces.members import Membership, Role
from ropewalk.spaces.members.graph import Record, bits
from ropewalk.spaces.members.grounding import Verdict
from ropewalk.spaces.members.operations import Add, AddDevice, Remove, Revoke
from ropewalk.spaces.members.records import Genesis
from ropewalk.spaces.members.resolve import Resolution
from tests.spaces.members.group import Group, device

chances = st.randoms(use_true_random=False)
KINDS = ["add", "add", "remove", "role", "device", "revoke", "accept"]
kinds = st.sampled_from(KINDS)


class Partitions(RuleBasedStateMachine):
    """Up to eight views of one group."""

    def __init__(self) -> None:
        super().__init__()
        self.group = Group()
        self.views = [{self.group.genesis, self.group.first} for _ in range(4)]
        self.devices, self.members = ["a1", "paperA"], ["A"]
        self.made = 0

    def _write(
        self, chance: random.Random, kind: str, author: str, parents: list[bytes], life: str, count: int = 0
    ) -> bytes:
        self.made += 1
        new, name = f"d{self.made}", chance.choice(self.members)
        group = self.group
        if kind == "add":
            made = group.add(
                author, *parents, name=f"M{self.made}", role=chance.choice(list(Role)), to=[new], life=life
            )
            self.members.append(f"M{self.made}")
            self.devices.append(new)
        elif kind == "remove":
            made = group.remove(author, *parents, name=name, life=life)
        elif kind == "role":
            made = group.role(author, *parents, name=name, role=chance.choice(list(Role)), life=life)
        elif kind == "device":
            made = group.device(author, *parents, new=new, life=life)
            self.devices.append(new)
        elif kind == "revoke":
            made = group.revoke(author, *parents, what=chance.choice(self.devices), life=life)
        else:
            made = group.accept(author, *parents)
        return made

    def _tops(self, view: set[bytes]) -> list[bytes]:
        covered = {parent for one in view for parent in self.group.parents[one]}
        return sorted(view - covered)[:16]

    @rule(chance=chances, kind=kinds)
    def write(self, chance: random.Random, kind: str) -> None:
        """Somebody active writes on top of all that he knows."""
        view = chance.choice(self.views)
        state = self.group.read(*self._tops(view)).state
        authors = [one for one in self.devices if device(one) in state.devices]
        if authors:
            view.add(self._write(chance, kind, chance.choice(authors), self._tops(view), "honest"))

    @rule(chance=chances, kind=kinds)
    def write_on_old_parents(self, chance: random.Random, kind: str) -> None:
        """Anybody writes on top of whatever suits him, under a fresh incarnation."""
        view = chance.choice(self.views)
        parents = chance.sample(sorted(view), min(len(view), chance.randrange(1, 4)))
        view.add(self._write(chance, kind, chance.choice(self.devices), parents, f"lie {self.made}"))

    @rule(chance=chances, kind=kinds)
    def count_twice(self, chance: random.Random, kind: str) -> None:
        """Somebody signs two records under one count, for two views."""
        author, life = chance.choice(self.devices), f"twice {self.made}"
        for view in chance.sample(self.views, 2):
            view.add(self._write(chance, kind, author, self._tops(view), life, count=1))

    @rule(chance=chances)
    def meet(self, chance: random.Random) -> None:
        """One view gets some of what another knows, with all that it rests on; a part of it twice."""
        one, other = chance.sample(self.views, 2)
        some = chance.sample(sorted(other), chance.randrange(len(other)) + 1)
        one |= self.group.past(*some)

    @precondition(lambda self: len(self.members) > 1)
    @rule(chance=chances)
    def add_once_more(self, chance: random.Random) -> None:
        """An admin who turned shows a second `add` of a nonce: with other keys, one key more, or another role."""
        view = chance.choice(self.views)
        author, first = chance.choice(list(self.group.added.values()))
        self.made += 1
        eve = f"e{self.made}"
        self.devices.append(eve)
        to = chance.choice([[eve], [*first.labels, eve], first.labels])
        role = chance.choice([first.role, *Role])
        parents = chance.sample(sorted(view), min(len(view), chance.randrange(1, 3)))
        view.add(
            self.group.add_again(
                author, *parents, name=first.name, role=role, to=to, asked=first.consents, life=f"turned {self.made}"
            )
        )

    @rule(chance=chances)
    def take_a_device(self, chance: random.Random) -> None:
        """Anybody signs that the device of another is his, of any date; it has not agreed to that."""
        view = chance.choice(self.views)
        parents = chance.sample(sorted(view), min(len(view), chance.randrange(1, 3)))
        mine, yours = chance.choice(self.devices), chance.choice(self.devices)
        self.made += 1
        view.add(self.group.take(mine, *parents, what=yours, life=f"taken {self.made}"))

    def _check_devices(self, read: Membership) -> None:
        """A member has the devices that it came with, and those that its own devices let in and that agreed to it."""
        for member in read.state.members.values():
            for one in member.devices:
                assert member.id in self.group.agreed[one]

    def _check(self, read: Membership) -> None:
        self._check_devices(read)
        graph = read.resolution.graph
        standing = read.resolution.standing(graph.everything)
        admitted: dict[bytes, set[bytes]] = {}  # device -> who let it in, by records that stand
        for record in graph.records:
            if not standing.good >> record.position & 1:
                continue
            content, verdict = record.content, standing.grounding.verdicts[record.position]
            assert verdict is not None
            if isinstance(content, Remove):
                assert content.member not in read.state.members
            if isinstance(content, Revoke):
                assert read.state.devices.get(content.device) != verdict.subject
            if isinstance(content, Genesis | Add | AddDevice):
                brought = standing.grounding.index.brings[record.position]
                for one in brought:
                    admitted.setdefault(one, set()).add(record.author)
        reached = {device("a1"), device("paperA")}
        grew = True
        while grew:
            more = {one for one, by in admitted.items() if by & reached} - reached
            reached |= more
            grew = bool(more)
        assert set(read.state.devices) <= reached
        assert set(read.state.devices).isdisjoint(read.state.gone) or all(
            not read.state.may_write(one) for one in read.state.gone
        )
        if not read.state.admins():
            verdicts = [one for one in standing.grounding.verdicts if one is not None and one.taking is not None]
            assert any(one.taking.member == one.member for one in verdicts if one.taking), "all admins were taken out"
        assert len(standing.struck) <= len(graph.records)

    @invariant()
    def agree(self) -> None:
        """Each view is sound, and gives the same in any order, and from a state kept or not."""
        for view in self.views[:2]:
            records = list(view)
            reads = []
            for seed in (1, 2):
                random.Random(seed).shuffle(records)
                reads.append(self.group.read(*self._tops(view), order=[*records, *records[:3]]))
            if set(self._tops(view)) >= {one for one in view if not any(one in self.group.parents[o] for o in view)}:
                assert reads[0] == reads[1]
            self._check(reads[0])
            frontier = reads[0].frontier
            kept = reads[0].at(frontier)
            assert kept == Resolution(reads[1].resolution.graph).state(reads[1].resolution.graph.past(frontier))

    @precondition(lambda self: self.made > 2)
    @rule(chance=chances)
    def who_was_removed_by_a_senior_changes_nothing(self, chance: random.Random) -> None:
        """Whatever he signs now, and those whom he lets in, on any parents that are not after his removal."""
        group = self.group
        read = group.read(*self._tops(self.views[0]))
        graph = read.resolution.graph
        standing = read.resolution.standing(graph.everything)
        removals = [
            one for one in graph.records if isinstance(one.content, Remove) and standing.good >> one.position & 1
        ]
        if not removals:
            return
        removal = chance.choice(removals)
        assert isinstance(removal.content, Remove)
        left = [one for one in self.devices if self._was_of(read, one, removal.content.member)]
        before = [one.hash for one in graph.records if not graph.after[removal.position] >> one.position & 1]
        before.remove(removal.hash)
        if not left:
            return
        forged = self._forge(chance, left, removal.content.member, before)
        after = group.read(*self._tops(self.views[0]), *forged)
        resolution = after.resolution
        his = resolution._base.verdicts[resolution.graph.places[removal.hash]]
        for mine, _ in self._sound(after, forged):
            if his is None or mine.rank <= his.rank:
                return  # the elder may undo it
            if mine.member != removal.content.member and mine.member in read.state.members:
                return  # the same keys under another member
        assert {one.hash for one in after.records if one.grounded} == {one.hash for one in read.records if one.grounded}
        assert (after.state.members, after.state.devices) == (read.state.members, read.state.devices)

    def _forge(self, chance: random.Random, labels: list[str], member: bytes, before: list[bytes]) -> list[bytes]:
        """One to four records by these keys, and by those that they let in, of any date that does not know better."""
        mine, on, forged = list(labels), list(before), []
        names = [name for name, one in self.group.member.items() if one == member]
        for _ in range(chance.randrange(1, 5)):
            author, known = chance.choice(mine), len(self.devices)
            parents = chance.sample(on, min(len(on), chance.randrange(1, 3)))
            what = chance.choice([*KINDS, "leave", "retire"])
            life = f"forged {len(self.group.objects)}"
            if what == "leave":
                made = self.group.remove(author, *parents, name=chance.choice(names), life=life)
            elif what == "retire":
                made = self.group.revoke(author, *parents, what=author, life=life)
            else:
                made = self._write(chance, what, author, parents, life)
            forged.append(made)
            on.append(made)
            mine += self.devices[known:]
        return forged

    @staticmethod
    def _sound(after: Membership, forged: list[bytes]) -> list[tuple[Verdict, Record]]:
        """Those of them that stood in their own past, and by what right."""
        resolution = after.resolution
        places = [resolution.graph.places[one] for one in forged if one in resolution.graph.places]
        found = ((resolution._base.verdicts[place], resolution.graph.records[place]) for place in places)
        return [(verdict, record) for verdict, record in found if verdict is not None]

    @rule(chance=chances)
    def retire(self, chance: random.Random) -> None:
        """A device puts itself out, or leaves with its member, on top of all that is known."""
        view = chance.choice(self.views)
        read = self.group.read(*self._tops(view))
        authors = [one for one in self.devices if device(one) in read.state.devices]
        if authors:
            author, life = chance.choice(authors), f"retires {len(self.group.objects)}"
            names = [name for name, one in self.group.member.items() if one == read.state.devices[device(author)]]
            if chance.random() < 0.8:
                view.add(self.group.revoke(author, *self._tops(view), what=author, life=life))
            else:
                view.add(self.group.remove(author, *self._tops(view), name=names[0], life=life))

    @precondition(lambda self: self.made > 0)
    @rule(chance=chances)
    def who_retired_changes_nothing(self, chance: random.Random) -> None:
        """Whatever the key signs now, and those that it lets in; but one more of its kind of another date."""
        group = self.group
        read = group.read(*self._tops(self.views[0]))
        graph, resolution = read.resolution.graph, read.resolution
        standing = resolution.standing(graph.everything)
        hit = {place for _, hits in resolution._clashes for place in bits(hits)}
        own = standing.grounding.retirements | standing.grounding.leaves
        retired = [graph.records[place] for place in bits(own & standing.good) if place not in hit]
        if not retired:
            return
        one = chance.choice(retired)
        (label,) = (label for label in self.devices if device(label) == one.author)
        before = [other.hash for other in graph.records if not graph.after[one.position] >> other.position & 1]
        before.remove(one.hash)
        his = resolution._base.verdicts[one.position]
        assert his is not None
        forged = self._forge(chance, [label], his.member, before)
        after = group.read(*self._tops(self.views[0]), *forged)
        for mine, record in self._sound(after, forged):
            again = record.author == one.author and mine.taking is not None and mine.taking.own
            if again and (isinstance(one.content, Remove) or isinstance(record.content, Revoke)):
                return
            if mine.member != his.member and mine.member in read.state.members:
                return  # the same keys under another member
        assert {one.hash for one in after.records if one.grounded} == {one.hash for one in read.records if one.grounded}
        assert (after.state.members, after.state.devices) == (read.state.members, read.state.devices)

    @staticmethod
    def _was_of(read: Membership, label: str, member: bytes) -> bool:
        base = read.resolution._base
        places = base.index.admits.get(device(label), 0)
        return any(
            places >> record.position & 1 and base._subject(record.position) == member
            for record in read.resolution.graph.records
        )


Partitions.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
TestPartitions = Partitions.TestCase
