"""What can be run on this project: `nox -l` lists it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "lint", "typing", "docs", "book"]
nox.options.reuse_existing_virtualenvs = True

PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
STRICT = ["--fail-on-warning", "--keep-going", "--quiet"]


def groups(*names: str) -> list[str]:
    """Return the requirements of dependency groups, for any installer."""
    return list(nox.project.dependency_groups(PROJECT, *names))


@nox.session(python=["3.11", "3.12", "3.13"], tags=["all-pythons"])
def pythons(session: nox.Session) -> None:
    """Run the tests on every supported Python that is installed."""
    session.install("-e", ".", *groups("test", "book"))
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests."""
    session.install("-e", ".", *groups("test", "book"))
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest supported versions of all dependencies."""
    lowest = [re.sub(r">=", "==", item) for item in PROJECT["project"]["dependencies"]]
    session.install("-e", ".", *lowest, *groups("test", "book"))
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session(name="user-files")
def user_files(session: nox.Session) -> None:
    """Try many random users beside many builds: each of their files must be there (30 minutes)."""
    session.install("-e", ".", *groups("test"))
    many = {"NBCACHE_USER_FILES": "2000", "NBCACHE_USER_BUILDS": "100"}
    tests = ("tests/units/test_user_files_model.py", "tests/builds/test_user_files.py")
    session.run("pytest", "-n", "2", *tests, *session.posargs, env=many)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, and that the layers point one way."""
    session.install("-e", ".", *groups("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types."""
    session.install("-e", ".", "nox", *groups("typing"))
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, with this very extension; warnings are errors."""
    session.install("-e", ".", *groups("docs"))
    session.run("sphinx-build", *STRICT, "-b", "html", "docs", "docs/_build/html")
    session.log("The documentation is at docs/_build/html/index.html")


@nox.session
def book(session: nox.Session) -> None:
    """Build the example book, with its report page; warnings are errors."""
    session.install("-e", ".", *groups("book"))
    session.run("sphinx-build", *STRICT, "-b", "html", "example_book", "example_book/_build/html")
    session.log("The book is at example_book/_build/html/index.html")
    session.log("Its report is at example_book/_build/html/nbcache-report.html")


@nox.session
def bench(session: nox.Session) -> None:
    """Compare build times with those of peers, measured in the same run."""
    session.install("-e", ".", *groups("bench"))
    session.run("python", "benchmarks/run.py", *session.posargs)
