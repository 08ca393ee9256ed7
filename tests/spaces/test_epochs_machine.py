"""Epochs among devices that are parted: whoever belongs reads all that was sealed, and nobody reads on who is gone.

Each device has some of the records.  It acts on what it has, and records reach it in any order, or never.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.members import Membership, NotAMember, RecordDamaged, Role
from ropewalk.spaces.members.authoring import NotAllowed
from ropewalk.spaces.members.operations import NO_CUT
from ropewalk.spaces.members.wraps import deliver, open_ring, owed, rotate, unreached
from ropewalk.testing.letting_in import member_with
from tests.spaces.club import Club, device, keys

FIRST = ("a1", "paperA")
MEMBERS = ("B", "C", "D")
DEVICES = (*FIRST, *(f"{name.lower()}{number}" for name in MEMBERS for number in (1, 2)))
_names = st.sampled_from(MEMBERS)
_devices = st.sampled_from(("a1", "b1", "c1") * 3 + DEVICES)  # mostly those who may do something


@dataclass(frozen=True)
class Box:
    """Something that a device sealed."""

    by: str
    epoch: bytes
    sealed: bytes


class Parted(RuleBasedStateMachine):
    """What can happen to a group and its keys."""

    @initialize()
    def begin(self) -> None:
        self.club = Club()
        for name in ("B", "C"):
            self.club.add(name, Role.ADMIN)
        self.has: dict[str, list[bytes]] = {one: list(self.club.objects) for one in (*FIRST, "b1", "c1")}
        self.boxes: list[Box] = []

    def _put(self, by: str, data: bytes) -> None:
        self.club.objects.append(data)
        self.has[by].append(data)

    def _read(self, label: str) -> Membership:
        return self.club.read(self.has.get(label, self.club.objects[:2]))

    def _ring(self, label: str) -> KeyRing | None:
        try:
            return open_ring(self._read(label).epochs, keys(label)).ring
        except (NotAMember, RecordDamaged):
            return None

    # ---- what members do ------------------------------------------------------------------------------------------

    @rule(by=_devices, name=_names, role=st.sampled_from(Role), wrapped=st.booleans())
    def add(self, by: str, name: str, role: Role, wrapped: bool) -> None:
        author, ring = self.club.author(by, self.has.get(by, self.club.objects[:2])), self._ring(by)
        if ring is None or name in self.club.member:
            return
        label = f"{name.lower()}1"
        nonce, pledge = author.new_member()
        try:
            wraps = [deliver(author.membership.epochs, ring, keys(label).public(), role)] if wrapped else []
            _, data = author.add(
                nonce, role, [keys(label).public()], b"", wraps, consents=self.club.agreed(pledge, role, label)
            )
        except NotAllowed:
            return
        self.club.member[name] = member_with(pledge, keys(label).public())
        self.has.setdefault(label, list(self.has[by]))
        self._put(by, data)

    @rule(by=_devices, name=_names)
    def bring_a_second_device(self, by: str, name: str) -> None:
        new, ring = f"{name.lower()}2", self._ring(by)
        membership = self._read(by)
        role = membership.state.role_of(device(by))
        if not by.startswith(name.lower()) or ring is None or role is None:
            return
        try:
            wraps = (
                [deliver(membership.epochs, ring, keys(new).public(), role)]
                if ring.knows(ring.current, members=role > Role.STEWARD)
                else []
            )
            agreed = self.club.agreed(membership.state.devices[device(by)], 0, new)
            _, data = self.club.author(by, self.has[by]).device(keys(new).public(), b"", wraps, consents=agreed)
        except NotAllowed:
            return
        self.has.setdefault(new, list(self.has[by]))
        self._put(by, data)

    @rule(by=_devices, name=st.sampled_from(("A", *MEMBERS)), role=st.sampled_from((None, *Role)))
    def change(self, by: str, name: str, role: Role | None) -> None:
        """A removal, or another role."""
        if by not in self.has or name not in self.club.member:
            return
        author, member = self.club.author(by, self.has[by]), self.club.member[name]
        try:
            _, data = author.remove(member, NO_CUT) if role is None else author.role(member, role, NO_CUT)
        except NotAllowed:
            return
        self._put(by, data)

    @rule(by=_devices, what=_devices)
    def revoke(self, by: str, what: str) -> None:
        if by not in self.has:
            return
        try:
            _, data = self.club.author(by, self.has[by]).revoke(device(what), NO_CUT)
        except NotAllowed:
            return
        self._put(by, data)

    # ---- keys -----------------------------------------------------------------------------------------------------

    @rule(by=_devices, anyway=st.booleans())
    def make_an_epoch(self, by: str, anyway: bool) -> None:
        """An admin who sees that it is due, or makes one for no reason; nobody gets it whom he knows to be gone."""
        if not self._may_rotate(by) or not (self._read(by).epochs.due or anyway):
            return
        ring, membership = self._ring(by), self._read(by)
        assert ring is not None
        made = rotate(membership.epochs, ring, keys(by), membership.frontier)
        self._put(by, made.data)
        epochs = self._read(by).epochs
        assert epochs.current.hash == made.hash
        assert epochs.due == ""
        for label in DEVICES:
            role = membership.state.role_of(device(label))
            try:
                opened = open_ring(epochs, keys(label)).ring
            except NotAMember:
                assert role is None
                continue
            assert opened.knows(made.hash, members=False) == (role is not None)
            assert opened.knows(made.hash, members=True) == (role is not None and role > Role.STEWARD)

    def _may_rotate(self, by: str) -> bool:
        ring = self._ring(by)
        of = self._read(by).state.role_of(device(by))
        return of is Role.ADMIN and ring is not None and ring.knows(ring.current, members=True)

    @rule(by=_devices)
    def pay_what_is_owed(self, by: str) -> None:
        ring, membership = self._ring(by), self._read(by)
        if by not in self.has or ring is None or device(by) not in membership.state.devices:
            return
        for wraps in owed(membership.epochs, ring):
            _, data = self.club.author(by, self.has[by]).wrap(wraps)
            self._put(by, data)

    @rule(by=_devices)
    def seal(self, by: str) -> None:
        """As a head is sealed: by who may write, as far as he knows."""
        ring = self._ring(by)
        if ring is not None and self._read(by).state.may_write(device(by)) and ring.knows(ring.current, members=True):
            self.boxes.append(Box(by, ring.current, ring.seal("member", b"", by.encode())))

    # ---- records on their way -------------------------------------------------------------------------------------

    @rule(to=_devices, data=st.data())
    def hear(self, to: str, data: st.DataObject) -> None:
        """Some records reach a device, in some order, whatever they rest on."""
        if to in self.has:
            found = [one for one in self.club.objects if one not in self.has[to]]
            self.has[to] += data.draw(st.lists(st.sampled_from(found), unique=True)) if found else []

    @rule(to=_devices)
    def hear_all(self, to: str) -> None:
        if to in self.has:
            self.has[to] = list(self.club.objects)

    # ---- what must hold -------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "club"):
            return
        for one in self.has:
            self.has[one] = list(self.club.objects)
        currents = {self._read(one).epochs.current.hash for one in self.has}
        assert len(currents) == 1, "all agree on the epoch"
        admin = next((one for one in DEVICES if one in self.has and self._may_rotate(one)), None)
        if admin is None:
            return  # nobody is left who could
        ring, membership = self._ring(admin), self._read(admin)
        assert ring is not None
        # What was sealed by those who still belong is accepted; of the others nothing is, as no cut names it.
        accepted = [box for box in self.boxes if membership.state.may_write(device(box.by))]
        apart = {one.hash for one in unreached(membership.epochs, ring)} & {box.epoch for box in accepted}
        if membership.epochs.due or apart:
            before = {label: self._ring(label) for label in self.has}
            made = rotate(membership.epochs, ring, keys(admin), membership.frontier)
            self._put(admin, made.data)
            for label in self.has:
                self.has[label] = list(self.club.objects)
            gone = [label for label in self.has if device(label) not in membership.state.devices]
            for label in gone:  # reads no epoch that it did not read before
                now, had = self._ring(label), before[label]
                assert (now.epochs if now else frozenset()) == (had.epochs if had else frozenset())
        self.pay_what_is_owed(admin)
        for label in self.has:
            self.has[label] = list(self.club.objects)
        membership = self._read(admin)
        assert membership.epochs.due == "", "one epoch by any admin leaves nobody exposed, and one top"
        for label in self.has:
            role, opened = membership.state.role_of(device(label)), self._ring(label)
            if role is None:
                assert opened is None or not opened.knows(membership.epochs.current.hash, members=False)
                continue
            assert opened is not None
            assert opened.current == membership.epochs.current.hash
            assert opened.knows(opened.current, members=True) == (role > Role.STEWARD)
            if role > Role.STEWARD:
                for box in accepted:
                    assert opened.open("member", b"", box.sealed) == box.by.encode()


Parted.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestParted = Parted.TestCase
