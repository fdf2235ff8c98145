"""What may be imported ahead of a notebook without it being able to tell."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from sphinx_nbcache.python_code import parse_code

# Packages that, as far as is known, look at nothing while they are imported that would be another
# thing in a notebook: no running IPython, no thread, no folder, no clock.
SAFE = frozenset(
    """
    PIL dateutil h5py matplotlib mpl_toolkits networkx numpy pandas pytz scipy seaborn six skimage
    sklearn statsmodels sympy xarray yaml
    """.split()
)
# Code that may change what an import gives, or what can be seen of it.
_CHANGES_IMPORTS = re.compile(
    r"""sys\s*\.\s*(path|modules|meta_path|path_hooks)|environ|putenv|unsetenv|set_?env\b|%env\b
    |chdir|%cd\b|pushd|pip\s+install|conda\s+install|mamba\s+install|uv\s+pip|addsitedir
    |simplefilter|resetwarnings|filterwarnings\(\s*(?!['"]ignore)
    |__import__|settrace|setprofile|addaudithook|tracemalloc|get_objects|%reset\b|fork\b""",
    re.VERBOSE,
)
_MAGIC = re.compile(r"\s*[%!?]")


def imported_modules(sources: Iterable[str]) -> frozenset[str]:
    """Return the modules that cells import, with their dots; none of cells that cannot be read."""
    found: set[str] = set()
    for source in sources:
        lines = ("pass" if _MAGIC.match(line) else line for line in source.splitlines())
        try:
            tree = parse_code("\n".join(lines))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return frozenset(found)


def safe_modules(modules: Iterable[str]) -> frozenset[str]:
    """Return those modules that belong to packages known to be safe."""
    return frozenset(name for name in modules if name.partition(".")[0] in SAFE)


def may_preload(sources: Sequence[str], folder: str | None = None) -> bool:
    """Tell whether cells, and modules beside them, leave alone what imports depend on.

    Args:
        sources: The code cells.
        folder: The notebook's folder, if modules in it are to be looked at.
    """
    if any(_CHANGES_IMPORTS.search(source) for source in sources):
        return False
    if folder is None:
        return True
    tops = {name.partition(".")[0] for name in imported_modules(sources)}
    return all(_is_harmless(Path(folder), top) for top in tops)


def _is_harmless(folder: Path, top: str) -> bool:
    """Tell whether what an import of a name finds in a folder, if anything, changes no imports."""
    if (folder / top).is_dir():
        # Its modules would all have to be looked at, and theirs.
        return not (folder / top / "__init__.py").exists()
    try:
        text = (folder / f"{top}.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return not _CHANGES_IMPORTS.search(text)


def shadows(folder: str, loaded: Collection[str]) -> bool:
    """Tell whether a notebook's folder has something that stands before what was preloaded.

    Args:
        folder: The folder.
        loaded: Top-level names of the modules that were preloaded.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return False
    if "matplotlib" in loaded and {"matplotlibrc", ".matplotlibrc"} & set(names):
        return True
    for name in names:
        stem, dot, suffix = name.partition(".")
        if stem not in loaded:
            continue
        # `.py`, `.pyc` and extension modules, or a package.
        if dot and (suffix.startswith("py") or suffix.endswith("so")):
            return True
        if not dot and (Path(folder) / name / "__init__.py").exists():
            return True
    return False
