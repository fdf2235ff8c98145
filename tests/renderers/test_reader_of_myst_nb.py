"""Our reading of MyST-NB's Markdown notebooks finds the code cells that MyST-NB finds."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sphinx_nbcache.notebooks.formats import Formats, read_notebook
from sphinx_nbcache.notebooks.renderers import MYST_NB, DeclaredFormat, myst_reader

pytest.importorskip("myst_nb", reason="MyST-NB is not installed: `nox -s renderers`")

FRONT = "---\nfile_format: mystnb\n---\n"
EXTENSIONS = "amsmath attrs_block colon_fence deflist dollarmath fieldlist substitution".split()
BLOCKS = [
    "```{code-cell}\nfirst = 1\n```",
    "```{code-cell} ipython3\n:tags: [a, b]\n\nsecond = 2\n```",
    "```{code-cell}\n---\ntags: [x]\nmystnb:\n  image: {width: 2px}\n---\nthird = 3\n\nmore\n```",
    "```{code-cell}\n:mystnb:\n:  code_prompt_show: a b\n:tags: [x]\nlines\n```",
    "```{code-cell}\n  :tags: [x]\nindented_option\n```",
    "```{code-cell}\n---\n  tags: [x]\n---\n\n\ndedented\n```",
    "```{code-cell}\n---\ntags: [x]\nno_end = 1\n```",
    "```{code-cell}\n:::{note}\nfence\n```",
    "```{code-cell}\n\n:tags: [x]\nno_option\n```",
    "```{code-cell}\ntrailing = 1   \n  \n```",
    "~~~{code-cell}\n\nfourth\n~~~",
    "````{code-cell}\n```\nfifth\n```\n````",
    ":::{code-cell}\ncolon\n:::",
    ":::{note}\n```{code-cell}\nin_colon\n```\n:::",
    "````{note}\n```{code-cell}\nin_note\n```\n````",
    "- item\n\n  ```{code-cell}\n  in_list\n  ```",
    "> ```{code-cell}\n> quoted\n> ```",
    "   ```{code-cell}\n   indented\n   ```",
    "    ```{code-cell}\n    code block\n    ```",
    "```python\nplain\n```",
    "```{raw-cell}\n:format: text/html\n<b>raw</b>\n```",
    "Text with `code` and\n```{code-cell}\nafter_text\n```",
    '+++ {"tags": ["t"]}',
    "+++",
    "% a comment",
    "(target)=",
    "$$\nx\n```{code-cell}\nin_math\n```\n$$",
    "\\begin{equation}\n```{code-cell}\nin_amsmath\n```\n\\end{equation}",
    "Term\n: ```{code-cell}\n  in_definition\n  ```",
    ":field: value\n```{code-cell}\nafter_field\n```",
    "[^1]: note\n\n    ```{code-cell}\n    in_footnote\n    ```",
    "| a | b |\n|---|---|\n| 1 | 2 |\n```{code-cell}\nafter_table\n```",
    "{#id .class}\n```{code-cell}\nwith_attributes\n```",
    "<div>\n```{code-cell}\nin_html\n```\n</div>",
    "{{ substitution }}\n```{code-cell}\nafter_substitution\n```",
    "```{code-cell}\nunclosed",
    "",
]


@given(
    st.lists(st.tuples(st.sampled_from(BLOCKS), st.sampled_from(["\n", "\n\n"])), max_size=8),
    st.sets(st.sampled_from(EXTENSIONS)),
)
@example([(block, "\n\n") for block in BLOCKS], set())
@example([(block, "\n\n") for block in BLOCKS], set(EXTENSIONS))
@settings(max_examples=300, deadline=None)
def test_the_same_cells_are_found(parts: list[tuple[str, str]], extensions: set[str]) -> None:
    from myst_nb.core.read import MystMetadataParsingError, read_myst_markdown_notebook
    from myst_parser.config.main import MdParserConfig

    text = FRONT + "".join(block + end for block, end in parts)
    try:
        theirs = read_myst_markdown_notebook(text, MdParserConfig(enable_extensions=extensions))
    except MystMetadataParsingError:
        return  # MyST-NB does not build such a page
    declared = str(DeclaredFormat(MYST_NB, "cache", myst_reader(extensions)))
    fmt = Formats({".md": declared}).format_of("a.md", text)
    assert fmt is not None
    ours = read_notebook(text, fmt)
    expected = [cell.source.strip("\n") for cell in theirs.cells if cell.cell_type == "code"]
    assert [c.source.strip("\n") for c in ours.cells if c.kind == "code"] == expected


@pytest.mark.parametrize(
    "front",
    [
        "file_format: mystnb",
        "file_format: myst",
        "kernelspec: {name: python3}",
        "jupytext: {text_representation: {format_name: myst}}",
        "jupytext: {text_representation: {format_name: markdown}}",
        "jupytext:\n  formats: md:myst\nkernelspec: {name: python3}",
        "title: page",
        "jupyter: {kernelspec: {name: python3}}",
        "- a list",
    ],
)
def test_the_same_files_are_notebooks(front: str) -> None:
    from myst_nb.core.read import is_myst_markdown_notebook

    text = f"---\n{front}\n---\n\n```{{code-cell}}\n1\n```\n"
    fmt = Formats({".md": f"{MYST_NB}/cache {myst_reader(())}"}).format_of("a.md", text)
    assert (fmt is not None) == is_myst_markdown_notebook(text)
