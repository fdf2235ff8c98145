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
from sphinx_nbcache.suggestions import did_you_mean, nearest

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
    known = known_readers()
    meant = did_you_mean(reader, [*known, *_VARIANTS, *_TEXTS])
    raise NotebookError(
        f"there is no reader {reader!r} (known: {', '.join(known)}, module:function, and the"
        f" formats of jupytext){meant}"
    )


def declared_format(declared: str, name: str) -> str:
    """Return the format for a value of `nbcache_formats`.

    What is not known here is left to jupytext, which may have learnt further formats.
    """
    return _named(declared, name) or declared


def meant_format(fmt: str) -> str:
    """Ask whether another format was meant, about one that jupytext does not know.

    Args:
        fmt: The format, with or without a language before it.

    Returns:
        What is wrong, with a question; empty if no format resembles it.
    """
    variant = fmt.rpartition(":")[2]
    known = _VARIANTS if ":" in fmt else [*known_readers(), *_VARIANTS, *_TEXTS]
    meant = "" if variant in known else did_you_mean(variant, known)
    return f"jupytext has no format `{variant}`{meant}" if meant else ""


def known_readers() -> list[str]:
    """Return the names of our readers, and of those that other packages announce."""
    return sorted({"nbformat", JUPYTEXT, MYST, "myst_nb_md", *announced(READERS)})


def is_function(fmt: str) -> bool:
    """Tell whether a format is a reader `module:function`."""
    module, _, name = fmt.partition(":")
    return bool(name) and name not in _VARIANTS and bool(module) and not _is_slip(module, name)


def _is_slip(language: str, variant: str) -> bool:
    """Tell whether `language:variant` is a format of jupytext with a slip in the variant."""
    is_language = f".{language}" in SCRIPTS or language in _TEXTS
    return is_language and bool(nearest(variant, _VARIANTS))


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
    if (
        reader.partition(":")[2] in _VARIANTS
        or is_function(reader)
        or reader in _VARIANTS | _TEXTS
        or f".{reader}" in SCRIPTS
    ):
        return reader
    return _ANNOUNCED + reader if reader in announced(READERS) else ""
