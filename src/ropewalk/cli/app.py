"""App: the commands by name; each one's file is imported when it is called, or when its help is shown.

Flow: main, reference -> make_app -> cyclopts
Never: imports a command that was not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App, Group, Parameter

from ropewalk._version import __version__
from ropewalk.cli.help import HelpPage

__all__ = ["COMMANDS", "make_app"]

_HERE = "ropewalk.cli."
_GROUPS = {
    title: Group(title, sort_key=place) for place, title in enumerate(("Setting up", "Files", "History", "Health"))
}
_OTHERS = Group("Others", sort_key=len(_GROUPS))
# words, where, group, usage; in the order of the help
COMMANDS: tuple[tuple[str, str, str, str], ...] = (
    ("init", "init:init", "Setting up", "[OPTIONS]"),
    ("store add", "store:add", "", "NAME FOLDER [OPTIONS]"),
    ("store list", "store:list_stores", "", "[OPTIONS]"),
    ("store remove", "store:remove", "", "NAME [OPTIONS]"),
    ("space create", "space:create", "", "NAME --stores A,B,... --survive N --across KIND [OPTIONS]"),
    ("space list", "space:list_spaces", "", "[OPTIONS]"),
    ("space attach", "space:attach", "", "NAME [OPTIONS]"),
    ("space add-store", "space:add_store", "", "SPACE STORE [OPTIONS]"),
    ("space remove-store", "space:remove_store", "", "SPACE STORE [OPTIONS]"),
    ("put", "put:put", "Files", "SOURCE... SPACE:/PATH [OPTIONS]"),
    ("get", "get:get", "Files", "SPACE:/PATH TARGET [OPTIONS]"),
    ("ls", "look:ls", "Files", "SPACE:/PATH [OPTIONS]"),
    ("cat", "look:cat", "Files", "SPACE:/PATH... [OPTIONS]"),
    ("find", "look:find", "Files", "SPACE:/PATH [OPTIONS]"),
    ("du", "look:du", "Files", "SPACE:/PATH [OPTIONS]"),
    ("mkdir", "edit:mkdir", "Files", "SPACE:/PATH... [OPTIONS]"),
    ("mv", "edit:mv", "Files", "SPACE:/OLD SPACE:/NEW [OPTIONS]"),
    ("rm", "edit:rm", "Files", "SPACE:/PATH... [OPTIONS]"),
    ("log", "history:log", "History", "SPACE [OPTIONS]"),
    ("diff", "history:diff", "History", "SPACE@VERSION [SPACE@VERSION] [OPTIONS]"),
    ("restore", "get:restore", "History", "SPACE:/PATH@VERSION TARGET [OPTIONS]"),
    ("status", "health:status", "Health", "SPACE [OPTIONS]"),
    ("check", "health:check", "Health", "SPACE [OPTIONS]"),
    ("repair", "health:repair", "Health", "SPACE [OPTIONS]"),
)
_PARTS = {
    "store": "The places that keep things: add, list, remove.",
    "space": "Spaces over stores: create, list, attach, add-store, remove-store.",
}
_ENDING = (
    "A place in a space is written SPACE:/PATH. As with cp, a target that ends in a slash, or is a folder, takes things"
    " into it. `ropewalk COMMAND --help` says more.\n\n"
    "Exit status: 0 done; 1 a fault of ropewalk; 2 wrong input; 3 not there; 4 not allowed, or cannot be promised;"
    " 5 not possible now, try again; 6 damaged; 10 done, and something is still owed to some store; 11 done, and"
    " something was left out; 130 stopped."
)


def make_app(words: Sequence[str] = ()) -> App:
    """The whole command line.

    Args:
        words: What was typed; where that names no command, a list of them is due, and each one's first line with it.
    """
    app = App(
        name="ropewalk",
        help="Files that survive: encrypted, redundant spaces over many independent stores.",
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
            help=text,
            group=_GROUPS["Setting up"],
            group_commands=Group("Commands"),
            help_epilogue="",
            sort_key=place,
        )
        for place, (name, text) in enumerate(_PARTS.items(), 1)
    }
    for part in parts.values():
        app.command(part)
    for place, (name, where, group, usage) in enumerate(COMMANDS):
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
    app.register_install_completion_command(help="Set up completion in your shell.", group=_OTHERS, help_epilogue="")
    if not words or words[0].startswith("-"):
        _import(app)
    elif words[0] in parts:
        _import(parts[words[0]])
    return app


def _import(app: App) -> None:
    for name in app:
        if not name.startswith("-"):
            _import(app[name])
