"""The meaning of reader names: ours, jupytext formats, functions, other packages' readers.

A reader name (in `nbcache_formats` or `--reader`) is first converted to the *format* that
[](read_notebook) takes, which a scan remembers. Formats are:

- `ipynb` and `myst`, read by this package;
- `module:function`, with further arguments as a JSON object after a blank;
- `myst-nb[EXTENSIONS]`, Markdown as MyST-NB reads it with these extensions of MyST;
- `reader NAME`, which another package provides as an entry point;
- anything else, read by jupytext.
"""

from __future__ import annotations

from pathlib import PurePath

from sphinx_nbcache.notebooks.front_matter import MYST
from sphinx_nbcache.notebooks.notebook import NotebookError
from sphinx_nbcache.plugins import READERS, announced
from sphinx_nbcache.text import did_you_mean, nearest

IPYNB = "ipynb"
IPYNB_SUFFIX = ".ipynb"
JUPYTEXT = "jupytext"
# `myst_nb_md` is the name under which MyST-NB registers its reader with jupyter-cache.
_OURS = {"nbformat": IPYNB, IPYNB: IPYNB, MYST: MYST, "mystnb": MYST, "myst_nb_md": MYST}
# No module and no jupytext format can have this name.
_ANNOUNCED = "reader "
# Suffixes of scripts that jupytext reads. Most files with them are not notebooks.
SCRIPTS = frozenset(
    ".py .R .r .jl .cpp .ss .clj .scm .sh .ps1 .q .m .wolfram .pro .js .ts .scala .rs .robot"
    " .resource .cs .fsx .fs .sos .java .groovy .sage .ml .hs .tcl .mac .gp .do .sas .xsh .lgt"
    " .lua .go".split()
)
# A user's own reader is `module:function`; jupytext's formats look alike (`py:percent`).
# The names are those of `jupytext.formats.JUPYTEXT_FORMATS` (1.19) and former ones, copied because
# importing jupytext takes seconds, and most projects do not use it.
_VARIANTS = frozenset(
    "percent light nomarker sphinx hydrogen bare spin markdown myst quarto pandoc rmarkdown"
    " marimo cell_metadata_json".split()
)
_TEXTS = frozenset("md markdown Rmd qmd".split())


def format_for_reader(reader: str, name: str) -> str:
    """Return the format in which a reader reads a file.

    Args:
        reader: `nbformat`, `jupytext`, `myst` (also called `myst_nb_md`), the name of another
            package's reader, `module:function`, or a jupytext format.
        name: The file's name. Its suffix gives jupytext the language.

    Raises:
        NotebookError: The reader does not exist.
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

    Unknown values are passed to jupytext, which may support newer formats.
    """
    return _named(declared, name) or declared


def meant_format(fmt: str) -> str:
    """Suggest a format in place of one that jupytext does not know.

    Args:
        fmt: The format, with or without a language before it.

    Returns:
        A message with a question; empty if no format is similar.
    """
    variant = fmt.rpartition(":")[2]
    known = _VARIANTS if ":" in fmt else [*known_readers(), *_VARIANTS, *_TEXTS]
    meant = "" if variant in known else did_you_mean(variant, known)
    return f"jupytext has no format `{variant}`{meant}" if meant else ""


def known_readers() -> list[str]:
    """Return the names of our readers, and of those that other packages provide."""
    return sorted({"nbformat", JUPYTEXT, MYST, "myst_nb_md", *announced(READERS)})


def is_function(fmt: str) -> bool:
    """Tell whether a format is a reader `module:function`."""
    module, _, name = fmt.partition(":")
    return bool(name) and name not in _VARIANTS and bool(module) and not _is_slip(module, name)


def _is_slip(language: str, variant: str) -> bool:
    """Tell whether `language:variant` is a jupytext format with a misspelt variant."""
    is_language = f".{language}" in SCRIPTS or language in _TEXTS
    return is_language and bool(nearest(variant, _VARIANTS))


def announced_name(fmt: str) -> str:
    """Return the name of the entry point in a format; empty if there is none."""
    return fmt.removeprefix(_ANNOUNCED) if fmt.startswith(_ANNOUNCED) else ""


def is_foreign(fmt: str) -> bool:
    """Tell whether a format is read by third-party code, which may change."""
    return fmt.startswith(_ANNOUNCED) or is_function(fmt)


def _named(reader: str, name: str) -> str:
    """Return the format for a reader's name; empty if the name is unknown."""
    if reader == JUPYTEXT:
        # jupytext derives the format from the suffix, and looks into the text for more.
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
    # Last: a package cannot take a name of ours or of jupytext's.
    return _ANNOUNCED + reader if reader in announced(READERS) else ""
