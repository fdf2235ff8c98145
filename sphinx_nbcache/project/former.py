"""How long notebooks took when they were last run: from their histories."""

from __future__ import annotations

from collections.abc import Iterable

from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project.run import FormerRun
from sphinx_nbcache.store.store import Store


def former_runs(store: Store, notebooks: Iterable[Planned]) -> dict[str, FormerRun]:
    """Return how long the runs took whose results pages last showed, by name of the notebook."""
    histories = store.histories(planned.name for planned in notebooks)
    results = store.records(history.result for history in histories.values())
    return {
        name: FormerRun(
            stored.result.seconds,
            {cell.digest: cell.seconds for cell in stored.result.cells if cell.seconds is not None},
        )
        for name, history in histories.items()
        if (stored := results.get(history.result)) is not None
    }
