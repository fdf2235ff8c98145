"""The tree and the names on the pages for contributors are those of the code."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "sphinx_nbcache"
if not (TOP / "pyproject.toml").is_file():
    pytest.skip("the pages are in the repository only", allow_module_level=True)
PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
# What a path on these pages may be relative to.
BASES = (PACKAGE, TOP, TOP / "docs")
# `path.py` (`name`, `Class.name`), or (`path.py`, `name`).
NAMED = (r"`([\w/.-]+\.py)` \(([^()]*)\)", r"\(`([\w/.-]+\.py)`, ([^()]*)\)")
# Data, and marks for tools: neither is a part of the code.
LEFT_OUT = {"py.typed", "__pycache__"}


@cache
def text(page: str) -> str:
    return (TOP / page).read_text(encoding="utf-8")


def tree() -> dict[str, str]:
    """Return the tree on the page: path → its sentence."""
    (block,) = re.findall(r"^sphinx_nbcache/\n(.*?)^```", text(PAGES[0]), re.DOTALL | re.MULTILINE)
    found: dict[str, str] = {}
    package = ""
    for line in block.splitlines():
        indent, name, sentence = re.fullmatch(r"( +)(\S+) +(.*)", line).groups()  # type: ignore[union-attr]
        package = package if len(indent) > len("    ") else ""
        found[package + name] = sentence
        package = package or (name if name.endswith("/") else "")
    return found


def files() -> Iterator[str]:
    """Yield what the tree has to name: everything at the top, and the packages below."""
    for path in PACKAGE.iterdir():
        if path.name not in LEFT_OUT:
            yield f"{path.name}/" if path.is_dir() else path.name
    for path in PACKAGE.glob("*/*/__init__.py"):
        yield f"{path.parent.relative_to(PACKAGE).as_posix()}/"


def names_in(module: Path) -> Iterator[str]:
    """Yield the names that a module defines, those of members as `Class.name`."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        yield from defined(node)
        for member in node.body if isinstance(node, ast.ClassDef) else ():
            yield from (f"{node.name}.{name}" for name in defined(member))  # type: ignore[attr-defined]
        if isinstance(node, ast.ClassDef):
            attributes = (n for n in ast.walk(node) if isinstance(n, ast.Attribute))
            yield from (f"{node.name}.{a.attr}" for a in attributes if is_own(a))


def defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [n.id for t in targets if t for n in ast.walk(t) if isinstance(n, ast.Name)]


def is_own(attribute: ast.Attribute) -> bool:
    is_set = isinstance(attribute.ctx, ast.Store)
    return is_set and isinstance(attribute.value, ast.Name) and attribute.value.id == "self"


def found(path: str) -> Path | None:
    return next((base / path for base in BASES if (base / path).exists()), None)


def test_the_tree_names_each_package_and_module_and_nothing_else() -> None:
    assert sorted(tree()) == sorted(files())


def test_the_tree_says_of_each_in_a_sentence_what_it_is() -> None:
    assert [name for name, said in tree().items() if len(said) < 20 or said[-1] != "."] == []


def test_the_tree_is_in_the_order_of_the_layers() -> None:
    project = tomllib.loads(text("pyproject.toml"))
    (layers,) = [
        contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    ordered = [name.removeprefix("sphinx_nbcache.") for name in " | ".join(layers).split(" | ")]
    shown = [re.sub(r"/|\.py", "", name) for name in tree() if name.count("/") < 2]
    assert [name for name in shown if name in ordered] == ordered


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_names_are_there(page: str) -> None:
    named = set(re.findall(r"[\w/.-]+\.(?:py|js|toml)\b", text(page)))
    assert len(named) > 5
    assert sorted(name for name in named if found(name.removeprefix("../")) is None) == []


def test_the_folders_that_the_page_for_contributors_names_are_there() -> None:
    named = set(re.findall(r"`([\w./]+/)`", text("CONTRIBUTING.md")))
    assert sorted(name for name in named if found(name) is None) == []


def test_the_functions_that_the_page_names_are_in_their_files() -> None:
    line = " ".join(text(PAGES[0]).split())
    named = {
        (path, name)
        for pattern in NAMED
        for path, words in re.findall(pattern, line)
        for name in re.findall(r"`([A-Za-z_][\w.]*)`", words)
        if not name.endswith(".py")
    }
    assert len(named) > 100
    modules = {path: set(names_in(found(path) or PACKAGE / path)) for path, _ in named}
    assert sorted((path, name) for path, name in named if name not in modules[path]) == []
