"""The values of the notebooks of a build: loaded when a page shows one, and why one is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sphinx_nbcache.extension.handover import Build, outputs_of
from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.notebooks.notebook import NotebookError
from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.planning import Action
from sphinx_nbcache.project import Settled
from sphinx_nbcache.project.jobs import read_planned
from sphinx_nbcache.rendering.live.widgets import models_in, stored_models
from sphinx_nbcache.rendering.pasting import Place
from sphinx_nbcache.results.named_values import NamedValues, values_in
from sphinx_nbcache.text import did_you_mean, one_line


class ValuesOfBuild:
    """The values of the notebooks of a build, each loaded at most once in a process."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._loaded: dict[str, NamedValues] = {}

    def of(self, docname: str) -> NamedValues:
        """Return the values of the notebook of a document."""
        if docname not in self._loaded:
            settled = self._build.settled.get(docname)
            self._loaded[docname] = NamedValues() if settled is None else self._load(settled)
        return self._loaded[docname]

    def expressions_of(self, docname: str) -> Mapping[str, int]:
        """Return how often each expression is in the text of a notebook."""
        settled = self._build.settled.get(docname)
        if settled is None:
            return {}
        scan = settled.planned.scan
        return Counter([*scan.leading, *(e for cell in scan.cells for e in cell.expressions)])

    def _load(self, settled: Settled) -> NamedValues:
        project = self._build.project
        assert project is not None
        if settled.result is not None:
            outputs = outputs_of(project, settled.result, settled.planned.name)
            if outputs is None:
                return NamedValues()
            return values_in(outputs.cells, models_in(outputs.widgets))
        if settled.planned.decision.action is not Action.AS_IS:
            return NamedValues()
        try:
            notebook = read_planned(settled.planned)
        except (NotebookError, OSError):
            return NamedValues()  # its own page says so
        models = stored_models(notebook.metadata.get("widgets"))
        return values_in([item.cell.outputs for item in notebook.code_cells], models)

    def why_missing(self, place: Place) -> str:
        """Say why a value is missing, and what to do."""
        settled, where = self._build.settled.get(place.docname), f"`{place.docname}`"
        if settled is None:
            near = did_you_mean(place.docname, self._build.settled)
            return f"{where} is no notebook{near or '; write `page::name` to name one'}"
        if settled.result is None:
            return f"the notebook {where} has no results in this build"
        if settled.result.result.failure is not None:
            return f"the notebook {where} failed"
        if place.is_expression:
            return (
                f"no run of {where} has evaluated it; it must stand in the notebook's own text, not"
                " in a file that it includes, or in a value"
            )
        known = self.of(place.docname).glued
        return f"the notebook {where} has no value of this name{did_you_mean(place.name, known)}"


def name_doubled(cells: Sequence[Sequence[Mapping[str, Any]]], docname: str) -> None:
    """Warn about names that more than one cell of a notebook gives, by its outputs."""
    warn = partial(LOGGER.warning, type=WARNING_TYPE, subtype=Topic.VALUE.value, location=docname)
    for name in values_in(cells).doubled:
        text = "more than one cell glues a value as %r: the last one counts; choose another name"
        warn(text, one_line(name))
