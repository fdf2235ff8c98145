"""A description of a trace: the dependencies of one run, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sphinx_nbcache.traces.facts import (
    GONE,
    Absent,
    Baseline,
    Declared,
    Directory,
    Distribution,
    EnvironmentVariable,
    Fact,
    File,
    Interpreter,
    Listing,
    Location,
    Trace,
    Uninstalled,
    Unknown,
    Unshadowed,
    kind_of,
)

# How many modules of a long list are shown.
_TOLD = 3
# The location of IPython's configuration, in any folder.
_PROFILE = "/profile_default/"
# The interpreter's own variables.
_PYTHON = "PYTHON*"
# How many characters of a long name are shown.
_LONGEST = 60


def facts_in_words(trace: Trace) -> Iterator[tuple[str, str]]:
    """Yield the kind (see [](Kind)) and the description of each fact."""
    for fact in trace.facts:
        importer = trace.imported_by.get(fact.path) if isinstance(fact, File) else None
        by = f", imported by {importer}" if importer else ""
        yield kind_of(fact).value, fact_in_words(fact) + by


def is_baseline(fact: Fact) -> bool:
    """Tell whether every run in such a kernel depends on a fact, whatever its notebook does.

    These facts are the interpreter with its variables, and IPython with its configuration.
    """
    if isinstance(fact, File | Absent | Listing):
        return _PROFILE in fact.path
    is_variable = isinstance(fact, EnvironmentVariable) and fact.name == _PYTHON
    return is_variable or isinstance(fact, Interpreter | Baseline)


def fact_in_words(fact: Fact) -> str:
    """Return the description of a fact."""
    return _WORDS[type(fact)](fact)


def _file(fact: File) -> str:
    changed = "" if fact.after is None else ", which it rewrote"
    if fact.after == GONE:
        changed = ", which it removed"
    return f"module {fact.path}" if fact.module else f"{fact.path}{changed}"


def _absent(fact: Absent) -> str:
    return f"{_in_one_line(fact.path)} was not there" + (
        "" if fact.after is None else ", and was written"
    )


def _in_one_line(name: str) -> str:
    """Shorten a name that may be a text: `Markdown("…")` checks whether its text is a file."""
    line = " ".join(name.split())
    return line if line == name and len(line) <= _LONGEST else f"{line[:_LONGEST].rstrip()}…"


def _listing(fact: Listing) -> str:
    what = fact.pattern or "all names"
    return f"{what} in {fact.path.rstrip('/')}/"


def _unshadowed(fact: Unshadowed) -> str:
    return f"nothing in {fact.path.rstrip('/')}/ stands in front of {_some(fact.modules)}"


def _uninstalled(fact: Uninstalled) -> str:
    return f"not installed: {fact.modules.replace(' ', ', ')}"


def _interpreter(fact: Interpreter) -> str:
    return f"{fact.implementation} {fact.version} on {fact.platform}, {fact.machine}"


def _baseline(fact: Baseline) -> str:
    return f"ipykernel {fact.ipykernel}, IPython {fact.ipython}"


def _variable(fact: EnvironmentVariable) -> str:
    secret = " (its value is not kept)" if fact.digest is None else ""
    return f"variable {fact.name}{secret}"


def _location(fact: Location) -> str:
    what = "the home directory" if fact.home else "the project"
    return f"{what} is {fact.path}"


def _some(words: str) -> str:
    names = words.split()
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more


_WORDS: Mapping[type[Any], Callable[[Any], str]] = {
    File: _file,
    Absent: _absent,
    Directory: lambda fact: f"{fact.path.rstrip('/')}/ is a directory",
    Listing: _listing,
    Unshadowed: _unshadowed,
    Uninstalled: _uninstalled,
    Distribution: lambda fact: f"{fact.name} {fact.version}",
    Interpreter: _interpreter,
    Baseline: _baseline,
    EnvironmentVariable: _variable,
    Declared: lambda fact: f"declared: {fact.glob}",
    Location: _location,
    Unknown: lambda fact: f"recorded by a later version: {fact.kind}",
}
