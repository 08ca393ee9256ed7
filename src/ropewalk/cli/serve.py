"""`ropewalk serve`: an application of a configuration file, run until a signal ends it; or its file checked.

Flow: file -> configuration -> words, or the application as the work of this process
Never: starts anything with --check.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import COMMON, Common
from ropewalk.cli.output import count

__all__ = ["serve"]


def serve(
    file: Annotated[Path, Parameter(help="The application, in TOML.")],
    /,
    *,
    check: Annotated[bool, Parameter(help="Only say whether the file is right; nothing is started.")] = False,
    common: Common = COMMON,
) -> int:
    """Run the services that a file describes: your own, or those that are built in.

    SIGTERM or Ctrl-C stops them in order, a second one at once; SIGHUP reads the file and the certificates again.
    `ropewalk new service NAME` writes a file to begin with.
    """
    from ropewalk.service import load, serve_file

    if not check:
        serve_file(file)
        return 0
    read = load(file)
    services = [
        {"name": plan.name, "needs": list(plan.needs), "restart": str(plan.restart), "critical": plan.critical}
        for plan in read.plans
    ]
    names = ", ".join(plan.name for plan in read.plans)
    common.voice.done(
        f"{file} is right: {count(len(services), 'service')}{': ' if names else ''}{names}",
        {"application": read.application.name, "services": services},
    )
    return 0
