"""The contracts on imports in `pyproject.toml` guard every module, new ones as well."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "sphinx_nbcache"
pytestmark = pytest.mark.skipif(
    not (TOP / "pyproject.toml").is_file(), reason="the contracts are in the repository only"
)
ENTRIES = {"sphinx_nbcache", "sphinx_nbcache.__main__"}


def contract(name: str) -> dict[str, Any]:
    """Return the contract of which the name begins so."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (found,) = (c for c in contracts if c["name"].startswith(name))
    return dict(found)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """Yield the top packages that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def unguarded(contract: dict[str, Any]) -> Iterator[Path]:
    """Yield the modules that may import what a contract forbids."""
    guarded = contract["source_modules"]
    for path in sorted(PACKAGE.rglob("*.py")):
        name = module_name(path)
        if not any(name == g or name.startswith(g + ".") for g in guarded):
            yield path


def test_modules_that_may_import_sphinx_do_so_or_are_the_extension() -> None:
    sphinx_side = contract("Sphinx")
    for path in unguarded(sphinx_side):
        name = module_name(path)
        if name not in ENTRIES and not name.startswith("sphinx_nbcache.extension"):
            assert set(imported(path)) & set(sphinx_side["forbidden_modules"]), name


def test_only_the_command_line_may_import_click_and_rich() -> None:
    names = {module_name(path) for path in unguarded(contract("click"))}
    assert {name for name in names if not name.startswith("sphinx_nbcache.cli")} == ENTRIES


def test_each_package_and_module_at_the_top_has_a_layer() -> None:
    layers = " ".join(contract("Layers")["layers"]).split()
    listed = {layer.partition(".")[2] for layer in layers if layer != "|"}
    present = {
        p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert present - {"__init__", "__main__"} == listed
