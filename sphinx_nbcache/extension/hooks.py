"""The flow of a build: the handlers of Sphinx's events."""

from __future__ import annotations

import gc
import os
import sys
from bdb import BdbQuit
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import SphinxError

from sphinx_nbcache.extension.config_values import (
    AFTER_SUFFIXES,
    BEFORE_SUFFIXES,
    check_names,
    check_options,
    check_parsers,
    check_suffixes,
    exclude_non_documents,
    executed_folder,
    leave_out_outputs,
    options_for_commands,
    register_formats,
    settings_of,
    take_over_suffixes,
)
from sphinx_nbcache.extension.domain import NotebookDomain, WrittenPages, notebook_domain
from sphinx_nbcache.extension.executed_files import ExecutedFiles, readers_of, write_executed
from sphinx_nbcache.extension.handover import pasted_from
from sphinx_nbcache.extension.left_over import (
    execute_left_over,
    name_left_over,
    take_left_over,
)
from sphinx_nbcache.extension.log import (
    annotate,
    is_command_line,
    log_error,
    log_summary,
    log_tracebacks,
    notifier,
    say_interrupted,
    shown_progress,
)
from sphinx_nbcache.extension.reporting import BuildReport, add_assets, fill_places, shown_digests
from sphinx_nbcache.files.atomic import trouble_in_words
from sphinx_nbcache.notebooks.renderers import MYST_NB, TITLES
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.planning import Action, Plan, Why
from sphinx_nbcache.project import NotebookFailedError, Project, Run, Settled, notices_of
from sphinx_nbcache.project.locations import store_place, write_project_file
from sphinx_nbcache.project.run import notices_of_reruns
from sphinx_nbcache.report.ci import is_github
from sphinx_nbcache.report.making import draft
from sphinx_nbcache.report.pages import REPORT_DOCNAME, add_report_document, is_report_ours
from sphinx_nbcache.report.side_files import files_state, write_files
from sphinx_nbcache.results.records import Result
from sphinx_nbcache.signals import SignalHandlers

if TYPE_CHECKING:
    from sphinx_nbcache.extension.values_of_build import ValuesOfBuild

# Sphinx's collectors of images, labels and the like run at 500: they must see the outputs.
_BEFORE_COLLECTORS = 400
# Stand for a render id on pages without a result; a real one is a digest.
_STORED, _NONE = "stored", "none"
# How often to look for notebooks that notebooks have written: a limit, because a notebook could
# write another one for ever.
_ROUNDS = 3
# With at least this many processes, Sphinx reads and writes in forked ones.
_WORKERS = 2
# Builders whose output directory is not browsed, or becomes a book unchanged.
_WITHOUT_FILES = frozenset({"gettext", "epub"})


@contextmanager
def collection(*, running: bool) -> Iterator[None]:
    """Enable or disable the collector.

    Planning and reporting create many small objects and no cycles. Running notebooks does create
    cycles.
    """
    # The collector is triggered by the number of allocations, and a full collection visits all of
    # Sphinx's environment (https://docs.python.org/3/library/gc.html#gc.set_threshold).
    was_enabled = gc.isenabled()
    (gc.enable if running else gc.disable)()
    try:
        yield
    finally:
        (gc.enable if was_enabled else gc.disable)()


def set_aside(*, has_garbage: bool) -> None:
    """Exempt the objects now in memory from later collections, also at the exit of Python.

    Forked readers then share these memory pages, because the collector does not write to them.

    Args:
        has_garbage: Whether to collect garbage first, as after running notebooks.
    """
    if has_garbage:
        gc.collect()
    # The collector writes to the header of each object that it visits, which copies the page in a
    # forked process (https://docs.python.org/3/library/gc.html#gc.freeze).
    gc.freeze()


def take_back() -> None:
    """Let the collector see again the objects that an earlier build in this process set aside."""
    gc.unfreeze()


class BuildStoppedError(SphinxError, BdbQuit):
    """A notebook failed, and `nbcache_on_error = "stop"`. The log has said everything.

    Sphinx (9.0) prints its own traceback for all other exceptions, and asks to report them to its
    developers. `BdbQuit` is the wish of a user to end the build (`handle_exception` in
    `sphinx/_cli/util/errors.py`).
    """

    category = "Notebook failed"


def drop_empty_build_info(app: Sphinx) -> None:
    """`builder-inited`: remove the record of Sphinx's HTML builder if a kill has left it empty.

    Sphinx would end this build and every later one with an IndexError (`BuildInfo.load` in
    `sphinx/builders/html/_build_info.py`, 9.0).
    """
    record = Path(app.outdir, ".buildinfo")
    with suppress(OSError):
        if record.is_file() and not record.is_symlink() and record.stat().st_size == 0:
            record.unlink()


class Hooks:
    """The state of one build between its events.

    Args:
        renderers: The extensions that render notebooks instead of this one.
    """

    def __init__(self, renderers: Sequence[str] = ()) -> None:
        self.renderers = tuple(renderers)
        self._shown: set[str] = set()
        self._values: ValuesOfBuild | None = None
        self.project: Project | None = None
        self.settled: dict[str, Settled] = {}
        self.seconds = 0.0
        self.report: BuildReport | None = None
        self.written: WrittenPages | None = None
        self.executed = ExecutedFiles()
        self.signals = SignalHandlers(say_interrupted)

    def connect(self, app: Sphinx) -> None:
        """Connect the hooks, in the order in which a build meets them."""
        if is_command_line(sys._getframe()):  # noqa: SLF001 (inspect.currentframe is the same)
            # If another program drives Sphinx, that program decides what a signal does.
            self.signals.install()
        # The order of these events in a build:
        # https://www.sphinx-doc.org/en/master/extdev/event_callbacks.html
        if not self.renderers:
            # Before the check of ours, which they become.
            app.connect("config-inited", take_left_over, priority=BEFORE_SUFFIXES)
        app.connect("config-inited", check_options, priority=BEFORE_SUFFIXES)
        app.connect("config-inited", check_suffixes, priority=BEFORE_SUFFIXES)
        if not self.renderers:
            app.connect("config-inited", register_formats, priority=BEFORE_SUFFIXES)
            app.connect("config-inited", take_over_suffixes, priority=BEFORE_SUFFIXES)
            app.connect("config-inited", exclude_non_documents, priority=AFTER_SUFFIXES)
        app.connect("config-inited", check_names, priority=AFTER_SUFFIXES)
        app.connect("config-inited", name_left_over, priority=AFTER_SUFFIXES)
        app.connect("config-inited", check_parsers, priority=AFTER_SUFFIXES)
        app.connect("builder-inited", leave_out_outputs)
        app.connect("builder-inited", drop_empty_build_info)
        # The last event before Sphinx reads pages, and the first that knows which documents exist.
        app.connect("env-get-outdated", self.execute)
        app.connect("doctree-read", self.fill, priority=_BEFORE_COLLECTORS)
        app.connect("env-before-read-docs", self.get_ready_to_fork)
        app.connect("env-merge-info", self.keep_html)
        app.connect("env-updated", self.keep_html)
        app.connect("env-updated", self.find_outdated_pages)
        app.connect("doctree-resolved", self.resolve)
        app.connect("html-page-context", add_assets)
        app.connect("build-finished", self.finish)

    @collection(running=False)
    def execute(
        self,
        app: Sphinx,
        env: BuildEnvironment,
        added: set[str],
        changed: set[str],
        removed: set[str],
    ) -> list[str]:
        """`env-get-outdated`: plan, execute notebooks, return the documents to read again."""
        # Embedders and test suites build several times in a process: objects of the last build
        # would stay in memory for ever.
        take_back()
        project = self._open(app)
        self.written = WrittenPages(app)
        found: set[str] = set()
        try:
            for _ in range(_ROUNDS):
                if not self._carry_out(app, env, added | changed | found):
                    break
                # A run may have written files that pages include, or even notebooks.
                env.find_files(app.config, app.builder)
                # `False`: with a changed configuration, Sphinx already reads every page.
                new, touched, _gone = env.get_outdated_files(config_changed=False)
                found |= new | touched
            names = sorted(item.planned.name for item in self.settled.values())
            project.notebooks.set_built(names, project.name_of(project.base))
            self._make_report(project)
            if not self.renderers:
                self.executed = write_executed(app, project.settings, self)
                found |= readers_of(env, self.executed)
            project.forget()
        finally:
            # Before readers are forked: nothing may remain open, locked or running in this process.
            project.store.close()
        self._tell(app, project)
        # Sphinx takes the returned names as changed, but these sets are its own: to leave out or
        # add a document, they have to be changed in place
        # (https://www.sphinx-doc.org/en/master/extdev/event_callbacks.html).
        self._leave_out_undecodable(env, added, changed, removed)
        domain = notebook_domain(env)
        add_report_document(env, added, changed, removed, was_ours=domain.report_is_ours)
        # Names that are not in the environment are added documents, which Sphinx reads anyway.
        found.update(
            docname
            for docname, settled in self.settled.items()
            if docname in env.all_docs and domain.render_ids.get(docname) != render_id_of(settled)
        )
        found.update(
            docname
            for docname, sources in domain.pasted.items()
            if docname in env.all_docs and sources != self._ids_of(sources)
        )
        set_aside(has_garbage=any(item.ran_here for item in self.settled.values()))
        return sorted(found)

    def get_ready_to_fork(self, app: Sphinx, _env: BuildEnvironment, docnames: list[str]) -> None:
        """`env-before-read-docs`: load lexers once, instead of in each reader."""
        # Other renderers find their highlighters themselves, and may find others of the same name.
        if docnames and app.parallel >= _WORKERS and not self.renderers:
            from sphinx_nbcache.extension.lexers import lexers_of, load_lexers

            load_lexers(lexers_of(item.result for item in self.settled.values()))

    def fill(self, app: Sphinx, doctree: nodes.document) -> None:
        """`doctree-read`: fill the placeholders of a notebook with outputs."""
        from sphinx_nbcache.extension.fill import fill_document, fill_unplanned, shown_by
        from sphinx_nbcache.extension.kept_html import look_up_html, note_html
        from sphinx_nbcache.extension.pasting import has_places
        from sphinx_nbcache.extension.values_of_build import name_doubled

        docname, domain = app.env.docname, notebook_domain(app.env)
        if docname == REPORT_DOCNAME:
            domain.report_is_ours = is_report_ours(app.env)
        settled = self.settled.get(docname)
        if self.renderers:
            if MYST_NB in self.renderers:
                self._note_pasted(domain, docname, pasted_from(doctree))
            if settled is not None and docname in self._shown:
                domain.render_ids[docname] = render_id_of(settled)
            return
        if settled is None or self.project is None:
            fill_unplanned(app.env, doctree)
            note_html(app.env)  # of pasted values
            return
        look_up_html(app.env, self.project)
        shown = shown_by(self.project, settled, docname)
        name_doubled(shown.outputs, docname)
        shows_it = fill_document(app.env, doctree, shown)
        if has_places(app.env):
            self.paste(app.env, doctree)  # those in Markdown outputs
        note_html(app.env)
        # Without an id, the page is read again by the next build: outputs that vanished from the
        # store are looked for once more.
        if shows_it and (shown.result is not None or settled.result is None):
            domain.render_ids[docname] = render_id_of(settled)

    def paste(self, env: BuildEnvironment, document: nodes.document) -> None:
        """Put the values of notebooks into a page that has places for them."""
        from sphinx_nbcache.extension.fill import is_of_notebook
        from sphinx_nbcache.extension.kept_html import look_up_html
        from sphinx_nbcache.extension.pasting import paste_values
        from sphinx_nbcache.extension.values_of_build import ValuesOfBuild

        if self.project is not None:
            look_up_html(env, self.project)
        self._values = self._values or ValuesOfBuild(self)
        settled = self.settled.get(env.docname)
        stored = settled.result if settled is not None else None
        has_own = stored is None or is_of_notebook(document, stored.result)
        sources = paste_values(env, document, self._values, has_own=has_own)
        self._note_pasted(notebook_domain(env), env.docname, sources)

    def _note_pasted(self, domain: NotebookDomain, docname: str, sources: Collection[str]) -> None:
        """Note that a page shows values of other pages' notebooks."""
        if sources:
            domain.pasted.setdefault(docname, {}).update(self._ids_of(sources))

    def _ids_of(self, docnames: Iterable[str]) -> dict[str, str]:
        """Return the render ids of notebooks; empty ones for documents that are no notebooks."""
        found = {docname: self.settled.get(docname) for docname in docnames}
        return {name: "" if item is None else values_id_of(item) for name, item in found.items()}

    def note_shown(self, docname: str) -> None:
        """Note that a page that another extension renders shows what was decided for it."""
        self._shown.add(docname)

    def keep_html(self, _app: Sphinx, env: BuildEnvironment, *_readers: object) -> None:
        """`env-merge-info` and `env-updated`: remember the HTML that was parsed for pages."""
        if self.project is not None and notebook_domain(env).html:
            from sphinx_nbcache.extension.kept_html import write_html

            write_html(env, self.project)

    @collection(running=False)
    def find_outdated_pages(self, app: Sphinx, env: BuildEnvironment) -> list[str]:
        """`env-updated`: return pages last written from another reading or with another report.

        A page is read again when its result or a file that it includes changes.
        """
        # For most builders the call returns a generator that is not started here: it costs nothing,
        # and HTML's side effects wait until Sphinx iterates.
        if isinstance(app.builder.get_outdated_docs(), str):
            return []  # a builder that writes everything each time
        domain = notebook_domain(env)
        ids = {docname: str(read) for docname, read in env.all_docs.items()}
        digests = shown_digests(domain, self.report) if self.report is not None else {}
        for docname, digest in digests.items():
            ids[docname] = f"{ids[docname]}|{digest}"
        if self.project is not None:
            # Pages may have been filled in this process; writers are forked.
            self.project.store.close()
        outdated = self.written.outdated(ids) if self.written is not None else []
        if self.report is not None and set(domain.reports) & set(outdated):
            self.report.whole()  # once, instead of in each writer
        if app.parallel < _WORKERS:
            # Doctrees live until they are written; garbage from writing is found sooner without
            # them. For workers, pages are resolved in this process, in portions that are freed in
            # turn.
            set_aside(has_garbage=False)
        return outdated

    def resolve(self, app: Sphinx, doctree: nodes.document, docname: str) -> None:
        """`doctree-resolved`: fill in the report of this build."""
        if self.report is not None:
            fill_places(app, doctree, docname, self.report)
        # Not in `fill`: doctrees are shared with builders that show the outputs.
        if app.builder.name == "gettext":
            # Late: with another renderer, no other build needs what this module imports.
            from sphinx_nbcache.extension.tokens import offer_to_translators

            offer_to_translators(app, doctree)
        if self.written is not None:
            self.written.note(docname)

    def finish(self, app: Sphinx, exception: Exception | None) -> None:
        """`build-finished`: record the written pages."""
        # First: what follows may fail, and a program that embeds Sphinx goes on with its own
        # handlers.
        self.signals.restore()
        if self.project is not None:
            self.project.close()
        if self.written is not None and exception is None:
            try:
                self.written.commit()
            except OSError as error:
                text = f"the next build writes pages once more: {trouble_in_words(error)}"
                notifier(app)(Notice(Topic.REPORT, text))

    def _open(self, app: Sphinx) -> Project:
        """Make the project of this build."""
        settings, _ = settings_of(app.config)
        base = Path(app.srcdir)
        place = store_place(base, Path(app.outdir).parent, settings)
        # The hooks live as long as the application, which may build more than once.
        self.settled, self.seconds = {}, 0.0
        self._values = None
        self._shown.clear()
        quiet = [Path(app.outdir), Path(app.doctreedir)]
        if (executed := executed_folder(app, settings)) is not None:
            quiet.append(executed)
        self.project = Project(
            (), base=base, place=place, settings=settings, notify=notifier(app), quiet=quiet
        )
        usual = "renderer" if self.renderers else execute_left_over(app)
        options = options_for_commands(app.config, usual)
        write_project_file(place, base, self.project.root, options, quiet)
        return self.project

    def _carry_out(self, app: Sphinx, env: BuildEnvironment, to_read: set[str]) -> bool:
        """Plan and execute the notebooks that are not settled; tell whether any has been run."""
        project, domain = self.project, notebook_domain(env)
        assert project is not None
        paths = {
            docname: Path(env.doc2path(docname))
            for docname in env.found_docs
            if docname not in self.settled
        }
        paths = {d: path for d, path in paths.items() if project.formats.suffix_of(path.name)}
        docnames = {project.name_of(path): docname for docname, path in paths.items()}
        project.sources = sorted(paths.values())

        def needs_outputs(name: str, result: Result) -> bool:
            docname = docnames[name]
            return docname in to_read or domain.render_ids.get(docname) != result.render_id

        plan = project.plan(needs_outputs=needs_outputs, remote=True)
        runs = bool(plan.to_run)
        if runs and not self.settled:
            self._offer_jupyter_cache(app, project, plan)
        if runs:
            project.notebooks.note_built(planned.name for planned in plan)
        try:
            with (
                self.signals.silent(),
                shown_progress(app) as progress,
                collection(running=runs),
            ):
                run = project.execute(plan, progress)
        except NotebookFailedError as error:
            self._settle(error.run, docnames)
            self._make_report(project)
            self._tell(app, project)
            raise self._stopped(app, project, error) from None
        self._settle(run, docnames)
        return any(item.ran_here or item.ran_elsewhere for item in run.notebooks)

    def _settle(self, run: Run, docnames: Mapping[str, str]) -> None:
        self.settled |= {docnames[item.planned.name]: item for item in run.notebooks}
        self.seconds += run.seconds

    def _stopped(
        self, app: Sphinx, project: Project, error: NotebookFailedError
    ) -> BuildStoppedError:
        """Log the tracebacks of the notebooks that end the build; return what ends it."""
        failures = (
            (item.planned.name, item.result.result.failure)
            for item in self.settled.values()
            if item.failed and item.result is not None
            if item.planned.scan.settings(project.settings).on_error == "stop"
        )
        tracebacks = [
            f"The traceback of {name}:\n\n{failure.traceback.rstrip()}"
            for name, failure in failures
            if failure is not None
        ]
        text = f'{error} (nbcache_on_error is "stop", which ends the build)'
        # No page shows them. Without a type, because a build must not end without a word.
        log_error(app, "\n\n".join([text, *tracebacks]))
        return BuildStoppedError(text)

    def _offer_jupyter_cache(self, app: Sphinx, project: Project, plan: Plan) -> None:
        """Say in the first build that results of jupyter-cache can be taken over."""
        if any(item.decision.reason.why is not Why.NO_RESULT for item in plan.to_run):
            return
        from sphinx_nbcache.project.handed_in import has_jupyter_cache

        place = project.store.folder.parent
        # In this order: two looks at the disk cost less than the store's list of all results.
        if has_jupyter_cache(place) and not project.store.all_results():
            text = (
                f"{place} has results of jupyter-cache;"
                " `sphinx-nbcache cache import-jupyter-cache` takes them over, without a run"
            )
            notifier(app)(Notice(Topic.STORE, text, is_information=True))

    def _make_report(self, project: Project) -> None:
        settled = sorted(self.settled.items(), key=lambda pair: pair[1].planned.name)
        # A file that is not UTF-8 has no page to link to.
        paged = {i.planned.name: docname for docname, i in settled if i.planned.scan.decodable}
        run = Run(tuple(item for _, item in settled), self.seconds)
        self.report = BuildReport(
            draft(run, paged, project.past_runs, [TITLES[name] for name in self.renderers]),
            project,
            # Set by distributions that compare builds
            # (https://reproducible-builds.org/specs/source-date-epoch/); Sphinx itself takes its
            # dates from it.
            is_reproducible=bool(os.environ.get("SOURCE_DATE_EPOCH")),
        )

    def _tell(self, app: Sphinx, project: Project) -> None:
        """Log notices and the summary, and write the report for programs."""
        notify, settings = notifier(app), project.settings
        items = sorted(self.settled.values(), key=lambda item: item.planned.name)
        notices = [notice for item in items for notice in notices_of(item, settings)]
        notices += notices_of_reruns(items, settings, project.base)
        for notice in notices:
            notify(notice)
        if settings.log_tracebacks:
            log_tracebacks(items)
        assert self.report is not None
        log_summary(self.report.outline)
        if is_github(settings.ci, os.environ):
            annotate(app, notices, self.report.outline)
        if app.builder.name not in _WITHOUT_FILES:
            try:
                self._write_files(Path(app.outdir), self.report)
            except OSError as error:
                text = f"the report cannot be written into {app.outdir}: {trouble_in_words(error)}"
                notify(Notice(Topic.REPORT, text))

    def _write_files(self, folder: Path, report: BuildReport) -> None:
        """Write the report for programs, unless the files there are up to date."""
        assert self.written is not None
        state = files_state(report.outline, folder)
        if state and self.written.files == f"{report.digest} {state}":
            return
        write_files(report.outline, folder, report.whole())
        self.written.files = f"{report.digest} {files_state(report.outline, folder)}"

    def _leave_out_undecodable(self, env: BuildEnvironment, *to_read_and_removed: set[str]) -> None:
        """Leave out files that are not UTF-8: Sphinx would crash on them before any parser runs."""
        *to_read, removed = to_read_and_removed
        for docname, settled in self.settled.items():
            if settled.planned.scan.decodable:
                continue
            # `read_doc` decodes a file before it creates a parser, outside of any handler
            # (sphinx/builders/__init__.py, Sphinx 9.0).
            env.project.docnames.discard(docname)
            for docnames in to_read:
                docnames.discard(docname)
            if docname in env.all_docs:
                removed.add(docname)


def render_id_of(settled: Settled) -> str:
    """Return the digest of what the page of a notebook is to show besides its source."""
    reading = settled.planned.scan.reading
    if settled.result is not None:
        return settled.result.result.render_id + reading
    return (_STORED if settled.planned.decision.action is Action.AS_IS else _NONE) + reading


def values_id_of(settled: Settled) -> str:
    """Return the digest of the values of a notebook, which other pages may show."""
    own = render_id_of(settled)
    if settled.result is None:
        # They are in the file itself, which counts for its own page anyway.
        stat = settled.planned.scan.stat
        own += f" {stat.size} {stat.mtime_ns}"
    return own
