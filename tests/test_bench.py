"""The benchmark's own arithmetic, and one tiny run of it from end to end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import floors
import pytest
from data import Sizes, compare, make_large, make_small
from hypothesis import given
from hypothesis import strategies as st
from measure import Command, Failed, Row, Taken, ratio, run
from peers import Ropewalk
from report import Bound, faster, table
from run import Bench, main

TINY = Sizes(
    rounds=1, large=300_000, small=3, small_size=700, changes=2, reads=5, folder=10, starts=1
)  # bytes and counts
SECONDS = st.floats(0.001, 1000.0)


def row(seconds: list[float], program: str = "one", *, by_files: bool = False) -> Row:
    runs = [Taken(one, one * 2, one * 3, 100 + at, 0.0) for at, one in enumerate(seconds)]
    return Row("work", "put", program, 10, 2**30, by_files, runs)


def test_a_row_is_its_medians_with_the_sync_and_its_worst_peak() -> None:
    found = row([3.0, 1.0, 2.0])
    assert (found.seconds, found.before_sync, found.spread) == (4.0, 2.0, (2.0, 6.0))
    assert found.cpu_per_gib == 6.0
    assert found.peak == 102
    assert found.rate(found.before_sync) == "537 MB/s"
    assert row([4.0], by_files=True).rate(4.0) == "2 files/s"


def test_a_ratio_is_of_medians_and_its_range_is_of_pairs() -> None:
    found = ratio(row([1.0, 2.0, 4.0]), row([4.0, 2.0, 6.0]))
    assert (found.median, found.low, found.high, found.before_sync) == (2.0, 1.0, 4.0, 2.0)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=9))
def test_ratios_both_ways_are_each_others_inverse(pairs: list[tuple[float, float]]) -> None:
    one, other = row([pair[0] for pair in pairs]), row([pair[1] for pair in pairs])
    there, back = ratio(one, other), ratio(other, one)
    assert there.median * back.median == pytest.approx(1.0)
    assert there.low * back.high == pytest.approx(1.0)
    assert there.low <= there.high


def test_rows_of_other_numbers_of_rounds_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="longer"):
        ratio(row([1.0]), row([1.0, 2.0]))


def test_the_fastest_peer_is_the_one_that_counts() -> None:
    """Also where it is not the first; a peer that is not installed is passed over."""
    goals = faster("put beside", row([1.0]), [row([8.0], "slow"), None, row([3.0], "quick")], 2.0)
    assert [(goal.what, goal.got, goal.met) for goal in goals] == [("put beside quick", 3.0, True)]
    assert faster("put beside", row([1.0]), [None], 2.0) == []
    assert faster("put beside", None, [row([1.0])], 2.0) == []


@pytest.mark.parametrize(("got", "met"), [(1.70, True), (1.700001, False)])
def test_a_bound_is_met_up_to_itself_and_not_beyond(got: float, met: bool) -> None:
    bound = Bound("stored", got, 1.70)
    assert bound.met is met
    assert bound.cells()[-1] == ("yes" if met else "no")


def test_tables_are_markdown_with_every_line_as_wide() -> None:
    lines = table(("a", "long"), [["1", "2"], ["longer", "3"]], right=(1,))
    assert lines == ["| a      | long |", "| ------ | ---: |", "| 1      |    2 |", "| longer |    3 |"]


def test_a_copy_with_another_byte_name_or_link_is_seen(tmp_path: Path) -> None:
    source = make_small(tmp_path / "source", 3, 50)
    make_small(tmp_path / "copy", 3, 50)
    for folder in (source.folder, tmp_path / "copy"):
        (folder / "link").symlink_to("here")
    compare(source.folder, tmp_path / "copy")
    (tmp_path / "copy" / "link").unlink()
    with pytest.raises(Failed, match="other names"):
        compare(source.folder, tmp_path / "copy")
    (tmp_path / "copy" / "link").symlink_to("there")
    with pytest.raises(Failed, match="link differs"):
        compare(source.folder, tmp_path / "copy")
    (tmp_path / "copy" / "link").unlink()
    (tmp_path / "copy" / "link").symlink_to("here")
    (tmp_path / "copy" / "0000001").write_bytes(b"x" * 50)
    with pytest.raises(Failed, match="0000001 differs"):
        compare(source.folder, tmp_path / "copy")


def test_data_is_the_same_each_time_and_has_the_size_it_says(tmp_path: Path) -> None:
    one, other = make_large(tmp_path / "one", 1_500_000), make_large(tmp_path / "other", 1_500_000)
    assert (one.files, one.size) == (1, 1_500_000)
    data = (one.folder / "large.bin").read_bytes()
    assert len(data) == 1_500_000
    assert data == (other.folder / "large.bin").read_bytes()


@pytest.mark.system
def test_a_process_is_timed_and_its_output_kept(tmp_path: Path) -> None:
    taken = run(Command([sys.executable, "-c", "import os; print(os.environ['WORD'])"], {"WORD": "said"}), tmp_path)
    assert taken.said == "said\n"
    assert 0 < taken.seconds <= taken.synced
    assert taken.peak > 2**20
    assert taken.cpu > 0


@pytest.mark.system
def test_a_process_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="ended with 3: no luck"):
        run(Command([sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"]), tmp_path)


@pytest.mark.system
def test_the_floor_reads_three_of_five_files_into_one(tmp_path: Path) -> None:
    floors.write(tmp_path / "floor", 3_000_000)
    files = [tmp_path / "floor" / str(number) / "data" for number in range(5)]
    assert {file.stat().st_size for file in files} == {1_000_000}
    floors.read(tmp_path / "floor", tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == b"".join(file.read_bytes() for file in files[:3])


def test_two_stores_are_away_only_meanwhile(tmp_path: Path) -> None:
    ropewalk = Ropewalk(tmp_path)
    for number in range(5):
        ropewalk.store(number).mkdir()
    with ropewalk.two_lost():
        assert sum(ropewalk.store(number).exists() for number in range(5)) == 3
    assert all(ropewalk.store(number).exists() for number in range(5))


def test_a_part_that_fails_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_luck(bench: Bench) -> None:
        raise Failed("no luck")

    def found(bench: Bench) -> None:
        bench.report.goals.append(Bound("start", 1, 2))

    monkeypatch.setattr(Bench, "changes", no_luck)
    monkeypatch.setattr(Bench, "start", found)
    words = ["--folder", str(tmp_path), "--only", "changes", "--only", "start", "--json", str(tmp_path / "json")]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "a part is missing, since it failed: no luck" in said
    assert "| start | 1   |      | at most 2 | yes |" in said
    assert json.loads((tmp_path / "json").read_text())["goals"][0]["met"] is True
    assert [path.name for path in tmp_path.iterdir()] == ["json"]


@pytest.mark.slow
@pytest.mark.system
def test_a_tiny_run_fills_both_tables(tmp_path: Path) -> None:
    """The small files' part alone: it has the command line, a copy that is compared, and a probe."""
    bench = Bench(TINY, tmp_path, with_peers=False)
    bench.small()
    text = bench.report.text()
    assert [(found.program, found.step) for found in bench.report.rows] == [("ropewalk", "put"), ("ropewalk", "get")]
    assert [goal.met for goal in bench.report.goals] == [True, True], text
    assert "| 3 files of 700 bytes | put  | ropewalk |" in text
    assert "list 3 entries, warm" in text
    json.dumps(bench.report.plain())
