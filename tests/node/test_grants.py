"""Grants: who may do what, by the rules of docs/spec/node.md 3, and at whose cost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.node.grants import OUTSIDE, Act, Grant, Standing, paying
from ropewalk.spaces.members import Role

GUEST, ADMIN, OTHER = b"g" * 32, b"a" * 32, b"o" * 32
SPACE, ELSEWHERE = b"s" * 32, b"e" * 32
NOW = 1000.0


def _may(grants: list[Grant], act: Act, standing: Standing = OUTSIDE, space: bytes | None = SPACE) -> list[str]:
    return [grant.id for grant in paying(grants, "disk", GUEST, space, standing, act, NOW)]


@pytest.mark.parametrize("act", Act)
def test_a_key_may_what_it_was_granted(act: Act) -> None:
    assert _may([Grant("1", "disk", frozenset({GUEST}))], act) == ["1"]
    assert _may([Grant("1", "disk", frozenset({GUEST}), may=frozenset(set(Act) - {act}))], act) == []
    assert _may([Grant("1", "disk", frozenset({OTHER}))], act) == []
    assert _may([Grant("1", "other disk", frozenset({GUEST}))], act) == []
    assert _may([], act) == []


def test_a_grant_can_be_limited_to_spaces() -> None:
    grant = Grant("1", "disk", frozenset({GUEST}), spaces=frozenset({SPACE}))
    assert _may([grant], Act.PUT) == ["1"]
    assert _may([grant], Act.PUT, space=ELSEWHERE) == []
    assert _may([grant], Act.PUT, space=None) == [], "names that belong to no space"
    assert _may([Grant("2", "disk", frozenset({GUEST}))], Act.PUT, space=None) == ["2"]


def test_a_grant_ends() -> None:
    for until, left in ((None, ["1"]), (1001, ["1"]), (1000, []), (999, [])):
        assert _may([Grant("1", "disk", frozenset({GUEST}), until=until)], Act.GET) == left


MAY = {
    Role.READER: {Act.GET},
    Role.WRITER: {Act.GET, Act.PUT},
    Role.STEWARD: set(Act),
    Role.ADMIN: set(Act),
    None: set(),
}


@pytest.mark.parametrize(("role", "act"), list(itertools.product(MAY, Act)))
def test_a_space_s_grant_goes_as_far_as_a_role(role: Role | None, act: Act) -> None:
    standing = Standing(role, admins=frozenset({ADMIN}))
    for grant in (Grant("1", "disk", space=SPACE), Grant("1", "disk", frozenset({ADMIN}))):
        assert _may([grant], act, standing) == (["1"] if act in MAY[role] else [])


def test_an_admin_s_room_is_for_the_people_of_his_spaces_unless_it_is_his_alone() -> None:
    standing = Standing(Role.WRITER, admins=frozenset({ADMIN}))
    assert _may([Grant("1", "disk", frozenset({ADMIN}))], Act.PUT, standing) == ["1"]
    assert _may([Grant("1", "disk", frozenset({ADMIN}), alone=True)], Act.PUT, standing) == []
    assert _may([Grant("1", "disk", frozenset({OTHER}))], Act.PUT, standing) == [], "of somebody who is no admin there"
    assert _may([Grant("1", "disk", frozenset({ADMIN}), spaces=frozenset({ELSEWHERE}))], Act.PUT, standing) == []


def test_the_space_pays_before_the_key_and_the_key_before_the_admin() -> None:
    grants = [
        Grant("admin", "disk", frozenset({ADMIN})),
        Grant("key", "disk", frozenset({GUEST})),
        Grant("space", "disk", space=SPACE),
        Grant("later", "disk", frozenset({GUEST})),
    ]
    standing = Standing(Role.WRITER, admins=frozenset({ADMIN}))
    assert _may(grants, Act.PUT, standing) == ["space", "key", "later", "admin"]


keys = st.frozensets(st.sampled_from([GUEST, ADMIN, OTHER]), min_size=1)
spaces = st.none() | st.frozensets(st.sampled_from([SPACE, ELSEWHERE]))
acts = st.frozensets(st.sampled_from(Act))
untils = st.none() | st.integers(900, 1100)
by_key = st.builds(
    Grant, st.text("01", min_size=4), st.just("disk"), keys, may=acts, spaces=spaces, alone=st.booleans(), until=untils
)
by_space = st.builds(
    Grant,
    st.text("01", min_size=4),
    st.just("disk"),
    space=st.sampled_from([SPACE, ELSEWHERE]),
    may=acts,
    until=untils,
)
grants_ = st.lists(by_key | by_space, max_size=5)
standings = st.builds(
    Standing, st.none() | st.sampled_from(Role), st.booleans(), st.frozensets(st.sampled_from([ADMIN, OTHER]))
)


@given(grants_, standings, st.sampled_from(Act), st.none() | st.sampled_from([SPACE, ELSEWHERE]))
def test_nobody_who_was_put_out_is_let_in_by_anything(
    grants: list[Grant], standing: Standing, act: Act, space: bytes | None
) -> None:
    found = paying(grants, "disk", GUEST, space, standing, act, NOW)
    if standing.put_out:
        assert found == []
    for grant in found:
        assert grant in grants
        assert act in grant.may
        assert grant.until is None or grant.until > NOW
        assert grant.space == space if grant.space else grant.spaces is None or space in grant.spaces
        assert GUEST in grant.keys or act in MAY[standing.role]


@given(grants_, standings, st.sampled_from(Act))
def test_one_grant_more_takes_nothing_away(grants: list[Grant], standing: Standing, act: Act) -> None:
    for left in range(len(grants)):
        fewer = grants[:left] + grants[left + 1 :]
        assert set(paying(fewer, "disk", GUEST, SPACE, standing, act, NOW)) <= set(
            paying(grants, "disk", GUEST, SPACE, standing, act, NOW)
        )
