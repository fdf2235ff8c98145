"""The planner, which collects the evidence on each notebook for [](decide)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sphinx_nbcache.config import Settings, key_values
from sphinx_nbcache.files.paths import matching_glob, portable_path
from sphinx_nbcache.notebooks.formats import Formats
from sphinx_nbcache.notebooks.key import is_temporary, key_parts
from sphinx_nbcache.notebooks.scan import Scan, scan_file
from sphinx_nbcache.planning import (
    Action,
    Candidate,
    Decision,
    Evidence,
    Planned,
    Reason,
    Why,
    acceptance_rules,
    decide,
    fails_again,
    history_of,
    is_named,
    why_not,
)
from sphinx_nbcache.project.order import acyclic, in_order, producers
from sphinx_nbcache.project.products import Artifacts, Change
from sphinx_nbcache.project.run import Settled
from sphinx_nbcache.project.validity import Validity
from sphinx_nbcache.results.records import History, PastRun, Result, Rules, Stored
from sphinx_nbcache.store.store import Store

NeedsOutputs = Callable[[str, Result], bool]


@dataclass(frozen=True, slots=True)
class Source:
    """A file that may be a notebook.

    Attributes:
        path: Its absolute path.
        reader: The reader that the user chose for it, if any.
        assets: The files copied to a temporary folder, in addition to those that the notebook
            names: paths as returned by [](asset_of).
    """

    path: Path
    reader: str = ""
    assets: tuple[str, ...] = ()


@dataclass(slots=True)
class _Judged:
    """The known results under a code key.

    Attributes:
        whole: Results whose outputs are not damaged.
        damaged: The fault of the first damaged result.
        objections: Why results cannot be used, by digest.
        hopeless: Digests of failed results that another run would only repeat.
    """

    whole: list[Stored] = field(default_factory=list)
    damaged: str | None = None
    objections: dict[str, Reason] = field(default_factory=dict)
    hopeless: set[str] = field(default_factory=set)


class Planner:
    """Plans notebooks from the records in the store.

    Attributes:
        producers: For each planned notebook, the notebooks that write what it reads.

    Args:
        store: The store.
        settings: The options.
        base: The folder to which `nbcache_exclude` is relative.
        root: The directory to which names are relative.
        formats: The formats by suffix.
        not_before: If execution is forced, results of runs that began before this time (seconds
            since the epoch) do not count.
        validity: Checks whether results are still valid.
        artifacts: The files that notebooks write; they appear as planned results leave them.
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
        validity: Validity,
        artifacts: Artifacts,
    ) -> None:
        self._store = store
        self._settings = settings
        self._base = base
        self._root = root
        self._formats = formats
        self._not_before = not_before
        self._validity = validity
        self._artifacts = artifacts
        self._sources: dict[str, Source] = {}
        self._histories: dict[str, History | None] = {}
        self.producers: dict[str, frozenset[str]] = {}

    def is_source(self, name: str) -> bool:
        """Tell whether a file may be a notebook of the project."""
        return name in self._sources

    def plan(self, sources: Iterable[Source], needs_outputs: NeedsOutputs) -> tuple[Planned, ...]:
        """Plan notebooks, in the order of their names.

        Records of one kind are read from the store at once: for a thousand notebooks, planning
        then takes a tenth of a second instead of a second.

        Args:
            sources: Files that may be notebooks.
            needs_outputs: Returns, for a notebook's name and a result, whether the outputs will be
                loaded. If so, they are checked, and a damaged result is not reused.
        """
        by_name = {portable_path(item.path, self._root): item for item in sources}
        self._sources.update(by_name)
        return self._planned(by_name, self._scans(by_name), needs_outputs)

    def plan_scanned(self, source: Source, scan: Scan) -> Planned:
        """Plan one notebook from a given scan, which is not stored."""
        name = portable_path(source.path, self._root)
        return self._planned({name: source}, {name: scan}, every_output)[0]

    def _planned(
        self,
        by_name: Mapping[str, Source],
        scans: Mapping[str, Scan],
        needs_outputs: NeedsOutputs,
    ) -> tuple[Planned, ...]:
        # Files may have changed since the last plan: a server such as sphinx-autobuild keeps the
        # project between builds.
        self._artifacts.forget_planned()
        self._validity.look_again()
        notebooks = {
            name: self._notebook(name, source, scans[name])
            for name, source in sorted(by_name.items())
            if name in scans and scans[name].fmt is not None
        }
        self._look_up_histories(notebooks)
        results = self._store.results_of(item.code_key for item in notebooks.values())
        self._look_up_traces(notebooks, results)
        # Decide on the writers of files first: a reader depends on whether the files are restored.
        planned: dict[str, Planned] = {}
        order = in_order(notebooks, self.producers) if self.producers else notebooks
        for name in order:
            notebook = notebooks[name]
            planned[name] = self._decided(notebook, results[notebook.code_key], needs_outputs)
            planned[name] = self._after_its_producers(planned[name], planned)
        self._validity.keep()
        return tuple(planned[name] for name in notebooks)

    def again(self, planned: Planned) -> Planned | None:
        """Plan one notebook again, from a new scan of its file; `None` if the file is gone."""
        source = self._sources[planned.name]
        try:
            scan = scan_file(source.path, self._formats, source.reader)
        except OSError:
            return None
        self._store.keep({planned.name: scan}, {})
        notebook = self._notebook(planned.name, source, scan)
        return self._decided(notebook, self._store.results(notebook.code_key), every_output)

    def adopt(self, planned: Planned, stored: Stored) -> None:
        """Plan the changes of files that a notebook needs to reuse a result after all."""
        # Judge again: since the plan, other notebooks may have changed the same files.
        judged = self._validity.judge(planned.name, planned.path, planned.scan, planned.key, stored)
        if not isinstance(judged, Reason):
            self._expect(planned.name, stored, judged)

    def forget(self) -> None:
        """Release the cached histories and the planned changes."""
        self._histories.clear()
        self._artifacts.forget_planned()

    def whole_results(self, planned: Planned) -> list[Stored]:
        """Return the undamaged results under a notebook's code key."""
        found = self._store.results(planned.code_key)
        return self._whole(found)

    def previous(self, name: str) -> list[Stored]:
        """Return the result that the page of a notebook last showed, if the store has it."""
        history = self._histories.get(name)
        return list(self._store.records([history.result]).values()) if history is not None else []

    def past_runs(self, name: str) -> tuple[PastRun, ...]:
        """Return the last runs of a planned notebook, the oldest first."""
        history = self._histories.get(name)
        return history.runs if history is not None else ()

    def earlier(self, planned: Planned) -> list[Stored]:
        """Return all results that a notebook may have used before."""
        found = self._store.results(planned.code_key)
        return [*self.previous(planned.name), *found]

    def remember(self, notebooks: Sequence[Settled]) -> None:
        """Record the result that each page shows; the next build explains changes by it."""
        histories: dict[str, History] = {}
        for item in notebooks:
            if item.result is None:
                continue
            former = self._histories.get(item.planned.name)
            history = history_of(item.planned, item.result, former, ran_here=item.ran_here)
            if former != history:
                histories[item.planned.name] = history
        self._store.keep({}, histories)
        self._histories.update(histories)

    def _scans(self, sources: Mapping[str, Source]) -> Mapping[str, Scan]:
        """Return the current scan of every existing source, and store new scans."""
        current = self._store.scans(sources)
        fresh: dict[str, Scan] = {}
        confirmed: dict[str, Scan] = {}
        for name, source in sources.items():
            scan = current.get(name)
            if scan is None or not scan.is_current(source.path, self._formats, source.reader):
                current.pop(name, None)
                try:
                    found = scan_file(source.path, self._formats, source.reader)
                except OSError:
                    continue  # removed since it was found
                # Only the stat changed, as after `git checkout`: no write transaction is needed.
                is_known = scan is not None and found.says_the_same(scan)
                (confirmed if is_known else fresh)[name] = found
        self._store.keep_later(confirmed)
        self._store.keep(fresh, {})
        return current | confirmed | fresh

    def _notebook(self, name: str, source: Source, scan: Scan) -> Candidate:
        settings = scan.settings(self._settings)
        is_temp = settings.run_in == "temp" or is_temporary(settings.executor)
        folder = self._root if settings.run_in == "root" and not is_temp else source.path.parent
        key = key_parts(
            scan,
            portable_path(folder, self._root),
            settings.kernel_aliases,
            temporary=is_temp,
            assets=source.assets,
            arguments=settings.kernel_arguments,
            options=key_values(settings),
        )
        rules = acceptance_rules(scan, settings, portable_path(source.path, self._base))
        return Candidate(name, source.path, folder, scan, key, key.digest(), rules)

    def _look_up_traces(
        self, notebooks: Mapping[str, Candidate], results: Mapping[str, Sequence[Stored]]
    ) -> None:
        """Load the traces of all results at once, and find the producers of notebooks."""
        # After a change of code, the notebook has no results under its new key. Its last result
        # still tells what it probably reads and writes.
        last = {name: h.result for name in notebooks if (h := self._histories.get(name))}
        here = {stored.digest for found in results.values() for stored in found}
        gone = self._store.records(digest for digest in last.values() if digest not in here)
        by_name: dict[str, list[Result]] = {}
        for name, notebook in notebooks.items():
            by_name[name] = [stored.result for stored in results[notebook.code_key]]
            if last.get(name) in gone:
                by_name[name].append(gone[last[name]].result)
        self._validity.look_up(result for found in by_name.values() for result in found)
        self._order(by_name)

    def _order(self, results: Mapping[str, Sequence[Result]]) -> None:
        self.producers = {}
        if not self._validity.writes_anything(r for found in results.values() for r in found):
            return
        footprints = {
            name: self._validity.footprint(found)
            for name, found in results.items()
            if found and not all(result.temporary for result in found)
        }
        found = producers(footprints)
        order = in_order(results, found)
        self.producers = acyclic(order, found)
        self._artifacts.owners = {
            path: name for name in order if name in footprints for path in footprints[name].writes
        }

    def _decided(
        self, notebook: Candidate, found: Sequence[Stored], needs_outputs: NeedsOutputs
    ) -> Planned:
        name = notebook.name
        self._artifacts.withdraw(name)
        judged = self._judged(notebook, found, needs_outputs)
        evidence = Evidence(
            notebook=notebook,
            excluded_by=self._excluding_glob(notebook.path),
            results=judged.whole,
            damaged=judged.damaged,
            history=self._histories.get(name),
            objections=judged.objections,
            hopeless=frozenset(judged.hopeless),
            is_rerun=is_named(portable_path(notebook.path, self._base), self._settings.rerun),
        )
        settings = notebook.scan.settings(self._settings)
        decision = decide(evidence, settings, self._not_before)
        if decision.action is not Action.REUSE:
            self._artifacts.withdraw(name)
        return Planned(
            notebook.name,
            notebook.path,
            notebook.folder,
            notebook.scan,
            notebook.key,
            notebook.code_key,
            notebook.rules,
            decision,
        )

    def _after_its_producers(self, planned: Planned, others: Mapping[str, Planned]) -> Planned:
        """Postpone the decision on a notebook if a producer that runs may rewrite its inputs."""
        if planned.decision.action is not Action.REUSE:
            return planned
        for producer in sorted(self.producers.get(planned.name, ())):
            if others[producer].decision.action in (Action.EXECUTE, Action.DEPENDS):
                reason = Reason(Why.PRODUCER_RUNS, f"it reads what {producer} may rewrite")
                decision = Decision(Action.DEPENDS, reason, planned.decision.result)
                return replace(planned, decision=decision)
        return planned

    def _excluding_glob(self, path: Path) -> str | None:
        globs = self._settings.exclude
        return matching_glob(portable_path(path, self._base), globs) if globs else None

    def _look_up_histories(self, names: Iterable[str]) -> None:
        """Load the histories of notebooks; each only once, because a run changes it."""
        new = [name for name in names if name not in self._histories]
        self._histories.update(dict.fromkeys(new) | self._store.histories(new))

    def _judged(
        self, notebook: Candidate, found: Sequence[Stored], needs_outputs: NeedsOutputs
    ) -> _Judged:
        """Judge results in their order, until one can be used."""
        seen = _Judged()
        is_chosen = False
        for stored in found:
            # Validity is expensive to check, and not needed for the results after the chosen one.
            if is_chosen:
                seen.whole.append(stored)
                continue
            missing = None
            if needs_outputs(notebook.name, stored.result):
                missing = self._store.missing_outputs(stored.result)
            if missing is not None:
                seen.damaged = seen.damaged or missing
                continue
            seen.whole.append(stored)
            failed = why_not(stored.result, notebook.rules, notebook.scan) is not None
            if failed:
                if not self._fails_again(stored.result, notebook.rules):
                    continue
                seen.hopeless.add(stored.digest)
            judged = self._validity.why_outdated(stored.result, found) or self._validity.judge(
                notebook.name,
                notebook.path,
                notebook.scan,
                notebook.key,
                stored,
                lambda: [*found, *self.previous(notebook.name)],
            )
            if isinstance(judged, Reason):
                seen.objections[stored.digest] = judged
            else:
                is_chosen = True
                self._expect(notebook.name, stored, judged)
        return seen

    def _fails_again(self, result: Result, rules: Rules) -> bool:
        return fails_again(result, self._validity.trace(result), rules, self._settings)

    def is_tried_again(self, settled: Settled) -> bool:
        """Tell whether the next build runs a failed notebook again if nothing changes."""
        stored = settled.result
        return stored is None or not self._fails_again(stored.result, settled.planned.rules)

    def _expect(self, name: str, stored: Stored, changes: list[Change]) -> None:
        """Make files appear as they will be when a result is used, for notebooks that read them."""
        history = self._histories.get(name)
        if history is not None and history.result != stored.digest:
            changes = changes + self._validity.to_remove(name, self.previous(name), stored.result)
        self._artifacts.plan(name, changes)

    def _whole(self, found: Sequence[Stored]) -> list[Stored]:
        """Return the results whose outputs are not damaged."""
        return [s for s in found if self._store.missing_outputs(s.result) is None]


def every_output(_name: str, _result: Result) -> bool:
    """Return that outputs will be loaded."""
    return True
