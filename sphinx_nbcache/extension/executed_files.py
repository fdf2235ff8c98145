"""Executed notebooks as files, where launch buttons of themes expect them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from sphinx_nbcache.config import Settings
from sphinx_nbcache.extension.config_values import executed_folder, launched_folder
from sphinx_nbcache.extension.handover import Build, PageContent, content_of
from sphinx_nbcache.extension.log import notifier
from sphinx_nbcache.files.atomic import trouble_in_words
from sphinx_nbcache.files.moving import ForeignFileError
from sphinx_nbcache.files.owned import OwnedFolder, why_not_owned
from sphinx_nbcache.notebooks.executed import Executed, taken_out
from sphinx_nbcache.notebooks.formats import read_notebook
from sphinx_nbcache.notebooks.merging import MergeError, merged, notebook_text
from sphinx_nbcache.notebooks.notebook import NotebookError, decode_source
from sphinx_nbcache.notebooks.readers import IPYNB, IPYNB_SUFFIX
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.options import PREFIX
from sphinx_nbcache.planning import Action
from sphinx_nbcache.project import Settled
from sphinx_nbcache.text import counted

OPTION = PREFIX + "write_executed"
# Part of each state: raised when the same result is written differently.
_VERSION = 1
_SHOWN_AT_MOST = 3
# Bytes of notebooks in memory: their digests are listed before they are written.
_BATCH = 1 << 24


class ExecutedFiles:
    """The executed notebooks that a build has written.

    Attributes:
        paths: Docname → its file, if there is one of ours.
        changed: The files whose content this build has changed.
        is_on: Whether the option asks for them.
    """

    def __init__(self, *, is_on: bool = False) -> None:
        self.is_on = is_on
        self.paths: dict[str, Path] = {}
        self.changed: list[Path] = []


def write_executed(app: Sphinx, settings: Settings, build: Build) -> ExecutedFiles:
    """Write the notebooks of a build with their outputs, if the option says so.

    Only notebooks that changed since their file was written are read.
    """
    place = executed_folder(app, settings)
    written = ExecutedFiles(is_on=place is not None)
    notify = notifier(app)
    expected = launched_folder(app)
    if expected not in (None, place) and any(
        item.planned.scan.fmt not in (None, IPYNB) for item in build.settled.values()
    ):
        text = (
            f"the launch_buttons of html_theme_options need executed notebooks in {expected}; set"
            f" {OPTION} = True"
        )
        notify(Notice(Topic.EXECUTED, text, option=OPTION))
    if place is None:
        return written
    if why := why_not_owned(place, Path(app.srcdir)):
        text = (
            f"executed notebooks are not written into {place}: {why}; name another"
            f" folder in {OPTION}"
        )
        notify(Notice(Topic.EXECUTED, text, option=OPTION))
        return written
    foreign: list[str] = []
    try:
        folder = OwnedFolder(place, Path(app.srcdir))
        try:
            for docname, outcome in _outcomes(folder, build):
                path = place / (docname + IPYNB_SUFFIX)
                if isinstance(outcome, ForeignFileError):
                    foreign.append(f"{docname}{IPYNB_SUFFIX} ({outcome})")
                elif isinstance(outcome, Exception):
                    why = (
                        trouble_in_words(outcome) if isinstance(outcome, OSError) else str(outcome)
                    )
                    text = f"its executed copy is not written: {why}"
                    notify(Notice(Topic.EXECUTED, text, build.settled[docname].planned.path))
                else:
                    written.paths[docname] = path
                    if outcome:
                        written.changed.append(path)
            _remove_gone(folder, app, build)
        finally:
            folder.save()
    except OSError as error:
        text = (
            f"the list of the executed notebooks in {place} cannot be written:"
            f" {trouble_in_words(error)}"
        )
        notify(Notice(Topic.EXECUTED, text, option=OPTION))
    if foreign:
        shown = ", ".join(foreign[:_SHOWN_AT_MOST])
        more = " and more" if len(foreign) > _SHOWN_AT_MOST else ""
        text = (
            f"{counted(len(foreign), 'executed notebook')} not written into {place}: {shown}{more};"
            f" move away what is yours, or name another folder in {OPTION}"
        )
        notify(Notice(Topic.EXECUTED, text, option=OPTION))
    return written


def readers_of(env: BuildEnvironment, files: ExecutedFiles) -> set[str]:
    """Return the documents that depend on a file which this build has changed."""
    # Sphinx looked for changed dependencies before the files were written. It stores paths with or
    # without links, relative or not, depending on its version.
    changed = {os.fspath(path) for file in files.changed for path in (file, file.resolve())}
    if not changed:
        return set()
    return {
        docname
        for docname, paths in env.dependencies.items()
        if not changed.isdisjoint(
            os.path.normpath(Path(env.srcdir) / os.fspath(path)) for path in paths
        )
    }


def _outcomes(
    folder: OwnedFolder, build: Build
) -> Iterator[tuple[str, bool | OSError | MergeError | NotebookError]]:
    """Write the notebooks whose files are not those that are to be there.

    Yields:
        Each notebook that has a file, and whether that was written, or why it is not.

    Raises:
        OSError: The folder has no list of its files.
    """
    wanted: dict[str, tuple[str, bytes]] = {}
    size = 0
    for docname, settled in sorted(build.settled.items()):
        if settled.planned.decision.action is Action.UNREADABLE or settled.is_gone:
            continue
        name, state = docname + IPYNB_SUFFIX, _state_of(settled)
        if folder.is_current(name, state):
            yield docname, False
            continue
        content = content_of(build, docname)
        if content is None:
            continue
        try:
            text = _text_of(settled, content)
        except (MergeError, NotebookError, OSError) as error:
            yield docname, error
            continue
        # Outputs that the store has lost are looked for again by the next build.
        wanted[name] = (state if content.is_final else "", text)
        size += len(text)
        if size > _BATCH:
            yield from _written(folder, wanted)
            wanted, size = {}, 0
    yield from _written(folder, wanted)


def _written(
    folder: OwnedFolder, wanted: Mapping[str, tuple[str, bytes]]
) -> Iterator[tuple[str, bool | OSError]]:
    for name, outcome in folder.write(wanted).items():
        yield name.removesuffix(IPYNB_SUFFIX), outcome


def _state_of(settled: Settled) -> str:
    """Return a digest of all that decides about the file of a notebook."""
    planned, result = settled.planned, settled.result
    parts = (
        _VERSION,
        planned.code_key,
        planned.scan.stat,
        planned.scan.reader,
        planned.scan.fmt,
        planned.decision.action is Action.AS_IS,
        result.digest if result is not None else "",
    )
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _text_of(settled: Settled, content: PageContent) -> bytes:
    """Return the notebook with the outputs that its page shows.

    Raises:
        NotebookError: The source cannot be read.
        MergeError: It is no longer what was run, or cannot be written.
        OSError: The source is gone.
    """
    path, fmt = settled.planned.path, settled.planned.scan.fmt or ""
    raw = path.read_bytes()
    if content.keeps_outputs and fmt == IPYNB:
        return raw
    text, executed = decode_source(raw), content.executed
    if executed is None:
        executed = taken_out(read_notebook(text, fmt, path.parent))
        if not content.keeps_outputs:
            executed = _without_outputs(executed)
    text = notebook_text(merged(text, fmt, executed, path.parent), IPYNB)
    # For half of a surrogate pair, this is the escape of JSON.
    return text.encode(errors="backslashreplace")


def _without_outputs(executed: Executed) -> Executed:
    return replace(
        executed,
        outputs=[[] for _ in executed.outputs],
        counts=[None for _ in executed.counts],
        widgets={},
    )


def _remove_gone(folder: OwnedFolder, app: Sphinx, build: Build) -> None:
    """Remove the files of notebooks that are gone, or are no notebooks any more."""
    for name in list(folder.names):
        docname = name.removesuffix(IPYNB_SUFFIX)
        if docname in build.settled or _is_left_out(app, docname):
            continue
        try:
            folder.remove(name)
        except OSError as error:
            text = f"{folder.folder / name} is not removed: {trouble_in_words(error)}"
            notifier(app)(Notice(Topic.EXECUTED, text))


def _is_left_out(app: Sphinx, docname: str) -> bool:
    """Tell whether a document exists that this build leaves out, as another one need not do."""
    if docname in app.env.found_docs:
        return False
    sources = (Path(app.srcdir) / (docname + suffix) for suffix in app.config.source_suffix)
    return any(os.path.lexists(source) for source in sources)
