"""What can be run on this project: `nox -l` lists it."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "lint", "typing", "docs", "book"]
nox.options.reuse_existing_virtualenvs = True

PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
STRICT = ["--fail-on-warning", "--keep-going", "--quiet"]

# By the names of check-jsonschema, which has them with it: nothing is downloaded.
SCHEMAS = {
    "github-workflows": ".github/workflows/*.yml",
    "github-issue-forms": ".github/ISSUE_TEMPLATE/[!c]*.yml",
    "github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
    "dependabot": ".github/dependabot.yml",
    "readthedocs": ".readthedocs.yaml",
    "citation-file-format": "CITATION.cff",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
SMOKE = """
tests/builds/test_what_runs.py tests/builds/test_pages.py tests/command_line/test_tutorial.py
tests/units/test_tracing.py tests/units/test_moving.py
""".split()
# Where the package decides by what the system has: files, processes, kernels, tracer, locks.
PORTABLE = """
tests/units/test_about.py tests/units/test_artifacts.py
tests/units/test_claims.py tests/units/test_disk.py tests/units/test_executors.py
tests/units/test_kernel_environment.py tests/units/test_limits.py tests/units/test_moving.py
tests/units/test_observe.py tests/units/test_places.py tests/units/test_protected.py
tests/units/test_queue.py tests/units/test_run.py tests/units/test_store.py
tests/units/test_trace_places.py tests/units/test_tracer_of_run.py tests/units/test_verify.py
tests/builds/test_no_op.py tests/builds/test_temporary.py tests/builds/test_what_runs.py
tests/builds/test_written_files.py
""".split()
# The lowest versions that build a project with Sphinx 8 without this extension. Pandoc is for
# nbsphinx.
LOWEST_RENDERERS = """
nbsphinx==0.9.2 myst-nb==1.1.0 sphinx==8.0.2 myst-parser==4.0.0 pypandoc_binary
""".split()
HAND_OVER = ("nbsphinx", "myst_nb", "reader_of_myst_nb")


def has_browser() -> bool:
    """Tell whether there is a browser that the tests can drive."""
    return "NBCACHE_BROWSER" in os.environ or any(map(shutil.which, BROWSERS))


def groups(*names: str) -> list[str]:
    """Return the requirements of dependency groups, for any installer."""
    return list(nox.project.dependency_groups(PROJECT, *names))


def install_debian(session: nox.Session, *packages: str) -> None:
    """Install packages of Debian where `apt-get` may do so."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["update"], ["install", "-y", *packages]):
            session.run("apt-get", "-qq", *command, external=True, success_codes=[0, 100])


@nox.session(python=PYTHONS, tags=["all-pythons"])
def pythons(session: nox.Session) -> None:
    """Run the tests on every supported Python that is installed."""
    session.install("-e", ".", *groups("test", "book"))
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests."""
    session.install("-e", ".", *groups("test", "book"))
    if "CI" in os.environ and not shutil.which("R"):
        install_debian(session, "--no-install-recommends", "r-base-core", "r-cran-irkernel")
    if not shutil.which("R"):
        session.warn("there is no R (r-base-core, r-cran-irkernel): notebooks in R are not tested")
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest supported versions of all dependencies."""
    lowest = [re.sub(r">=", "==", item) for item in PROJECT["project"]["dependencies"]]
    session.install("-e", ".", *lowest, *groups("test", "book"))
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def newest(session: nox.Session) -> None:
    """Run the tests with the newest versions of all dependencies, pre-releases included."""
    session.install("--upgrade", "--pre", "-e", ".", *groups("test", "book"))
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session(python=PYTHONS)
def smoke(session: nox.Session) -> None:
    """Run some tests of each part, for another Python than that of `tests` (2 minutes)."""
    session.install("-e", ".", *groups("test"))
    session.run("pytest", "-n", "2", *SMOKE, *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Look at pages in a real browser; Chromium is installed where `apt-get` may do so."""
    session.install("-e", ".", *groups("test", "book", "charts"))
    if not has_browser():
        install_debian(session, "chromium")
    if not has_browser():
        session.skip("there is no Chromium or Chrome, and none can be installed")
    wanted = {"NBCACHE_NEEDS_BROWSER": "1"}
    if shutil.which("npm"):
        wanted["NBCACHE_NPM"] = "1"
    else:
        session.warn("there is no npm: charts of Vega and widgets are not tested")
    hashes = "tests/units/test_live_libraries.py"
    session.run("pytest", "tests/browser", hashes, *session.posargs, env=wanted)


@nox.session
@nox.parametrize("versions", ["lowest", "newest"])
def renderers(session: nox.Session, versions: str) -> None:
    """Build projects with nbsphinx and MyST-NB, and together with other extensions (8 minutes)."""
    if versions == "newest":
        session.install("--upgrade", "-e", ".", *groups("test", "renderers"))
        tests = ["tests/renderers"]
    else:
        session.install("-e", ".", *LOWEST_RENDERERS, *groups("test"))
        tests = [f"tests/renderers/test_{name}.py" for name in HAND_OVER]
    session.run("pytest", "-n", "2", *tests, *session.posargs)


@nox.session
def remote(session: nox.Session) -> None:
    """Share results over a real S3 API, a folder and a site, also in trouble (5 minutes)."""
    session.install("-e", ".[remote]", *groups("test", "remote"))
    needed = {"NBCACHE_NEEDS_REMOTE": "1"}
    tests = session.posargs or ["tests/remote"]
    session.run("pytest", "-n", "2", *tests, env=needed)


@nox.session
def portable(session: nox.Session) -> None:
    """Run tests with what Windows lacks hidden from the package (4 minutes)."""
    session.install("-e", ".", *groups("test"))
    hiding = {"PYTHONPATH": str(Path("tests", "portable").absolute())}
    tests = session.posargs or PORTABLE
    session.run("pytest", "-n", "2", "-m", "not posix", "--timeout=100", *tests, env=hiding)


@nox.session(name="user-files")
def user_files(session: nox.Session) -> None:
    """Try many random users beside many builds: each of their files must be there (30 minutes)."""
    session.install("-e", ".", *groups("test"))
    many = {"NBCACHE_USER_FILES": "2000", "NBCACHE_USER_BUILDS": "100"}
    tests = ("tests/units/test_user_files_model.py", "tests/builds/test_user_files.py")
    session.run("pytest", "-n", "2", *tests, *session.posargs, env=many)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, wording, the layers, and the files that other services read."""
    session.install("-e", ".", *groups("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("python", "tests/wording.py")
    for schema, pattern in SCHEMAS.items():
        files = sorted(map(str, Path().glob(pattern)))
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    session.run("pre-commit", "validate-config", ".pre-commit-config.yaml")
    session.run("pre-commit", "validate-manifest", ".pre-commit-hooks.yaml")
    workflows = sorted(map(str, Path(".github/workflows").iterdir()))
    session.run("actionlint", "-shellcheck=", "-pyflakes=", *workflows)


@nox.session
def typing(session: nox.Session) -> None:
    """Check types."""
    session.install("-e", ".", "nox", *groups("typing"))
    session.run("mypy")


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel, check their metadata, and install the wheel."""
    session.install("build", "twine")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    sdist, wheel = sorted(Path("dist").iterdir(), key=lambda path: path.suffix)
    session.run("twine", "check", "--strict", str(sdist), str(wheel))
    version = wheel.name.split("-")[1]
    if (tag := os.environ.get("RELEASE_TAG", f"v{version}")) != f"v{version}":
        session.error(f"the tag is {tag}, and the version is {version}")
    session.install("--force-reinstall", str(wheel))
    session.run("sphinx-nbcache", "--version", "--verbose")


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
