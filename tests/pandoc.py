"""Pandoc for nbsphinx: that of the system, else the one in the package `pypandoc_binary`."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


def has_pandoc() -> bool:
    """Tell whether there is a Pandoc, and put it where nbsphinx finds it."""
    if shutil.which("pandoc") is None:
        with suppress(ImportError, OSError):
            import pypandoc

            folder = Path(pypandoc.get_pandoc_path()).parent
            os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return shutil.which("pandoc") is not None
