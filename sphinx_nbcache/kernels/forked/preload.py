"""Modules that may be imported ahead of a notebook without it noticing."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from sphinx_nbcache.python_code import parse_code

# Packages whose import, as far as is known, depends on nothing that differs in a notebook: no
# running IPython, thread, folder or clock.
SAFE = frozenset(
    """
    PIL dateutil h5py matplotlib mpl_toolkits networkx numpy pandas pytz scipy seaborn six skimage
    sklearn statsmodels sympy xarray yaml
    """.split()
)
# Code that may change the result of an import, or what can be observed of it.
# A false alarm only costs time: the kernel is forked from a zygote without preloaded modules.
_CHANGES_IMPORTS = re.compile(
    r"""sys\s*\.\s*(path|modules|meta_path|path_hooks)|environ|putenv|unsetenv|set_?env\b|%env\b
    |chdir|%cd\b|pushd|pip\s+install|conda\s+install|mamba\s+install|uv\s+pip|addsitedir
    |simplefilter|resetwarnings|filterwarnings\(\s*(?!['"]ignore)
    |__import__|settrace|setprofile|addaudithook|tracemalloc|get_objects|%reset\b|fork\b""",
    re.VERBOSE,
)
_MAGIC = re.compile(r"\s*[%!?]")


def imported_modules(sources: Iterable[str]) -> frozenset[str]:
    """Return the full names of modules that cells import; skip cells with syntax errors."""
    found: set[str] = set()
    for source in sources:
        # Magics are not Python. IPython itself would have to be imported to translate them.
        lines = ("pass" if _MAGIC.match(line) else line for line in source.splitlines())
        try:
            tree = parse_code("\n".join(lines))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            # Also imports in functions and branches: preloading more than a run imports does no
            # harm, because modules are hidden until they are imported.
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return frozenset(found)


def safe_modules(modules: Iterable[str]) -> frozenset[str]:
    """Return the modules that belong to packages known to be safe."""
    return frozenset(name for name in modules if name.partition(".")[0] in SAFE)


def may_preload(sources: Sequence[str], folder: str | None = None) -> bool:
    """Tell whether cells, and modules next to them, change nothing that imports depend on.

    Args:
        sources: The code cells.
        folder: The notebook's folder, if modules in it are to be checked.
    """
    if any(_CHANGES_IMPORTS.search(source) for source in sources):
        return False
    if folder is None:
        return True
    tops = {name.partition(".")[0] for name in imported_modules(sources)}
    return all(_is_harmless(Path(folder), top) for top in tops)


def _is_harmless(folder: Path, top: str) -> bool:
    """Tell whether a module of this name in a folder, if there is one, changes no imports."""
    if (folder / top).is_dir():
        # A package would require checking all its modules, and theirs.
        return not (folder / top / "__init__.py").exists()
    try:
        text = (folder / f"{top}.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return not _CHANGES_IMPORTS.search(text)


def shadows(folder: str, loaded: Collection[str]) -> bool:
    """Tell whether a notebook's folder contains something that takes precedence over preloads.

    Args:
        folder: The folder.
        loaded: Top-level names of the preloaded modules.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return False
    # matplotlib reads this file from the working directory when it is imported:
    # https://matplotlib.org/stable/users/explain/customizing.html
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
