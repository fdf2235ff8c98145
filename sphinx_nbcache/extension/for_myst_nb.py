"""Pages that MyST-NB renders: its parser gets a client that executes nothing.

MyST-NB makes a client for each notebook, which executes it or finds its outputs. It offers no way
to choose another one (`create_client` in `myst_nb/core/execute/__init__.py`, MyST-NB 1.4), so its
parser is registered again with one that puts our outputs in.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from sphinx_nbcache.extension.handover import (
    Build,
    PageContent,
    content_of,
    put_into,
    their_options,
    unreadable_section,
)
from sphinx_nbcache.extension.log import LOGGER, notifier
from sphinx_nbcache.extension.their_options import FORMER_NAMES, UNSET, mode_in
from sphinx_nbcache.notebooks.own_settings import SettingProblem
from sphinx_nbcache.notebooks.renderers import INLINE, MYST_NB
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.results.records import Failure
from sphinx_nbcache.text import colourless

# `myst_nb.sphinx_.Parser.parse` (MyST-NB 1.1 to 1.5) calls this function for each notebook.
_MAKER = "create_client"
_PARAMETERS = ("notebook", "source", "nb_config", "logger", "read_fmt")
# Names of errors in MyST-NB's tables and logs: those of nbclient's exceptions.
_RAISED = "CellExecutionError"
_OWN_ERRORS = frozenset({"CellTimeoutError", "DeadKernelError"})


def fits() -> bool:
    """Tell whether the installed MyST-NB makes its clients in the known way."""
    try:
        import myst_nb.sphinx_
        from myst_nb.core.execute.base import NotebookClientBase
    except ImportError:
        return False
    maker = getattr(myst_nb.sphinx_, _MAKER, None)
    if maker is None:
        return False
    # Further ones may be left out: 1.5 adds `kernel_manager_class`, for clients that run something.
    parameters = inspect.signature(maker).parameters.items()
    known = [name for name, one in parameters if one.default is one.empty or name in _PARAMETERS]
    if tuple(known) != _PARAMETERS:
        return False
    return all(hasattr(NotebookClientBase, name) for name in ("start_client", "exec_metadata"))


class MystNbPages:
    """Gives MyST-NB the outputs of notebooks.

    Args:
        build: The state of the build.
    """

    name = MYST_NB

    def __init__(self, build: Build) -> None:
        self._build = build
        self._mode = ""
        self.is_usable = True

    def connect(self, app: Sphinx) -> None:
        """Register MyST-NB's parser once more, with our client."""
        self.is_usable = fits()
        if not self.is_usable:
            say_unfit(app)
            return
        import myst_nb.sphinx_ as myst_nb

        build, client = self._build, self.client_for

        class Parser(myst_nb.Parser):  # type: ignore[misc]  # it has no types
            """MyST-NB's parser, which executes none of our notebooks."""

            def parse(self, inputstring: str, document: nodes.document) -> None:
                docname = (getattr(document.settings, "env", None) or self.env).docname
                if (problem := unreadable(build, docname)) is not None:
                    # MyST-NB would end the build with a traceback. An empty page has the settings
                    # that transforms of myst-parser (5.2) need.
                    super(myst_nb.Parser, self).parse("", document)
                    document += unreadable_section(docname, problem)
                    return
                # Only while this page is read: another application in this process may use the
                # same module.
                with _replaced(myst_nb, partial(client, docname)):
                    super().parse(inputstring, document)

        app.add_source_parser(Parser, override=True)

    def take_over(self, app: Sphinx, config: Config) -> None:
        """Keep MyST-NB from running notebooks."""
        self._mode = mode_in(MYST_NB, their_options(app, config))
        if self._mode == INLINE or not self.is_usable:
            return
        config.nb_execution_mode = "off"
        former = FORMER_NAMES["nb_execution_mode"]
        if former in config:
            config[former] = UNSET

    def client_for(self, docname: str, usual: Any, *given: Any, **named: Any) -> Any:
        """Return the client for a notebook: ours if we decided on it, else MyST-NB's own.

        Args:
            docname: Its document.
            usual: MyST-NB's function that makes clients.
            given: The arguments of that function.
            named: The same.
        """
        content = content_of(self._build, docname)
        bound = inspect.signature(usual).bind(*given, **named).arguments
        if content is None:
            if self._mode != INLINE and bound["nb_config"].execution_mode == INLINE:
                LOGGER.info("MyST-NB runs %s itself: its metadata say `inline`", docname)
            return usual(*given, **named)
        notebook, logger = bound["notebook"], bound["logger"]
        put_into(notebook, content, docname, self._build)
        client = _client(notebook, content, bound)
        client.exec_metadata = self._metadata(content)
        if content.failure is not None and bound["nb_config"].execution_show_tb:
            logger.info(colourless(content.failure.traceback))
        return client

    def _metadata(self, content: PageContent) -> dict[str, Any] | None:
        """Return what MyST-NB's tables show of a run."""
        stored = content.settled.result
        if stored is None:
            return None
        result, failure = stored.result, content.failure
        return {
            "mtime": result.started + result.seconds,
            "runtime": result.seconds,
            "method": self._mode,
            "succeeded": failure is None,
            "error": None if failure is None else _error(failure),
            "traceback": None if failure is None else colourless(failure.traceback),
        }


def unreadable(build: Build, docname: str) -> SettingProblem | None:
    """Return why the notebook of a document cannot be read; `None` if it can."""
    settled = build.settled.get(docname)
    problem = settled.planned.scan.unreadable if settled is not None else None
    if problem is not None:
        build.note_shown(docname)
    return problem


def _client(notebook: Any, content: PageContent, bound: dict[str, Any]) -> Any:
    from myst_nb.core.execute.base import NotebookClientBase

    path = content.settled.planned.path
    return NotebookClientBase(notebook, path, bound["nb_config"], bound["logger"])


def _error(failure: Failure) -> str:
    return failure.name if failure.name in _OWN_ERRORS else _RAISED


@contextmanager
def _replaced(module: Any, make: Any) -> Iterator[None]:
    """Let a module call another function for clients, which takes the usual one first."""
    usual = getattr(module, _MAKER)
    setattr(module, _MAKER, partial(make, usual))
    try:
        yield
    finally:
        setattr(module, _MAKER, usual)


def say_unfit(app: Sphinx) -> None:
    """Warn that this MyST-NB runs its notebooks itself."""
    from myst_nb import __version__

    text = (
        f"MyST-NB {__version__} makes its clients in a way that is not known here, so it runs its"
        " notebooks itself; versions 1.1 to 1.5 are known"
    )
    notifier(app)(Notice(Topic.CONFIG, text))
