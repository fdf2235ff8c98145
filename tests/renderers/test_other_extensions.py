"""Real builds together with other extensions: each does its work, and so does ours."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import Book, code_cell

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
            "::::{tab-set}\n:::{tab-item} A\n```{code-cell}\nprint('in', 'tab')\n```\n:::\n::::",
            ":::{card} A card\nText.\n:::",
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
        book.index(*toctree)
    else:
        book.write("index.rst", "Book\n====\n")
    book.myst("note.md", "%%print('out', 'put')", *case.cells)


@pytest.fixture
def another(tmp_path: Path) -> Book:
    """A second book, next to the first one."""
    made = Book(tmp_path / "another" / "book", tmp_path / "another.txt")
    made.conf()
    return made


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
    book.has_other_kernels = case.extension == "jupyter_sphinx"
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


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, without the settings of a user or of the machine."""
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    command = ["git", *identity, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_llms_txt_has_the_notebooks_and_not_the_report(book: Book) -> None:
    needs("sphinx-llms-txt", "sphinx_llms_txt")
    book.conf("extensions += ['sphinx_llms_txt']")
    book.index("note", "nbcache-report")
    book.myst("note.md", "Some words.", "%%print('out', 'put')")
    built = book.build("-W")
    assert built.status == 0, built.warnings
    full = (book.folder / "_build/html/llms-full.txt").read_text()
    assert "Some words." in full
    assert "jcache-report::" not in full
    assert TITLE in book.page("nbcache-report")
    assert book.build("-W").read == (0, 0, 0)


def test_dates_from_git_are_those_of_the_projects_files_only(book: Book) -> None:
    needs("sphinx-last-updated-by-git", "sphinx_last_updated_by_git")
    book.conf("extensions += ['sphinx_last_updated_by_git']\nhtml_theme = 'classic'")
    book.index("note", "nbcache-report")
    book.write("data.csv", "7")
    book.myst("note.md", "%%print('out', 'put', open('data.csv').read())")
    book.write(".gitignore", "_build\n")
    git(book.folder, "init", "-q")
    git(book.folder, "add", ".")
    git(book.folder, "commit", "-qm", "one")
    built = book.build("-W")
    assert built.status == 0, built.warnings
    assert "Last updated on" in book.page("note")
    assert "out put 7" in book.page("note")
    # This package may be in a repository, or not: it depends on the machine.
    assert TITLE in book.page("nbcache-report")
    assert "Last updated on" not in book.page("nbcache-report")
    # The copy of its source is there, as sphinx-llms-txt expects.
    assert "_sources/nbcache-report.nbcache.txt" in book.page("nbcache-report")
    assert book.build("-W").read == (0, 0, 0)
    assert git(book.folder, "status", "--porcelain") == ""


def test_projects_link_to_each_others_notebooks_with_intersphinx(book: Book, another: Book) -> None:
    another.index("note", "nbcache-report")
    another.myst("note.md", "(a-label)=\n## A section")
    assert another.build("-W").status == 0
    inventory = another.folder / "_build/html/objects.inv"
    book.conf(
        "extensions += ['sphinx.ext.intersphinx']\n"
        f"intersphinx_mapping = {{'other': ('https://example.org/', {str(inventory)!r})}}"
    )
    book.index("note", "nbcache-report")
    book.myst(
        "note.md",
        "%%print('out', 'put')",
        "{external+other:doc}`note` {ref}`a-label` {external+other:ref}`nbcache-report` "
        "[](inv:other:std:doc#nbcache-report) {ref}`nbcache-report`",
    )
    built = book.build("-W")
    assert built.status == 0, built.warnings
    page = book.page("note")
    assert "out put" in page
    for link in ("note.html", "note.html#a-label", "nbcache-report.html#nbcache-report"):
        assert f'href="https://example.org/{link}"' in page
    assert 'href="nbcache-report.html#nbcache-report"' in page
    assert book.build("-W").read == (0, 0, 0)


GALLERY = """
extensions[:0] = ['sphinx_gallery.gen_gallery']
exclude_patterns += ['examples']
sphinx_gallery_conf = {
    "examples_dirs": "examples", "gallery_dirs": "gallery", "image_scrapers": (),
    "reset_modules": (),
}
"""
EXAMPLE = '''"""
A plot
======

Text.
"""
# %%
# A block.
print("from", "gallery")
'''
RST_CELLS = """Rst
===

.. jupyter-execute::

   print('from', 'rst')

.. jupyter-execute::
   :hide-code:

   from IPython.display import HTML, display
   display(HTML('<b>bold</b>'))
"""


def bodies(book: Book, *docnames: str) -> list[str]:
    """Return the bodies of pages, without times."""
    pages = (book.page(name).partition("<body>")[2] for name in docnames)
    return [re.sub(r"\d+\.\d+ seconds", "", page) for page in pages]


def test_pages_of_sphinx_gallery_are_as_without_us(book: Book, another: Book) -> None:
    needs("sphinx-gallery", "sphinx_gallery")
    for made in (book, another):
        made.write("examples/plot_one.py", EXAMPLE)
        made.write("examples/README.rst", "Gallery\n=======\n")
        made.index("gallery/index", "note")
    another.conf(GALLERY + "extensions.remove('sphinx_nbcache')")
    another.write("note.rst", "Note\n====\n")
    # The downloads are notebooks, also if scripts are.
    book.conf(GALLERY, formats={".py": "py:percent"})
    book.ipynb("note.ipynb", "# Note", code_cell("print('out', 'put')"), counts=False)
    for made in (book, another):
        built = made.build("-W")
        assert built.status == 0, built.warnings
    pages = ("gallery/index", "gallery/plot_one")
    assert "from gallery" in book.page("gallery/plot_one")
    assert bodies(book, *pages) == [
        page.replace("note.rst", "note.ipynb") for page in bodies(another, *pages)
    ]
    assert "out put" in book.page("note")
    assert TITLE in book.page("nbcache-report")
    assert book.build("-W").read == (0, 0, 0)


def test_pages_of_jupyter_sphinx_are_as_without_us(book: Book, another: Book) -> None:
    needs("jupyter-sphinx", "jupyter_sphinx")
    for made in (book, another):
        made.has_other_kernels = True
        made.write("rst.rst", RST_CELLS)
        made.index("rst")
    another.conf("extensions[:] = ['jupyter_sphinx']")
    # It writes executed pages as notebooks below `_build`, which nothing excludes here.
    book.conf("extensions += ['jupyter_sphinx']\nexclude_patterns = []")
    for made in (book, another):
        built = made.build("-W")
        assert built.status == 0, built.warnings
    assert "<b>bold</b>" in book.page("rst")
    assert bodies(book, "rst") == bodies(another, "rst")
    again = book.build("-W")
    assert (again.status, again.read) == (0, (0, 0, 0))
    assert (book.folder / "_build/jupyter_execute/rst.ipynb").is_file()


@pytest.mark.parametrize("order", ORDERS)
def test_nbsphinx_link_reads_its_links_and_we_our_notebooks(book: Book, order: str) -> None:
    needs("nbsphinx-link", "nbsphinx_link")
    book.has_other_kernels = True
    book.conf(ORDERS[order].format(["nbsphinx_link"]))
    book.index("far", "note", "nbcache-report")
    raw = {
        "cell_type": "raw",
        "source": "Far\n===\n",
        "metadata": {"raw_mimetype": "text/restructuredtext"},
    }
    # Markdown cells would need pandoc.
    book.ipynb("../far/far.ipynb", raw, code_cell("print('far', 'away')"), counts=False)
    book.write("far.nblink", '{"path": "../far/far.ipynb"}')
    cells = raw | {"source": "Note\n====\n"}, code_cell("print('out', 'put')")
    book.ipynb("note.ipynb", *cells, code_cell(book.counting("note.ipynb")), counts=False)
    built = book.build("-W")
    assert built.status == 0, built.warnings
    assert built.ran == ("note.ipynb",)
    assert "far away" in book.page("far")
    assert "out put" in book.page("note")
    assert TITLE in book.page("nbcache-report")
    again = book.build("-W")
    # nbsphinx-link (1.4) changes an option of nbsphinx while it reads, so that Sphinx reads every
    # page in every build, also without us.
    assert (again.status, again.ran) == (0, ())


def test_catalogs_of_sphinx_intl_translate_notebooks_and_the_report(book: Book) -> None:
    needs("sphinx-intl", "sphinx_intl")
    book.conf("locale_dirs = ['locale']\ngettext_compact = False")
    book.index("note", "nbcache-report")
    book.myst("note.md", "Some words.", "%%print('out', 'put')")
    trees = str(book.folder / "_build/gettext-trees")
    assert book.build("-W", "-d", trees, builder="gettext").status == 0
    command = [sys.executable, "-m", "sphinx_intl", "update", "-p", "_build/gettext"]
    subprocess.run([*command, "-l", "de", "-d", "locale"], cwd=book.folder, check=True)
    folder = book.folder / "locale/de/LC_MESSAGES"
    for name, text in (("note", "Some words."), ("nbcache-report", TITLE)):
        catalog = folder / f"{name}.po"
        empty = f'msgid "{text}"\nmsgstr ""'
        assert empty in catalog.read_text()
        catalog.write_text(catalog.read_text().replace(empty, f'msgid "{text}"\nmsgstr "Deutsch"'))
    assert "../../nbcache-report.nbcache:8" in (folder / "nbcache-report.po").read_text()
    built = book.build("-W", "-D", "language=de")
    assert built.status == 0, built.warnings
    assert "<p>Deutsch</p>" in book.page("note")
    assert "out put" in book.page("note")
    assert "<h1>Deutsch<" in book.page("nbcache-report")
    assert book.build("-W", "-D", "language=de").read == (0, 0, 0)


POLYVERSION = """
import sys
from pathlib import Path
from sphinx_polyversion.api import apply_overrides
from sphinx_polyversion.driver import DefaultDriver
from sphinx_polyversion.environment import Environment
from sphinx_polyversion.git import Git
from sphinx_polyversion.sphinx import CommandBuilder, Placeholder

OUTPUT_DIR, MOCK, SEQUENTIAL = "_build", False, False
apply_overrides(globals())
DefaultDriver(
    Git.root(Path(__file__).parent),
    OUTPUT_DIR,
    vcs=Git(branch_regex="main", tag_regex="v.*"),
    # Not SphinxBuilder: its `sphinx-build` is that of PATH, maybe of another environment.
    builder=CommandBuilder(
        ".",
        [sys.executable, "-m", "sphinx", "-W", Placeholder.SOURCE_DIR, Placeholder.OUTPUT_DIR],
    ),
    env=Environment.factory(),
).run(MOCK, SEQUENTIAL)
"""


def test_revisions_that_sphinx_polyversion_builds_share_results(book: Book) -> None:
    needs("sphinx-polyversion", "sphinx_polyversion")
    book.conf("from sphinx_polyversion.api import load\nload(globals())")
    book.write("poly.py", POLYVERSION)
    book.index("note", "nbcache-report")
    book.myst("note.md", "%%print('out', 'put')")
    book.write(".gitignore", "_build\n")
    git(book.folder, "init", "-q", "-b", "main")
    git(book.folder, "add", ".")
    git(book.folder, "commit", "-qm", "one")
    git(book.folder, "tag", "v1")
    book.myst("note.md", "%%print('out', 'put')", "More words.")
    git(book.folder, "commit", "-qam", "two")
    command = [sys.executable, "-m", "sphinx_polyversion", "poly.py"]
    for _ in range(2):
        subprocess.run(command, cwd=book.folder, check=True, timeout=200)
        for revision in ("v1", "main"):
            assert "out put" in book.page("note", output=revision)
            assert TITLE in book.page("nbcache-report", output=revision)
        assert "More words." in book.page("note", output="main")
        assert "More words." not in book.page("note", output="v1")
        assert book.runs() == ("note.md",)
