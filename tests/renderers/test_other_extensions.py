"""Real builds together with other extensions: each does its work, and so does ours."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import Book

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]

TITLE = "Notebook execution report"
ORDERS = {"before us": "extensions[:0] = {}", "after us": "extensions += {}"}


@dataclass(frozen=True)
class Case:
    """A project that uses an extension in a notebook, or in a page of its own."""

    extension: str
    package: str
    conf: str = ""
    more: tuple[str, ...] = ()
    """Other extensions that it needs."""
    cells: tuple[str, ...] = ()
    """What the notebook has besides a cell that prints `out put`."""
    files: Mapping[str, str] = field(default_factory=dict)
    pages: tuple[str, ...] = ()
    effect: tuple[str, str] = ("note", "")
    """A page, and a pattern that it has only if the extension works."""
    index: str = ""


CASES = (
    Case(
        "sphinx_codeautolink",
        "sphinx-codeautolink",
        more=("sphinx.ext.autodoc",),
        conf="import sys, pathlib\nsys.path.insert(0, str(pathlib.Path(__file__).parent))",
        files={
            "gauge.py": 'def level(day):\n    """Return a level."""\n    return day\n',
            "api.rst": "API\n===\n\n.. automodule:: gauge\n   :members:\n",
        },
        pages=("api",),
        cells=("%%\nimport gauge\ngauge.level(3)",),
        effect=("note", r'class="sphinx-codeautolink-a" href="api.html#gauge.level"'),
    ),
    Case("sphinx_copybutton", "sphinx-copybutton", effect=("note", r"copybutton\.js")),
    Case(
        "sphinx_design",
        "sphinx-design",
        conf="myst_enable_extensions = ['colon_fence']",
        cells=(
            ":::::{tab-set}\n::::{tab-item} Tab\n```{code-cell}\nprint('in', 'tab')\n```\n::::\n"
            ":::::\n\n:::{card} A card\nText.\n:::",
        ),
        effect=("note", r'(?s)class="sd-tab-content.*in tab.*sd-card-title'),
    ),
    Case(
        "sphinx_togglebutton",
        "sphinx-togglebutton",
        cells=("```{admonition} Title\n:class: dropdown\nText.\n```",),
        effect=("note", r'(?s)togglebutton\.js.*class="dropdown admonition"'),
    ),
    Case(
        "sphinx_thebe",
        "sphinx-thebe",
        conf="thebe_config = {'repository_url': 'https://github.com/owner/books'}",
        cells=("```{thebe-button}\n```",),
        effect=("note", r"(?s)thebe-launch-button.*kernelName = 'python3'"),
    ),
    Case(
        "autoapi.extension",
        "sphinx-autoapi",
        conf="autoapi_dirs = ['lib']\nautoapi_keep_files = True",
        files={"lib/gauge.py": 'def level(day):\n    """Return a level."""\n    return day\n'},
        cells=("See {py:func}`gauge.level`.",),
        effect=("note", r'href="autoapi/gauge/index.html#gauge.level"'),
    ),
    Case(
        "sphinx.ext.autodoc",
        "sphinx",
        more=("sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx.ext.autosummary"),
        conf="import sys, pathlib\nsys.path.insert(0, str(pathlib.Path(__file__).parent))",
        files={"gauge.py": 'def level(day):\n    """Return a level."""\n    return day\n'},
        cells=("```{eval-rst}\n.. automodule:: gauge\n   :members:\n```",),
        effect=("note", r'id="gauge.level"'),
    ),
    Case(
        "sphinxcontrib.bibtex",
        "sphinxcontrib-bibtex",
        conf="bibtex_bibfiles = ['refs.bib']",
        files={"refs.bib": "@misc{gauge, author={A. Mill}, title={Levels}, year={1990}}\n"},
        cells=("See {cite}`gauge`.\n\n```{bibliography}\n```",),
        effect=("note", r'(?s)class="reference internal" href="#id.*Levels'),
    ),
    Case(
        "sphinx_tabs.tabs",
        "sphinx-tabs",
        cells=(
            "`````{tabs}\n````{tab} First\n```{code-cell}\nprint('in', 'tab')\n```\n````\n`````",
        ),
        effect=("note", r'(?s)class="sphinx-tabs-panel".*in tab'),
    ),
    Case(
        "jupyter_sphinx",
        "jupyter-sphinx",
        files={"rst.rst": "Rst\n===\n\n.. jupyter-execute::\n\n   print('from', 'rst')\n"},
        pages=("rst",),
        effect=("rst", r"(?s)jupyter_cell.*from rst"),
    ),
    Case(
        "sphinx_llms_txt",
        "sphinx-llms-txt",
        effect=("note", "out put"),
        index="Some text.",
    ),
    Case(
        "sphinx_external_toc",
        "sphinx-external-toc",
        files={"_toc.yml": "root: index\nentries:\n- file: note\n- file: nbcache-report\n"},
        effect=("index", r'class="reference internal" href="nbcache-report.html">' + TITLE),
    ),
)


def write_project(book: Book, case: Case, order: str) -> None:
    """Write the project of a case."""
    names = [case.extension, *case.more]
    book.conf("\n".join([ORDERS[order].format(names), case.conf]))
    for name, text in case.files.items():
        book.write(name, text)
    toctree = () if "_toc.yml" in case.files else ("note", *case.pages, "nbcache-report")
    if toctree:
        book.index(*toctree, text=case.index)
    else:
        book.write("index.rst", "Book\n====\n")
    book.myst("note.md", "%%print('out', 'put')", *case.cells)


def needs(package: str, module: str) -> None:
    """Skip the test unless a package is installed."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        pytest.skip(f"{package} is not installed: `nox -s renderers` installs it")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", CASES, ids=[case.package for case in CASES])
def test_an_extension_and_ours_both_work(book: Book, case: Case, order: str) -> None:
    needs(case.package, case.extension)
    write_project(book, case, order)
    sources = book.sources()
    built = book.build("-W", "--keep-going")
    # With `-W`, a warning of Sphinx is a status; kernels that others start may write lines, too.
    assert built.status == 0, built.warnings
    assert "<span></span>out put\n" in book.page("note")
    assert TITLE in book.page("nbcache-report")
    page, pattern = case.effect
    assert re.search(pattern, book.page(page)), f"no {pattern}"
    added = {name for name in book.sources().keys() - sources.keys() if "nbcache" in name}
    assert added == set()
    again = book.build("-W", "--keep-going")
    assert again.status == 0, again.warnings
    assert (again.ran, again.read) == ((), (0, 0, 0)), again.log
