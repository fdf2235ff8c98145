"""The files that GitHub, Read the Docs, pre-commit and readers of citations take from here."""

from __future__ import annotations

import ast
import itertools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support_cli import CommandLine

import sphinx_nbcache

TOP = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not (TOP / ".github").is_dir(), reason="these files are in the repository only"
)
MATRIX = re.compile(r"\$\{\{ matrix\.(\w+) \}\}")


def read(name: str) -> Any:
    """Return the content of a YAML file."""
    return yaml.safe_load((TOP / name).read_text(encoding="utf-8"))


def nox_sessions() -> set[str]:
    """Return the names of the sessions in the noxfile, which needs nox to be imported."""
    tree = ast.parse((TOP / "noxfile.py").read_text(encoding="utf-8"))
    found = set()
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for decorator in map(ast.unparse, function.decorator_list):
            if decorator.startswith("nox.session"):
                name = re.search(r"name='([^']+)'", decorator)
                found.add(name[1] if name else function.name)
    return found


def workflow_jobs() -> Iterator[tuple[str, Any]]:
    """Yield the jobs of all workflows."""
    for path in sorted((TOP / ".github" / "workflows").iterdir()):
        for name, job in read(str(path)).get("jobs", {}).items():
            yield f"{path.stem}-{name}", job


def expanded(text: str, matrix: dict[str, list[str]]) -> Iterator[str]:
    """Yield a text with each combination of the values of a matrix."""
    names = MATRIX.findall(text)
    for values in itertools.product(*(matrix[name] for name in names)):
        whole = text
        for name, value in zip(names, values, strict=True):
            whole = whole.replace(f"${{{{ matrix.{name} }}}}", value)
        yield whole


def run_lines() -> list[str]:
    """Return each line that a workflow runs."""
    return [
        line.strip()
        for _, job in workflow_jobs()
        for step in job.get("steps", ())
        for text in expanded(step.get("run", ""), job.get("strategy", {}).get("matrix", {}))
        for line in text.splitlines()
    ]


@pytest.mark.parametrize("line", sorted(set(run_lines()) if (TOP / ".github").is_dir() else ()))
def test_workflows_run_only_what_ci_or_a_nox_session_runs(line: str) -> None:
    of_ci = (TOP / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    session = line.removeprefix("python -m nox -s ")
    assert line in map(str.strip, of_ci) or session in nox_sessions()


def test_workflows_run_the_sessions_that_must_pass() -> None:
    ran = {line.removeprefix("python -m nox -s ") for line in run_lines()}
    assert ran >= {"tests", "lint", "typing", "docs", "book", "minimums", "newest", "portable"}


def test_the_tests_run_on_three_systems_with_every_python_that_nox_knows() -> None:
    matrix = dict(workflow_jobs())["tests-pythons"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    pythons = re.search(r"^PYTHONS = (.*)$", (TOP / "noxfile.py").read_text("utf-8"), re.MULTILINE)
    assert pythons is not None
    assert matrix["python"] == ast.literal_eval(pythons[1])


def test_only_the_job_that_publishes_may_ask_for_an_identity() -> None:
    asking = [n for n, job in workflow_jobs() if "id-token" in job.get("permissions", {})]
    assert asking == ["release-publish"]
    assert set(dict(workflow_jobs())["release-publish"]["needs"]) == {"tests", "build"}


def test_contributing_lists_every_session() -> None:
    text = (TOP / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {f"`nox -s {name}`" for name in nox_sessions()} <= set(re.findall(r"`nox -s \S+`", text))


def test_hooks_of_this_repository_use_the_tools_of_lint() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = set(project["dependency-groups"]["lint"])
    for hook in read(".pre-commit-config.yaml")["repos"][0]["hooks"]:
        assert set(hook["additional_dependencies"]) <= wanted
        assert hook["entry"].split()[0] in (TOP / "noxfile.py").read_text(encoding="utf-8")


def test_the_hooks_for_users_run_and_plan(cli: CommandLine) -> None:
    hooks = {hook["id"]: hook for hook in read(".pre-commit-hooks.yaml")}
    program, *execute = hooks["nbcache-execute"]["entry"].split()
    assert program == "sphinx-nbcache"
    _, *plan = hooks["nbcache-plan"]["entry"].split()
    assert hooks["nbcache-plan"]["pass_filenames"] is False
    cli.ok(*plan)
    cli.ipynb("good.ipynb", "%%1")
    cli.ok(*execute, "good.ipynb")
    cli.ipynb("bad.ipynb", "%%1 / 0")
    assert cli(*execute, "good.ipynb", "bad.ipynb").code == 1
    assert "bad.ipynb" in cli.ok(*plan).out


def test_the_citation_names_the_version() -> None:
    assert read("CITATION.cff")["version"] == sphinx_nbcache.__version__


def test_forms_ask_for_the_version_with_verbose() -> None:
    forms = [p for p in (TOP / ".github/ISSUE_TEMPLATE").iterdir() if p.stem != "config"]
    assert forms
    for form in forms:
        assert "sphinx-nbcache --version --verbose" in form.read_text(encoding="utf-8")
