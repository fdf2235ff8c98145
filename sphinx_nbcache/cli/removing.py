"""The report of removed results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sphinx_nbcache.cli.as_json import RemovedResults
from sphinx_nbcache.cli.output import say_done, say_json
from sphinx_nbcache.cli.wording import counted


class _HasId(Protocol):
    @property
    def id(self) -> int: ...


def say_removed(removed: Sequence[_HasId], *, as_json: bool) -> None:
    """Report which results were removed."""
    if as_json:
        say_json(RemovedResults(removed=tuple(item.id for item in removed)))
        return
    say_done(f"Removed {counted(len(removed), 'result')}{_ids(removed)}")


def _ids(removed: Sequence[_HasId]) -> str:
    return f": {', '.join(str(item.id) for item in removed)}" if removed else ""
