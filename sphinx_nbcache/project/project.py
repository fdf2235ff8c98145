"""The project: a root, the settings, the store and the notebooks.

Every front end (the Sphinx extension, scripts that use the Python API) drives this façade:

    project = Project.find("docs")
    plan = project.plan()
    for planned in plan:
        print(planned.name, planned.decision.action, planned.decision.reason)
    run = project.execute(plan)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from sphinx_nbcache.config import Settings, declared_options, read_settings
from sphinx_nbcache.notebooks.formats import Formats
from sphinx_nbcache.notebooks.key import key_parts, portable_path
from sphinx_nbcache.notebooks.scan import Scan, scan_file
from sphinx_nbcache.notebooks.sources import is_output, matching_glob, not_documents
from sphinx_nbcache.notices import Notify
from sphinx_nbcache.planning import (
    Action,
    Evidence,
    Plan,
    Planned,
    acceptance_rules,
    decide,
    history_of,
    why_not,
)
from sphinx_nbcache.project.place import find_root, store_place
from sphinx_nbcache.project.run import Progress, Run, Settled
from sphinx_nbcache.project.turns import Turns
from sphinx_nbcache.store.outputs import RunOutputs
from sphinx_nbcache.store.records import History, Result, Rules, Stored
from sphinx_nbcache.store.store import Store

NeedsOutputs = Callable[[str, Result], bool]


class Project:
    """A root, the settings, the store, and the notebooks.

    Args:
        sources: Absolute paths of the files that may be notebooks.
        base: The folder to which `nbcache_exclude` and other paths in settings are relative.
        place: The folder in which the store lives.
        settings: The options.
        notify: Takes warnings.
    """

    def __init__(
        self,
        sources: Iterable[Path],
        *,
        base: Path,
        place: Path,
        settings: Settings,
        notify: Notify = lambda _notice: None,
    ) -> None:
        self.base = base
        self.settings = settings
        self.root = find_root(base, settings.root)
        self.formats = Formats(settings.formats)
        self.store = Store(place, notify)
        self.sources = sorted(sources)
        # Results of runs that began earlier do not count where everything is forced.
        self._began = time.time()
        self._histories: dict[str, History | None] = {}

    @classmethod
    def find(
        cls,
        folder: str | os.PathLike[str],
        *,
        place: str | os.PathLike[str] | None = None,
        notify: Notify = lambda _notice: None,
        **options: Any,
    ) -> Project:
        """Return the project of the notebooks in and below a folder.

        Args:
            folder: Where to look for notebooks. Hidden folders, `_build`, and folders to which
                Sphinx has written pages are passed over.
            place: The folder of the store; by default what the option `store` or the
                environment variable `JUPYTERCACHE` says, else `.jupyter_cache` in the folder.
            notify: Takes warnings.
            options: Options, named as in `conf.py` without `nbcache_`.

        Raises:
            ValueError: An option is unknown or has a value that cannot be used.
        """
        base = Path(folder).resolve()
        if unknown := sorted(options.keys() - declared_options().keys()):
            raise ValueError(f"unknown options: {', '.join(unknown)}")
        settings, problems = read_settings(options)
        if problems:
            raise ValueError("; ".join(problems))
        formats = Formats(settings.formats)
        names = list(_files_below(base, formats))
        left_out = set(not_documents(base, names, formats))
        sources = [base / name for name in names if name not in left_out]
        where = Path(place).resolve() if place is not None else store_place(base, base, settings)
        return cls(sources, base=base, place=where, settings=settings, notify=notify)

    def name_of(self, path: Path) -> str:
        """Return the name of a notebook: its path relative to the root."""
        return portable_path(path, self.root)

    def plan(self, needs_outputs: NeedsOutputs | None = None) -> Plan:
        """Decide for each notebook what is to be done with it, and why. Nothing is run.

        Args:
            needs_outputs: Tells, by a notebook's name and a result, whether the outputs will be
                loaded. If so they are checked now, and a damaged result is not reused. By
                default all are.
        """
        made = time.time()
        planned = tuple(
            self._planned(name, path, scan, needs_outputs or _always)
            for name, (path, scan) in self._scans().items()
            if scan.fmt is not None
        )
        return Plan(planned, made)

    def execute(self, plan: Plan, progress: Progress | None = None) -> Run:
        """Run what is to be run, and return what became of every notebook.

        Each result is in the store as soon as its notebook has ended. Notebooks with the same
        code and rules in the same folder are run once. A notebook that another build on the
        same store is running is awaited, not run twice.

        Raises:
            NotebookFailedError: A notebook failed, and `nbcache_on_error = "stop"`.
        """
        begin = time.perf_counter()
        turns = Turns(
            store=self.store,
            settings=self.settings,
            progress=progress or Progress(),
            results=self._whole_results_of,
            replan=self._replan,
            since=plan.made,
        )
        if to_run := plan.with_action(Action.EXECUTE):
            turns.take(to_run)
        settled = tuple(
            turns.settled.get(item.name) or Settled(item, item.decision.result)
            for item in plan.notebooks
        )
        self._remember(settled)
        return Run(settled, time.perf_counter() - begin)

    def outputs(self, stored: Stored) -> RunOutputs:
        """Return the outputs of a result.

        Raises:
            OutputsError: They are missing or damaged.
        """
        return self.store.outputs(stored.result)

    def close(self) -> None:
        """Let go of the store. It is opened again when it is needed."""
        self.store.close()

    def _scans(self) -> dict[str, tuple[Path, Scan]]:
        """Return the current scan of every source, by name; new ones are remembered."""
        current: dict[str, tuple[Path, Scan]] = {}
        fresh: dict[str, Scan] = {}
        for path in self.sources:
            name = self.name_of(path)
            scan = self.store.scan(name)
            if scan is None or not scan.is_current(path, self.formats):
                try:
                    scan = fresh[name] = scan_file(path, self.formats)
                except OSError:
                    continue  # it went away since it was found
            current[name] = path, scan
        self.store.keep(fresh, {})
        return current

    def _planned(self, name: str, path: Path, scan: Scan, needs_outputs: NeedsOutputs) -> Planned:
        directory = portable_path(path.parent, self.root)
        key = key_parts(scan, directory, self.settings.kernel_aliases)
        rules = acceptance_rules(scan, self.settings)
        code_key = key.digest()
        results, damaged = self._whole_results(name, code_key, scan, rules, needs_outputs)
        evidence = Evidence(
            scan=scan,
            key=key,
            rules=rules,
            excluded_by=self._excluding_glob(path),
            results=results,
            damaged=damaged,
            history=self._history(name),
        )
        decision = decide(evidence, self.settings, self._began)
        return Planned(name, path, scan, key, code_key, rules, decision)

    def _excluding_glob(self, path: Path) -> str | None:
        globs = self.settings.exclude
        return matching_glob(portable_path(path, self.base), globs) if globs else None

    def _history(self, name: str) -> History | None:
        """Return what a notebook last was. It is looked up once."""
        if name not in self._histories:
            self._histories[name] = self.store.history(name)
        return self._histories[name]

    def _whole_results(
        self,
        name: str,
        code_key: str,
        scan: Scan,
        rules: Rules,
        needs_outputs: NeedsOutputs,
    ) -> tuple[list[Stored], str | None]:
        """Return the results under a code key, without those whose outputs are damaged.

        The second value says what is wrong with the first one that was left out.
        """
        whole: list[Stored] = []
        damaged = None
        is_chosen = False  # of those behind the one that will be shown, nothing is loaded
        for stored in self.store.results(code_key):
            missing = None
            if not is_chosen and needs_outputs(name, stored.result):
                missing = self.store.missing_outputs(stored.result)
            if missing is None:
                whole.append(stored)
                is_chosen = is_chosen or why_not(stored.result, rules, scan) is None
            damaged = damaged or missing
        return whole, damaged

    def _whole_results_of(self, planned: Planned) -> list[Stored]:
        arguments = planned.name, planned.code_key, planned.scan, planned.rules
        return self._whole_results(*arguments, _always)[0]

    def _replan(self, planned: Planned) -> Planned | None:
        """Plan one notebook anew, from a new reading of its file; `None` if it has gone."""
        try:
            scan = scan_file(planned.path, self.formats)
        except OSError:
            return None
        self.store.keep({planned.name: scan}, {})
        return self._planned(planned.name, planned.path, scan, _always)

    def _remember(self, notebooks: Sequence[Settled]) -> None:
        """Remember what each page shows, so that the next reason compares with it."""
        histories: dict[str, History] = {}
        for item in notebooks:
            if item.result is None:
                continue
            history = history_of(item.planned, item.result)
            if self._history(item.planned.name) != history:
                histories[item.planned.name] = history
        self.store.keep({}, histories)
        self._histories.update(histories)


def _always(_name: str, _result: Result) -> bool:
    return True


def _files_below(base: Path, formats: Formats) -> Iterable[str]:
    """Yield the files with a notebook's suffix, as POSIX paths relative to the folder."""
    for folder, folders, files in os.walk(base):
        folders[:] = sorted(
            name
            for name in folders
            if not (name.startswith((".", "_build")) or is_output(Path(folder) / name))
        )
        for name in sorted(files):
            if formats.suffix_of(name):
                yield (Path(folder) / name).relative_to(base).as_posix()
