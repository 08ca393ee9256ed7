"""`ropewalk conflicts` and `merge`: what two wrote apart is listed, and one text of both is offered."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.spaces.members import Role
from tests.cli.conftest import Run
from tests.cli.pair import Pair, a_pair

TEXT = "one\ntwo\nthree\nfour\nfive\n"


@pytest.fixture
def pair(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return a_pair(photos, run, monkeypatch)


def edited_apart(pair: Pair, ours: str, theirs: str, begun: str | None = TEXT) -> str:
    """A file that both changed; the name of the second side."""
    if begun is not None:
        pair.put("home", "notes.txt", begun)
        pair.bob("ls", "photos")
    pair.apart(lambda: pair.put("home", "notes.txt", ours), lambda: pair.put("bob", "notes.txt", theirs))
    return str(pair.anna("conflicts", "photos", "--json").json["sides"][1]["path"])


def test_sides_are_listed_with_who_wrote_them(pair: Pair) -> None:
    other = edited_apart(pair, TEXT.replace("one", "ONE"), TEXT.replace("five", "FIVE"))
    lines = pair.anna("conflicts", "photos").out.splitlines()
    assert lines[0] == "/notes.txt"
    assert lines[1].startswith("  notes.txt ")
    assert lines[2].startswith(f"  {other[1:]}  ")
    assert {"anna (laptop)", "file, 24 B"} <= {part for line in lines for part in line.strip().split("  ")}
    assert sum("bob (device " in line for line in lines) == 1
    found = pair.bob("conflicts", "photos", "--json").json
    assert found["path"] == "/notes.txt"
    whose = {side["who"].partition(" ")[0]: side for side in found["sides"]}
    assert set(whose) == {"anna", "bob"}
    assert all(side["kind"] == "file" and side["time"] > "20" for side in whose.values())


def test_where_nothing_clashes_nothing_is_listed(pair: Pair) -> None:
    pair.put("home", "notes.txt", TEXT)
    result = pair.anna("conflicts", "photos")
    assert (result.out, result.err) == ("", "note: there are none\n")


def test_a_clean_merge_is_offered_and_changes_nothing(pair: Pair) -> None:
    other = edited_apart(pair, TEXT.replace("one", "ONE"), TEXT.replace("five", "FIVE"))
    merged = TEXT.replace("one", "ONE").replace("five", "FIVE")
    versions = pair.anna("log", "photos").out
    assert pair.anna("merge", "photos:/notes.txt").out == merged
    assert pair.anna("merge", f"photos:{other}").out == merged
    assert "remove /notes (conflict" in pair.anna("merge", "photos:/notes.txt", "--to", "merged").err
    assert (pair.work / "merged").read_text() == merged
    assert pair.anna("log", "photos").out == versions


def test_a_clean_merge_takes_the_place_of_both_sides(pair: Pair) -> None:
    edited_apart(pair, TEXT.replace("one", "ONE"), TEXT.replace("five", "FIVE"))
    applied = pair.anna("merge", "photos:/notes.txt", "--apply", "--json").json
    assert (applied["clean"], applied["copies"]) == (True, 5)
    assert pair.bob("ls", "photos").out == "notes.txt\n"
    assert pair.bob("cat", "photos:/notes.txt").out == TEXT.replace("one", "ONE").replace("five", "FIVE")
    assert "merge /notes.txt" in pair.bob("log", "photos").out.splitlines()[0]
    assert pair.bob("conflicts", "photos").out == ""


def test_lines_that_both_changed_are_for_a_person(pair: Pair) -> None:
    edited_apart(pair, TEXT.replace("one", "anna"), TEXT.replace("one", "bob"))
    shown = pair.anna("merge", "photos:/notes.txt", status=11)
    text = shown.out.splitlines()
    assert [line[:7] for line in text if line[:3] in ("<<<", "|||", "===", ">>>")] == [
        "<<<<<<<",
        "|||||||",
        "=======",
        ">>>>>>>",
    ]
    assert {"anna", "bob", "one", "two"} <= set(text)
    assert "anna (laptop)" in shown.out
    assert "1 place where both sides changed the same lines" in shown.err
    versions = pair.anna("log", "photos").out
    refused = pair.anna("merge", "photos:/notes.txt", "--apply", "--json", status=4)
    assert refused.error["code"] == "merge.not-clean"
    assert pair.anna("log", "photos").out == versions
    answer = pair.anna("merge", "photos:/notes.txt", "--json", status=11).json
    assert (answer["clashes"], answer["text"]) == (1, shown.out)


def test_what_was_made_apart_has_no_base(pair: Pair) -> None:
    edited_apart(pair, "same\nanna\n", "same\nbob\n", begun=None)
    text = pair.anna("merge", "photos:/notes.txt", status=11).out
    assert "|||||||" not in text
    assert text.startswith("same\n<<<<<<< notes")


def test_a_third_side_has_its_turn_after_the_first_two(pair: Pair) -> None:
    pair.machine("carol")
    pair.let_in("carol", Role.WRITER)
    pair.attach("carol")
    pair.put("home", "notes.txt", TEXT)
    pair.bob("ls", "photos")
    pair.of("carol", "ls", "photos")
    pair.apart(
        lambda: pair.put("home", "notes.txt", TEXT.replace("one", "ONE")),
        lambda: pair.apart(
            lambda: pair.put("bob", "notes.txt", TEXT.replace("three", "THREE")),
            lambda: pair.put("carol", "notes.txt", TEXT.replace("five", "FIVE")),
        ),
    )
    assert len(pair.anna("conflicts", "photos", "--json").json["sides"]) == 3
    assert "1 more side under this name" in pair.anna("merge", "photos:/notes.txt").err
    assert "1 more side under this name: run it again" in pair.anna("merge", "photos:/notes.txt", "--apply").err
    assert len(pair.anna("conflicts", "photos", "--json").json["sides"]) == 2


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (("photos:/plain",), 2, "photos:/plain is not in conflict"),
        (("photos:/nope",), 3, "no photos:/nope"),
        (("photos:/plain", "--to", "x", "--apply"), 2, "--to and --apply"),
        (("photos:/plain", "--to", "plain"), 2, "plain is there already"),
    ],
)
def test_what_cannot_be_merged(run: Run, photos: Path, words: tuple[str, ...], status: int, why: str) -> None:
    (photos / "plain").write_text("x")
    run("put", "plain", "photos:/plain")
    assert why in run("merge", *words, status=status).err


def test_bytes_are_not_merged(pair: Pair) -> None:
    def put(home: str, data: bytes) -> None:
        (pair.work / "b").write_bytes(data)
        pair.of(home, "put", "b", "photos:/b")

    pair.apart(lambda: put("home", b"\xff\x00"), lambda: put("bob", b"\xfe"))
    assert "is not UTF-8" in pair.anna("merge", "photos:/b", status=4).err
