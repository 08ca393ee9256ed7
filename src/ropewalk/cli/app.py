"""App: the commands by name; each one's file is imported when it is called, or when its help is shown.

Flow: main, reference -> make_app -> cyclopts
Never: imports a command that was not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from cyclopts import App, Group, Parameter

from ropewalk._version import __version__
from ropewalk.cli.commands import COMMANDS, GROUPS, named
from ropewalk.cli.help import HelpPage

__all__ = ["make_app"]

_HERE = "ropewalk.cli."
_GROUPS = {title: Group(title, sort_key=place) for place, title in enumerate(GROUPS)}
_OTHERS = Group("Others", sort_key=len(_GROUPS))
_PARTS = {
    "store": ("Setting up", "The places that keep things: add, list, remove."),
    "space": ("Setting up", "Spaces over stores: create, list, attach, rename, add-store, remove-store, ..."),
    "recovery": ("Setting up", "When a machine is lost, or the words on paper are: restore, paper."),
    "audit": ("History", ""),  # a command itself, whose help is its own
    "pool": ("Health", "The stores of a space together: show, drain, evacuate."),
    "member": ("Members", "Other people in a space: role, remove, reseal."),
    "device": ("Members", "Your own machines: add, list, revoke."),
    "node": ("Nodes", "Offer stores of this machine to people: show, offer, withdraw, allow, deny, key, trash, ..."),
    "new": ("Servers", "Write a small protocol or service to begin with: protocol, service."),
    "account": ("Servers", "Who may log in to a server: add, list, remove, password, groups, key, token."),
}
_ENDING = (
    "A place in a space is written SPACE:/PATH. As with cp, a target that ends in a slash, or is a folder, takes things"
    " into it. `ropewalk COMMAND --help` says more.\n\n"
    "Exit status: 0 done; 1 a fault of ropewalk; 2 wrong input; 3 not there; 4 not allowed, or cannot be promised;"
    " 5 not possible now, try again; 6 damaged; 10 done, and something is still owed to some store; 11 done, and"
    " something was left out; 12 kept on this machine alone, not acknowledged; 130 stopped."
)


def make_app(words: Sequence[str] = ()) -> App:
    """The command line: all of it, or one command where it is plain which one is meant.

    Args:
        words: What was typed; where that names no command, a list of them is due, and each one's first line with it.
    """
    only = named(words)
    app = App(
        name="ropewalk",
        help="Files that survive: encrypted, redundant spaces over many independent stores; servers of any protocol.",
        help_epilogue=_ENDING,
        version=__version__,
        help_format="plaintext",
        help_formatter=HelpPage(),
        default_parameter=Parameter(negative=(), show_default=False),
        group_commands=_OTHERS,
    )
    app["--help"].group = app["--version"].group = (_OTHERS,)
    parts = {
        name: App(
            name=name,
            help=text or None,
            group=_GROUPS[group],
            group_commands=Group("Commands"),
            help_epilogue="",
            sort_key=place,
        )
        for place, (name, (group, text)) in enumerate(_PARTS.items(), 1)
        if only is None or f"{only} ".startswith(f"{name} ")
    }
    for part in parts.values():
        app.command(part)
    for place, (name, where, group, usage) in enumerate(COMMANDS):
        if only not in (None, name) and not name.startswith(f"{only} "):
            continue
        if name in parts:
            if only is not None or _is_help(words):
                _make_default(parts[name], where, f"Usage: ropewalk {name} {usage}")
            continue
        first, _, second = name.partition(" ")
        home = parts[first] if second else app
        home.command(
            _HERE + where,
            name=second or first,
            usage=f"Usage: ropewalk {name} {usage}",
            help_epilogue="",
            sort_key=place,
            group=_GROUPS[group] if group else None,
        )
    if only is not None:
        return app
    app.register_install_completion_command(help="Set up completion in your shell.", group=_OTHERS, help_epilogue="")
    if _is_help(words):
        _import(app)
    elif words[0] in parts:
        _import(parts[words[0]])
    return app


def _is_help(words: Sequence[str]) -> bool:
    """Whether a page with all commands may be due."""
    return not words or words[0].startswith("-")


def _make_default(part: App, where: str, usage: str) -> None:
    """Let a part be a command, too: of what begins with none of its own words."""
    module, _, function = where.partition(":")
    part.usage = usage
    part.default(getattr(import_module(_HERE + module), function))
    _import(part)


def _import(app: App) -> None:
    for name in app:
        if not name.startswith("-"):
            _import(app[name])
