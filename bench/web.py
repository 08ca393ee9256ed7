"""Web: what a request costs our web server, beside httptools on a bare protocol and other Python web servers.

Peers are no dependencies: they are run by the interpreter that $ROPEWALK_BENCH_PEERS names, this one without it.

Flow: a server's process of each side -> wrk, side by side in turn, round by round -> CPU of a request -> goals
Never: compares rates alone: on a busy machine they say more of the neighbours; measures what did not answer right.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import urlopen

import web_ours
import web_peers
from figures import Figure, Load
from measure import Failed, say, turned
from remote import PEERS_PYTHON, Process
from remote_work import cpu_of
from report import Report, beside
from web_ours import OURS
from web_peers import TWISTED, UVICORN
from web_work import CERTIFICATE, FILE, FILE_SIZE, HELLO, HOST

__all__ = ["WORKS", "check", "judge", "read", "requests", "started"]

WORKS = {  # work -> title, scheme, path
    "hello": ("hello over HTTP", "http", "/"),
    "file": ("100 KiB file over HTTP", "http", f"/f/{FILE}"),
    "hello, TLS": ("hello over HTTPS", "https", "/"),
}
CONNECTIONS = 64
PATIENCE = 30  # seconds for one answer
SECTIONS = 5  # of a load's section in one run of wrk, whose shortest is a second
_TOTAL = re.compile(r"^ *(\d+) requests in ", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec: *([\d.]+)", re.MULTILINE)
_TROUBLE = re.compile(r"^ *(Socket errors|Non-2xx or 3xx responses): .*", re.MULTILINE)
_SIDES = {**web_ours.SIDES, **web_peers.SIDES}


def requests(report: Report, load: Load, folder: Path) -> None:
    """All works, of all sides that can run here."""
    if shutil.which("wrk") is None:
        report.notes.append("web is left out: wrk is not installed (`apt install wrk`)")
        return
    _make(folder)
    sides = [*web_ours.SIDES, *_installed(report)]
    seconds = max(1, round(SECTIONS * load.section))
    figures: dict[str, dict[str, Figure]] = {work: {} for work in WORKS}
    rates: dict[tuple[str, str], list[float]] = {}
    for number in range(load.rounds):
        for work, (title, scheme, path) in WORKS.items():
            with ExitStack() as stack:
                there = {
                    side: stack.enter_context(started(side, work, folder))
                    for side in sides
                    if work in _SIDES[side].works
                }
                urls = {side: f"{scheme}://{HOST}:{process.said()}{path}" for side, process in there.items()}
                for side, url in urls.items():
                    check(url, side, HELLO if path == "/" else (folder / FILE).read_bytes())
                    if hasattr(os, "sched_setaffinity"):
                        there[side].pin(min(os.sched_getaffinity(0)))  # wrk has the last core
                    _load(url, 1)  # it warms up
                for side in turned(list(urls), number):
                    spent = cpu_of(there[side].number)
                    total, rate = _load(urls[side], seconds)
                    spent = cpu_of(there[side].number) - spent
                    figures[work].setdefault(side, Figure(title, side, "us")).values.append(spent / total * 1e6)
                    rates.setdefault((work, side), []).append(rate)
        say(f"web: round {number + 1} of {load.rounds}")
    for work, found in figures.items():
        for side, figure in found.items():
            figure.more = f"server's CPU; {median(rates[work, side]):,.0f} requests/s"
        report.figures += found.values()
    judge(report, figures)


def judge(report: Report, figures: dict[str, dict[str, Figure]]) -> None:
    """Those goals that have both their sides."""
    for work, other, limit in (("hello", UVICORN, 1.0), ("hello", TWISTED, 0.5), ("file", TWISTED, 0.25)):
        if other in figures[work]:
            what = f"{WORKS[work][0]}, CPU of a request beside {other}"
            report.goals.append(beside(what, figures[work][OURS], figures[work][other], limit))


@contextmanager
def started(side: str, work: str, folder: Path) -> Iterator[Process]:
    """A server's process, for as long as the context lasts; it says its port."""
    ours = side in web_ours.SIDES
    python = sys.executable if ours else os.environ.get(PEERS_PYTHON) or sys.executable
    script = Path(__file__).with_name("web_ours.py" if ours else "web_peers.py")
    server = Process([python, str(script), side, work, str(folder)])
    try:
        yield server
    finally:
        server.end()


def _make(folder: Path) -> None:
    """The file, and a certificate by our own development authority."""
    from ropewalk.net.development import DevelopmentAuthority

    (folder / FILE).write_bytes(os.urandom(FILE_SIZE))
    (folder / CERTIFICATE).write_bytes(DevelopmentAuthority(folder / "authority").signed(["localhost"]))


def check(url: str, side: str, expected: bytes) -> None:
    """See that a server answers right, twice, so that what is kept in memory is looked at too.

    Raises:
        Failed: The answer is wrong, or there is none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for _ in range(2):
        try:
            with urlopen(url, timeout=PATIENCE, context=context) as answer:  # noqa: S310 - our own address
                got = answer.read()
        except URLError as error:
            raise Failed(f"{side} did not answer: {error.reason}") from None
        if got != expected:
            raise Failed(f"{side} answered {len(got)} other bytes, expected {len(expected)}")


def _load(url: str, seconds: int) -> tuple[int, float]:
    """Requests in all and each second, from one thread of wrk on the last core.

    Raises:
        Failed: Something was not answered, or not well.
    """
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url]
    with _last_core():
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + PATIENCE, check=False)
    if done.returncode:
        raise Failed(f"wrk ended with {done.returncode}: {done.stderr.strip()}")
    return read(done.stdout)


def read(said: str) -> tuple[int, float]:
    """Requests in all and each second, of what wrk said.

    Raises:
        Failed: There were errors, or there was nothing.
    """
    total, rate, trouble = _TOTAL.search(said), _RATE.search(said), _TROUBLE.search(said)
    if trouble or not total or not rate or not int(total[1]):
        raise Failed(f"wrk found {trouble[0].strip() if trouble else 'no answers'}")
    return int(total[1]), float(rate[1])


@contextmanager
def _last_core() -> Iterator[None]:
    """What is started meanwhile runs on the last core alone."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _installed(report: Report) -> list[str]:
    """The peers that the interpreter has; what is to be said of the others."""
    python = os.environ.get(PEERS_PYTHON) or sys.executable
    needs = {name: side.needs for name, side in web_peers.SIDES.items()}
    done = subprocess.run([python, "-c", _LOOK, json.dumps(needs)], capture_output=True, text=True, check=True)
    here: list[str] = json.loads(done.stdout)
    missing = [f"{name} ({', '.join(needs[name])})" for name in needs if name not in here]
    if missing:
        where = f"set {PEERS_PYTHON} to an interpreter that has them"
        report.notes.append(f"web without {'; '.join(missing)}: not installed; {where}")
    return here


_LOOK = """
import importlib.util, json, sys
needs = json.loads(sys.argv[1])
print(json.dumps([name for name in needs if all(map(importlib.util.find_spec, needs[name]))]))
"""
