"""The files that sphinx-gallery writes, and that are no notebooks of the project."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from sphinx_nbcache.options import PREFIX

_MARKDOWN = (".md", ".markdown")


def leave_out_galleries(_app: Sphinx, config: Config) -> None:
    """`config-inited`: exclude the downloads of examples from the documents.

    sphinx-gallery (0.22) writes `plot.ipynb` and `plot.py` next to the page `plot.rst`, for
    readers to download. Without this, the notebook would take the place of the page, as with all
    extensions that read `.ipynb`
    (https://sphinx-gallery.github.io/stable/configuration.html).
    """
    folders = list(_folders(config))
    suffixes = [s for s in (".ipynb", *config[PREFIX + "formats"]) if s not in _MARKDOWN]
    # Patterns without the names of files, because the files are written later. So they are equal in
    # the first build and in all others, and Sphinx does not read every page again.
    patterns = [f"{folder}/**{suffix}" for folder in folders for suffix in dict.fromkeys(suffixes)]
    if patterns:
        # A new list: the old one may be the default, which all configurations share.
        config.exclude_patterns = [*config.exclude_patterns, *patterns]


def _folders(config: Config) -> Iterator[str]:
    """Yield the folders that sphinx-gallery writes to, if it is loaded."""
    # It sets the defaults of this option at the priority 10.
    options: Any = config.sphinx_gallery_conf if "sphinx_gallery_conf" in config else {}
    folders = options.get("gallery_dirs", ()) if isinstance(options, dict) else ()
    for folder in [folders] if isinstance(folders, str | os.PathLike) else folders:
        yield posixpath.normpath(os.fspath(folder).replace(os.sep, "/"))
