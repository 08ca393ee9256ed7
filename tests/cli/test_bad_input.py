"""What bad input gets: one line, a hint, a stable exit status, and nothing lost."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ropewalk.spaces.members import authoring, membership, outcome, records
from ropewalk.spaces.transfer import put as put_module
from ropewalk.spaces.transfer.scan import Scanned
from tests.cli.conftest import Run

WRONG: list[tuple[tuple[str, ...], int, str]] = [
    (("frob",), 2, 'unknown command "frob"'),
    (("ls",), 2, "SPACE:/PATH"),
    (("ls", "photos", "--nope"), 2, "--nope"),
    (("ls", "photos", "--at"), 2, "--at"),
    (("du", "photos", "--depth", "deep"), 2, "deep"),
    (("du", "photos", "--depth", "-1"), 2, "--depth"),
    (("log", "photos", "-n", "-1"), 2, "--limit"),
    (("find", "photos", "--kind", "pipe"), 2, "pipe"),
    (("put", "a"), 2, "got 1 of at least 2 arguments"),
    (("put", "nothing", "photos:/"), 3, "no file or folder nothing"),
    (("put", "photos:/a", "b"), 3, "no file or folder photos:/a"),
    (("put", ".", "a/../.", "photos:/"), 2, "different names"),
    (("put", "/", ".", "photos:/"), 2, "different names"),
    (("put", ".", "./local"), 2, "'./local' is not a place in a space"),
    (("get", "./a", "b"), 2, "'./a' is not a place in a space"),
    (("get", "photos:/nothing", "b"), 3, "no /nothing"),
    (("get", "photos:/", "no/such/b"), 3, "no folder"),
    (("restore", "photos:/", "b"), 2, "names no version"),
    (("restore", "photos:/@abc", "b"), 3, "not 4 or more hex digits"),
    (("restore", "photos:/@abcdabcd", "b"), 3, "no versions start with 'abcdabcd'"),
    (("diff", "photos@1234", "other@1234"), 2, "not one place in two versions"),
    (("ls", "films"), 3, "no space is called 'films', known are: photos"),
    (("ls", "photos:/nothing"), 3, "no /nothing"),
    (("ls", "photos:/a/../b"), 2, "'..'"),
    (("ls", "photos:/" + "n" * 256), 2, "expected"),
    (("ls", "photos:/" + "n/" * 2100), 2, "expected at most 4096"),
    (("cat",), 2, "got no file"),
    (("cat", "photos:/"), 2, "is not a file"),
    (("cat", "photos:/a", "films:/a"), 2, "places are in 2 spaces"),
    (("rm", "photos:/"), 2, "cannot be removed"),
    (("rm", "photos:/nothing"), 3, "no /nothing"),
    (("rm",), 2, "got no place"),
    (("mkdir", "photos:/a/b"), 3, "-p"),
    (("mv", "photos:/nothing", "photos:/b"), 3, "no /nothing"),
    (("mv", "photos:/a", "films:/b"), 2, "places are in 2 spaces"),
    (("status", "films"), 3, "no space is called 'films'"),
    (("space", "add-store", "films", "s0"), 3, "no space is called 'films'"),
]


def test_words_that_cannot_be(run: Run, photos: Path, subtests: pytest.Subtests) -> None:
    for words, status, why in WRONG:
        with subtests.test(" ".join(words)[:60]):
            result = run(*words, status=status)
            assert why in result.err
            assert result.out == ""
            errors = [line for line in result.err.splitlines() if not line.startswith(("warning: ", "hint: "))]
            assert len(errors) == 1
            assert errors[0].startswith("error: ")


def test_an_error_as_json(run: Run, photos: Path) -> None:
    assert run("ls", "films", "--json", status=3).error["code"] == "home.unknown-name"
    assert run("ls", "--nope", "--json", status=2).error == {
        "code": "cli.bad-arguments",
        "message": "unknown option: --nope",
        "hint": "`ropewalk ls --help` shows how it goes",
    }
    assert run("ls", "--", "--json", status=2).err.startswith("error: ")


def test_before_init(run: Run, user: Path) -> None:
    assert "known are: none" in run("ls", "photos", status=3).err
    run("store", "add", "a", "a")
    run("store", "add", "b", "b")
    result = run("space", "create", "photos", "--stores", "a,b", "--survive", "1", status=3)
    assert "run `ropewalk init`" in result.err


def test_a_wrong_passphrase(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROPEWALK_PASSPHRASE", "wrong")
    result = run("ls", "photos", status=4)
    assert result.err == (
        "error: wrong passphrase, or the key file was changed\nhint: the passphrase came from $ROPEWALK_PASSPHRASE\n"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"format = ", "settings.toml"),
        (b"\xff\xfe", "cannot be read"),
        (b"format = 2", "format is 2, known is 1"),
        (b"format = 1\ncolour = 3", "colour"),
        (b"[stores]\na = 3", "object"),
    ],
)
def test_settings_that_are_wrong(run: Run, photos: Path, text: bytes, why: str) -> None:
    settings = photos.parent / "home" / "settings.toml"
    settings.write_bytes(text)
    for words in (["ls", "photos"], ["store", "add", "x", "x"], ["init", "--yes"]):
        assert why in run(*words, status=6).err
    assert settings.read_bytes() == text
    assert not (photos / "x").exists()


@pytest.mark.parametrize("damage", [b"", b"junk", b"\x98" + bytes(40)])
def test_keys_that_are_damaged(run: Run, photos: Path, damage: bytes) -> None:
    (photos.parent / "home" / "device.keys").write_bytes(damage)
    result = run("ls", "photos", "--json", status=6)
    assert result.error["code"] == "identity.keys-damaged"


def test_a_paper_key_that_is_gone(run: Run, photos: Path) -> None:
    (photos.parent / "home" / "paper.public").unlink()
    result = run("space", "create", "more", "--stores", "s0,s1", "--survive", "1", status=6)
    assert "paper.public is missing or damaged" in result.err


def test_local_state_that_is_damaged(run: Run, photos: Path) -> None:
    (photos / "a").write_text("kept")
    run("put", "a", "photos:/a")
    for state in (photos.parent / "home" / "state").rglob("state.db"):
        state.write_bytes(b"junk" * 3000)
        for suffix in ("-wal", "-shm"):
            state.with_name(state.name + suffix).unlink(missing_ok=True)
    result = run("cat", "photos:/a")
    assert result.out == "kept"
    assert "put aside as state.db.damaged-" in result.err
    assert "cannot be ruled out" in result.err
    assert run("cat", "photos:/a").err == ""


def test_a_feature_level_that_is_not_known(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authoring, "NEW_LEVEL", 3)
    for part in (records, membership, outcome):
        monkeypatch.setattr(part, "FEATURE_LEVEL", 3)
    run("space", "create", "later", "--stores", "s0,s1", "--survive", "1")
    monkeypatch.undo()
    monkeypatch.setenv("ROPEWALK_HOME", str(photos.parent / "home"))
    monkeypatch.setenv("ROPEWALK_PASSPHRASE", "one two three")
    result = run("ls", "later", status=4)
    assert "has feature level 3, this version knows 2" in result.err
    assert "hint: upgrade ropewalk" in result.err


# -- stores that fail ----------------------------------------------------------------------------------------------


def test_one_store_away_is_debt(run: Run, photos: Path) -> None:
    (photos / "a").write_bytes(os.urandom(200_000))
    (photos / "s2").rename(photos / "away")
    result = run("put", "a", "photos:/a", status=10)
    assert "still owed (s2 is away)" in result.err
    assert result.err.count("no store at") == 1, "the reason is said once"
    json = run("mkdir", "photos:/b", "--json", status=10).json
    assert json["owed"] == {"shares": 1, "heads": 1}
    assert (json["copies"], json["stores"]) == (4, 5)
    assert run("cat", "photos:/a").status == 0
    assert run("check", "photos", status=6).status
    (photos / "away").rename(photos / "s2")
    assert run("repair", "photos").status == 0
    assert run("check", "photos").status == 0


def test_what_can_be_paid_at_once_is_no_debt(run: Run, photos: Path) -> None:
    (photos / "a").write_bytes(os.urandom(200_000))
    (photos / "s2").rename(photos / "away")
    run("put", "a", "photos:/a", status=10)
    (photos / "away").rename(photos / "s2")
    (photos / "b").write_bytes(os.urandom(200_000))
    run("put", "b", "photos:/b")
    assert run("check", "photos", "--all", "--json").json["ok"] is True


def test_below_the_floor_nothing_is_changed(run: Run, photos: Path) -> None:
    run("mkdir", "photos:/before")
    for name in ("s2", "s3"):
        (photos / name).rename(photos / f"{name}-away")
    result = run("mkdir", "photos:/after", "--json", status=5)
    assert result.error["code"] == "pool.below-floor"
    assert run("ls", "photos").out == "before/\n"
    for name in ("s2", "s3"):
        (photos / f"{name}-away").rename(photos / name)
    assert run("ls", "photos").out == "before/\n"
    assert len(run("log", "photos").out.splitlines()) == 1


def test_all_stores_away(run: Run, photos: Path) -> None:
    (photos / "a").write_bytes(os.urandom(2000))
    run("put", "a", "photos:/a")
    for at in range(5):
        (photos / f"s{at}").rename(photos / f"{at}-away")
    assert run("cat", "photos:/a", "--json", status=5).out == ""
    assert run("check", "photos", status=5).out.count("is away") == 5


def test_another_store_in_its_place(run: Run, photos: Path) -> None:
    shutil.rmtree(photos / "s1")
    shutil.copytree(photos / "s2", photos / "s1")
    result = run("ls", "photos")
    assert "warning: store s1 is not there" in result.err


def test_damage_is_found_and_mended(run: Run, photos: Path) -> None:
    (photos / "a").write_bytes(os.urandom(3_000_000))
    run("put", "a", "photos:/a")
    shares = [path for path in (photos / "s1").rglob("*") if path.is_file() and path.stat().st_size > 500_000]
    data = bytearray(shares[0].read_bytes())
    data[1000] ^= 1
    os.chmod(shares[0], 0o644)
    shares[0].write_bytes(data)
    assert "1 object damaged" in run("check", "photos", "--all", status=6).out
    run("get", "photos:/a", "back")
    assert (photos / "back").read_bytes() == (photos / "a").read_bytes()
    assert "1 damaged object removed" in run("repair", "photos").out
    assert run("check", "photos", "--all").status == 0


def test_what_is_lost_is_said(run: Run, photos: Path) -> None:
    (photos / "a").write_bytes(os.urandom(3_000_000))
    run("put", "a", "photos:/x/")
    for name in ("s0", "s1", "s2"):
        for path in (photos / name).rglob("*"):
            if path.is_file() and "packs" in path.parts:
                path.unlink()
    assert run("check", "photos", status=6).out
    assert run("repair", "photos", status=6).out
    assert run("cat", "photos:/x/a", "--json", status=6).error["code"] == "reader.chunk-lost"


# -- what is put ---------------------------------------------------------------------------------------------------


def test_names_of_every_kind_come_back(run: Run, photos: Path) -> None:
    names = [
        b"n" * 255,
        b"not\xffutf8",
        b"\x1b[31mred",
        b"line\nbreak",
        b"back\\slash",
        b" ",
        b"-rf",
        b"caf\xc3\xa9",
        b"cafe\xcc\x81",  # the same to the eye
        b"CAF\xc3\x89",
        b"a@beef",
        b"c:d",
    ]
    top = os.fsencode(photos) + b"/names"
    os.mkdir(top)
    for name in names:
        (Path(os.fsdecode(top + b"/" + name))).write_bytes(name)
    run("put", "names", "photos:/")
    listed = run("ls", "photos:/names").out
    assert "\x1b" not in listed
    assert len(listed.splitlines()) == len(names)
    assert "not\\xffutf8" in listed
    lines = run("ls", "photos:/names", "--json").lines
    assert sum("path_base64" in line for line in lines) == 1
    assert run("cat", "photos:/names/not\udcffutf8").out == "not\udcffutf8"
    run("mv", "photos:/names/not\udcffutf8", "photos:/names/also\udcfe")
    assert run("find", "photos", "--name", "also*").out == "/names/also\\xfe\n"
    assert "also\\xfe" in run("log", "photos").out
    run("get", "photos:/names", "back")
    names = [name for name in names if name != b"not\xffutf8"] + [b"also\xfe"]
    assert sorted(os.listdir(os.fsencode(photos) + b"/back")) == sorted(names)


def test_a_path_of_4000_bytes_comes_back(run: Run, photos: Path) -> None:
    descriptor = os.open(photos, os.O_RDONLY)
    made = 0
    os.mkdir("deep", dir_fd=descriptor)
    inner = os.open("deep", os.O_RDONLY, dir_fd=descriptor)
    while made < 15:  # 15 names of 240 bytes; step by step, since the whole path is too long for a call
        os.mkdir("d" * 240, dir_fd=inner)
        inner, outer = os.open("d" * 240, os.O_RDONLY, dir_fd=inner), inner
        os.close(outer)
        made += 1
    os.close(inner)
    os.close(descriptor)
    deepest = "/".join(["d" * 240] * 15)
    (photos / "deep" / deepest / "file").write_text("down here")
    run("put", "deep", "photos:/")
    assert run("cat", f"photos:/deep/{deepest}/file").out == "down here"
    run("get", "photos:/deep", "b")
    assert (photos / "b" / deepest / "file").read_text() == "down here"


def test_links_are_kept_and_never_followed(run: Run, photos: Path) -> None:
    (photos / "secret").write_text("outside")
    top = photos / "tree"
    top.mkdir()
    (top / "out").symlink_to(photos / "secret")
    (top / "loop").symlink_to(".")
    run("put", "tree", "photos:/")
    assert [line["kind"] for line in run("ls", "photos:/tree", "--json").lines] == ["link", "link"]
    assert run("cat", "photos:/tree/out", status=2).out == ""
    (photos / "elsewhere").mkdir()
    (photos / "back").symlink_to(photos / "elsewhere" / "not-there")
    assert "cannot be made a folder" in run("get", "photos:/tree", "back", status=4).err
    assert os.listdir(photos / "elsewhere") == []
    run("put", "secret", "photos:/tree/victim")
    (photos / "in").mkdir()
    (photos / "in" / "victim").symlink_to(photos / "target")
    run("get", "photos:/tree/victim", "in")
    assert not (photos / "target").exists()
    assert (photos / "in" / "victim").read_text() == "outside"


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(("make", "why"), [(make_pipe, "a pipe"), (make_socket, "a socket")])
def test_what_is_no_file_is_named_and_left_out(run: Run, photos: Path, make: Callable[[Path], None], why: str) -> None:
    (photos / "tree").mkdir()
    (photos / "tree" / "file").write_text("kept")
    os.chdir(photos / "tree")
    make(Path("odd"))
    os.chdir(photos)
    result = run("put", "tree", "photos:/", status=11)
    assert f"warning: left out: {photos / 'tree' / 'odd'}: {why}" in result.err
    json = run("put", "tree", "photos:/again", "--json", status=11).json
    assert json["left_out"] == 1
    assert json["skipped"] == [{"path": str(photos / "tree" / "odd"), "why": why}]
    assert run("cat", "photos:/tree/file").out == "kept"
    assert why in run("put", "tree/odd", "photos:/alone", status=2).err


def test_a_file_that_cannot_be_read_is_left_out(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "tree").mkdir()
    for name in ("closed", "open"):
        (photos / "tree" / name).write_text(name)
    really = put_module._open

    def guarded(found: Scanned) -> tuple[int, os.stat_result]:
        if found.path.endswith(b"closed"):  # a mode would not stop the user who may read all
            raise PermissionError(13, "Permission denied")
        return really(found)

    monkeypatch.setattr(put_module, "_open", guarded)
    result = run("put", "tree", "photos:/", status=11)
    assert "closed: permission denied" in result.err
    assert run("ls", "photos:/tree").out == "open\n"


def test_a_folder_is_not_replaced_by_a_file(run: Run, photos: Path) -> None:
    (photos / "a").write_text("a")
    (photos / "b").mkdir()
    run("mkdir", "-p", "photos:/x/a")
    assert "/x/a is a folder" in run("put", "a", "photos:/x", status=2).err
    run("put", "a", "photos:/f")
    assert "photos:/f is not a folder" in run("put", "a", "photos:/f/", status=2).err
    assert "/f is not a folder" in run("put", "b", "photos:/f", status=2).err
    assert "is there already" in run("mkdir", "photos:/x", status=2).err
    assert "is not empty" in run("rm", "photos:/x", status=2).err
    assert "cannot move into itself" in run("mv", "photos:/x", "photos:/x/a/y", status=2).err
    run("get", "photos:/x", "a", status=4)
    assert (photos / "a").read_text() == "a"
