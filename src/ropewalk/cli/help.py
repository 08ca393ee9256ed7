"""Help: pages in plain text, in two columns, as wide as the terminal up to 100.

Flow: cyclopts, which knows commands and options -> HelpPage -> lines
Never: draws boxes or colours: a help page is read in pipes and by screen readers, too.
"""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

__all__ = ["HelpPage"]

WIDEST = 100
INDENT, LABELS = 2, 26  # columns; a longer label stands on a line of its own
_ENDLESS = 100_000


class HelpPage:
    """How cyclopts asks for a page, part by part."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """A list of commands, arguments or options."""
        if not panel.entries:
            return
        width = min(options.max_width, WIDEST)
        lines = [f"{panel.title}:"]
        for entry in panel.entries:
            lines += _entry(_label(entry, panel.format), _plain(entry.description), width)
        _print(console, [*lines, ""])

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """The first line."""
        if usage:
            line = f"Usage: {_plain(usage).removeprefix('Usage: ')}"
            _print(console, [*_wrapped(line, min(options.max_width, WIDEST)), ""])

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Paragraphs."""
        if text := _plain(description):
            for paragraph in text.split("\n\n"):
                _print(console, [*_wrapped(paragraph, min(options.max_width, WIDEST)), ""])


def _label(entry: HelpEntry, of: str) -> str:
    if of == "command":
        return ", ".join((*entry.positive_names, *entry.positive_shorts))
    names = ", ".join(entry.positive_names[:1] if entry.positional_label is None else ())
    shorts = ", ".join(entry.positive_shorts)
    label = ", ".join(part for part in (entry.positional_label, shorts, names) if part)
    return f"{label} {entry.metavar}" if entry.metavar and entry.positional_label is None else label


def _entry(label: str, text: str, width: int) -> list[str]:
    body = _wrapped(text, width - INDENT - LABELS)
    first = " " * INDENT + label
    if len(label) >= LABELS or not body:
        lines = [first]
    else:
        lines = [f"{first:<{INDENT + LABELS}}{body[0]}"]
        body = body[1:]
    return lines + [" " * (INDENT + LABELS) + line for line in body]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False)


def _plain(text: Any) -> str:
    """What rich would show, without its line breaks."""
    from rich.console import Console

    if text is None or isinstance(text, str):
        return (text or "").strip()
    page = Console(file=io.StringIO(), width=_ENDLESS, color_system=None, highlight=False, markup=False, emoji=False)
    with page.capture() as captured:
        page.print(text, end="", soft_wrap=True)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).strip()


def _print(console: Console, lines: list[str]) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
