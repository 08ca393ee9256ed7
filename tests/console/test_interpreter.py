"""Each command by a running application; wrong words, rights, what is audited."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ropewalk.console import Answer, Ask, BadCommand, Commands, Right
from ropewalk.console.completing import completions
from ropewalk.console.table import width_of
from ropewalk.service import Context, NoConfig, Plan
from tests.console.stage import ALL, Asker, Fine, shop


async def test_services_are_listed_as_they_are() -> None:
    async with shop() as application:
        asker = Asker(application)
        text = (await asker("services")).text
        lines = text.splitlines()
        assert lines[0].split() == ["SERVICE", "STATE", "FOR", "STARTS", "FAILURES", "WHY"]
        assert lines[1].split()[:2] == ["data", "up"]
        assert "\x1b" not in text
        found: Any = await asker.json("services")
        assert {one["name"] for one in found} == {"data", "bad", "web"}
        assert {one["name"]: one["needs"] for one in found}["web"] == ["data"]


async def test_one_service_with_its_figures() -> None:
    async with shop() as application:
        asker = Asker(application)
        text = (await asker("service web")).text
        assert "needs" in text
        assert "sold today  3" in text
        found: Any = await asker.json("service data")
        assert (found["needed_by"], found["statistics"]) == (["web"], {"sold_today": 3})


async def test_start_stop_and_restart() -> None:
    async with shop() as application:
        asker = Asker(application)
        assert (await asker("stop data")).text == "data is stopped; with it went web\n"
        assert "stopped, until it is started" in (await asker("services")).text
        waits = await asker("start web")
        assert waits.status == 5
        assert waits.text == "error: web waits for data\nhint: it starts as soon as that is up: start data\n"
        assert (await asker("start data")).text == "data is up; web is up\n"
        found: Any = await asker.json("restart data")
        assert [(one["name"], one["starts"]) for one in found] == [("data", 3), ("web", 3)]


async def test_what_cuts_ones_own_connection_is_said_twice_or_forced() -> None:
    async with shop() as application:
        asker = Asker(application, service="web")
        first = await asker("restart data")
        assert first.status == 4
        assert "the same line again" in first.text
        await asker("uptime")
        assert (await asker("restart data")).status == 4  # not the one just before
        assert (await asker("restart data")).text == "data goes down and comes back\n"
        assert (await asker("stop web --force")).status == 0


async def test_connections_and_closing_one() -> None:
    async with shop() as application:
        asker = Asker(application)
        assert (await asker("connections")).text == "none\n"
        assert await asker.json("connections --service web") == {"connections": [], "count": 0}
        gone = await asker("close 7")
        assert (gone.status, gone.text.splitlines()[0]) == (3, "error: no connection 7")
        assert (await asker("close seven")).text.splitlines()[0] == "error: NUMBER is 'seven', expected a number"


async def test_tasks_with_their_stacks() -> None:
    async with shop() as application:
        asker = Asker(application)
        text = (await asker("tasks keep* --stacks", 0)).text
        assert "keep data: Unit.keep" in text
        assert "Board.until" in text
        found: Any = await asker.json("tasks web")
        assert {one["name"] for one in found["tasks"]} >= {"keep web", "run web"}
        assert (await asker("tasks --most 1")).text.splitlines()[-1].startswith("... and ")


async def test_metrics_by_pattern() -> None:
    async with shop() as application:
        asker = Asker(application)
        text = (await asker("metrics service_up", 0)).text
        assert "ropewalk_service_up{service=data}  1" in text
        found: Any = await asker.json("metrics ropewalk_service_st?rts_total")
        assert {one["name"] for one in found["metrics"]} == {"ropewalk_service_starts_total"}
        wrong = await asker("metrics ropewalk_servce_up")
        assert wrong.status == 2
        assert "did you mean ropewalk_service_up" in wrong.text


async def test_levels_are_shown_set_and_put_back() -> None:
    logging.getLogger("tests.console.levels")
    async with shop() as application:
        asker = Asker(application)
        assert (await asker("level tests.console.levels debug")).text.startswith(
            "tests.console.levels speaks from debug"
        )
        assert "tests.console.levels was set to debug" in (await asker("level")).text
        await asker("level tests.console.levels back")
        found: Any = await asker.json("level tests.console.levels")
        assert found["changed"] == {}
        assert (await asker("level tests.console.levls debug")).status == 3
        assert "did you mean debug" in (await asker("level root debgu")).text


async def test_the_last_lines_of_the_log() -> None:
    async with shop() as application:
        asker = Asker(application)
        log = application.control.log
        root = logging.getLogger()
        root.addHandler(log)
        try:
            logging.getLogger("tests.shop").warning("rope is short")
            logging.getLogger("tests.shop").error("rope is out")
        finally:
            root.removeHandler(log)
        assert "error tests.shop: rope is out" in (await asker("log 1")).text
        found: Any = await asker.json("log --logger tests.shop --level error")
        assert [one["text"] for one in found["lines"]][-1:] == ["rope is out"]
        assert (await asker("log 0")).status == 2
        assert (await asker("log --level eror")).text.endswith("hint: did you mean error?\n")


async def test_configuration_without_secrets() -> None:
    async with shop() as application:
        asker = Asker(application)
        for line in ("config", "config web", "config web --json"):
            text = (await asker(line, 0)).text
            assert "nails" in text
            assert "geheim" not in text
        assert (await asker("config wbe")).text.endswith("hint: did you mean web?\n")


async def test_reload_uptime_who_help_and_quit() -> None:
    async with shop() as application:
        asker = Asker(application)
        assert (await asker("reload")).text == "reloaded: 3 services\n"
        assert (await asker("uptime")).text.startswith("shop: for ")
        assert await asker.json("who") == []
        with application.control.presence.enter("ann", "ssh", "192.0.2.1", "web"):
            assert "ann" in (await asker("who")).text
        text = (await asker("help")).text
        assert all(command.name in text for command in ALL)
        assert (await asker("help stop")).text == (await asker("stop --help")).text
        assert (await asker("quit")).leaves
        assert (await asker("exit")).leaves
        assert (await asker("  ")).text == ""


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("servces", "no command 'servces'", "did you mean services or service?"),
        ("xyzzy", "no command 'xyzzy'", "`help` says what there is"),
        ("stop", "stop needs NAME", "stop NAME [--force]"),
        ("stop data web", "'web' is too much", "stop NAME [--force]"),
        ("stop data --forse", "stop has no --forse", "did you mean --force?"),
        ("stop --force=1 data", "--force takes no value", ""),
        ("connections --most", "--most needs a value", "connections [--service SERVICE] [--most MOST]"),
        ("connections --most 0", "got 0, expected 1 to 1000", ""),
        ("help 'so", "a quote or backslash in the line is left open", ""),
        ("help " + "x" * 5_000, "the line has 5005 characters, more than 4096", ""),
        ("help " + "x " * 70, "the line has 71 words, more than 64", ""),
    ],
)
async def test_wrong_words(line: str, message: str, hint: str) -> None:
    async with shop() as application:
        outcome = await Asker(application)(line)
        assert outcome.status == 2
        assert outcome.text == f"error: {message}\n" + (f"hint: {hint}\n" if hint else "")


async def test_an_error_for_a_program() -> None:
    async with shop() as application:
        found: Any = await Asker(application).json("stop dat")
        error = {"code": "service.no-service", "message": "no service 'dat'", "hint": "did you mean data?"}
        assert found == {"error": error}


@pytest.mark.parametrize("line", ["start web", "stop web", "restart web", "close 1", "level root debug", "reload"])
async def test_who_may_only_look_changes_nothing(line: str) -> None:
    async with shop() as application:
        watcher = Asker(application, Right.LOOK)
        outcome = await watcher(line)
        assert (outcome.status, outcome.text.splitlines()[0]) == (4, "error: no right to change anything here")
        assert application.control.service("web").starts == 1
        assert "stop" not in (await watcher("help")).text.replace("stopped", "")
        assert completions(watcher.ask, "st") == []


async def test_python_needs_its_own_right() -> None:
    async with shop() as application:
        assert (await Asker(application, Right.LOOK, Right.ACT)("python")).status == 4
        assert (await Asker(application)("python")).python
        assert not (await Asker(application)("python --help")).python


async def test_each_line_is_audited_with_who_and_how_it_went(audit: list[dict[str, str]]) -> None:
    async with shop() as application:
        asker = Asker(application, Right.LOOK)
        for line in (
            "uptime",
            "stop web",
            "bogus\x1b[2J",
            "config 'x",
            "metrics https://u:geheim@h",
            "log password=geheim",
        ):
            await asker(line)
    assert [(one["line"], one["outcome"]) for one in audit] == [
        ("uptime", "done"),
        ("stop web", "console.not-allowed"),
        ("bogus\\x1b[2J", "console.unknown-command"),
        ("config 'x", "console.bad-words"),
        ("metrics https://u:(hidden)@h", "console.bad-words"),
        ("log password=(hidden)", "console.bad-words"),
    ]
    assert {(one["who"], one["by"], one["address"]) for one in audit} == {("ann", "ssh", "192.0.2.1")}


async def test_nobody_turns_the_audit_off(audit: list[dict[str, str]]) -> None:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    try:
        async with shop() as application:
            asker = Asker(application)
            assert (await asker("level ropewalk.console.audit error")).status == 2
            assert (await asker("level ropewalk.console error")).status in (0, 3)
            await asker("uptime")
    finally:
        root.setLevel(level)
    assert len(audit) == 3
    assert logging.getLogger("ropewalk.console.audit").isEnabledFor(logging.INFO)


async def test_what_is_audited_has_a_bound(audit: list[dict[str, str]]) -> None:
    async with shop() as application:
        await Asker(application)("help " + "x" * 100_000)
    assert len(audit[0]["line"]) < 1_100


MORE = Commands()


@MORE.command(right=Right.ACT)
async def sell(ask: Ask, what: str, *, pieces: int = 1) -> Answer:
    """Sell something."""
    if what == "air":
        raise ValueError("no air here")
    if what == "time":
        await asyncio.Event().wait()
    if what == "sand":
        return Answer("x" * 2_000_000, lambda _: ["x"] * 1_000_000)
    return Answer.said(f"{ask.identity.name} sold {pieces} {what}\x1b[2J", pieces)


async def test_commands_of_others_and_what_they_do_wrong(
    audit: list[dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    async with shop() as application:
        asker = Asker(application, commands=ALL.with_those_of(MORE))
        assert (await asker("sell rope --pieces=3")).text == "ann sold 3 rope\ufffd[2J\n"
        failed = await asker("sell air")
        assert (failed.status, failed.text) == (
            1,
            "error: sell failed: ValueError: no air here\nhint: the log says more\n",
        )
        much = (await asker("sell sand")).text
        assert much.count("\n") < 3_000
        assert (await asker("sell sand --json")).status == 4
        waiting = asyncio.create_task(asker("sell time"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert [one["outcome"] for one in audit][-1] == "interrupted"
    assert "no air here" in caplog.text
    with pytest.raises(BadCommand, match="two commands are called 'sell'"):
        MORE.with_those_of(MORE)


def test_what_cannot_be_a_command() -> None:
    commands = Commands()

    async def silent(ask: Ask) -> Answer:
        return Answer.said("", None)

    async def odd(ask: Ask, what: bytes) -> Answer:
        """Take bytes."""
        return Answer.said("", None)

    for function in (silent, odd, lambda ask: None):
        with pytest.raises(BadCommand):
            commands.command()(function)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("st", ["start", "stop"]),
        ("", None),
        ("stop ", ["bad", "data", "web"]),
        ("stop w", ["web"]),
        ("stop data ", []),
        ("stop --", ["--force", "--help", "--json"]),
        ("connections --service ", ["bad", "data", "web"]),
        ("connections --most 3 ", []),
        ("level root de", ["debug"]),
        ("level root b", ["back"]),
        ("log --level ", ["critical", "debug", "error", "info", "warning"]),
        ("help upt", ["uptime"]),
        ("metrics ropewalk_service_up", ["ropewalk_service_up"]),
        ("bogus ", []),
        ("stop 'w", []),
        ("x" * 9_999, []),
    ],
)
async def test_completion(line: str, words: list[str] | None) -> None:
    async with shop() as application:
        found = completions(Asker(application).ask, line)
        assert found == words if words is not None else {"quit", "services", "python"} <= set(found)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.text(max_size=200) | st.sampled_from(["services", "log", "config", "tasks --stacks"]),
    width=st.integers(0, 200),
)
def test_whatever_is_typed_gets_an_answer_that_a_terminal_can_show(line: str, width: int) -> None:
    async def main() -> None:
        async with shop() as application:
            asker = Asker(application, Right.LOOK)
            outcome = await asker(line, width)
            assert all(one.isprintable() or one == "\n" for one in outcome.text) or "\ufffd" in outcome.text
            assert outcome.text == "" or outcome.text.endswith("\n")
            if width >= 60 and outcome.status == 0 and line in ("services", "config"):
                assert max(width_of(one) for one in outcome.text.splitlines()) <= width
            completions(asker.ask, line)

    asyncio.run(main())


async def test_a_word_that_is_no_number_gets_a_hint_of_how_it_goes() -> None:
    async with shop() as application:
        asker = Asker(application)
        said = (await asker("close abc")).text
        assert "hint: close NUMBER [--now]; NUMBER: Of the connection, as `connections` shows it." in said
        said = (await asker("log abc")).text
        assert "LINES is 'abc', expected a number" in said
        assert "hint: log [LINES] [--level LEVEL] [--logger LOGGER]" in said


@pytest.mark.parametrize("width", [0, 20, 40, 80, 200])
async def test_help_is_wrapped_and_nothing_of_it_is_cut_off(width: int) -> None:
    async with shop() as application:
        asker = Asker(application)
        said = (await asker("help", width)).text
        words = " ".join(said.split())
        assert "\u2026" not in said
        for command in ALL:
            assert " ".join(command.summary.split()) in words
        assert width in (0, 20) or max(map(len, said.splitlines())) <= width


async def test_a_plan_made_of_a_local_function_has_a_kind_that_can_be_read() -> None:
    def typed(config: NoConfig, context: Context) -> Fine:
        return Fine(config, context)

    def vague(config: NoConfig, context: Context) -> Any:
        return Fine(config, context)

    async with shop(Plan("typed", typed, NoConfig()), Plan("vague", vague, NoConfig())) as application:
        asker = Asker(application)
        assert "tests.console.stage:Fine" in (await asker("service typed")).text
        assert f"{__name__}:vague" in (await asker("service vague")).text
        assert "locals" not in (await asker("config")).text
