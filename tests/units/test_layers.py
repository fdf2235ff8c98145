"""The contracts on imports in `pyproject.toml` guard every module, new ones as well."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter.configuration import configure
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract
from importlinter.domain.contract import Contract

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "sphinx_nbcache"
pytestmark = pytest.mark.skipif(
    not (TOP / "pyproject.toml").is_file(), reason="the contracts are in the repository only"
)
configure()
CLASSES: dict[str, Callable[..., Contract]] = {
    "acyclic_siblings": AcyclicSiblingsContract,
    "forbidden": ForbiddenContract,
    "layers": LayersContract,
}
# These import what they like: Sphinx and `python -m` call them.
ENTRIES = {"sphinx_nbcache", "sphinx_nbcache.__main__"}
# Their purpose is the other library.
SPHINX_SIDE = ("click_pages", "extension", "rendering")
COMMAND_LINE = ("cli",)


@cache
def options() -> dict[str, dict[str, Any]]:
    """Return the contracts by the first word of their names."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    return {item["name"].partition(" ")[0]: item for item in contracts}


def is_kept(name: str, *extra: tuple[str, str]) -> bool:
    """Tell whether a contract is kept if these imports were added: importing, imported module."""
    found = copy.deepcopy(graph())
    for importer, imported in extra:
        if imported not in found.modules:
            found.add_module(imported, is_squashed=True)
        found.add_import(importer=importer, imported=imported)
    stated = options()[name]
    given = {key: str(v) if isinstance(v, bool) else v for key, v in stated.items()}
    contract = CLASSES[stated["type"]](
        name=stated["name"],
        session_options={"root_packages": ["sphinx_nbcache"], "include_external_packages": "True"},
        contract_options={k: v for k, v in given.items() if k not in ("name", "type")},
    )
    return bool(contract.check(found, verbose=False).kept)


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("sphinx_nbcache", include_external_packages=True)


def modules(*left_out: str) -> Iterator[str]:
    """Yield all our modules, except the entries and those of some packages."""
    outside = tuple(f"sphinx_nbcache.{name}" for name in left_out)
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(TOP).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if name not in ENTRIES and not any(f"{name}.".startswith(f"{o}.") for o in outside):
            yield name


def ignored(name: str) -> set[str]:
    return set(options()[name]["ignore_imports"])


@pytest.mark.parametrize("name", sorted(options()))
def test_the_contracts_are_kept(name: str) -> None:
    assert is_kept(name)


@pytest.mark.parametrize("library", ["sphinx", "docutils", "myst_parser"])
def test_an_import_of_sphinx_outside_its_side_is_reported_in_any_module(library: str) -> None:
    for module in modules(*SPHINX_SIDE):
        if f"{module} -> {library}" not in ignored("Sphinx"):
            assert not is_kept("Sphinx", (module, library)), module
    assert not is_kept("Sphinx", ("sphinx_nbcache.click_pages.child", library))


@pytest.mark.parametrize("library", ["click", "rich"])
def test_an_import_of_click_outside_the_command_line_is_reported_in_any_module(
    library: str,
) -> None:
    for module in modules(*COMMAND_LINE):
        if f"{module} -> {library}" not in ignored("click"):
            assert not is_kept("click", (module, library)), module


def test_an_import_from_the_top_layer_is_reported_in_any_module_below() -> None:
    for module in modules("cli", "click_pages"):
        assert not is_kept("Layers", (module, "sphinx_nbcache.cli.groups")), module
    assert not is_kept("Layers", ("sphinx_nbcache.click_pages", "sphinx_nbcache.cli.groups"))


@pytest.mark.parametrize(
    "imported", ["sphinx_nbcache.text", "sphinx_nbcache.files.paths", "sphinx_nbcache.traces.facts"]
)
def test_what_runs_in_kernels_imports_nothing_of_ours(imported: str) -> None:
    in_kernels = [name for name in modules() if name.startswith("sphinx_nbcache.kernel_side.")]
    assert len(in_kernels) > 20
    for module in in_kernels:
        assert not is_kept("Layers", (module, imported)), module


def test_a_circle_is_reported_between_packages_and_between_files() -> None:
    circles = [
        ("sphinx_nbcache.text", "sphinx_nbcache.store.shelf"),
        ("sphinx_nbcache.traces.fingerprints", "sphinx_nbcache.traces.world"),
        ("sphinx_nbcache.kernels.choosing", "sphinx_nbcache.kernels.forked.starts"),
    ]
    for circle in circles:
        assert not is_kept("No", circle), circle


def test_each_package_and_module_at_the_top_has_a_layer() -> None:
    layers = " ".join(options()["Layers"]["layers"]).split()
    listed = {layer.partition(".")[2] for layer in layers if layer != "|"}
    present = {
        p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert present - {"__init__", "__main__"} == listed
