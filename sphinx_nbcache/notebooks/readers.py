"""Which reader a name means: ours, a format of jupytext, a function, or another package's.

Where a reader can be named (`nbcache_formats`, `--reader`) the name is first turned into the
*format* that [](read_notebook) takes, which a scan remembers. Formats are:

- `ipynb` and `myst`, read by this package;
- `module:function`;
- `reader NAME`, what another package announces as an entry point;
- whatever else there is, read by jupytext.
"""

from __future__ import annotations

from pathlib import PurePath

from sphinx_nbcache.notebooks.front_matter import MYST
from sphinx_nbcache.notebooks.model import NotebookError
from sphinx_nbcache.plugins import READERS, announced

IPYNB = "ipynb"
IPYNB_SUFFIX = ".ipynb"
JUPYTEXT = "jupytext"
# `myst_nb_md` is what MyST-NB calls its reader where jupyter-cache looks for one.
_OURS = {"nbformat": IPYNB, IPYNB: IPYNB, MYST: MYST, "mystnb": MYST, "myst_nb_md": MYST}
# No module and no format of jupytext can be called so.
_ANNOUNCED = "reader "
# Suffixes of scripts that jupytext reads. Files with them are mostly not notebooks.
SCRIPTS = frozenset(
    ".py .R .r .jl .cpp .ss .clj .scm .sh .ps1 .q .m .wolfram .pro .js .ts .scala .rs .robot"
    " .resource .cs .fsx .fs .sos .java .groovy .sage .ml .hs .tcl .mac .gp .do .sas .xsh .lgt"
    " .lua .go".split()
)
# A user's own reader is `module:function`; jupytext's formats look alike (`py:percent`).
_VARIANTS = frozenset(
    "percent light nomarker sphinx hydrogen bare spin markdown myst quarto pandoc rmarkdown"
    " marimo cell_metadata_json".split()
)
_TEXTS = frozenset("md markdown Rmd qmd".split())


def format_for_reader(reader: str, name: str) -> str:
    """Return the format in which a reader reads a file.

    Args:
        reader: `nbformat`, `jupytext`, `myst` (also called `myst_nb_md`), the name under which
            another package announces a reader, `module:function`, or a format of jupytext.
        name: The file's name. Its suffix tells jupytext the language.

    Raises:
        NotebookError: There is no such reader.
    """
    if fmt := _named(reader, name):
        return fmt
    if reader == JUPYTEXT:
        raise NotebookError(f"{name} has no suffix, by which jupytext could tell its format")
    known = ", ".join(known_readers())
    raise NotebookError(
        f"there is no reader {reader!r} (known: {known}, module:function, and the formats of"
        " jupytext)"
    )


def declared_format(declared: str, name: str) -> str:
    """Return the format for a value of `nbcache_formats`.

    What is not known here is left to jupytext, which may have learnt further formats.
    """
    return _named(declared, name) or declared


def known_readers() -> list[str]:
    """Return the names of our readers, and of those that other packages announce."""
    return sorted({"nbformat", JUPYTEXT, MYST, "myst_nb_md", *announced(READERS)})


def is_function(fmt: str) -> bool:
    """Tell whether a format is a reader `module:function`."""
    module, _, name = fmt.partition(":")
    return bool(name) and name not in _VARIANTS and bool(module)


def announced_name(fmt: str) -> str:
    """Return the name of the announced reader that a format means; empty if it means none."""
    return fmt.removeprefix(_ANNOUNCED) if fmt.startswith(_ANNOUNCED) else ""


def is_foreign(fmt: str) -> bool:
    """Tell whether a format is read by code that we do not know, and that may change."""
    return fmt.startswith(_ANNOUNCED) or is_function(fmt)


def _named(reader: str, name: str) -> str:
    """Return the format that a reader's name means; empty if nothing of that name is known."""
    if reader == JUPYTEXT:
        # jupytext takes a suffix for a format, and looks into the text for more.
        suffix = PurePath(name).suffix
        return IPYNB if suffix == IPYNB_SUFFIX else suffix.removeprefix(".")
    if reader in _OURS:
        return _OURS[reader]
    if ":" in reader or reader in _VARIANTS | _TEXTS or f".{reader}" in SCRIPTS:
        return reader
    return _ANNOUNCED + reader if reader in announced(READERS) else ""
