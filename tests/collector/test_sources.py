"""Who is alive, late or dead, by virtual time."""

from __future__ import annotations

import pytest

from ropewalk.collector.sources import Change, Sources, TooManySources


def test_a_source_grows_late_and_dead_and_comes_back() -> None:
    sources = Sources()
    sources.saw("web", 10, 100)
    assert sources.judge(125) == []
    assert sources.judge(125.1) == [Change("web", "alive", "late", 125.1)]
    assert sources.judge(130) == []
    assert sources.judge(206) == [Change("web", "late", "dead", 206)]
    assert sources.saw("web", 10, 300) == Change("web", "dead", "alive", 300)
    (source,) = sources.all()
    assert (source.state, source.first, source.seen, source.since) == ("alive", 100, 300, 300)


def test_its_own_pace_counts() -> None:
    sources = Sources()
    sources.saw("fast", 1, 0)
    sources.saw("slow", 600, 0)
    assert [(change.source, change.after) for change in sources.judge(66)] == [("fast", "dead")]
    assert sources.judge(1205) == []
    assert [(change.source, change.after) for change in sources.judge(1206)] == [("slow", "late")]


def test_there_is_room_for_so_many_and_the_longest_dead_gives_way() -> None:
    sources = Sources(most=2)
    for name, now in (("a", 0), ("b", 1)):
        sources.admit(name)
        sources.saw(name, 10, now)
    sources.admit("a")
    with pytest.raises(TooManySources) as caught:
        sources.admit("c")
    assert caught.value.code == "collector.sources"
    sources.judge(1_000)
    sources.admit("c")
    assert [source.name for source in sources.all()] == ["b"]
