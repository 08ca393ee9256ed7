"""Write the vectors of the format, or with --check say whether they are what they would be.

    python docs/spec/vectors/make.py
    python docs/spec/vectors/make.py --check

Flow: cases_*, tree, erasure -> verified by the reference -> *.json
Never: takes ropewalk's word: what it has made is computed again by the reference, or is not written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from docs.spec.vectors import (  # noqa: E402
    cases_basics,
    cases_broker,
    cases_broker_enter,
    cases_broker_talk,
    cases_chunks,
    cases_epochs,
    cases_groups,
    cases_heads,
    cases_hints,
    cases_invites,
    cases_judging,
    cases_metrics_push,
    cases_packs,
    cases_passport,
    cases_proofs,
    cases_space,
    fixture,
    verify,
)

MOST = 1_000_000  # bytes in all; large inputs are made from labels


def wanted() -> dict[str, object]:
    """What each file is to hold."""
    makers: dict[str, Callable[[], object]] = {
        "basics": cases_basics.basics,
        "members": cases_basics.members,
        "chunks": cases_chunks.cases,
        "packs": cases_packs.cases,
        "groups": cases_groups.cases,
        "epochs": cases_epochs.cases,
        "heads": cases_heads.cases,
        "erasure": verify.erasure,
        "tree": verify.tree,
        "space": cases_space.cases,
        "metrics-push": cases_metrics_push.cases,
    }
    made = {name: make() for name, make in makers.items()}
    verify.all_of(made)
    broker = cases_broker.cases() | cases_broker_talk.cases() | cases_broker_enter.cases()
    made |= {f"broker/{name}": held for name, held in broker.items()}
    made["hints"] = cases_hints.cases()
    made["proofs"] = cases_proofs.cases()
    made["invites"] = cases_invites.cases()
    made["judging"] = cases_judging.cases()
    made["passport"] = cases_passport.cases()
    return made | {"recorded": dict(sorted(fixture.used.items()))}


def lines(held: object) -> str:
    """JSON with a line for each case or field, so that a difference shows which one."""
    if isinstance(held, list):
        return "[\n" + ",\n".join(json.dumps(case) for case in held) + "\n]\n"
    assert isinstance(held, dict)
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(part)}" for name, part in held.items()) + "\n}\n"


def main(check: bool) -> int:
    """Write or compare; the exit status."""
    texts = {HERE / f"{name}.json": lines(held) for name, held in wanted().items()}
    total = sum(map(len, texts.values()))
    if total > MOST:
        print(f"vectors: {total} bytes in all, expected at most {MOST}", file=sys.stderr)
        return 1
    for path, text in texts.items():
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(
                f"vectors: {path.name} is not what make.py makes: run it, and look at the difference", file=sys.stderr
            )
            return 1
    if extra := sorted(path.name for path in HERE.rglob("*.json") if path not in texts):
        print(f"vectors: {extra[0]} is made by nothing", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit("usage: make.py [--check]")
    sys.exit(main(check=bool(sys.argv[1:])))
