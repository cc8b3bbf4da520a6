"""A set of objects that are not kept alive, which other threads change while one goes through it."""

from __future__ import annotations

import gc
import re
import threading
import weakref

from ferrule._weak_set import WeakSet
from peers import ROOT


class Thing: ...


def test_holds_what_lives() -> None:
    things = [Thing(), Thing(), Thing()]
    held = WeakSet(things)
    held.add(things[0])
    assert set(held) == set(things)
    held.discard(things[0])
    held.discard(Thing())
    assert things[0] not in held
    assert things[1] in held
    del things[1]
    assert (set(held), len(held)) == (set(things[1:]), 1)
    held.clear()
    assert (list(held), len(held)) == ([], 0)


def in_thread(work: object) -> None:
    thread = threading.Thread(target=work)  # type: ignore[arg-type]
    thread.start()
    thread.join()


def test_other_threads_add_and_drop_while_one_goes_through_it() -> None:
    things = [Thing() for _ in range(10)]
    held = WeakSet(things)
    later = Thing()
    found = iter(held)
    seen = [next(found)]
    in_thread(lambda: held.add(later))
    in_thread(things.clear)
    # What was there at the beginning is seen, and lives as long.
    seen += found
    assert len(seen) == 10
    assert later not in seen
    del seen, found
    assert list(held) == [later]


def test_is_collected_with_what_is_in_it() -> None:
    thing = Thing()
    held = WeakSet([thing])
    # A cycle: the object holds the set that knows it.
    thing.held = held  # type: ignore[attr-defined]
    dead = weakref.ref(thing)
    del thing, held
    gc.collect()
    assert dead() is None


def test_nothing_else_holds_objects_weakly_in_a_set() -> None:
    """weakref.WeakSet loses its place when an object dies on another thread, also under its users' locks."""
    sources = (ROOT / "python" / "ferrule").rglob("*.py")
    used = [
        str(path) for path in sources if re.search(r"weakref\.WeakSet[^`]|weakref import .*WeakSet", path.read_text())
    ]
    assert used == []
