"""Resolution: a function of the set of records, and the same one that the spec's reference computes the slow way."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from docs.spec.vectors.reference_groups import Group as Reference
from ropewalk.spaces.members import Membership, Policy, Role
from ropewalk.spaces.members.operations import SetLevel, SetPolicy
from ropewalk.spaces.members.records import parse
from tests.spaces.members.group import POLICY, Group, device, keys  # noqa: F401

WHAT = [
    *["add", "remove", "role", "device", "revoke"] * 3,
    *["label", "label", "epoch", "policy", "level", "unknown", "meet", "meet"],
]


def a_history(chance: random.Random, steps: int) -> Group:
    """Some views that now and then meet, in which anybody whom a view has heard of writes anything."""
    group = Group(feature=chance.choice([1, 2, 2, 2]))
    views = [{group.genesis, group.first} for _ in range(chance.randrange(1, 5))]
    devices, names = ["a1", "paperA"], ["A"]
    epochs = {group.first: 1}
    for step in range(steps):
        view = chance.choice(views)
        author = chance.choice(devices[:3]) if chance.random() < 0.3 else chance.choice(devices)
        tops = sorted(one for one in view if not any(one in group.parents[other] for other in view))
        parents = tops[:16] if chance.random() < 0.8 else chance.sample(sorted(view), min(len(view), 2))
        life = str(step) if chance.random() < 0.2 else author
        what = chance.choice(WHAT)
        name, role, new = chance.choice(names), chance.choice(list(Role)[1:]), f"{chance.choice(['paper', 'd'])}{step}"
        if what == "meet":
            view |= chance.choice(views)
            continue
        if what == "add":
            name = f"M{step}"
            role = chance.choice([Role.ADMIN, Role.ADMIN, Role.WRITER])
            old = [one for one in devices if not one.startswith("paper")]
            to = [new, chance.choice(old)] if chance.random() < 0.15 else [new]
            made = group.add(author, *parents, name=name, role=role, to=to, life=life)
            devices.append(new)
            names.append(name)
        elif what == "remove":
            made = group.remove(author, *parents, name=name, life=life)
        elif what == "role":
            made = group.role(author, *parents, name=name, role=role, life=life)
        elif what == "device":
            made = group.device(author, *parents, new=chance.choice([new, new, chance.choice(devices)]), life=life)
            devices.append(new)
        elif what == "revoke":
            what = author if chance.random() < 0.3 else chance.choice(devices)
            made = group.revoke(author, *parents, what=what, life=life)
        elif what == "label":
            of = group.member[name] if chance.random() < 0.5 else device(chance.choice(devices))
            made = group.label(author, *parents, of=of, box=str(step).encode(), life=life)
        elif what == "unknown":
            made = group.write(author, *parents, says=SetLevel(2), kind=13, life=life)
        elif what == "epoch":
            number = chance.choice([1, *(epochs[one] + 1 for one in epochs if one in group.past(*parents))])
            made = group.epoch(author, *parents, number=number)
            epochs[made] = number
        elif what == "policy":
            policy = Policy(2, 4, chance.choice([3, 4]), {"store": step % 2})
            made = group.write(author, *parents, says=SetPolicy(policy, [0, 1], chance.choice([1, 2])), life=life)
        else:
            made = group.write(author, *parents, says=SetLevel(2), life=life)
        view |= {made}
    return group


def slowly(group: Group) -> Reference:
    bodies = [signed.body for data in group.objects.values() if (signed := parse(data))]
    return Reference(group.space_id, bodies)


def agree(group: Group, read: Membership) -> None:
    """The package says what the reference says."""
    reference = slowly(group)
    assert {record.hash for record in read.records} == set(reference.records)
    wanted = reference.outcome()
    assert {record.hash for record in read.records if record.grounded} == wanted.good
    assert {one: why.by for one, why in read.state.struck.items()} == wanted.struck
    assert {one: int(member.role) for one, member in read.state.members.items()} == wanted.members
    assert read.state.devices == wanted.devices
    assert (read.feature, read.privacy) == (wanted.feature, wanted.privacy)
    policy = read.policy
    assert [policy.k, policy.n, policy.floor] == list(wanted.policy)[:3]  # type: ignore[call-overload]
    labels = {one: member.label for one, member in read.state.members.items()} | dict(read.state.labels)
    assert (labels, read.read_only) == (wanted.labels, wanted.unknown)


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.integers(1, 24))
def test_the_outcome_is_the_references(chance: random.Random, steps: int) -> None:
    group = a_history(chance, steps)
    agree(group, group.read())
