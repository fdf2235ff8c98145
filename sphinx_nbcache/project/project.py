"""The project: a root, the settings, the store and the notebooks.

Every front end (the Sphinx extension, the command line, scripts) drives this façade:

    project = open_project()
    plan = project.plan()
    for planned in plan:
        print(planned.name, planned.decision.action, planned.decision.reason)
    run = project.execute(plan)
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx_nbcache.config import Settings, checked_settings
from sphinx_nbcache.files.paths import matching_glob, portable_path
from sphinx_nbcache.notebooks.formats import Formats, is_output, not_documents
from sphinx_nbcache.notebooks.notebook import Notebook
from sphinx_nbcache.notices import Notice, Notify, Topic, say_nothing
from sphinx_nbcache.planning import Action, Plan, Planned, Why
from sphinx_nbcache.project.forgetting import forget_missing
from sphinx_nbcache.project.jobs import Observer
from sphinx_nbcache.project.ledger import BuildLedger
from sphinx_nbcache.project.locations import find_root, store_place
from sphinx_nbcache.project.order import former_runs
from sphinx_nbcache.project.planner import NeedsOutputs, Planner, Source, every_output
from sphinx_nbcache.project.products import Artifacts
from sphinx_nbcache.project.register import Register, is_notebook
from sphinx_nbcache.project.reproducing import Comparison, Reruns
from sphinx_nbcache.project.requests import (
    ProjectError,
    Reference,
    UnknownReferenceError,
    store_trouble,
)
from sphinx_nbcache.project.results import Node, Results
from sphinx_nbcache.project.run import NotebookFailedError, Progress, Run, Settled
from sphinx_nbcache.project.scheduler import Scheduler
from sphinx_nbcache.project.validity import Validity, Worlds
from sphinx_nbcache.results.outputs import RunOutputs
from sphinx_nbcache.results.records import SCHEMA, PastRun, Stored
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.store.upkeep import keep_limits, note_uses

if TYPE_CHECKING:
    from sphinx_nbcache.project.handed_in import ImportedResults
    from sphinx_nbcache.project.shared import SharedResults

# How many rounds of repeated runs one build may have. Notebooks that rewrite each other's inputs
# would otherwise run forever.
_MOST_ROUNDS = 4


class Project:
    """A root, the settings, the store, and the notebooks.

    Several threads and processes may use projects on one store at the same time. A project that
    is sent to another process opens the store there.

    Attributes:
        sources: Absolute paths of the files that may be notebooks; `None` to use the list
            `notebooks`.
        notebooks: The list of notebooks in the store.
        results: The results in the store.

    Args:
        sources: As above.
        base: The folder to which `nbcache_exclude` and other paths in settings are relative.
        place: The folder of the store.
        settings: The options.
        notify: Takes warnings.
        root: The root; by default, it is determined from the settings.
        quiet: Folders whose files are not dependencies, such as output folders of builders. The
            folder of the store is always one of them.
    """

    def __init__(  # noqa: PLR0913 (what a project consists of)
        self,
        sources: Iterable[Path] | None,
        *,
        base: Path,
        place: Path,
        settings: Settings,
        notify: Notify = say_nothing,
        root: Path | None = None,
        quiet: Iterable[Path] = (),
    ) -> None:
        self.base = base
        self.settings = settings
        self.notify = notify
        self.root = root or find_root(base, settings.root)
        self.formats = Formats(settings.formats)
        self.store = Store(place, notify)
        self.sources = None if sources is None else sorted(sources)
        self.notebooks = Register(self.store, self.root, self.formats)
        self.results = Results(self.store, self.root, self._used_digests, self._add_executed)
        worlds = Worlds(self.store, settings, base=base, root=self.root, quiet=(place, *quiet))
        self._artifacts = Artifacts(
            self.store,
            self.root,
            worlds.fingerprints,
            notify,
            self._is_source,
            self._is_allowed_back,
        )
        self._validity = Validity(self.store, worlds, self._artifacts)
        self._observer = Observer(worlds, self.root)
        self._planner = Planner(
            self.store,
            settings,
            base=base,
            root=self.root,
            formats=self.formats,
            # If execution is forced, only results of runs that began later count.
            not_before=time.time(),
            validity=self._validity,
            artifacts=self._artifacts,
        )
        self._shared = self._shared_results() if settings.remote is not None else None

    @classmethod
    def find(
        cls,
        folder: str | os.PathLike[str],
        *,
        place: str | os.PathLike[str] | None = None,
        notify: Notify = say_nothing,
        **options: Any,
    ) -> Project:
        """Return the project of the notebooks in and below a folder.

        Args:
            folder: The folder to search for notebooks, without hidden folders, `_build`, and
                output folders of Sphinx.
            place: The folder of the store; by default the option `store`, the environment
                variable `JUPYTERCACHE`, or else `.jupyter_cache` in the folder.
            notify: Takes warnings.
            options: Options, named as in `conf.py` without `nbcache_`.

        Raises:
            ValueError: An option is unknown or has a value that cannot be used.
        """
        base = Path(folder).resolve()
        settings = checked_settings(options)
        sources = _documents_below(base, Formats(settings.formats), notify)
        where = Path(place).resolve() if place is not None else store_place(base, base, settings)
        return cls(sources, base=base, place=where, settings=settings, notify=notify)

    @property
    def version(self) -> str:
        """The versions of this package and of the store's records."""
        from sphinx_nbcache import __version__

        return f"sphinx_nbcache {__version__}, store schema {SCHEMA}"

    @property
    def is_lasting(self) -> bool:
        """Whether the store is on disk, so that its content outlives this process."""
        return self.store.access.is_lasting

    @property
    def is_readable(self) -> bool:
        """Whether the store could be opened, or was not needed yet."""
        return self.store.access.is_readable

    def name_of(self, path: Path) -> str:
        """Return the name of a notebook: its path relative to the root."""
        return portable_path(path, self.root)

    def found_below(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Return the notebooks in and below a folder, whether or not they are in the list.

        Hidden folders, `_build`, and output folders of Sphinx are skipped.
        """
        found = _documents_below(Path(folder).absolute(), self.formats)
        return [path for path in found if is_notebook(path, self.formats)]

    def plan(
        self,
        references: Iterable[Reference] | None = None,
        needs_outputs: NeedsOutputs = every_output,
        *,
        remote: bool = False,
    ) -> Plan:
        """Decide what to do with each notebook, and why. This method runs no notebook.

        Args:
            references: The notebooks to plan: ids, paths, or names; by default all.
            needs_outputs: Returns, for a notebook's name and a result, whether the outputs will
                be loaded. If so, they are checked now, and a damaged result is not reused. By
                default, all outputs are checked.
            remote: Whether results for notebooks that would have to be run are first fetched from
                the shared store, if there is one.

        Raises:
            UnknownReferenceError: A notebook is unknown.
        """
        # The time before the plan: a result that another build commits while this method runs
        # counts as newer.
        made = time.time()
        self._artifacts.recover()
        sources = self._sources()
        if references is not None:
            sources = self._chosen(sources, references)
        planned = self._planner.plan(sources, needs_outputs)
        if remote and self._shared is not None:
            # A result that was fetched may bring back files that others read.
            for _ in range(_MOST_ROUNDS):
                if not self._shared.bring(planned):
                    break
                planned = self._planner.plan(sources, needs_outputs)
        return Plan(planned, made)

    def execute(self, plan: Plan, progress: Progress | None = None) -> Run:
        """Execute a plan, and return the final state of every notebook.

        Each result is stored as soon as its notebook has ended. Notebooks with the same code and
        rules in the same folder share one run. If another build on the same store is running a
        notebook, this build waits for the result instead of running it twice.

        Raises:
            NotebookFailedError: A notebook failed, and `nbcache_on_error = "stop"`.
        """
        begin = time.perf_counter()
        ledger = BuildLedger(self.store, self._planner, self._validity, self._artifacts)
        scheduler = Scheduler(
            ledger=ledger,
            claims=self.store.claims(),
            settings=self.settings,
            progress=progress or Progress(),
            observer=self._observer,
            former=partial(former_runs, self.store),
            since=plan.made,
            notify=self.notify,
        )
        ledger.begin(plan)
        to_run = plan.to_run
        try:
            _stop_at_failures(plan, self.settings)
            if to_run:
                scheduler.run(to_run)
                self._run_outdated(plan, ledger, scheduler)
        except NotebookFailedError as error:
            settled = tuple(map(self._with_outlook, ledger.settled(plan)))
            error.run = Run(settled, time.perf_counter() - begin)
            raise
        finally:
            # Also after Ctrl-C: hashing large files again would slow down the next build.
            if to_run:
                self._validity.keep()
        settled = tuple(map(self._with_outlook, ledger.of(plan)))
        for notice in ledger.notices():
            self.notify(notice)
        if self._shared is not None:
            self._shared.publish(settled)
        note_uses(self.store, (s.result.id for s in settled if s.result is not None), time.time())
        self._planner.remember(settled)
        # Clean up only after runs, because a build without runs has to be fast.
        if to_run:
            keep_limits(self.store)
            with suppress(ShelfError):
                forget_missing(self.store.access, self.root, time.time())
        return Run(settled, time.perf_counter() - begin)

    def _shared_results(self) -> SharedResults:
        # Late: most projects share no results.
        from sphinx_nbcache.project.shared import SharedResults

        return SharedResults(
            self.store,
            self._planner,
            self._validity,
            self.settings,
            root=self.root,
            notify=self.notify,
        )

    def _with_outlook(self, settled: Settled) -> Settled:
        """Return the state of a notebook, with whether the next build runs it again."""
        if not settled.failed or self._planner.is_tried_again(settled):
            return settled
        return replace(settled, is_tried_again=False)

    def _run_outdated(self, plan: Plan, ledger: BuildLedger, scheduler: Scheduler) -> None:
        """Run notebooks again that read files before other notebooks of the plan rewrote them.

        The first build does not know yet which notebooks read the files of others.
        """
        for _ in range(_MOST_ROUNDS):
            if not (outdated := ledger.outdated(plan)):
                return
            # Remove them first: otherwise the scheduler would find and reuse them.
            with suppress(ShelfError):
                self.store.remove(ledger.doubted)
            ledger.find_producers(plan)
            scheduler.run(outdated)
        if outdated := ledger.outdated(plan):
            names = [planned.name for planned in outdated]
            text = (
                f"{', '.join(names)}: other notebooks keep rewriting files that are read here"
                f" ({outdated[0].decision.reason}); let only one notebook write each file, and"
                " no two notebooks each read a file of the other"
            )
            self.notify(Notice(Topic.ORDER, text, outdated[0].path))

    def forget(self) -> None:
        """Release the cached histories, traces and fingerprints, which are large in big projects.

        They are loaded again when they are needed.
        """
        self._planner.forget()
        self._validity.forget()

    def past_runs(self, planned: Planned) -> tuple[PastRun, ...]:
        """Return the last dozen runs of a notebook, the oldest first.

        They include runs of earlier versions of its code.
        """
        return self._planner.past_runs(planned.name)

    def check_reproducible(
        self, run: Run, progress: Progress | None = None
    ) -> tuple[Comparison, ...]:
        """Run the reused notebooks again, and compare the outputs with the stored ones.

        Stored results are not changed. The files that the notebooks write are restored afterwards.
        Execution counts are not compared.

        Args:
            run: The return value of [](Project.execute). Notebooks that it has run are skipped.
            progress: Receives the progress.

        Returns:
            The comparison for each notebook that was run again.
        """
        reruns = Reruns(
            store=self.store,
            settings=self.settings,
            planner=self._planner,
            validity=self._validity,
            artifacts=self._artifacts,
            observer=self._observer,
            notify=self.notify,
        )
        return reruns.of(run, progress or Progress())

    def outputs(self, stored: Stored) -> RunOutputs:
        """Return the outputs of a result.

        Raises:
            OutputsError: The outputs are missing or damaged.
        """
        return self.store.outputs(stored.result)

    def merge(self, reference: Reference) -> Any:
        """Return a copy of a notebook with the outputs of its present code, as an nbformat node.

        Raises:
            UnknownReferenceError: The project has no such notebook.
            ProjectError: The notebook has no result of its present code, or cannot be read.
        """
        (planned,) = self.plan([reference]).notebooks or (None,)
        if planned is None:
            name = self.notebooks.get(reference).name
            raise ProjectError(f"{name} has gone, or is no notebook any more")
        return self._merged(planned)

    def plan_node(self, node: Node, path: str | os.PathLike[str]) -> Planned:
        """Decide what to do with a notebook in memory, and why.

        Args:
            node: The notebook: an nbformat node, or equal dictionaries and lists.
            path: The path of the notebook. The file is not read and need not exist.

        Raises:
            ProjectError: The node is not a notebook.
        """
        from sphinx_nbcache.project.handed_in import read_node, scan_of

        source = self._source_of(Path(path).absolute())
        return self._planner.plan_scanned(source, scan_of(read_node(node)))

    def merge_node(self, node: Node, path: str | os.PathLike[str]) -> Any:
        """Return a copy of a notebook in memory, with the outputs of its code.

        Args:
            node: As in [](Project.plan_node).
            path: As in [](Project.plan_node).

        Raises:
            ProjectError: The node is not a notebook, or its code has no result.
        """
        from sphinx_nbcache.project.handed_in import text_of_node

        return self._merged(self.plan_node(node, path), text_of_node(node))

    def diff(
        self, reference: Reference, notebook: str | os.PathLike[str] | Node, *, colour: bool = False
    ) -> str:
        """Compare the code of a result with that of a notebook.

        Args:
            reference: The result: its id, the start of its digest, or the path of its notebook.
            notebook: A file, or an nbformat node.
            colour: Whether to colour the text by ANSI sequences.

        Returns:
            A diff of the code cells, from the result to the notebook; empty if they are equal.
            Outputs and other cells are not compared.

        Raises:
            UnknownReferenceError: The store has no such result.
            StoreTroubleError: The sources of the result are damaged.
            ProjectError: The notebook cannot be read, or nbdime is not installed.
        """
        from sphinx_nbcache.project.differences import NoDiffError, diff_code
        from sphinx_nbcache.project.handed_in import read_node

        stored = self.results.get(reference)
        if isinstance(notebook, Mapping):
            name, read = "notebook", read_node(notebook)
        else:
            path = Path(notebook).absolute()
            name, read = self.name_of(path), self._read(self._source_of(path))
        try:
            return diff_code(
                self.results.sources(stored),
                [item.cell.source for item in read.code_cells],
                old_name=f"result {stored.id} ({stored.result.notebook})",
                new_name=name,
                colour=colour,
            )
        except NoDiffError as error:
            raise ProjectError(str(error)) from None

    def invalidate(self, references: Iterable[Reference] | None = None) -> list[Stored]:
        """Remove the results of the present code of notebooks, so that the next build runs them.

        Args:
            references: Ids, paths or names of notebooks; by default all.

        Returns:
            The removed results.

        Raises:
            UnknownReferenceError: A notebook is unknown. No result is removed.
            StoreTroubleError: The store cannot be written.
        """
        keys = dict.fromkeys(planned.code_key for planned in self.plan(references))
        found = self.store.results_of(keys)
        return self.results.remove([stored.id for results in found.values() for stored in results])

    def close(self) -> None:
        """Close the store. It is opened again when it is needed.

        Results that are being published get a little more time.
        """
        if self._shared is not None:
            self._shared.finish()
        self.store.close()

    def _sources(self) -> list[Source]:
        """Return the files that may be notebooks, with their settings in the list of notebooks."""
        registered = {item.name: item for item in self.notebooks}
        if self.sources is None:
            return [
                Source(self.root / item.name, item.reader, item.assets)
                for item in registered.values()
            ]
        return [
            Source(path, assets=item.assets if (item := registered.get(self.name_of(path))) else ())
            for path in self.sources
        ]

    def _chosen(self, sources: Sequence[Source], references: Iterable[Reference]) -> list[Source]:
        by_name = {self.name_of(source.path): source for source in sources}
        if self.sources is None:
            return [by_name[item.name] for item in self.notebooks.find(references)]
        chosen = []
        for reference in references:
            name = self.name_of(Path(str(reference)).absolute())
            if name not in by_name:
                raise UnknownReferenceError(f"the project has no notebook {str(reference)!r}")
            chosen.append(by_name[name])
        return chosen

    def _is_source(self, name: str) -> bool:
        """Tell whether a file may be a notebook of the project."""
        return self._planner.is_source(name)

    def _is_allowed_back(self, name: str) -> bool:
        """Tell whether `nbcache_restore` allows restoring a file."""
        globs = self.settings.restore
        return (
            bool(globs)
            and matching_glob(portable_path(self.root / name, self.base), globs) is not None
        )

    def _used_digests(self) -> set[str]:
        """Return the digests of the results that the notebooks use."""
        keys = [planned.code_key for planned in self.plan()]
        return {s.digest for found in self.store.results_of(keys).values() for s in found}

    def _add_executed(
        self,
        path: Path,
        node: Node | None,
        validate: bool,  # noqa: FBT001 (handed to Results)
        artifacts: Sequence[Path],
    ) -> Stored:
        """Add a notebook that was executed elsewhere: see [](Results.add)."""
        from sphinx_nbcache.project.handed_in import artifact_files, read_node, result_of, scan_of

        source = self._source_of(path)
        notebook = self._read(source) if node is None else read_node(node)
        planned = self._planner.plan_scanned(source, scan_of(notebook))
        result, outputs, sources = result_of(planned, notebook, validate=validate)
        files = artifact_files(path, artifacts)
        with store_trouble():
            stored = self.store.commit(result, outputs, files, sources)
        keep_limits(self.store)
        return stored

    def import_jupyter_cache(self, folder: Path | str | None = None) -> ImportedResults:
        """Add the results of jupyter-cache for the present code of notebooks. Its files stay.

        Nothing is known of the dependencies of those runs, so only the code decides how long the
        results are valid.

        Args:
            folder: The folder of jupyter-cache; by default that of the store.

        Raises:
            ProjectError: The folder has no results of jupyter-cache.
            StoreTroubleError: The store cannot be written.
        """
        from sphinx_nbcache.project import handed_in

        place = self.store.folder.parent if folder is None else Path(folder)
        if not handed_in.has_jupyter_cache(place):
            raise ProjectError(f"there are no results of jupyter-cache in {place}")
        imported = handed_in.import_results(place, self.plan(), self.store)
        if imported.added:
            keep_limits(self.store)
        return imported

    def _merged(self, planned: Planned, text: str | None = None) -> Any:
        """Merge outputs into the given text, or else into the file of a notebook."""
        from sphinx_nbcache.project.handed_in import merged_notebook

        results = self._planner.whole_results(planned)
        stored = planned.decision.result or next(iter(results), None)
        if stored is None:
            raise ProjectError(
                f"{planned.name} has no result of its present code; execute it first"
                f" ({planned.decision.reason})"
            )
        with store_trouble():
            return merged_notebook(planned, text, stored, self.store.outputs(stored.result))

    def _source_of(self, path: Path) -> Source:
        """Return a file with its settings in the list of notebooks, if it is listed."""
        return next((source for source in self._sources() if source.path == path), Source(path))

    def _read(self, source: Source) -> Notebook:
        from sphinx_nbcache.project.handed_in import read_file

        return read_file(source.path, self.name_of(source.path), self.formats, source.reader)


def _stop_at_failures(plan: Plan, settings: Settings) -> None:
    """Stop a build if a notebook that is to stop it would only fail again.

    Raises:
        NotebookFailedError: A notebook has failed before, and nothing has changed.
    """
    failed = [
        f"{planned.name}: {result.result.failure.headline}"
        for planned in plan.with_action(Action.REUSE)
        if planned.decision.reason.why is Why.FAILED_BEFORE
        and (result := planned.decision.result) is not None
        and result.result.failure is not None
        and planned.scan.settings(settings).on_error == "stop"
    ]
    if failed:
        raise NotebookFailedError("; ".join(failed))


def _documents_below(base: Path, formats: Formats, notify: Notify = say_nothing) -> list[Path]:
    """Return the files that may be notebooks, without scripts and the second file of a pair."""
    names = list(_files_below(base, formats))
    no_documents = not_documents(base, names, formats)
    left_out = set(no_documents)
    for notice in no_documents.notices:
        notify(notice)
    return [base / name for name in names if name not in left_out]


def _files_below(base: Path, formats: Formats) -> Iterable[str]:
    """Yield the files with a notebook's suffix, as POSIX paths relative to the folder."""
    for folder, folders, files in os.walk(base):
        # In place, so that `os.walk` skips the others: https://docs.python.org/3/library/os.html#os.walk
        folders[:] = sorted(
            name
            for name in folders
            if not (name.startswith((".", "_build")) or is_output(Path(folder) / name))
        )
        for name in sorted(files):
            # `os.walk` also lists dangling links.
            if formats.suffix_of(name) and (Path(folder) / name).is_file():
                yield (Path(folder) / name).relative_to(base).as_posix()
