"""The nodes that cells and outputs are made of, in addition to docutils' own."""

from __future__ import annotations

from docutils import nodes


class AnsiBlock(nodes.literal_block):
    """Literal text with coloured parts: its children are texts and inline nodes.

    For all builders but HTML it is a literal block like any other.
    """


class HiddenBlock(nodes.General, nodes.Element):
    """Content that readers can unfold in HTML; other builders show it as if it were not hidden.

    Attributes: `what` (`content`, `source`, `output` or `outputs`) names it in the prompt, and
    `classes` say where it stands (`above-input`, `above-output`), as in MyST-NB.
    """


class OutputForms(nodes.container):
    """One output in all forms that can be shown: each child is an [](OutputForm)."""


class OutputForm(nodes.container):
    """One form of an output, with its MIME type in the attribute `mime`."""
