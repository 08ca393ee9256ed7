"""What a disk knows of invites: one that is burnt stays so, wherever the power went."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.errors import RopewalkError
from ropewalk.spaces.invites import (
    BadOffer,
    Code,
    CodeUsed,
    InviteExpired,
    InviteFileDamaged,
    Inviter,
    Invites,
    InvitesBusy,
    InvitesUnwritable,
    Joiner,
    NoInvite,
    OpenInvite,
    TooManyInvites,
)
from ropewalk.spaces.invites.folder import LONGEST_LIFE
from ropewalk.spaces.invites.kept import MOST_MARKS, MOST_OPEN
from ropewalk.spaces.records import encode
from ropewalk.testing.powerloss import PowerCut, PowerLossFileSystem
from tests.spaces.invites.parties import HOUR, NOW, Clock, device, drawn, offer, person

ANNA = device("anna")
CODE = Code(7, b"\x3c\x3b")
SEEDS = range(6)  # of ways in which a power cut may turn out


def invite(number: int = 1, expires: int = NOW + HOUR) -> OpenInvite:
    told = encode(offer(expires=expires))
    return OpenInvite(bytes([number]) * 16, CODE.slot, CODE.secret, told, ["tcp://192.0.2.5:43121"], b"a note")


def folder(files: PowerLossFileSystem | None = None, clock: Clock | None = None) -> Invites:
    return Invites("/invites", clock=clock or Clock(), files=files or PowerLossFileSystem())


def test_what_is_kept_is_there_until_it_is_burnt() -> None:
    invites = folder()
    invites.keep(invite(), ANNA)
    assert invites.open_ids() == [invite().id]
    assert invites.load(invite().id, ANNA) == invite()
    invites.burn(invite().id)
    assert invites.open_ids() == []
    with pytest.raises(CodeUsed):
        invites.load(invite().id, ANNA)
    with pytest.raises(CodeUsed):
        invites.burn(invite().id)


def test_it_is_on_the_real_disk_for_its_owner_alone(tmp_path: Path) -> None:
    invites = Invites(str(tmp_path / "invites"), clock=Clock())
    invites.keep(invite(), ANNA)
    invites.burn(invite().id)
    invites.mark(CODE.slot, CODE.secret)
    files = list((tmp_path / "invites").iterdir())
    assert {file.suffix for file in files} == {".open", ".burnt", ".used", ""}
    assert not [file for file in files if file.stat().st_mode & 0o077]
    assert CODE.secret + b"\xc5" not in b"".join(file.read_bytes() for file in files)


def test_another_device_reads_nothing_of_it() -> None:
    invites = folder()
    invites.keep(invite(), ANNA)
    with pytest.raises(InviteFileDamaged):
        invites.load(invite().id, device("eve"))


def test_what_is_not_there_is_said() -> None:
    invites = folder()
    assert invites.open_ids() == []
    for call in (lambda: invites.load(bytes(16), ANNA), lambda: invites.burn(bytes(16))):
        with pytest.raises(NoInvite):
            call()


def test_sixteen_may_be_open_and_burnt_ones_do_not_count() -> None:
    invites = folder()
    for number in range(MOST_OPEN):
        invites.keep(invite(number), ANNA)
    with pytest.raises(TooManyInvites):
        invites.keep(invite(99), ANNA)
    invites.burn(invite(3).id)
    invites.keep(invite(99), ANNA)


def test_files_and_codes_are_counted_apart() -> None:
    """A file lives for days: sixteen of them must not keep anybody from saying a code."""
    invites = folder()
    for number in range(MOST_OPEN):
        invites.keep(msgspec.structs.replace(invite(number), secret=bytes(32)), ANNA)
    with pytest.raises(TooManyInvites, match="by file"):
        invites.keep(msgspec.structs.replace(invite(98), secret=bytes(32)), ANNA)
    for number in range(MOST_OPEN):
        invites.keep(invite(MOST_OPEN + number), ANNA)
    with pytest.raises(TooManyInvites, match="by code"):
        invites.keep(invite(99), ANNA)


def test_time_makes_room() -> None:
    clock = Clock()
    invites = folder(clock=clock)
    for number in range(MOST_OPEN):
        invites.keep(invite(number), ANNA)
    invites.burn(invite(3).id)
    clock.now += HOUR
    assert invites.open_ids() == []
    with pytest.raises(InviteExpired):
        invites.load(invite(1).id, ANNA)
    invites.keep(invite(99, clock.now + HOUR), ANNA)
    assert invites.open_ids() == [invite(99).id]
    clock.now = NOW
    assert invites.open_ids() == [invite(99).id]  # those are gone, whatever the clock says then


@pytest.mark.parametrize("expires", [NOW, NOW - 1, NOW + LONGEST_LIFE + 1])
def test_an_invite_lives_a_week_at_most(expires: int) -> None:
    with pytest.raises(BadOffer):
        folder().keep(invite(expires=expires), ANNA)


def test_one_id_is_kept_once() -> None:
    invites = folder()
    invites.keep(invite(), ANNA)
    with pytest.raises(BadOffer):
        invites.keep(invite(), ANNA)


def test_a_code_is_typed_once_a_week() -> None:
    clock = Clock()
    invites = folder(clock=clock)
    invites.mark(CODE.slot, CODE.secret)
    invites.mark(CODE.slot, b"other")
    for now in (NOW, NOW + LONGEST_LIFE - 1):
        clock.now = now
        with pytest.raises(CodeUsed):
            invites.mark(CODE.slot, CODE.secret)
    clock.now = NOW + LONGEST_LIFE
    invites.mark(CODE.slot, CODE.secret)


def test_so_many_codes_are_typed_and_no_more() -> None:
    invites = folder()
    for number in range(MOST_MARKS):
        invites.mark(CODE.slot, number.to_bytes(2, "big"))
    with pytest.raises(TooManyInvites):
        invites.mark(CODE.slot, b"one more")


def test_two_processes_take_turns() -> None:
    files = PowerLossFileSystem()
    folder(files).keep(invite(), ANNA)
    held = files.open("/invites/.lock", 0)
    assert files.lock(held)
    waited: list[float] = []
    busy = Invites("/invites", clock=Clock(), files=files, pause=waited.append)
    with pytest.raises(InvitesBusy):
        busy.burn(invite().id)
    assert 1 < sum(waited) < 10
    Invites("/invites", clock=Clock(), files=files, pause=lambda _: files.close(held)).burn(invite().id)


def test_a_disk_that_cannot_be_written_is_told_before_anything_is_answered(tmp_path: Path) -> None:
    invites = Invites(str(tmp_path / "not there" / "invites"), clock=Clock())
    with pytest.raises(InvitesUnwritable):
        invites.mark(CODE.slot, CODE.secret)


@given(st.binary(max_size=200))
def test_junk_in_a_kept_file_is_refused(data: bytes) -> None:
    files = PowerLossFileSystem()
    invites = folder(files)
    files.mkdir("/invites")
    fd = files.open(f"/invites/{invite().id.hex()}.open", 0o102)
    files.writev(fd, [memoryview(data)])
    files.close(fd)
    with pytest.raises(InviteFileDamaged):
        invites.load(invite().id, ANNA)
    assert invites.open_ids() == []  # and it does not count as one


def test_a_kept_invite_does_not_go_by_another_name() -> None:
    files = PowerLossFileSystem()
    invites = folder(files)
    invites.keep(invite(1), ANNA)
    files.link(f"/invites/{invite(1).id.hex()}.open", f"/invites/{invite(2).id.hex()}.open")
    with pytest.raises(InviteFileDamaged):
        invites.load(invite(2).id, ANNA)


# ---- power cuts ------------------------------------------------------------------------------------------------------


def calls_of(prepare: str) -> int:
    files, _ = prepared(prepare)
    files.calls = 0
    step(prepare, files)
    return files.calls


def prepared(what: str) -> tuple[PowerLossFileSystem, Clock]:
    files, clock = PowerLossFileSystem(), Clock()
    if what != "ask":
        folder(files).keep(invite(), ANNA)
    return files, clock


def step(what: str, files: PowerLossFileSystem) -> bytes:
    """One side's message that uses the code up, as far as the disk lets it come."""
    invites = folder(files)
    joiner = Joiner(CODE.slot, CODE.secret, device("bob"), person("bob"), random=drawn(2))
    if what == "ask":
        return joiner.ask(lambda: invites.mark(CODE.slot, CODE.secret))
    kept = invites.load(invite().id, ANNA)
    inviter = Inviter(kept.slot, kept.secret, kept.read_offer(), clock=Clock(), random=drawn(1))
    return inviter.answer(joiner.ask(lambda: None), lambda: invites.burn(kept.id))


@pytest.mark.parametrize("what", ["ask", "answer"])
def test_wherever_the_power_goes_a_code_has_one_message(what: str) -> None:
    """Stopped at each call of the disk, with every fate of what was not synced, and begun again."""
    total = calls_of(what)
    assert total > 8
    for stop in range(total + 1):
        files, _ = prepared(what)
        files.stop_at(stop)
        sent = 0
        with suppress(PowerCut):
            step(what, files)
            sent = 1
        assert sent == (stop >= total)
        for seed in SEEDS:
            left = files.crash(seed)
            again = 0
            for _ in range(3):
                with suppress(RopewalkError):
                    step(what, left)
                    again += 1
            assert sent + again <= 1, f"stopped at call {stop}, crash {seed}"


@pytest.mark.parametrize("what", ["ask", "answer"])
def test_a_killed_process_leaves_one_message_at_most_too(what: str) -> None:
    """The machine goes on after the kill; then it loses its power after all."""
    for stop in range(calls_of(what)):
        files, _ = prepared(what)
        files.stop_at(stop)
        with suppress(PowerCut):
            step(what, files)
        files.kill()
        sent = 0
        with suppress(RopewalkError):
            step(what, files)
            sent = 1
        for seed in SEEDS:
            with suppress(RopewalkError):
                step(what, files.crash(seed))
                assert not sent, f"stopped at call {stop}, crash {seed}"


def test_a_sweep_brings_no_burnt_invite_back() -> None:
    """Not even for a clock that went back."""
    late = Clock(NOW + 2 * HOUR)
    stops = 0
    for stop in range(200):
        files, _ = prepared("answer")
        folder(files).burn(invite().id)
        files.stop_at(stop)
        with suppress(PowerCut):
            folder(files, late).keep(invite(9, late.now + HOUR), ANNA)
            stops = stop
        for seed in SEEDS:
            with pytest.raises((CodeUsed, NoInvite)):
                folder(files.crash(seed)).load(invite().id, ANNA)
        if stops:
            return
    pytest.fail("the sweep never ended")


@settings(max_examples=30)
@given(st.integers(1, 64))
def test_a_disk_that_takes_few_bytes_at_a_time_is_as_good(at_once: int) -> None:
    invites = folder(PowerLossFileSystem(at_once))
    invites.keep(invite(), ANNA)
    assert invites.load(invite().id, ANNA) == invite()
    invites.mark(CODE.slot, CODE.secret)
    with pytest.raises(CodeUsed):
        invites.mark(CODE.slot, CODE.secret)


def test_a_note_and_urls_have_bounds() -> None:
    for wrong in (
        msgspec.structs.replace(invite(), note=bytes(4097)),
        msgspec.structs.replace(invite(), mailboxes=["tcp://x"] * 9),
    ):
        with pytest.raises(BadOffer):
            folder().keep(wrong, ANNA)
