"""Handing executed notebooks over to nbsphinx and MyST-NB, where they render the pages.

This extension decides what is run, runs it, and keeps the results. Parser, look and directives are
those of the renderer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError
from sphinx.util.matching import get_matching_files

from sphinx_nbcache.extension.config_values import AFTER_SUFFIXES, config_error, settings_of
from sphinx_nbcache.extension.log import LOGGER, notifier
from sphinx_nbcache.extension.their_options import (
    Derived,
    Their,
    derived_options,
    formats_of,
    mode_in,
    taken,
    unnamed_converters,
)
from sphinx_nbcache.notebooks.executed import Executed
from sphinx_nbcache.notebooks.merging import MergeError, fill
from sphinx_nbcache.notebooks.own_settings import SettingProblem
from sphinx_nbcache.notebooks.renderers import (
    INLINE,
    MODE_OPTIONS,
    MODES,
    MYST_NB,
    NBSPHINX,
    TITLES,
)
from sphinx_nbcache.notices import WARNING_TYPE, Notice, Topic
from sphinx_nbcache.options import AUTO, PREFIX, OptionError
from sphinx_nbcache.planning import Action
from sphinx_nbcache.project import Project, Settled
from sphinx_nbcache.project.handed_in import executed_of
from sphinx_nbcache.results.outputs import OutputsError, RunOutputs
from sphinx_nbcache.results.records import Failure, Stored
from sphinx_nbcache.text import shown

# Extensions that load nbsphinx themselves.
_LOADS_NBSPHINX = frozenset({"nbsphinx_link"})
_FORMATS, _EXECUTE = PREFIX + "formats", PREFIX + "execute"
_WRITTEN = PREFIX + "write_executed"
# Where the renderers write executed notebooks (nbsphinx 0.9.8, `html_collect_pages`; MyST-NB 1.4,
# `nb_output_folder`).
_WRITES_TO = {
    NBSPHINX: "next to the pages",
    MYST_NB: "to jupyter_execute next to the output directory",
}


class Build(Protocol):
    """The state of a build that a renderer needs."""

    project: Project | None
    settled: dict[str, Settled]

    def note_shown(self, docname: str) -> None:
        """Note that a page shows what was decided for it."""


class Pages(Protocol):
    """Hands notebooks over to one renderer.

    Attributes:
        name: The renderer.
        is_usable: Whether it can be given notebooks. Otherwise it runs them itself.
    """

    name: str
    is_usable: bool

    def connect(self, app: Sphinx) -> None:
        """Connect it to an application. Call this while extensions are set up."""

    def take_over(self, app: Sphinx, config: Config) -> None:
        """Keep the renderer from running notebooks. Call this after [](take_options)."""


def renderers_in_charge(extensions: Collection[str], wanted: str) -> tuple[str, ...]:
    """Return the extensions that render notebooks instead of this one.

    Args:
        extensions: The extensions that `conf.py` loads.
        wanted: The option `nbcache_renderer`.

    Raises:
        ConfigError: The wanted renderer cannot be in charge.
    """
    loaded = [name for name in (NBSPHINX, MYST_NB) if name in extensions]
    if NBSPHINX not in loaded and _LOADS_NBSPHINX.intersection(extensions):
        loaded.insert(0, NBSPHINX)
    if wanted == "own":
        if MYST_NB in loaded:
            # Both would read `.md` and `.ipynb`, and register the same directives.
            raise ConfigError(
                'nbcache_renderer is "own", and conf.py loads myst_nb as well, which reads the same'
                " files; remove myst_nb from `extensions`, or remove nbcache_renderer"
            )
        return ()
    if wanted in MODES and wanted not in loaded:
        raise ConfigError(
            f'nbcache_renderer is "{wanted}", which conf.py does not load; add "{wanted}" to'
            " `extensions`"
        )
    return (wanted,) if wanted in MODES else tuple(loaded)


def connect_pages(app: Sphinx, pages: Sequence[Pages]) -> None:
    """Connect what hands notebooks over, and what takes the options of the renderers."""
    for item in pages:
        item.connect(app)

    def take_over(app: Sphinx, config: Config) -> None:
        take_options(app, config, [item.name for item in pages if item.is_usable])
        for item in pages:
            item.take_over(app, config)

    # Before the warnings about other options, which may depend on what is said here.
    app.connect("config-inited", take_over, priority=AFTER_SUFFIXES - 1)


def their_options(app: Sphinx, config: Config) -> Their:
    """Return the options of the renderers in a configuration."""
    # Sphinx keeps the names of `conf.py` in a private attribute only.
    in_conf: Mapping[str, Any] = config._raw_config  # noqa: SLF001

    def is_set(name: str) -> bool:
        return name in in_conf or name in config.overrides

    def get(name: str) -> Any:
        return config[name] if name in config else None  # noqa: SIM401 (it has no `get`)

    def documents() -> Iterator[str]:
        return get_matching_files(app.srcdir, config.include_patterns, config.exclude_patterns)

    return Their(get, is_set, Path(app.srcdir), documents)


def take_options(app: Sphinx, config: Config, renderers: Sequence[str]) -> None:
    """Make our options follow from those of the renderers, and say so.

    Call this when Sphinx has determined the suffixes of all parsers.
    """
    notify, their = notifier(app), their_options(app, config)
    try:
        formats = formats_of(renderers, config.source_suffix, their)
    except OptionError as error:
        raise config_error(app, error) from None
    if their.is_set(_FORMATS) and config[_FORMATS]:
        named = " and ".join(TITLES[renderer] for renderer in renderers)
        text = f"nbcache_formats has no effect: {named} decides what is a notebook"
        notify(Notice(Topic.CONFIG, text, option=_FORMATS))
    config[_FORMATS] = formats
    if their.is_set(_WRITTEN) and settings_of(config)[0].write_executed not in (AUTO, False):
        for renderer in renderers:
            text = (
                f"{_WRITTEN} has no effect: {TITLES[renderer]} renders the notebooks, and writes"
                f" executed ones {_WRITES_TO[renderer]}; remove the option"
            )
            notify(Notice(Topic.OPTION, text, option=_WRITTEN))
    if not their.is_set(_EXECUTE):
        config[_EXECUTE] = "renderer"
    for renderer in renderers:
        notify(Notice(Topic.OPTION, _in_charge(renderer, config, their), is_information=True))
        for suffix in unnamed_converters(renderer, their):
            text = (
                f"files {suffix} are not run: their converter has no name by which it can be"
                ' imported; write it into a module, and name it as "module.function"'
            )
            notify(Notice(Topic.CONFIG, text))
        for derived in derived_options(renderer, their):
            for notice in _take(config, their, derived):
                notify(notice)


def _in_charge(renderer: str, config: Config, their: Their) -> str:
    """Return the line that says what renders the pages, and which mode counts."""
    title, option, mode = TITLES[renderer], MODE_OPTIONS[renderer], mode_in(renderer, their)
    if renderer == MYST_NB and mode == INLINE:
        return (
            f'{title} renders the notebooks, and runs them itself, because {option} is "{INLINE}":'
            " nothing is kept"
        )
    ours = config[_EXECUTE]
    if ours == "renderer":
        meant = MODES[renderer][mode]
        why = f'because {option} is "{mode}"; nbcache_execute changes it'
    else:
        meant, why = ours, "because of nbcache_execute"
    return f'{title} renders the notebooks; execution mode "{meant}", {why}'


def _take(config: Config, their: Their, derived: Derived) -> Iterator[Notice]:
    """Set one of our options, and yield what is to be said of it."""
    ours = PREFIX + derived.option
    try:
        value = taken(derived, their)
    except ValueError as expected:
        text = f"{derived.source} = {shown(derived.source_value)} is not used: it is not {expected}"
        yield Notice(Topic.CONFIG, text, option=derived.source)
        return
    text = f"{ours} counts, not {derived.source}"
    if value is not None:
        config[ours] = value[0]
        text = f"{derived.source} = {shown(derived.source_value)} counts as {ours}"
    if not derived.is_default:
        yield Notice(Topic.OPTION, text, is_information=True)


@dataclass(frozen=True, slots=True)
class PageContent:
    """The content of the page of a notebook.

    Attributes:
        settled: The state of the notebook.
        keeps_outputs: Whether the page shows the outputs that are stored in the file.
        executed: The results to show otherwise; `None` if there are none.
        is_final: Whether the page need not be read again by the next build.
    """

    settled: Settled
    keeps_outputs: bool
    executed: Executed | None = None
    is_final: bool = True

    @property
    def failure(self) -> Failure | None:
        """Why the run failed, if it did."""
        return self.settled.result.result.failure if self.settled.result is not None else None


def content_of(build: Build, docname: str) -> PageContent | None:
    """Return what the page of a notebook is to show; `None` for any other page."""
    settled = build.settled.get(docname)
    if settled is None or build.project is None:
        return None
    if settled.result is None:
        return PageContent(settled, settled.planned.decision.action is Action.AS_IS)
    outputs = outputs_of(build.project, settled.result, docname)
    if outputs is None:
        return PageContent(settled, keeps_outputs=False, is_final=False)
    executed = executed_of(settled.result.result, outputs)
    return PageContent(settled, False, _with_failure(executed, settled.result.result.failure))  # noqa: FBT003


def outputs_of(project: Project, stored: Stored, docname: str) -> RunOutputs | None:
    """Return the outputs of a result; `None` after a warning if the store has lost them."""
    try:
        return project.outputs(stored)
    except OutputsError as error:
        text = (
            f"the outputs have vanished from the store ({error}); the page has none, and the next"
            " build runs the notebook"
        )
        _warn(text, Topic.STORE, docname)
        return None


def put_into(node: Any, content: PageContent, docname: str, build: Build) -> None:
    """Put the content of a page into the notebook that its renderer has read."""
    if content.keeps_outputs:
        build.note_shown(docname)
        return
    try:
        fill(node, content.executed)
    except MergeError as error:
        _warn(f"{error}: its outputs are left out; build again", Topic.CELL, docname)
        fill(node, None)
        return
    if content.is_final:
        build.note_shown(docname)


def pasted_from(document: nodes.document) -> set[str]:
    """Return the documents from which a page shows values that a notebook has glued.

    MyST-NB (1.4) fills them in when it writes the page, but does not write a page again when such a
    value has changed.
    """
    # By name: MyST-NB need not be installed.
    return {
        str(getattr(node, "refdoc", ""))
        for node in document.findall(nodes.Element)
        if type(node).__name__ == "PendingGlueReference"
    }


def _with_failure(executed: Executed, failure: Failure | None) -> Executed:
    """Return results in which the cell that failed has an error as its output.

    A run that ended by a time limit or a dead kernel left none, and its page must show it.
    """
    if failure is None or not executed.outputs:
        return executed
    position = failure.position or 0
    outputs = [list(cell) for cell in executed.outputs]
    if position >= len(outputs) or any(o.get("output_type") == "error" for o in outputs[position]):
        return executed
    outputs[position].append(
        {
            "output_type": "error",
            "ename": failure.name,
            "evalue": failure.message,
            "traceback": failure.traceback.splitlines(),
        }
    )
    return replace(executed, outputs=outputs)


def _warn(text: str, topic: Topic, docname: str) -> None:
    LOGGER.warning("%s", text, type=WARNING_TYPE, subtype=topic.value, location=docname)


def unreadable_section(name: str, problem: SettingProblem) -> nodes.section:
    """Return the page of a file that cannot be read, with the error and its line."""
    where = f" (line {problem.line})" if problem.line else ""
    text = f"This notebook cannot be read{where}: {problem.text}"
    message = nodes.error("", nodes.paragraph(text, text))
    section = nodes.section("", nodes.title(name, name), message, ids=["unreadable-notebook"])
    section["names"].append("unreadable-notebook")
    return section
