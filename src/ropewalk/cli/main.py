"""Main: from arguments to an exit status.

Flow: argv -> (--version, at once) | (keys opened ahead) -> cyclopts -> a command, run to its end -> 0 or what went
    wrong, in one line
Never: shows a stack of calls to someone who did not ask for it, or loads a library to print the version.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextvars import copy_context

from ropewalk._version import __version__
from ropewalk.cli.commands import named, needs_keys

__all__ = ["main"]

_STOPPED = 130  # as a shell says it: 128 and the number of the signal


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status.

    Args:
        argv: Without the program's name; by default the process's own, and then the process ends with the command.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        print(__version__)
        return 0
    if argv is not None:
        return _told(words)
    from ropewalk.cli.memory import collect_later, collect_no_more

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # who reads a pipe needs a code while its command still waits
    collect_later()
    try:
        return _told(words)
    finally:
        collect_no_more()


def _told(words: list[str]) -> int:
    """Run a command and say what went wrong."""
    from ropewalk.cli.memory import keep_memory
    from ropewalk.cli.output import Voice

    keep_memory()
    voice = Voice(json="--json" in words[: words.index("--")] if "--" in words else "--json" in words)
    try:
        if needs_keys(words):
            from ropewalk.cli.ahead import keys_ahead

            with keys_ahead(words):
                status = copy_context().run(_run, words)
        else:
            status = copy_context().run(_run, words)  # what a command keeps is gone with it
        sys.stdout.flush()
    except KeyboardInterrupt:
        if named(words) != "watch":  # which nothing else ends
            voice.error("stopped", code="stopped", hint="nothing is lost; the same command can be given again")
        return _STOPPED
    except BrokenPipeError:
        # The reader has seen enough; without this, the interpreter's last flush would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except Exception as error:
        from ropewalk.cli.failure import Failure

        failure = Failure.of(error)
        voice.error(failure.message, code=failure.code, hint=failure.hint)
        if failure.unexpected and os.environ.get("ROPEWALK_DEBUG"):
            raise
        return failure.status
    return status


def _run(words: list[str]) -> int:
    from cyclopts.exceptions import CycloptsError

    from ropewalk.cli.app import make_app
    from ropewalk.cli.memory import collect_again

    try:
        command, bound, _ = make_app(words).parse_args(words, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        from ropewalk.cli.failure import bad_arguments

        raise bad_arguments(error) from None
    collect_again()
    result = command(*bound.args, **bound.kwargs)
    if hasattr(result, "__await__"):
        import logging

        from ropewalk.cli.loop import run

        log = logging.getLogger("ropewalk")
        if not log.handlers and not os.environ.get("ROPEWALK_DEBUG"):  # what ends a command is told as an error, once
            log.addHandler(logging.NullHandler())
        result = run(result)
    return result if isinstance(result, int) else 0
