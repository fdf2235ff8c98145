"""The choice of a builder among the forms of an output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docutils import nodes
from sphinx.builders import Builder
from sphinx.builders._epub_base import EpubBuilder
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.logging import getLogger

from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.rendering.completing import write_as_xhtml
from sphinx_nbcache.rendering.images import SUFFIXES
from sphinx_nbcache.rendering.live.charts import PLOTLY_MIME, VEGA_MIMES
from sphinx_nbcache.rendering.live.javascript import JAVASCRIPT_MIMES
from sphinx_nbcache.rendering.live.json_tree import JSON_MIME, JSON_TEXT
from sphinx_nbcache.rendering.live.nodes import NEEDS_SCRIPTS, LiveOutput
from sphinx_nbcache.rendering.live.places import (
    Place,
    needs_scripts,
    place_of_scripts,
    runs_scripts,
    why_not,
    without_other_hosts,
)
from sphinx_nbcache.rendering.live.widgets import WIDGET_MIME, put_state
from sphinx_nbcache.rendering.markup import LATEX_RAW
from sphinx_nbcache.rendering.nodes import (
    BY_OTHERS,
    FORMATS_WITH_OUR_NODES,
    OutputForm,
    OutputForms,
    use_plain_nodes,
)

_LOGGER = getLogger(__name__)
# The formats of Sphinx's own builders that show no images; those that write no pages have none.
_FORMATS_WITHOUT_IMAGES = frozenset({"", "man", "pseudoxml", "text", "xml"})
_USUAL_IMAGES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp")
_TEXT_FORMS = ("text/latex", "text/markdown", JSON_TEXT, "text/plain")
_TEXT_FORMS_OF_HTML = ("text/markdown", "text/latex", "text/plain")
_LIVE_FORMS = (WIDGET_MIME, PLOTLY_MIME, *VEGA_MIMES, *JAVASCRIPT_MIMES)
_LOADS = "it loads {!r:.100} from another host, which nbcache_scripts rules out"


def preferred_forms(builder: Builder) -> list[str]:
    """Return the MIME types that a builder can show, the best first."""
    images = [mime for mime in SUFFIXES if mime in builder.supported_image_types]
    if not builder.supported_image_types and builder.format not in _FORMATS_WITHOUT_IMAGES:
        # Builders of other packages often name none, although their format has images: Markdown and
        # reStructuredText (sphinx-markdown-builder 0.6, sphinxcontrib-restbuilder 0.3).
        images = list(_USUAL_IMAGES)
    if builder.format == "html":
        live = _LIVE_FORMS if runs_scripts(builder) else ()
        return [*live, "text/html", *images, JSON_MIME, *_TEXT_FORMS_OF_HTML]
    if builder.format == "latex":
        # A PDF is the sharpest; the other images follow in the order of their suffixes.
        images.sort(key=lambda mime: mime != "application/pdf")
        return [*images, LATEX_RAW, *_TEXT_FORMS]
    return [*images, *_TEXT_FORMS]


class ChooseForms(SphinxPostTransform):
    """Keeps the form of each output that suits the builder best."""

    # Before references are resolved (10) and images are collected for the writer (100), or Sphinx
    # would warn about references in forms that no one sees, and copy their images
    # (https://www.sphinx-doc.org/en/master/extdev/appapi.html).
    default_priority = 4

    def run(self, **_kwargs: Any) -> None:
        """Replace each [](OutputForms) by the content of one of its forms."""
        builder = self.app.builder
        preferred = preferred_forms(builder)
        is_xhtml = isinstance(builder, EpubBuilder)
        place = place_of_scripts(self.app) if runs_scripts(builder) else None
        warned: set[str] = set()
        is_live = False
        # The choice is made here, not when the page is read: builders share doctrees.
        for forms in list(self.document.findall(OutputForms)):
            best, problems = _best(forms, builder.name, preferred, place)
            if best is not None and (place is None or place.is_local):
                problems += [
                    f"{_LOADS.format(a)}; it is left out" for a in without_other_hosts(best)
                ]
            for problem in problems:
                if problem not in warned and place is not None:
                    warned.add(problem)
                    _warn(problem, forms)
            if best is not None:
                is_live = is_live or best.next_node(LiveOutput) is not None
                if is_xhtml:
                    write_as_xhtml(best)
            forms.replace_self(best.children if best is not None else [])
        if is_live and place is not None:
            put_state(self.document)
            self.document[NEEDS_SCRIPTS] = True
        if builder.format not in FORMATS_WITH_OUR_NODES:
            use_plain_nodes(self.document)


def _best(
    forms: OutputForms, builder: str, preferred: Sequence[str], place: Place | None
) -> tuple[OutputForm | None, list[str]]:
    """Return the form to show, and why better ones cannot be shown.

    Args:
        forms: The forms.
        builder: The name of the builder.
        preferred: The MIME types that the builder can show, the best first.
        place: Where scripts come from; `None` if the builder has none.
    """
    by_mime: Mapping[str, OutputForm] = {form["mime"]: form for form in forms.findall(OutputForm)}
    # A renderer for a type is installed to be seen.
    by_others = [mime for mime, form in by_mime.items() if form.get(BY_OTHERS)]
    ranked = list(ranked_types(forms["priority"], builder, [*by_others, *preferred]))
    problems: list[str] = []
    for mime in ranked:
        form = by_mime.get(mime)
        if form is None:
            continue
        if place is None:
            if not needs_scripts(form):
                return form, []
        elif not (found := why_not(form, place)):
            return form, problems
        else:
            problems += found
    return None, problems


def ranked_types(
    priority: Sequence[str] | Mapping[str, Sequence[str]], builder: str, preferred: Sequence[str]
) -> Iterator[str]:
    """Yield MIME types, the best first, as the option `nbcache_mime_priority` says."""
    if isinstance(priority, Mapping):
        priority = priority.get(builder, priority.get("*", ()))
    yield from (mime for mime in priority if mime in preferred)
    never = {mime.removeprefix("-") for mime in priority if mime.startswith("-")}
    yield from (mime for mime in preferred if mime not in never)


def _warn(problem: str, forms: nodes.Element) -> None:
    _LOGGER.warning(
        "an output is not shown as it is meant: %s",
        problem,
        type=WARNING_TYPE,
        subtype=Topic.SCRIPTS.value,
        location=forms,
    )
