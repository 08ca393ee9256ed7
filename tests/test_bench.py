"""The benchmark's own arithmetic, and one tiny run of it from end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import floors
import groups
import launch
import network
import people
import pytest
import remote
import remote_work
from data import Sizes, compare, make_large, make_small
from figures import Figure, Load, in_turns
from hypothesis import given
from hypothesis import strategies as st
from measure import Command, Failed, Row, Taken, ratio, run, turned
from peers import Ropewalk
from remote_ours import BARE, OURS, TUNED
from remote_peers import COMPLETE
from remote_peers import SIDES as PEERS
from report import Goal, Report, beside, faster, table
from run import GROUPS, MODULES, PLATFORM, SPACES, main
from spaces import Spaces

TINY = Sizes(
    rounds=1, large=300_000, small=3, small_size=700, changes=2, reads=5, folder=10, starts=1
)  # bytes and counts
LIGHT = Load(
    rounds=2,
    turns=1,
    echoes=3,
    accepts=2,
    idle=20,
    hops=3,
    rest=0.01,
    counts=10,
    pushes=2,
    starts=1,
    section=0.01,
    references=10,
    entries=30,
    sought=1,
    sessions=2,
    files=300,
    changes=3,
    members=5,
    heads=30,
    streamed=1 << 20,
    small_files=3,
)
WORKS = {  # part -> some of what it must measure
    "echo": {"TCP echo", "TLS echo", "Unix echo", "WebSocket echo"},
    "accept": {"TCP accept", "TLS accept", "Unix accept", "WebSocket accept"},
    "idle": {"20 idle connections, memory of each"},
    "loops": {"TCP round trip, both ends in the loop", "idle loop", "hop on asyncio", "simulated loop"},
    "metrics": {"counter's increment", "page of 1,000 series"},
    "launch": {"start of a process"},
    "intake": {"values taken and synced"},
}
GOALS = {"echo": 2, "idle": 1, "metrics": 3, "launch": 3}
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
    found = ratio([4.0, 2.0, 6.0], [1.0, 2.0, 4.0])
    assert (found.median, found.middle, found.low, found.high) == (2.0, 1.5, 1.0, 4.0)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=9))
def test_ratios_both_ways_are_each_others_inverse(pairs: list[tuple[float, float]]) -> None:
    one, other = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    there, back = ratio(one, other), ratio(other, one)
    assert there.median * back.median == pytest.approx(1.0)
    assert there.low * back.high == pytest.approx(1.0)
    assert there.low <= there.middle <= there.high


def test_sides_of_other_numbers_of_rounds_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_in_each_round_another_side_is_the_first() -> None:
    assert [turned("abc", number) for number in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]
    called: list[str] = []

    def side(name: str, value: float) -> float:
        called.append(name)
        return value

    found = in_turns("work", "us", {"one": lambda: side("one", 1.0), "other": lambda: side("other", 3.0)}, 3)
    assert called == ["one", "other", "other", "one", "one", "other"]
    assert [(figure.side, figure.values, figure.shown) for figure in found.values()] == [
        ("one", [1.0, 1.0, 1.0], "1 us"),
        ("other", [3.0, 3.0, 3.0], "3 us"),
    ]


def test_the_fastest_peer_is_the_one_that_counts() -> None:
    """Also where it is not the first; a peer that is not installed is passed over."""
    goals = faster("put beside", row([1.0]), [row([8.0], "slow"), None, row([3.0], "quick")], 2.0)
    assert [(goal.what, goal.got, goal.met) for goal in goals] == [("put beside quick", 3.0, True)]
    assert faster("put beside", row([1.0]), [None], 2.0) == []
    assert faster("put beside", None, [row([1.0])], 2.0) == []


@pytest.mark.parametrize(("got", "least", "met"), [(1.7, False, True), (1.7001, False, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_goal_is_met_up_to_its_limit_and_not_beyond(got: float, least: bool, met: bool, sign: int) -> None:
    goal = Goal("stored", sign * got, sign * 1.7, least=sign < 0)
    assert goal.met is met
    assert goal.cells()[-2:] == [f"at {'least' if sign < 0 else 'most'} {sign * 1.7:g}", "yes" if met else "no"]


def test_one_side_beside_another_is_judged_by_the_median_of_the_rounds() -> None:
    one, other = Figure("echo", "net", "/s", [90.0, 50.0, 99.0]), Figure("echo", "bare", "/s", [100.0, 50.0, 100.0])
    goal = beside("echo through net", one, other, 0.95, least=True)
    assert goal.cells() == [
        "echo through net",
        "0.99 x",
        "rounds 0.90 to 1.00; 90 /s beside 100 /s",
        "at least 0.95 x",
        "yes",
    ]


def test_figures_stand_beside_the_first_of_their_work() -> None:
    report = Report({"machine": "small"})
    report.figures = [
        Figure("echo", "bare", "/s", [100.0, 200.0]),
        Figure("echo", "net", "/s", [50.0, 100.0], "CPU 3 us"),
        Figure("idle", "net", "KiB", [2.0]),
    ]
    assert report.text().splitlines() == [
        "machine: small",
        "",
        "| work | side | median | least to most | beside the first | more     |",
        "| ---- | ---- | -----: | ------------: | ---------------: | -------- |",
        "| echo | bare | 150 /s |    100 to 200 |                  |          |",
        "| echo | net  |  75 /s |     50 to 100 |           0.50 x | CPU 3 us |",
        "| idle | net  |  2 KiB |               |                  |          |",
    ]
    assert json.loads(json.dumps(report.plain()))["figures"][1]["values"] == [50.0, 100.0]


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
    def no_luck(spaces: Spaces) -> None:
        raise Failed("no luck")

    def found(spaces: Spaces) -> None:
        spaces.report.goals.append(Goal("start", 1, 2))

    monkeypatch.setattr(Spaces, "changes", no_luck)
    monkeypatch.setattr(Spaces, "start", found)
    words = ["--folder", str(tmp_path), "--only", "changes", "--only", "start", "--json", str(tmp_path / "json")]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "a part is missing, since it failed: no luck" in said
    assert "| start | 1   |      | at most 2 | yes |" in said
    assert json.loads((tmp_path / "json").read_text())["goals"][0]["met"] is True
    assert [path.name for path in tmp_path.iterdir()] == ["json"]


def test_all_parts_are_run_unless_one_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def part(name: str) -> Callable[..., None]:
        return lambda *_: ran.append(name)

    for name in SPACES:
        monkeypatch.setattr(Spaces, name, part(name))
    for name, (module, function) in MODULES.items():
        monkeypatch.setattr(import_module(module), function, part(name))
    words = ["--folder", str(tmp_path)]
    assert main(words) == 0
    assert ran == [*SPACES, *MODULES] == [name for group in GROUPS.values() for name in group]
    ran.clear()
    assert main([*words, "--only", "idle", "--only", "platform"]) == 0
    assert ran == ["idle", *(name for name in PLATFORM if name != "idle")]
    assert capsys.readouterr().out.count("machine: ") == 2


@pytest.mark.slow
@pytest.mark.system
def test_a_tiny_run_fills_both_tables(tmp_path: Path) -> None:
    """The small files' part alone: it has the command line, a copy that is compared, and a probe."""
    report = Report({})
    Spaces(TINY, tmp_path, report, with_peers=False).small()
    text = report.text()
    assert [(found.program, found.step) for found in report.rows] == [("ropewalk", "put"), ("ropewalk", "get")]
    assert [goal.met for goal in report.goals] == [True, True], text
    assert "| 3 files of 700 bytes | put  | ropewalk |" in text
    assert "list 3 entries, warm" in text
    json.dumps(report.plain())


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("part", PLATFORM)
def test_a_tiny_run_of_the_platform_has_its_sides_and_goals(part: str, tmp_path: Path) -> None:
    report = Report({})
    module, function = PLATFORM[part]
    getattr(import_module(module), function)(report, LIGHT, tmp_path)
    works = {figure.work for figure in report.figures}
    assert WORKS[part] <= works
    assert all(value > 0 for figure in report.figures for value in figure.values if part != "idle")
    assert len([goal for goal in report.goals if "guest" not in goal.what]) == GOALS.get(part, 0)


@pytest.mark.slow
@pytest.mark.system
def test_a_tiny_merge_is_measured_shown_and_kept(tmp_path: Path) -> None:
    report = Report({})
    groups.merge(report, LIGHT, tmp_path)
    assert [len(figure.values) for figure in report.figures] == [LIGHT.rounds] * 6
    assert all(value > 0 for figure in report.figures for value in figure.values)
    assert [goal.limit for goal in report.goals] == [2.0, 2.0]


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize(
    ("function", "sides", "limits"),
    [("removal", 2, [400, 0.5]), ("opening", 2, [5.0, 0.2])],
    ids=["removal", "opening"],
)
def test_a_tiny_group_is_measured(function: str, sides: int, limits: list[float], tmp_path: Path) -> None:
    report = Report({})
    getattr(people, function)(report, LIGHT, tmp_path)
    assert [len(figure.values) for figure in report.figures] == [LIGHT.rounds] * sides
    assert all(value > 0 for figure in report.figures for value in figure.values)
    assert [goal.limit for goal in report.goals] == limits


@pytest.mark.system
def test_an_application_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text("no = 1\n")
    with pytest.raises(Failed, match=r"was not ready: .*unknown key"):
        launch.until_ready(tmp_path / "app.toml")


@pytest.mark.system
def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="a server ended with 1"), network.serving("pigeon", tmp_path):
        pass


@pytest.mark.system
def test_a_server_that_says_nothing_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "PATIENCE", 0)
    words = [sys.executable, "-c", "input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as silent:
        with pytest.raises(Failed, match="said nothing"):
            network.Server(silent)
        silent.kill()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not say which cores a process has")
def test_client_and_server_share_a_core_and_give_the_others_back() -> None:
    before = os.sched_getaffinity(0)
    with network.one_core():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


# Remote objects.


def timed(title: str, **values: float) -> dict[str, Figure]:
    names = {
        "ours": OURS,
        "timed": remote.TIMED,
        "tuned": TUNED,
        "bare": BARE,
        "picows": remote.PICOWS,
        "pyro": remote.PYRO,
        "pb": remote.PB,
        "foolscap": "Foolscap",
        "zerorpc": "zerorpc",
    }
    return {names[side]: Figure(title, names[side], "/s", [value]) for side, value in values.items()}


def found_in(title: str, figures: dict[str, Figure]) -> remote.Found:
    """One row that has figures; the others have none."""
    return {row.title: {} for row in remote.ROWS} | {title: figures}


def test_a_section_warms_up_and_times_as_many_calls_as_fill_it() -> None:
    """Ten microseconds a call: 220 to begin with, then a quarter of a second, then one."""
    steps = remote_work.section(flying=100, seconds=1.0, server=os.getpid())
    assert next(steps) == 220
    assert steps.send(220 * 1e-5) == 25_000
    assert steps.send(25_000 * 1e-5) == 100_000
    with pytest.raises(StopIteration) as done:
        steps.send(1.0)
    took = done.value.value
    assert (took["calls"], took["seconds"]) == (100_000, 1.0)
    assert min(took.values()) >= 0


def test_calls_so_slow_that_the_first_of_them_fill_the_warm_up_are_timed_at_once() -> None:
    """A quarter of a second each: 22 to begin with, then the fewest that are timed."""
    steps = remote_work.section(flying=1, seconds=1.0, server=os.getpid())
    assert next(steps) == 22
    assert steps.send(22 * 0.25) == 20
    with pytest.raises(StopIteration) as done:
        steps.send(5.0)
    assert (done.value.value["calls"], done.value.value["seconds"]) == (20, 5.0)


async def test_each_way_of_calling_makes_all_calls_and_looks_at_each_answer() -> None:
    made: list[int] = []

    async def echo(value: object) -> object:
        made.append(1)
        return value

    for name, work in remote_work.WORKS.items():
        made.clear()
        await remote_work.calls(echo)[name](2 * work.flying)
        assert len(made) == 2 * work.flying
    made.clear()
    await remote_work.many(lambda: echo(7), 7, 100)(200)
    assert len(made) == 200

    async def wrong(_value: object) -> object:
        return 8

    for act in (remote_work.calls(wrong)["a"], remote_work.many(lambda: wrong(7), 7, 1)):
        with pytest.raises(SystemExit, match="got 8, expected 7"):
            await act(1)


def test_ours_stands_beside_the_best_peer_and_a_batch_is_ranked_only_where_it_must() -> None:
    b, many = "b: 100 calls in flight", "b: 100 begun, then awaited"
    found = found_in(b, timed(b, ours=30.0, bare=200.0, picows=20.0, pb=1.0, pyro=60.0))
    found[many] = timed(many, ours=90.0, pyro=60.0)
    goals = {goal.what: (goal.got, goal.met) for goal in remote.goals(found)}
    assert goals == {
        f"{b}, beside {BARE}": (0.15, True),
        f"{b}, the best peer, beside {remote.PICOWS}": (1.5, True),
        f"{b}, beside {remote.PB}": (30.0, True),
        f"{many}, beside {remote.PYRO}": (1.5, True),
    }


@pytest.mark.parametrize("fastest", ["pyro", "foolscap", "zerorpc"])
def test_the_fastest_of_all_complete_systems_is_the_one_that_counts(fastest: str) -> None:
    """Whether it has objects or procedures; what was written by hand is none of them."""
    one = "a: the same, one core"
    figures = timed(one, ours=30.0, **{"pb": 100.0, "pyro": 90.0, fastest: 60.0})
    assert [(goal.got, goal.met) for goal in remote.goals(found_in(one, figures))] == [(0.5, False)]
    assert set(COMPLETE) == set(PEERS) - {remote.PICOWS, "msgpack-rpc", "websockets, JSON-RPC"}
    assert set(remote.UNLIKE) < set(PEERS)


def test_calls_with_a_deadline_have_the_same_goals_as_those_without() -> None:
    goals = []
    for row in remote.ROWS:
        figures = timed(row.title, ours=6.0, timed=3.0, bare=30.0, picows=2.0, pb=1.0, pyro=4.0)
        goals += [goal for goal in remote.goals(found_in(row.title, figures)) if goal.what.startswith(tuple("abc"))]
    plain = {goal.what: goal for goal in goals if "deadline" not in goal.what}
    with_one = {goal.what.replace(", deadline", ""): goal for goal in goals if "deadline" in goal.what}
    assert {what[0] for what in plain} == set("abc")
    assert plain.keys() == with_one.keys()
    for what, goal in plain.items():
        assert with_one[what].got == goal.got / 2
        assert (with_one[what].limit, with_one[what].least) == (goal.limit, goal.least)


def test_what_moves_much_is_judged_where_processes_keep_what_they_free() -> None:
    e = "e: 1 MiB, 4 in flight"
    found = found_in(e, timed(e, ours=1.0, tuned=90.0, bare=100.0, picows=40.0, pyro=45.0))
    assert {goal.what: (goal.got, goal.met) for goal in remote.goals(found)} == {
        f"{e}, keep_freed, beside {BARE}": (0.9, True),
        f"{e}, keep_freed, the best peer, beside {remote.PYRO}": (2.0, True),
    }


@pytest.mark.system
def test_a_process_of_a_side_that_fails_is_told_with_its_last_words() -> None:
    process = remote.Process([sys.executable, "-c", "input(); raise SystemExit('no luck')"])
    try:
        with pytest.raises(Failed, match="ended with 1: no luck"):
            process.ask("a 1")
    finally:
        process.end()


@pytest.mark.system
def test_a_process_of_a_side_that_says_nothing_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    process = remote.Process([sys.executable, "-c", "input(); input()"])
    try:
        monkeypatch.setattr(remote, "PATIENCE", 0)
        with pytest.raises(Failed, match="said nothing"):
            process.ask("a 1")
    finally:
        monkeypatch.undo()
        process.end()


@pytest.mark.slow
@pytest.mark.system
def test_a_tiny_run_of_remote_calls_has_its_sides_and_notes_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one peer that our own tests have installed, one that fails, and one that is not there."""
    there = PEERS["websockets, JSON-RPC"]
    missing, failing = replace(there, needs=("no_such_module",)), replace(there, needs=())
    sides = {"websockets, JSON-RPC": there, "not there": missing, "failing": failing}  # the script knows no such side
    monkeypatch.delenv(remote.PEERS_PYTHON, raising=False)
    monkeypatch.setattr(remote, "PEER_SIDES", sides)
    monkeypatch.setattr(remote, "UNLIKE", {"websockets, JSON-RPC": ("de", "in its own way")})
    report = Report({})
    remote.calls(report, LIGHT, tmp_path)
    found = {(figure.work, figure.side) for figure in report.figures}
    assert {row.title for row in remote.ROWS} == {work for work, _ in found}
    ours = {BARE, OURS, TUNED, *remote.VARIANTS}
    assert {side for _, side in found} == {*ours, "websockets, JSON-RPC"}
    assert all(len(figure.values) == LIGHT.rounds and min(figure.values) > 0 for figure in report.figures)
    assert all("CPU" in figure.more for figure in report.figures)
    unlike = {(figure.work[0], figure.side) for figure in report.figures if figure.more.endswith("; in its own way")}
    assert unlike == {("d", "websockets, JSON-RPC"), ("e", "websockets, JSON-RPC")}
    assert "remote objects without not there: not installed" in report.notes[0]
    assert "failing is left out, since it failed: " in report.notes[1]
    assert "KeyError: 'failing'" in report.notes[1]
    with_deadline = {work for work, side in found if side == remote.TIMED}
    assert {work[0] for work in with_deadline} == set("abc")
    assert "a: the same, one core" in with_deadline
    for part in ("in one round trip", ", deadline, ", ", keep_freed, "):
        assert any(part in goal.what for goal in report.goals), part


@pytest.mark.slow
@pytest.mark.system
def test_a_tiny_run_measures_what_is_held(tmp_path: Path) -> None:
    report = Report({})
    remote.holding(report, LIGHT, tmp_path)
    assert [(figure.side, figure.unit) for figure in report.figures] == [(OURS, "bytes"), (OURS, "KiB")]
    assert len(report.goals) == 2
