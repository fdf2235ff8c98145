"""`nb-download`: links to the executed copies of notebooks."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import Protocol

from docutils import nodes
from sphinx import addnodes
from sphinx.util import docname_join
from sphinx.util.docutils import ReferenceRole

from sphinx_nbcache.extension.executed_files import OPTION, ExecutedFiles
from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.files.atomic import replace_if_changed, trouble_in_words
from sphinx_nbcache.notebooks.merging import MergeError, notebook_text
from sphinx_nbcache.notebooks.renderers import TITLES
from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.project import Settled
from sphinx_nbcache.text import did_you_mean

_SCRIPT_SUFFIX, _SCRIPT_FORMAT = ".py", "py:percent"
# Next to the doctrees.
_SCRIPTS = "nbcache-scripts"


class LinkedBuild(Protocol):
    """The state of a build that links need."""

    renderers: tuple[str, ...]
    settled: dict[str, Settled]
    executed: ExecutedFiles


class NbDownload(ReferenceRole):
    """Links to the executed copy of a notebook: `fit.ipynb`, or `text <fit.ipynb>`.

    With the suffix `.py` it links to a script. Name and syntax are those of MyST-NB.
    """

    def __init__(self, build: LinkedBuild) -> None:
        super().__init__()
        self._build = build

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the link; after a warning, its text alone if there is nothing to link to."""
        classes = ["xref", "download", "nb-download"]
        literal = nodes.literal(self.rawtext, self.title, classes=classes)
        try:
            path = self._file()
        except (LookupError, MergeError, OSError) as error:
            why = trouble_in_words(error) if isinstance(error, OSError) else error.args[0]
            LOGGER.warning(
                "nb-download: %s",
                why,
                type=WARNING_TYPE,
                subtype=Topic.EXECUTED.value,
                location=self.get_location(),
            )
            return [literal], []
        link = addnodes.download_reference(
            self.rawtext, "", literal, reftarget=self._from_sources(path)
        )
        self.set_source_info(link)
        return [link], []

    def _file(self) -> Path:
        """Return the file to link to.

        Raises:
            LookupError: There is none. The message says why.
            MergeError: It cannot be written as a script.
            OSError: The script cannot be written.
        """
        if renderers := self._build.renderers:
            named = " and ".join(TITLES[renderer] for renderer in renderers)
            raise LookupError(
                f"{named} renders the notebooks, and {OPTION} has no effect; use a link"
            )
        name, suffix = posixpath.splitext(self.target)
        docname = docname_join(self.env.docname, name)
        if docname not in self._build.settled:
            near = did_you_mean(docname, self._build.settled)
            raise LookupError(f"there is no notebook `{docname}`{near}")
        path = self._build.executed.paths.get(docname)
        if path is None:
            is_on = self._build.executed.is_on
            why = "another warning says why" if is_on else f"set {OPTION} = True"
            raise LookupError(f"`{docname}` has no executed copy; {why}")
        return self._script(docname, path) if suffix == _SCRIPT_SUFFIX else path

    def _script(self, docname: str, executed: Path) -> Path:
        import nbformat

        # The page is read again when the notebook has changed.
        self.env.note_dependency(os.path.relpath(executed, self.env.srcdir))
        node = nbformat.reads(executed.read_text("utf-8"), as_version=4)
        script = Path(self.env.doctreedir, _SCRIPTS, docname + _SCRIPT_SUFFIX)
        replace_if_changed(script, notebook_text(node, _SCRIPT_FORMAT))
        return script

    def _from_sources(self, path: Path) -> str:
        if os.name == "nt":
            return path.as_posix()  # it may be on another drive
        # With a slash, it is relative to the source directory, even if it leads out of it.
        return "/" + os.path.relpath(path, self.env.srcdir)
