"""Negotiation: which options hold between us and a client, by telnetlib3's state machine.

Flow: whole commands -> Negotiation -> answers to the transport; what was learnt -> Learnt, what it is told through
Never: is fed more than whole commands of the options we know; lets an error of the library, made by junk, out.
Source: RFC 856, 857, 858, 885, 1073, 1091, 1572, 2066; Mud Terminal Type Standard (MTTS).

The library's server is not used: it holds a connection back for seconds where a client does not answer, makes tasks
that nobody owns, takes a megabyte for a subnegotiation, and has no bound on how many there are.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
from collections import deque
from typing import Any, Protocol

from ropewalk.errors import Misuse

__all__ = ["Learns", "NoTelnet", "Options", "check_installed"]

_log = logging.getLogger("ropewalk.telnet")

BINARY, ECHO, SGA, TTYPE, EOR, NAWS, CHARSET = b"\x00", b"\x01", b"\x03", b"\x18", b"\x19", b"\x1f", b"\x2a"
NEW_ENVIRON, TIMING_MARK = b"\x27", b"\x06"
WILL, DO = b"\xfb", b"\xfd"
_THEIRS = frozenset({BINARY, SGA, TTYPE, NAWS, NEW_ENVIRON, CHARSET})  # what a client may do
_OURS = frozenset({BINARY, ECHO, SGA, EOR, CHARSET, TIMING_MARK})  # what we may do
_SAID = frozenset({TTYPE, NAWS, NEW_ENVIRON, CHARSET})  # what is spoken about
_ALL = frozenset(bytes((number,)) for number in range(256))
_NAMES = 3  # of a terminal that are asked for: MTTS has the client's own, the terminal's, and what it can do
_SCREENS = re.compile(
    r"(xterm|vt\d|screen|tmux|linux|ansi|rxvt|alacritty|kitty|foot|konsole|putty|wezterm|cygwin|eterm)"
)
_CAN_ANSI, _CAN_UTF8 = 1, 4  # bits of MTTS
# What may be agreed on, beside what the service was told. Names of a client's are looked up here alone: Python's codecs
# would remember each that there is not.
_ENCODINGS = {"utf-8": "utf-8", "utf8": "utf-8", "iso-8859-1": "latin-1", "latin1": "latin-1", "us-ascii": "ascii"}
_ALIASES = {"utf8", "latin1"}
_LONGEST_NAME = 40  # characters of a terminal's name


class NoTelnet(Misuse):
    """What telnet is made of is not installed."""

    code = "telnet.no-telnet"

    def __init__(self) -> None:
        super().__init__("telnetlib3 is not installed", hint="pip install 'ropewalk[telnet]'")


class Learns(Protocol):
    """Who is told what a client says of itself."""

    def sized(self, columns: int, rows: int) -> None:
        """Its window has this size."""

    def named(self, term: str, colour: bool) -> None:
        """Its terminal is of this kind, in lower case."""

    def encoded(self, encoding: str) -> None:
        """Text is encoded so, both ways."""

    def in_keys(self, on: bool) -> None:
        """It sends each key as it is pressed, and shows none of them by itself; or no longer."""

    def settled(self) -> None:
        """What it shows and how it is typed is known."""


class Options:
    """The options of one connection.

    Args:
        transport: Answers go there.
        learns: Is told.
        keys: Whether character mode is wanted: None where the client's terminal decides.
        encoding: Of text until another is agreed on.

    Attributes:
        answered: Whether anything was heard that a telnet client would say.

    Raises:
        NoTelnet.
    """

    def __init__(self, transport: asyncio.Transport, learns: Learns, *, keys: bool | None, encoding: str) -> None:
        check_installed()
        from telnetlib3.stream_writer import TelnetWriter

        self._learns, self._wanted = learns, keys
        self._encodings = {encoding.lower(): encoding, **_ENCODINGS}
        self._writer: Any = TelnetWriter(transport, None, server=True)
        self._writer.compression = False
        self._writer.always_dont = set(_ALL - _THEIRS)
        self._writer.always_wont = set(_ALL - _OURS) | {ECHO}
        self._writer.set_ext_callback(NAWS, lambda rows, columns: learns.sized(columns, rows))
        self._writer.set_ext_callback(TTYPE, self._named)
        self._writer.set_ext_callback(CHARSET, self._agreed)
        self._writer.set_ext_callback(NEW_ENVIRON, self._environment)
        self._writer.set_ext_send_callback(CHARSET, self._choose)
        self._writer.set_ext_offer_callback(
            CHARSET, lambda: [name.upper() for name in self._encodings if name not in _ALIASES]
        )
        self._writer.set_ext_offer_callback(NEW_ENVIRON, lambda: ["LANG", "COLORTERM"])
        self._names: list[str] = []
        self._colour = self._has_charset = self._is_settled = self._keys = self._asked = False
        self.answered = False

    @property
    def binary(self) -> bool:
        """Whether a carriage return may be sent alone."""
        return bool(self._writer.outbinary)

    def begin(self) -> None:
        """Ask what only a telnet client answers."""
        self._writer.iac(DO, TTYPE)
        self._writer.iac(DO, NAWS)

    def negotiated(self, said: bytes) -> None:
        """WILL, WONT, DO or DONT was said, and an option."""
        first, self.answered = not self.answered, True
        try:
            self._writer.feed_byte(b"\xff")
            self._writer.feed_byte(said[:1])
            self._writer.feed_byte(said[1:])
        except Exception as error:  # noqa: BLE001 - of the library, by what a client said
            _log.debug("option not understood: %r", error)
        if first:
            self._more()
        self._look()

    def told(self, said: bytes) -> None:
        """Something was said about an option."""
        self.answered = True
        if said[:1] in _SAID:
            try:
                self._writer.handle_subnegotiation(deque(bytes((byte,)) for byte in said))
            except Exception as error:  # noqa: BLE001 - of the library, by what a client said
                _log.debug("subnegotiation not understood: %r", error)
        self._look()

    def echo(self, on: bool) -> None:
        """Whether what is typed is shown by the client itself, which believes that we would where it is not."""
        if self._keys:
            return
        self._offer_echo(not on)

    def prompted(self) -> None:
        """Mark the end of a prompt, for clients that show what comes without an end of line only then."""
        if self.answered and not self._writer.send_eor():
            self._writer.send_ga()

    # ---- asking ----

    def _more(self) -> None:
        """It is a telnet client: ask the rest."""
        writer = self._writer
        writer.iac(WILL, BINARY)
        writer.iac(DO, BINARY)
        writer.iac(DO, CHARSET)
        writer.iac(WILL, EOR)
        writer.iac(DO, NEW_ENVIRON)
        if self._wanted:
            self._offer_keys()

    def _offer_keys(self) -> None:
        if not self._asked:
            self._asked = True
            self._writer.iac(WILL, SGA)
            self._offer_echo(True)

    def _offer_echo(self, on: bool) -> None:
        if on:
            self._writer.always_wont.discard(ECHO)
            self._writer.pending_option[WILL + ECHO] = False  # an answer to the last one may never come
            self._writer.iac(WILL, ECHO)
        else:
            self._writer.always_wont.add(ECHO)  # a late DO is not taken for a new wish
            self._writer.iac(b"\xfc", ECHO)

    def _look(self) -> None:
        """See whether character mode holds now, and whether all is said."""
        local = self._writer.local_option
        keys = self._asked and local.enabled(ECHO) and local.enabled(SGA)
        if keys != self._keys:
            self._keys = keys
            self._learns.in_keys(keys)
        told = self._names or self._writer.remote_option.get(TTYPE) is False
        if not self._is_settled and (keys or (told and not self._asked)):
            self._is_settled = True
            self._learns.settled()

    # ---- what is learnt ----

    def _named(self, name: str) -> None:
        name = name.lower()[:_LONGEST_NAME]
        if name.startswith("mtts "):
            can = int(name[5:]) if name[5:].isdecimal() else 0
            self._colour = bool(can & _CAN_ANSI)
            if can & _CAN_UTF8:
                self._agreed("utf-8")
        elif name in self._names or len(self._names) >= _NAMES:
            return
        else:
            self._names.append(name)
            if _SCREENS.match(name):
                self._colour = True
        term = next((one for one in self._names if _SCREENS.match(one)), self._names[0] if self._names else "")
        self._learns.named(term, self._colour)
        if self._wanted is None and len(self._names) == 1 and _SCREENS.match(name):
            self._offer_keys()
        elif len(self._names) < _NAMES and not name.startswith("mtts ") and not _SCREENS.match(self._names[0]):
            self._writer.request_ttype()

    def _agreed(self, name: str) -> None:
        if encoding := self._encodings.get(name.lower()):
            self._has_charset = True
            self._learns.encoded(encoding)

    def _choose(self, offers: list[str]) -> str | None:
        """Which of the encodings that a client offers."""
        for offer in offers:
            if offer.lower() in self._encodings:
                self._agreed(offer)
                return offer
        return None

    def _environment(self, values: dict[str, str]) -> None:
        if not self._has_charset and "." in values.get("LANG", ""):
            self._agreed(values["LANG"].partition(".")[2].partition("@")[0])
            self._has_charset = False
        if values.get("COLORTERM") and self._names:
            self._colour = True
            self._learns.named(self._names[0], True)


def check_installed() -> None:
    """Bring the library in, which takes a tenth of a second; services do so before they have visitors.

    Raises:
        NoTelnet: It is not there.
    """
    try:
        importlib.import_module("telnetlib3.stream_writer")
    except ModuleNotFoundError:
        raise NoTelnet from None
