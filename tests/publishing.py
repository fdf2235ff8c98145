"""A process that publishes results, and says which ones are there for all.

`python publishing.py PLACE ADDRESS FIRST COUNT ROUNDS`: results with the numbers from FIRST on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from travelling import keep

from sphinx_nbcache.notices import say_nothing
from sphinx_nbcache.sharing.leaving import Leaving
from sphinx_nbcache.sharing.remote import Remote
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.names import PathNames


def key_of(number: int) -> str:
    """Return the code key of a result."""
    return f"{number:064x}"


def text_of(number: int) -> str:
    """Return what a notebook printed; every third text is an object of its own."""
    return f"{number}\n" + ("x" * 300_000 if number % 3 == 0 else "")


def publish(place: Path, url: str, numbers: list[int]) -> tuple[int, str | None]:
    """Publish results; return how many are there for all, and why not more are."""
    store = Store(place, say_nothing)
    leaving = Leaving(store, PathNames("/nowhere", home="/nobody"))
    remote = Remote(url, store)
    remote.publish([keep(store, text_of(n), key=key_of(n)) for n in numbers], leaving)
    done = remote.finish(30)
    store.close()
    return done, remote.off


def main() -> None:
    place, url, first, count, rounds = sys.argv[1:]
    for number in range(int(rounds)):
        start = int(first) + number * int(count)
        numbers = list(range(start, start + int(count)))
        done, off = publish(Path(place), url, numbers)
        if done == len(numbers):
            print(*numbers, flush=True)  # noqa: T201 (for who started it)
        else:
            print(off, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
