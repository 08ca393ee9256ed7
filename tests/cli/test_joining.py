"""`ropewalk join`, `invite`: what went wrong on the way into a space can be made good, and is told truly."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest

from ropewalk import mailbox
from ropewalk.cli import join as join_command
from ropewalk.cli.join import _meet
from ropewalk.cli.mailboxes import slot_joined
from ropewalk.cli.output import Voice
from ropewalk.spaces.group import BelowFloor, Group
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.invites import Code, Joiner, JoinerKeys
from ropewalk.spaces.space import open_space
from ropewalk.testing.letting_in import let_in_device
from tests.cli.conftest import STORES, As
from tests.cli.inviting import MAIN, by_file, waiting
from tests.cli.restoring import Terminal


def home_of(user: Path, name: str) -> Home:
    return Home(user.parent / name, user.parent / name / "state")


def handed_over(user: Path, machine: As, home: str, *words: str) -> tuple[Path, Path]:
    """An invite by file that was answered, and the welcome made of the answer: invite, welcome."""
    invite = user / f"{home}.invite"
    machine("home", "invite", "photos", "--file", str(invite), *words)
    before = set(user.glob("*.answer"))
    machine(home, "join", "--file", str(invite), "--yes")
    (answer,) = set(user.glob("*.answer")) - before
    machine("home", "invite", "photos", "--answer", str(answer))
    return invite, answer.with_suffix(".welcome")


def away(user: Path, *stores: str) -> None:
    for name in stores:
        (user / name).rename(user / f"{name}-away")


def back(user: Path, *stores: str) -> None:
    for name in stores:
        (user / f"{name}-away").rename(user / name)


# ---- no way there from here ------------------------------------------------------------------------------------------


@pytest.mark.system
def test_a_code_of_somebody_whose_stores_are_elsewhere_is_not_lost(machine: As, photos: Path) -> None:
    """Two machines that mount the stores at other places: each hint leads on, and none of them to a new invite."""
    with waiting(photos, "invite", "photos", "--as", "dora", "--no-places") as inviter:
        refused = machine("dora", *inviter.command, "--yes", "--json", status=2)
        assert "none of the 5 stores of photos is within reach" in refused.error["message"]
        assert "ropewalk store add" in refused.error["hint"]
        assert "ropewalk join --again" in refused.error["hint"]
        status, _, _ = inviter.end()
    assert status == 0
    assert "ropewalk join --again" in machine("dora", "join", "--again", status=2).err
    machine("dora", "store", "add", "mine", str(photos / "s0"))
    (told,) = machine("dora", "join", "--again", "--json").lines
    assert (told["space"], told["name"], told["stores"], len(told["missing"])) == ("photos", "dora", ["mine"], 4)
    assert "no invite is under way" in machine("dora", "join", "--again", status=3).err
    assert machine("dora", "ls", "photos:/").out == ""


def test_stores_that_are_away_and_come_back(machine: As, photos: Path) -> None:
    invite, welcome = handed_over(photos, machine, "anna", "--as", "anna")
    names = [f"s{at}" for at in range(STORES)]
    away(photos, *names)
    assert (
        "ropewalk join --again"
        in machine("anna", "join", "--file", str(invite), "--welcome", str(welcome), status=2).err
    )
    invite.unlink()
    welcome.unlink()
    back(photos, *names)
    assert [one["space"] for one in machine("anna", "join", "--again", "--json").lines] == ["photos"]


def test_attach_takes_the_space_that_an_invite_has_named(machine: As, photos: Path) -> None:
    invite, welcome = handed_over(photos, machine, "anna", "--no-places")
    machine("anna", "join", "--file", str(invite), "--welcome", str(welcome), status=2)
    machine("anna", "store", "add", "mine", str(photos / "s0"))
    told = machine("anna", "space", "attach", "pictures", "--json").json
    assert (told["space"], told["id"]) == ("pictures", home_of(photos, "home").load().spaces["photos"].id)
    assert machine("anna", "join", "--again").out == "pictures is here already\n"


def test_what_is_under_way_can_be_forgotten(machine: As, photos: Path) -> None:
    invite, welcome = handed_over(photos, machine, "anna", "--no-places")
    machine("anna", "join", "--file", str(invite), "--welcome", str(welcome), status=2)
    assert machine("anna", "join", "--forget", "--json").json == {"forgotten": 1}
    assert machine("anna", "join", "--forget", "--json").json == {"forgotten": 0}
    machine("anna", "join", "--again", status=3)
    machine("anna", "join", "--file", str(invite), "--welcome", str(welcome), status=2)
    machine("anna", "store", "add", "mine", str(photos / "s0"))
    (kept,) = (photos.parent / "anna" / "state" / "invites").glob("*.answer")
    answer = kept.read_bytes()
    machine("anna", "join", "--again")
    machine("anna", "join", "--file", str(invite))
    assert kept.read_bytes() == answer, "a second consent was signed for one invite"


def test_somebody_who_is_here_already_is_told_so(machine: As, photos: Path) -> None:
    """As after a kill between the settings and the end."""
    invite, welcome = handed_over(photos, machine, "anna", "--no-places")
    machine("anna", "join", "--file", str(invite), "--welcome", str(welcome), status=2)
    machine("anna", "store", "add", "mine", str(photos / "s0"))
    kept = {path: path.read_bytes() for path in (photos.parent / "anna" / "state" / "invites").glob("*.joining")}
    machine("anna", "join", "--again")
    for path, data in kept.items():
        path.write_bytes(data)
    assert machine("anna", "join", "--again").out == "photos is here already\n"
    machine("anna", "join", "--again", status=3)


def slipped_in(photos: Path, machine: As) -> Path:
    """Whoever invites lets bob in as one more device of anna's, and invites him as a new member: the welcome."""
    by_file(photos, machine, "anna", "--as", "anna")
    machine("bob", "init", "--yes")
    homes = [home_of(photos, name) for name in ("anna", "bob")]
    theirs, his = (home.open_keys("one two three") for home in homes)

    async def slip() -> None:
        async with await open_space(homes[0], "photos", theirs) as space, space.group() as group:
            await let_in_device(group, "x", his)

    asyncio.run(slip())
    return handed_over(photos, machine, "bob")[1]


@pytest.mark.parametrize("said", ["", "no", "yes"])
def test_who_comes_to_share_a_member_is_asked(
    machine: As, photos: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    welcome = slipped_in(photos, machine)
    monkeypatch.setattr("sys.stdin", Terminal(f"{said}\n") if said else io.StringIO("yes\n"))
    take = ["join", "--file", str(photos / "bob.invite"), "--welcome", str(welcome)]
    told = machine("bob", *take, status=0 if said == "yes" else 7)
    assert ("Are all of them yours? (yes/no)" in told.err) is bool(said)
    assert "one more device of anna, which has these: paper key, " in told.err
    assert ("photos" in home_of(photos, "bob").load().spaces) is (said == "yes")
    assert ("this machine is one more device of anna" in told.out) is (said == "yes")


# ---- what got lost ---------------------------------------------------------------------------------------------------


def test_a_new_invite_heals_a_lost_welcome(machine: As, photos: Path) -> None:
    _, welcome = handed_over(photos, machine, "anna", "--as", "anna")
    welcome.unlink()
    (photos / "anna.invite").unlink()
    before = machine("home", "members", "photos", "--json").lines
    invite, welcome = handed_over(photos, machine, "anna")
    assert [one["id"] for one in machine("home", "members", "photos", "--json").lines] == [one["id"] for one in before]
    (told,) = machine("anna", "join", "--file", str(invite), "--welcome", str(welcome), "--json").lines
    assert (told["space"], told["name"], told["role"]) == ("photos", "anna", "writer")
    assert machine("anna", "ls", "photos:/").out == ""


def test_the_inviter_is_told_who_was_in_already(machine: As, photos: Path) -> None:
    by_file(photos, machine, "anna", "--as", "anna")
    (photos / "anna.invite").unlink()
    invite = photos / "again"
    machine("home", "invite", "photos", "--file", str(invite), "--role", "reader")
    before = set(photos.glob("*.answer"))
    machine("anna", "join", "--file", str(invite))
    (answer,) = set(photos.glob("*.answer")) - before
    wrong = machine("home", "invite", "photos", "--answer", str(answer), "--json", status=2)
    assert wrong.error["message"] == "this machine is in photos already, as anna, writer; the invite is for a reader"
    assert "ropewalk member role anna reader" in wrong.error["hint"]
    machine("home", "member", "role", "anna", "reader")
    told = machine("home", "invite", "photos", "--answer", str(answer))
    assert told.out.startswith("anna is in photos already, as reader, with ")


def test_an_answer_that_came_while_a_store_was_away_is_taken_later(machine: As, photos: Path) -> None:
    """As on three stores, of which one is gone: nothing is used up by what could not be done."""
    names = "s0,s1,s2"
    machine("home", "space", "create", "small", "--stores", names, "--survive", "1", "--across", "store")
    machine("home", "invite", "small", "--file", "invite", "--as", "anna")
    machine("anna", "join", "--file", "invite", "--yes")
    (answer,) = photos.glob("*.answer")
    away(photos, "s0", "s1")
    refused = machine("home", "invite", "small", "--answer", str(answer), "--json", status=5)
    assert "nothing was changed" in refused.error["hint"]
    assert [one["spaces"] for one in machine("home", "invite", "--list", "--json").lines] == [["small"]]
    back(photos, "s0", "s1")
    machine("home", "invite", "small", "--answer", str(answer))
    welcome = answer.with_suffix(".welcome")
    first = welcome.read_bytes()
    machine("home", "invite", "small", "--answer", str(answer), "--json")
    assert welcome.read_bytes() == first, "one key would have sealed two welcomes"
    machine("anna", "join", "--file", "invite", "--welcome", str(welcome))
    assert machine("anna", "ls", "small:/").out == ""


# ---- what is open ----------------------------------------------------------------------------------------------------


def test_files_that_were_given_out_do_not_stop_codes_and_can_be_withdrawn(machine: As, photos: Path) -> None:
    for number in range(16):
        machine("home", "invite", "photos", "--file", f"invite{number}", "--as", f"p{number}")
    full = machine("home", "invite", "photos", "--file", "invite", "--json", status=4)
    assert "ropewalk invite --list" in full.error["hint"]
    assert "--withdraw" in full.error["hint"]
    listed = machine("home", "invite", "--list", "--json").lines
    assert sorted(one["name"] for one in listed) == sorted(f"p{number}" for number in range(16))
    assert {(one["by"], tuple(one["spaces"]), one["role"]) for one in listed} == {("file", ("photos",), "writer")}
    assert len(machine("home", "invite", "--list").out.splitlines()) == 16
    which = next(one["id"] for one in listed if one["name"] == "p3")
    machine("home", "invite", "--withdraw", which[:8])
    assert "p3" not in {one["name"] for one in machine("home", "invite", "--list", "--json").lines}
    machine("home", "invite", "photos", "--file", "invite")
    machine("home", "invite", "--withdraw", which[:8], status=3)
    machine("anna", "join", "--file", "invite3", "--yes")
    (answer,) = photos.glob("*.answer")
    assert (
        machine("home", "invite", "photos", "--answer", str(answer), "--json", status=4).error["code"] == "invite.used"
    )


@pytest.mark.system
def test_codes_are_open_beside_files(machine: As, photos: Path) -> None:
    for number in range(16):
        machine("home", "invite", "photos", "--file", f"invite{number}")
    with waiting(photos, "invite", "photos") as inviter:
        listed = machine("home", "invite", "--list", "--json").lines
        assert [one["number"] for one in listed if one["by"] == "code"] == [int(inviter.told["code"].split("-")[0])]


def test_an_answer_of_somebody_who_was_put_out_since_is_refused(machine: As, photos: Path) -> None:
    _, welcome = handed_over(photos, machine, "anna", "--as", "anna")
    machine("home", "member", "remove", "anna", "--yes")
    welcome.unlink()
    refused = machine("home", "invite", "photos", "--answer", str(welcome.with_suffix(".answer")), "--json", status=4)
    assert refused.error["code"] == "invite.put-out"
    assert "was put out of photos since" in refused.error["message"]
    assert (refused.out, welcome.exists()) == ("", False)


def test_what_an_answer_has_named_holds(machine: As, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, and the paper key that this machine had then: the inviter let in that one."""
    invite = photos / "anna.invite"
    machine("home", "invite", "photos", "--file", str(invite))
    machine("anna", "join", "--file", str(invite), "--as", "anna", "--device", "desk", "--yes")
    (answer,) = photos.glob("*.answer")
    machine("home", "invite", "photos", "--answer", str(answer))
    take = ["join", "--file", str(invite), "--welcome", str(answer.with_suffix(".welcome"))]
    for option, said in (("--device", "desk"), ("--as", "anna")):
        refused = machine("anna", *take, option, "other", "--json", status=2)
        assert f"the answer to this invite has said '{said}'" in refused.error["message"]
        refused = machine("anna", "join", "--file", str(invite), option, "other", "--json", status=2)
        assert f"the answer to this invite has said '{said}'" in refused.error["message"]
    other = DeviceKeys(bytes(range(32)), PAPER).public()
    (home_of(photos, "anna").config / "paper.public").write_bytes(msgspec.msgpack.encode(other))
    machine("anna", *take)
    (anna,) = [one for one in machine("anna", "members", "photos", "--json").lines if one["you"]]
    assert (anna["name"], [one["name"] for one in anna["devices"]]) == ("anna", [None, "desk"])


# ---- what is told ----------------------------------------------------------------------------------------------------


def test_a_code_without_a_mailbox_makes_no_keys(machine: As, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROPEWALK_MAILBOX", raising=False)
    refused = machine("anna", "join", "7-crossover-clockwork", "--yes", status=2)
    assert "--mailbox" in refused.err
    assert "ROPEWALK_MAILBOX" in refused.err
    assert refused.out == ""
    assert not home_of(user, "anna").has_keys
    wrong = machine("anna", "join", "7-crossover-clockwork", "--mailbox", "nowhere", "--yes", status=2)
    assert wrong.out == ""
    assert not home_of(user, "anna").has_keys


@pytest.mark.system
def test_the_whole_line_to_type_is_shown(machine: As, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the mailbox is named in the inviter's environment: the other machine does not have that."""
    with waiting(photos, "invite", "photos") as host:
        monkeypatch.setenv("ROPEWALK_MAILBOX", host.command[-1])
        with waiting(photos, "invite", "photos") as inviter:
            assert inviter.told["command"] == f"ropewalk join {inviter.told['code']} --mailbox {host.command[-1]}"


@pytest.mark.system
def test_a_program_is_told_where_this_machine_is_the_mailbox(
    machine: As, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with waiting(photos, "invite", "photos") as host, waiting(photos, "invite", "photos", "--qr") as drawn:
        for one in (host, drawn):
            place = one.told["listens"]
            assert one.told["mailbox"] == f"tcp://{place['address']}:{place['port']}"
            with socket.create_connection(("127.0.0.1", place["port"])):
                pass
        monkeypatch.setenv("ROPEWALK_MAILBOX", host.command[-1])
        with waiting(photos, "invite", "photos") as elsewhere:
            assert elsewhere.told["listens"] is None


@contextmanager
def nobody_there() -> Iterator[int]:
    """A port that nobody else can get, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.system
def test_a_mailbox_that_is_not_there_is_told_once(machine: As, user: Path) -> None:
    machine("anna", "init", "--yes")
    script = MAIN.replace("sys.exit", "from ropewalk.cli import join\njoin.PATIENCE = 0.5\nsys.exit")
    with nobody_there() as port:
        words = ["join", "7-crossover-clockwork", "--mailbox", f"tcp://127.0.0.1:{port}", "--json"]
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            check=False,
            capture_output=True,
            env={**os.environ, "ROPEWALK_HOME": str(user.parent / "anna")},
            timeout=60,
        )
    assert done.returncode == 5
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["error"]["code"] == "net.connection-refused"


@pytest.mark.system
def test_a_mailbox_that_is_not_there_is_told_before_there_are_keys(
    machine: As, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join_command, "PATIENCE", 0.5)
    with nobody_there() as port:
        words = ["join", "7-crossover-clockwork", "--mailbox", f"tcp://127.0.0.1:{port}", "--yes", "--json"]
        refused = machine("anna", *words, status=5)
    assert (refused.error["code"], refused.out) == ("net.connection-refused", "")
    assert not home_of(user, "anna").has_keys


@pytest.mark.system
def test_who_is_the_mailbox_itself_says_where_it_listens(machine: As, photos: Path) -> None:
    """And for how long: it is open to whoever reaches this machine."""
    script = MAIN.replace("sys.exit(main())", "sys.argv[1:] = ['invite', 'photos', '--expires', '3m']; main()")
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "ROPEWALK_HOME": str(photos.parent / "home"), "PYTHONUNBUFFERED": ""},
        text=True,
    )
    try:
        assert process.stderr is not None
        told = next(line for line in process.stderr if "listens" in line)
    finally:
        process.kill()
        out, _ = process.communicate()
    port = out.split("tcp://")[1].split()[0].rpartition(":")[2]
    assert f"this machine is the mailbox: it listens at port {port} of all its addresses" in told
    assert "until the other machine has joined, or for 3 minutes" in told


@pytest.mark.system
def test_one_more_machine_is_told_whose_it_is(machine: As, photos: Path) -> None:
    by_file(photos, machine, "anna", "--as", "anna")
    with waiting(photos, "device", "add", home="anna") as inviter:
        joined = machine("laptop", *inviter.command, "--yes")
        assert inviter.end()[0] == 0
    assert "photos is here now; this machine is one more device of anna: writer, 5 stores" in joined.out


@pytest.mark.parametrize("there", [0, 1, 2, None])
async def test_an_invite_is_looked_for_in_turn(there: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """At mailboxes that nobody has named; none is asked any more once one has it."""
    urls, asked = [f"tcp://127.0.0.1:{port}" for port in (1, 2, 3)], []

    @asynccontextmanager
    async def joined(url: object, _slot: bytes, **_: object) -> AsyncIterator[object]:
        asked.append(str(url))
        if there is None or str(url) != urls[there]:
            raise (mailbox.NoSlot if len(asked) % 2 else mailbox.SlotTaken)("not here")
        yield url

    monkeypatch.setattr(mailbox, "joined", joined)
    async with AsyncExitStack() as stack:
        if there is None:
            with pytest.raises(mailbox.NoSlot, match="waits at any of the 3 nodes") as found:
                await slot_joined(stack, urls, b"7", 1)
            assert "--mailbox" in found.value.hint
        else:
            assert str(await slot_joined(stack, urls, b"7", 1)) == urls[there]
    assert asked == urls[: 3 if there is None else there + 1]


@pytest.mark.parametrize("asked", [False, True])
async def test_who_stops_a_ceremony_is_told_whether_the_code_is_gone(
    user: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: bool
) -> None:
    """For what else is said to whoever stops a command is that it can be given again."""

    @asynccontextmanager
    async def joined(*_: object, **__: object) -> AsyncIterator[None]:
        yield None

    async def meets(_: object, joiner: Joiner, mark: Callable[[], None], keep: object) -> None:
        if asked:
            joiner.ask(mark)
        raise asyncio.CancelledError

    monkeypatch.setattr(mailbox, "joined", joined)
    monkeypatch.setattr(mailbox, "join", meets)
    keys, code = DeviceKeys(bytes(32)), Code.parse("7-crossover-clockwork")
    me = JoinerKeys(keys.public(), None, "anna", "laptop")
    home = home_of(user, "anna")
    with pytest.raises(asyncio.CancelledError):
        await _meet(home, code, None, ["tcp://127.0.0.1:1"], keys, me, "", Voice())
    assert ("ask for a new invite" in capsys.readouterr().err) is asked


def test_what_a_command_does_not_take_is_named(machine: As, photos: Path) -> None:
    for words in (["members", "photos", "extra"], ["join", "7-crossover-clockwork", "extra"]):
        refused = machine("home", *words, "--json", status=2)
        assert refused.error["message"] == "got 'extra', which is one argument too many"
    two = machine("home", "members", "photos", "a", "b", "--json", status=2)
    assert two.error["message"] == "got 'a', 'b', which are 2 arguments too many"


def test_a_note_is_for_people(machine: As, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine cannot give itself a name, since no store takes the record."""

    async def refuses(*_: object) -> None:
        raise BelowFloor("no store took it")

    monkeypatch.setattr(Group, "call_device", refuses)
    invite, welcome = handed_over(photos, machine, "anna", "--as", "anna")
    words = ["join", "--file", str(invite), "--welcome", str(welcome)]
    kept = {path: path.read_bytes() for path in (photos.parent / "anna" / "state" / "invites").glob("*.answer")}
    for quiet in ("--json", "-q"):
        told = machine("anna", *words, quiet)
        assert told.err == ""
        for path, data in kept.items():
            path.write_bytes(data)
    assert "no name there yet: no store took it" in machine("anna", *words).err


def test_one_of_the_ways_to_join_is_named(machine: As, user: Path) -> None:
    for words in ([], ["7-crossover-clockwork", "--again"], ["--again", "--forget"], ["--file", "x", "--forget"]):
        assert "one of" in machine("anna", "join", *words, status=2).err
    assert "no keys yet" in machine("anna", "join", "--again", status=3).err


def test_help_names_roles(machine: As, user: Path) -> None:
    text = machine("anna", "invite", "--help").out
    assert "reader, writer, admin or steward; writer if not said" in " ".join(text.split())
    assert "CHOICE" not in text
    assert machine("anna", "join", "--help").out.startswith("Usage: ropewalk join [CODE] [OPTIONS]")


def test_an_invite_is_for_a_space(machine: As, photos: Path) -> None:
    assert "which space" in machine("home", "invite", status=2).err
    assert machine("home", "invite", "--list").out == ""
