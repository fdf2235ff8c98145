"""Pandoc for nbsphinx: that of the system, else the one in the package `pypandoc_binary`."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

if shutil.which("pandoc") is None:
    with suppress(ImportError, OSError):
        import pypandoc

        found = Path(pypandoc.get_pandoc_path()).parent
        os.environ["PATH"] = f"{found}{os.pathsep}{os.environ['PATH']}"
