"""Facts about modules, packages, the interpreter and the environment of one run."""

from __future__ import annotations

from collections.abc import Iterator

from sphinx_nbcache.traces.environments import Environment, parse_info
from sphinx_nbcache.traces.evidence import Evidence
from sphinx_nbcache.traces.facts import (
    Distribution,
    EnvironmentVariable,
    Fact,
    Uninstalled,
    Unshadowed,
)
from sphinx_nbcache.traces.report import Report
from sphinx_nbcache.traces.world import PYTHON_VARIABLES, modules_in, variable_digest

# One less exact fact stands for these.
_BASELINE = frozenset({"ipython", "ipykernel"})


def package_facts(evidence: Evidence, environment: Environment) -> Iterator[Fact]:
    """Yield the facts that are not about files.

    Args:
        evidence: The evidence of the run.
        environment: The packages of the kernel's interpreter.
    """
    report = evidence.report
    yield from _unshadowed(evidence)
    yield environment.python.fact
    yield environment.baseline
    missing = {name for name in report.missing if "." not in name}
    uninstalled = {name for name in missing if not environment.has_module(name)}
    if uninstalled:
        yield Uninstalled(" ".join(sorted(uninstalled)))
    imported = {name.partition(".")[0] for name in evidence.seen.imports}
    names = {*report.packages, *imported, *(missing - uninstalled)}
    yield from _distributions(names, report, environment)
    for name, digest in sorted(report.variables.items()):
        yield EnvironmentVariable(name, digest)
    digest = variable_digest(PYTHON_VARIABLES, report.start_variables)
    yield EnvironmentVariable(PYTHON_VARIABLES, digest)


def _unshadowed(evidence: Evidence) -> Iterator[Unshadowed]:
    """Yield the modules that must stay absent from directories under the root."""
    behind: dict[str, set[str]] = {}
    searched = [(folder, names) for folder, names in evidence.report.search]
    for module, folders in evidence.report.missing.items():
        # If nothing was found, even a part of a namespace package makes a difference.
        last = module.rpartition(".")[2]
        searched += [(folder, (last, last + "/")) for folder in folders]
    for folder, modules in searched:
        name = evidence.inside(folder)
        if name is not None:
            behind.setdefault(name, set()).update(modules)
    for name, modules_behind in sorted(behind.items()):
        # A module that exists already was not found, so the directory was not searched then.
        absent = modules_behind - {module for module, _ in modules_in(name, evidence.world)}
        if absent:
            yield Unshadowed(name, " ".join(sorted(absent)))


def _distributions(
    names: set[str], report: Report, environment: Environment
) -> Iterator[Distribution]:
    found = {owner for name in names for owner in environment.owners(name)}
    for folder in report.asked_versions:
        parsed = parse_info(folder)
        if parsed is not None:
            found.add(parsed[0])
    for name in sorted(found - _BASELINE):
        version = environment.version(name)
        if version is not None:
            yield Distribution(name, version)
