"""Commands: what they are called, where they are, and which of them open a space.

Flow: main, app, reference -> COMMANDS; words that were typed -> named -> main, app
Never: imports anything: this is looked at before it is known what will be needed.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["COMMANDS", "GROUPS", "named", "needs_keys"]

GROUPS = ("Setting up", "Files", "History", "Health", "Members", "Nodes", "Servers")
IN_A_SPACE = GROUPS[1:4]  # those of members may ask before they open one, or open several
# words, where, group, usage; in the order of the help
COMMANDS: tuple[tuple[str, str, str, str], ...] = (
    ("init", "init:init", "Setting up", "[OPTIONS]"),
    ("store add", "store:add", "", "NAME PLACE [OPTIONS]"),
    ("store list", "store:list_stores", "", "[OPTIONS]"),
    ("store remove", "store:remove", "", "NAME [OPTIONS]"),
    ("store passport", "passport:passport", "", "NAME [OPTIONS]"),
    ("space create", "space:create", "", "NAME --stores A,B,... --survive N --across KIND [OPTIONS]"),
    ("space list", "space:list_spaces", "", "[OPTIONS]"),
    ("space attach", "attach:attach", "", "NAME [OPTIONS]"),
    ("space rename", "rename:rename", "", "SPACE NAME [OPTIONS]"),
    ("space add-store", "space:add_store", "", "SPACE STORE [OPTIONS]"),
    ("space remove-store", "space:remove_store", "", "SPACE STORE [OPTIONS]"),
    ("space offline", "offline:offline", "", "SPACE [STATE] [OPTIONS]"),
    ("space queue", "offline:queue", "", "SPACE [OPTIONS]"),
    ("recovery paper", "paper:paper", "", "[OPTIONS]"),
    ("recovery restore", "recovery:restore", "", "[OPTIONS]"),
    ("put", "put:put", "Files", "SOURCE... SPACE:/PATH [OPTIONS]"),
    ("get", "get:get", "Files", "SPACE:/PATH TARGET [OPTIONS]"),
    ("ls", "look:ls", "Files", "SPACE:/PATH [OPTIONS]"),
    ("cat", "look:cat", "Files", "SPACE:/PATH... [OPTIONS]"),
    ("find", "look:find", "Files", "SPACE:/PATH [OPTIONS]"),
    ("du", "look:du", "Files", "SPACE:/PATH [OPTIONS]"),
    ("mkdir", "edit:mkdir", "Files", "SPACE:/PATH... [OPTIONS]"),
    ("mv", "edit:mv", "Files", "SPACE:/OLD SPACE:/NEW [OPTIONS]"),
    ("rm", "edit:rm", "Files", "SPACE:/PATH... [OPTIONS]"),
    ("conflicts", "conflicts:conflicts", "Files", "SPACE [OPTIONS]"),
    ("merge", "conflicts:merge", "Files", "SPACE:/PATH [OPTIONS]"),
    ("log", "history:log", "History", "SPACE [OPTIONS]"),
    ("diff", "history:diff", "History", "SPACE@OLD [SPACE@NEW] [OPTIONS]"),
    ("restore", "get:restore", "History", "SPACE:/PATH@VERSION TARGET [OPTIONS]"),
    ("watch", "watch:watch", "History", "SPACE [OPTIONS]"),
    ("audit verify", "audit:verify", "", "FILE [OPTIONS]"),
    ("audit export", "audit:export", "", "SPACE ID FILE [OPTIONS]"),
    ("audit accept", "accept:accept", "", "SPACE WHAT... [OPTIONS]"),
    ("audit", "audit:audit", "History", "SPACE [OPTIONS]"),  # after those that begin with it
    ("status", "health:status", "Health", "SPACE [OPTIONS]"),
    ("check", "health:check", "Health", "SPACE [OPTIONS]"),
    ("repair", "health:repair", "Health", "SPACE [OPTIONS]"),
    ("pool show", "pool:show", "", "SPACE [OPTIONS]"),
    ("pool drain", "pool:drain", "", "SPACE STORE [OPTIONS]"),
    ("pool evacuate", "pool:evacuate", "", "SPACE STORE [OPTIONS]"),
    ("invite", "invite:invite", "Members", "[SPACE] [OPTIONS]"),
    ("join", "join:join", "Members", "[CODE] [OPTIONS]"),
    ("members", "member:members", "Members", "SPACE [OPTIONS]"),
    ("member role", "member:role", "", "WHO ROLE [OPTIONS]"),
    ("member remove", "member:remove", "", "WHO [OPTIONS]"),
    ("member reseal", "hard:reseal", "", "SPACE [OPTIONS]"),
    ("device add", "invite:add_device", "", "[OPTIONS]"),
    ("device list", "device:list_devices", "", "[OPTIONS]"),
    ("device revoke", "device:revoke", "", "NAME [OPTIONS]"),
    ("up", "up:up", "Nodes", "[OPTIONS]"),
    ("node show", "node_show:show", "", "[OPTIONS]"),
    ("node offer", "node:offer", "", "NAME FOLDER [OPTIONS]"),
    ("node withdraw", "node:withdraw", "", "NAME [OPTIONS]"),
    ("node allow", "node_grants:allow", "", "WHO [SPACE] [OPTIONS]"),
    ("node deny", "node_grants:deny", "", "ID [OPTIONS]"),
    ("node key", "node:key", "", "[OPTIONS]"),
    ("node trash", "node_trash:trash", "", "SPACE [OPTIONS]"),
    ("node take-back", "node_trash:take_back", "", "SPACE LABEL... [OPTIONS]"),
    ("node veto", "node_trash:veto", "", "SPACE DAYS [OPTIONS]"),
    ("serve", "serve:serve", "Servers", "FILE [OPTIONS]"),
    ("console", "console:console", "Servers", "[COMMAND...] [OPTIONS]"),
    ("new protocol", "new:protocol", "", "NAME [OPTIONS]"),
    ("new service", "new:service", "", "NAME [OPTIONS]"),
    ("account add", "account:add", "", "NAME --in FILE [OPTIONS]"),
    ("account list", "account:list_accounts", "", "--in FILE [OPTIONS]"),
    ("account remove", "account:remove", "", "NAME --in FILE [OPTIONS]"),
    ("account password", "account:password", "", "NAME --in FILE [OPTIONS]"),
    ("account groups", "account:groups", "", "NAME GROUPS --in FILE [OPTIONS]"),
    ("account key", "account:key", "", "NAME [PUBLIC_KEY] --in FILE [OPTIONS]"),
    ("account token", "account:token", "", "NAME --in FILE [OPTIONS]"),
)


def named(words: Sequence[str]) -> str | None:
    """The command that these words begin with, None where that is not plain."""
    for name, *_ in COMMANDS:
        parts = name.split()
        if parts == list(words[: len(parts)]):
            return name
    return None


def needs_keys(words: Sequence[str]) -> bool:
    """Whether these words, if nothing is wrong with them, are a command that works in an open space."""
    name = named(words)
    in_a_space = any(name == one and group in IN_A_SPACE for one, _, group, _ in COMMANDS)
    return in_a_space and len(words) > 1 and "--help" not in words and "-h" not in words
