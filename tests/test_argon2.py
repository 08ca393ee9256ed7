"""Stretching: what was kept agrees with its password alone, and many threads at once do no harm."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ropewalk.argon2 import agrees, derive, kept


def test_a_password_agrees_with_what_was_kept_of_it_and_no_other() -> None:
    phc = kept(b"right")
    assert phc.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert agrees(b"right", phc)
    assert not agrees(b"wrong", phc)
    assert not agrees(b"right", "$argon2id$no")
    assert kept(b"right") != phc


def test_a_key_depends_on_every_argument() -> None:
    first = derive(b"password", b"somesalt16bytes!", memory=64, passes=3, lanes=4)
    assert len(first) == 32
    assert first == derive(b"password", b"somesalt16bytes!", memory=64, passes=3, lanes=4)
    others = {
        derive(b"passwore", b"somesalt16bytes!", memory=64, passes=3, lanes=4),
        derive(b"password", b"somesalt16bytes?", memory=64, passes=3, lanes=4),
        derive(b"password", b"somesalt16bytes!", memory=72, passes=3, lanes=4),
        derive(b"password", b"somesalt16bytes!", memory=64, passes=2, lanes=4),
        derive(b"password", b"somesalt16bytes!", memory=64, passes=3, lanes=2),
    }
    assert len(others | {first}) == 6


def test_many_threads_at_once() -> None:
    """Two at once inside the library fail for want of threads, or hang."""
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: derive(b"x", b"s" * 16, memory=1024, passes=1), range(64)))
    assert len(found) == 1
