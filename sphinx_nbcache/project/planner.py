"""Collecting the evidence on each notebook, for [](decide) to decide on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sphinx_nbcache.config import Settings
from sphinx_nbcache.execution.registry import is_temporary
from sphinx_nbcache.notebooks.formats import Formats
from sphinx_nbcache.notebooks.key import KeyParts, key_parts, portable_path
from sphinx_nbcache.notebooks.scan import Scan, scan_file
from sphinx_nbcache.notebooks.sources import matching_glob
from sphinx_nbcache.planning import (
    Evidence,
    Planned,
    acceptance_rules,
    decide,
    history_of,
    why_not,
)
from sphinx_nbcache.project.run import Settled
from sphinx_nbcache.store.records import History, Result, Rules, Stored
from sphinx_nbcache.store.store import Store

NeedsOutputs = Callable[[str, Result], bool]


@dataclass(frozen=True, slots=True)
class Source:
    """A file that may be a notebook.

    Attributes:
        path: Its absolute path.
        reader: The reader that was named for it, if one was.
        assets: What a temporary folder gets copies of, beside what the notebook names itself:
            paths as [](asset_of) returns them.
    """

    path: Path
    reader: str = ""
    assets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Notebook:
    """A notebook of which nothing is decided yet."""

    name: str
    source: Source
    scan: Scan
    key: KeyParts
    code_key: str
    rules: Rules


class Planner:
    """Plans notebooks by what the store remembers of them.

    Args:
        store: The store.
        settings: The options.
        base: The folder to which `nbcache_exclude` is relative.
        root: The directory to which names are relative.
        formats: What suffixes mean.
        not_before: Where everything is forced, results of runs that began earlier (seconds
            since the epoch) do not count.
    """

    def __init__(  # noqa: PLR0913 (what a project consists of)
        self,
        store: Store,
        settings: Settings,
        *,
        base: Path,
        root: Path,
        formats: Formats,
        not_before: float,
    ) -> None:
        self._store = store
        self._settings = settings
        self._base = base
        self._root = root
        self._formats = formats
        self._not_before = not_before
        self._sources: dict[str, Source] = {}
        self._histories: dict[str, History | None] = {}

    def plan(self, sources: Iterable[Source], needs_outputs: NeedsOutputs) -> tuple[Planned, ...]:
        """Plan notebooks, in the order of their names.

        The store is asked for everything of one kind at once: for a thousand notebooks that is
        the difference between a tenth of a second and a second.

        Args:
            sources: Files that may be notebooks.
            needs_outputs: Tells, by a notebook's name and a result, whether the outputs will be
                loaded. If so they are checked, and a damaged result is not reused.
        """
        by_name = {portable_path(item.path, self._root): item for item in sources}
        self._sources.update(by_name)
        scans = self._scans(by_name)
        notebooks = [
            self._notebook(name, source, scans[name])
            for name, source in sorted(by_name.items())
            if name in scans and scans[name].fmt is not None
        ]
        self._look_up_histories(item.name for item in notebooks)
        results = self._store.results_of(item.code_key for item in notebooks)
        return tuple(self._decided(n, results[n.code_key], needs_outputs) for n in notebooks)

    def again(self, planned: Planned) -> Planned | None:
        """Plan one notebook anew, from a new reading of its file; `None` if it has gone."""
        source = self._sources[planned.name]
        try:
            scan = scan_file(source.path, self._formats, source.reader)
        except OSError:
            return None
        self._store.keep({planned.name: scan}, {})
        return self.plan_scanned(source, scan)

    def plan_scanned(self, source: Source, scan: Scan) -> Planned:
        """Plan one notebook by a reading that is at hand."""
        notebook = self._notebook(portable_path(source.path, self._root), source, scan)
        return self._decided(notebook, self._store.results(notebook.code_key), every_output)

    def whole_results(self, planned: Planned) -> list[Stored]:
        """Return the results under a notebook's code key, without those that are damaged."""
        found = self._store.results(planned.code_key)
        return self._whole(planned.name, found, planned.scan, planned.rules, every_output)[0]

    def remember(self, notebooks: Sequence[Settled]) -> None:
        """Remember what each page shows, so that the next reason compares with it."""
        histories: dict[str, History] = {}
        for item in notebooks:
            if item.result is None:
                continue
            history = history_of(item.planned, item.result)
            if self._histories.get(item.planned.name) != history:
                histories[item.planned.name] = history
        self._store.keep({}, histories)
        self._histories.update(histories)

    def _scans(self, sources: Mapping[str, Source]) -> Mapping[str, Scan]:
        """Return the current scan of every source that is there; new ones are remembered."""
        current = self._store.scans(sources)
        fresh: dict[str, Scan] = {}
        for name, source in sources.items():
            scan = current.get(name)
            if scan is None or not scan.is_current(source.path, self._formats, source.reader):
                current.pop(name, None)
                try:
                    fresh[name] = scan_file(source.path, self._formats, source.reader)
                except OSError:
                    continue  # it went away since it was found
        self._store.keep(fresh, {})
        return current | fresh

    def _notebook(self, name: str, source: Source, scan: Scan) -> _Notebook:
        key = key_parts(
            scan,
            portable_path(source.path.parent, self._root),
            self._settings.kernel_aliases,
            temporary=is_temporary(self._settings.executor),
            assets=source.assets,
        )
        rules = acceptance_rules(scan, self._settings)
        return _Notebook(name, source, scan, key, key.digest(), rules)

    def _decided(
        self, notebook: _Notebook, found: Sequence[Stored], needs_outputs: NeedsOutputs
    ) -> Planned:
        name, scan, rules = notebook.name, notebook.scan, notebook.rules
        results, damaged = self._whole(name, found, scan, rules, needs_outputs)
        evidence = Evidence(
            scan=scan,
            key=notebook.key,
            rules=rules,
            excluded_by=self._excluding_glob(notebook.source.path),
            results=results,
            damaged=damaged,
            history=self._histories.get(name),
        )
        decision = decide(evidence, self._settings, self._not_before)
        path = notebook.source.path
        return Planned(name, path, scan, notebook.key, notebook.code_key, rules, decision)

    def _excluding_glob(self, path: Path) -> str | None:
        globs = self._settings.exclude
        return matching_glob(portable_path(path, self._base), globs) if globs else None

    def _look_up_histories(self, names: Iterable[str]) -> None:
        """Look up what notebooks last were; once for each, because a run changes it."""
        new = [name for name in names if name not in self._histories]
        self._histories.update(dict.fromkeys(new) | self._store.histories(new))

    def _whole(
        self,
        name: str,
        found: Sequence[Stored],
        scan: Scan,
        rules: Rules,
        needs_outputs: NeedsOutputs,
    ) -> tuple[list[Stored], str | None]:
        """Return the results that were found, without those whose outputs are damaged.

        The second value says what is wrong with the first one that was left out.
        """
        whole: list[Stored] = []
        damaged = None
        is_chosen = False  # of those behind the one that will be shown, nothing is loaded
        for stored in found:
            missing = None
            if not is_chosen and needs_outputs(name, stored.result):
                missing = self._store.missing_outputs(stored.result)
            if missing is None:
                whole.append(stored)
                is_chosen = is_chosen or why_not(stored.result, rules, scan) is None
            damaged = damaged or missing
        return whole, damaged


def every_output(_name: str, _result: Result) -> bool:
    """Say that outputs will be loaded."""
    return True
