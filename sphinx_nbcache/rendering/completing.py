"""Completes the document of an output before it is put into a page.

Docutils and Sphinx finish some nodes in transforms of a page: footnotes, references to targets,
tables of contents. When outputs are put into a page, the transforms have already run, and writers
stop at a node that is not finished. So such nodes are finished or taken out here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.environment import BuildEnvironment

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.html.containing import contained_pieces
from sphinx_nbcache.rendering.nodes import Context, PastedValue

# Nodes that say something about the page or the project, not about their place.
_OF_PAGES = (
    nodes.comment,
    nodes.decoration,
    nodes.meta,
    nodes.pending,
    nodes.substitution_definition,
    nodes.system_message,
    addnodes.highlightlang,
    addnodes.index,
    addnodes.tabular_col_spec,
    addnodes.toctree,
)
_LAST_FULL_STOP = re.compile(r"\.?\Z")


def about_output(message: str) -> str:
    """Return a message as one about the Markdown of an output."""
    return f"its Markdown output: {_LAST_FULL_STOP.sub('', message)}"


def complete(parsed: nodes.document, context: Context) -> None:
    """Finish what transforms would finish, or replace it by its text."""
    _finish_footnotes(parsed)
    docname = context.document.settings.env.docname
    for node in list(parsed.findall(nodes.Element)):
        if node is parsed or node.parent is None:
            continue
        if isinstance(node, _OF_PAGES):
            node.parent.remove(node)
        elif isinstance(node, nodes.section | nodes.citation):
            _replace_by_children(node)
        elif isinstance(node, nodes.target):
            node.parent.replace(node, node.children)
        elif isinstance(node, nodes.literal_block):
            _check_lexer(node, context)
        elif _leads_nowhere(node, context):
            target = node["reftarget"] or "nothing"
            what = f"its Markdown output links to {target!r:.100}, which is no file of the project"
            context.warn(Topic.MARKDOWN, f"{what}; the link is left out")
            node.parent.replace(node, node.children)
        elif _is_unfinished(node):
            node.parent.replace(node, node.children)
        # An id of the page would otherwise be there twice.
        node["ids"], node["names"], node["dupnames"], node["backrefs"] = [], [], [], []
        node.source, node.line = parsed["source"], context.line
        if "docname" in node:
            node["docname"] = docname


def _leads_nowhere(node: nodes.Element, context: Context) -> bool:
    """Tell whether a node is a link to what is neither a page nor a file, nor a label of MyST."""
    is_link = isinstance(node, addnodes.pending_xref) and node.get("reftype") == "myst"
    return is_link and context.looks.markdown != "myst" and not node.get("refdomain")


def _is_unfinished(node: nodes.Element) -> bool:
    if isinstance(node, addnodes.pending_xref | PastedValue):
        return False  # it is resolved when the page is written, or has been read
    # Not its subclasses, such as downloads, which Sphinx finishes when the page is written.
    if type(node) is nodes.reference:
        # Ids of outputs are left out, and with them what leads to one.
        return "refuri" not in node or node["refuri"].startswith("#")
    return isinstance(
        node, nodes.citation_reference | nodes.substitution_reference | nodes.problematic
    ) or node.__class__.__module__.startswith("sphinx_nbcache")


def _replace_by_children(section: nodes.Element) -> None:
    """Replace what has a title or a label by that as a rubric, and its content."""
    children = [
        nodes.rubric(child.rawsource, "", *child.children)
        if isinstance(child, nodes.title | nodes.label)
        else child
        for child in section.children
    ]
    section.parent.replace(section, children)


def _check_lexer(block: nodes.literal_block, context: Context) -> None:
    language = block.get("language")
    if language and not context.is_lexer(language):
        context.warn(
            Topic.LEXER,
            f"its Markdown output: there is no highlighter named {language!r}; the code is shown"
            " plain",
        )
        block["language"] = "none"


def _finish_footnotes(parsed: nodes.document) -> None:
    """Number footnotes, and list them at the end of the output.

    As superscripts and a list: LaTeX writers take footnotes of equal numbers for the same one.
    """
    notes = {_label(note): note for note in parsed.findall(nodes.footnote)}
    numbers: dict[str, int] = {}
    for reference in list(parsed.findall(nodes.footnote_reference)):
        label = _label(reference)
        if label not in notes:
            # Regular expressions look like references: `([^a-z]+)`.
            reference.parent.replace(reference, nodes.Text(reference.rawsource or f"[^{label}]"))
            continue
        number = numbers.setdefault(label, len(numbers) + 1)
        reference.parent.replace(reference, nodes.superscript("", str(number)))
    for label in notes:
        numbers.setdefault(label, len(numbers) + 1)
    listed = nodes.enumerated_list(enumtype="arabic", prefix="", suffix=".", classes=["footnotes"])
    for label in sorted(numbers, key=numbers.__getitem__):
        note = notes[label]
        content = [child for child in note.children if not isinstance(child, nodes.label)]
        listed += nodes.list_item("", *content)
    for note in list(parsed.findall(nodes.footnote)):
        note.parent.remove(note)
    if listed.children:
        parsed += listed


def _label(node: nodes.Element) -> str:
    names = node.get("names") or node.get("dupnames") or [""]
    return str(node.get("refname") or names[0] or "")


def write_as_xhtml(content: nodes.Element) -> None:
    """Write the HTML below a node as XML, in its place."""
    contain_html(content, xml=True)


def contain_html(content: nodes.Element, *, xml: bool = False) -> None:
    """Contain HTML: what a piece of it opens ends within the same element."""
    parents = {id(raw.parent): raw.parent for raw in content.findall(nodes.raw)}
    for parent in parents.values():
        pieces = [
            child
            for child in parent.children
            if isinstance(child, nodes.raw) and "html" in child.get("format", "").split()
        ]
        texts = contained_pieces([piece.astext() for piece in pieces], xml=xml)
        for raw, text in zip(pieces, texts, strict=True):
            raw.rawsource = text
            raw.children = []
            raw.append(nodes.Text(text))


def leave_out_files(parsed: nodes.document, context: Context) -> None:
    """Replace images and downloads that cannot be published, or must not be, by their text.

    Sphinx copies every file that a page refers to into the site. An untrusted output could name
    `../.git/config` or a key in the home directory.
    """
    env = context.document.settings.env
    for node, name in list(_files_in(parsed)):
        if not is_public(name, env):
            trouble = "is hidden or lies outside of the source directory; it is not published"
        elif "://" not in name and not Path(env.relfn2path(name, env.docname)[1]).is_file():
            trouble = "does not exist"  # LaTeX writers stop at a folder
        else:
            continue
        # A download keeps its words, an image its alternative text.
        words = node.children or ([nodes.Text(node["alt"])] if node.get("alt") else [])
        if not isinstance(node.parent, nodes.TextElement):
            # In a figure, for example, after which writers expect a caption.
            words = [nodes.container("", nodes.paragraph("", "", *words))]
        node.parent.replace(node, words)
        context.warn(Topic.MIME, f"an output refers to the file {name!r:.100}, which {trouble}")


def _files_in(parsed: nodes.document) -> Iterator[tuple[nodes.Element, str]]:
    """Yield the nodes whose files Sphinx would copy, and the name of the file in each."""
    for image in parsed.findall(nodes.image):
        # Sphinx knows `data:` URLs of images only; a download of that name is a file.
        if not image["uri"].startswith("data:"):
            yield image, image["uri"]
    for download in parsed.findall(addnodes.download_reference):
        yield download, download["reftarget"]


def is_public(name: str, env: BuildEnvironment) -> bool:
    """Tell whether an output may refer to a file: it is part of the sources, and not hidden.

    Args:
        name: A URL, or a path as Sphinx takes it.
        env: The environment, at the page that shows the output.
    """
    # As in `sphinx.environment.collectors.asset`, Sphinx 9.0.
    if "://" in name:
        return True
    if name.endswith(".*"):
        return False  # a glob for Sphinx, never meant in Markdown
    try:
        # Resolved, because a link in the sources may lead out of them.
        real = Path(env.relfn2path(name, env.docname)[1]).resolve()
        inner = real.relative_to(Path(env.srcdir).resolve())
    except (OSError, ValueError, RuntimeError):
        return False
    return not any(part.startswith(".") for part in inner.parts)
