"""What the report tells of a trace, and what it leaves to `explain`."""

from __future__ import annotations

import pytest
from support import Book

from sphinx_nbcache.planning import Planned
from sphinx_nbcache.report.making import facts_of
from sphinx_nbcache.report.model import Dependency, Produced
from sphinx_nbcache.results.artifacts import Artifact
from sphinx_nbcache.results.records import Result, Rules, Status
from sphinx_nbcache.traces.fact import Kind
from sphinx_nbcache.traces.facts import (
    Absent,
    Baseline,
    Declared,
    Distribution,
    EnvironmentVariable,
    Fact,
    File,
    Listing,
    Location,
    Unshadowed,
)
from sphinx_nbcache.traces.trace import Trace, Written

DIGEST = "0" * 64


@pytest.fixture
def planned(book: Book) -> Planned:
    book.myst("fit.md")
    project = book.project()
    (only,) = project.plan()
    project.close()
    return only


def result(*artifacts: Artifact, temporary: bool = False) -> Result:
    return Result(
        "key",
        Status.OK,
        Rules(),
        (),
        "",
        "",
        "python3",
        {},
        0.0,
        1.0,
        "local-serial",
        "fit.md",
        artifacts=artifacts,
        temporary=temporary,
    )


def traced(*facts: Fact, **others: object) -> Trace:
    return Trace(facts, tracked=tuple(Kind), **others)  # type: ignore[arg-type]


def test_files_come_first_and_each_thing_is_told_once_in_few_words(planned: Planned) -> None:
    trace = traced(
        EnvironmentVariable("LEVEL", DIGEST),
        Distribution("numpy", "2.1.0"),
        File("helpers.py", DIGEST, module=True),
        File("lib/deep.py", DIGEST, module=True),
        Listing("data", DIGEST, "*.csv"),
        Declared("data/*.csv", DIGEST, {"data/b.csv": DIGEST, "data/a.csv": DIGEST}),
        Declared("many/**", DIGEST),
        File("data/a.csv", DIGEST),
        File("log.txt", DIGEST, after="1" * 64),
        Location("/home/me/book"),
        imported_by={"lib/deep.py": "helpers.py"},
    )
    assert [(d.kind, d.text) for d in facts_of(planned, result(), trace).depends_on] == [
        ("file", "data/a.csv"),
        ("file", "data/b.csv"),
        ("file", "declared: many/**"),
        ("file", "log.txt, which it rewrote"),
        ("folder", "*.csv in data/"),
        ("module", "helpers.py"),
        ("module", "lib/deep.py, imported by helpers.py"),
        ("package", "numpy 2.1.0"),
        ("variable", "LEVEL"),
        ("place", "the project is /home/me/book"),
    ]


def test_what_nobody_wants_to_see_is_left_out(planned: Planned) -> None:
    trace = traced(
        Absent("matplotlibrc"),
        Absent("a text that is shown,\nwhich could have been a path"),
        Unshadowed("", "os sys"),
        Baseline("6", "9.1"),
        Listing("~/.ipython/profile_default/startup", DIGEST, "*.py"),
        EnvironmentVariable("PYTHON*", DIGEST),
    )
    assert facts_of(planned, result(), trace).depends_on == ()


def test_files_of_which_no_copy_is_kept_are_told_as_well(planned: Planned) -> None:
    trace = traced(
        written=(Written("a.png", DIGEST, 0o644), Written("huge.bin", DIGEST, 0o644)),
        removed=("old.png",),
    )
    kept = Artifact("a.png", DIGEST, 10, 0o644)
    facts = facts_of(planned, result(kept), trace)
    assert facts.produced == (Produced("a.png", 10), Produced("huge.bin"))
    assert facts.removed == ("old.png",)
    # Under a temporary folder nothing else than what is kept was written.
    assert facts_of(planned, result(kept, temporary=True), trace).produced == facts.produced[:1]


def test_that_a_run_was_not_traced_or_cannot_be_trusted_is_told(planned: Planned) -> None:
    for trace in (None, Trace()):
        assert facts_of(planned, result(), trace).untracked == ("it was not traced",)
    trace = traced(untracked=("sub-process: git",), unreliable="data.csv changed meanwhile")
    told = ("data.csv changed meanwhile", "sub-process: git")
    assert facts_of(planned, result(), trace).untracked == told


def test_assets_are_dependencies_once(book: Book) -> None:
    (book.folder / "part" / "data").mkdir(parents=True)
    (book.folder / "part" / "data" / "a.csv").write_text("1\n")
    front = "---\nkernelspec: {name: python3}\nnbcache: {assets: [data]}\n---\n\n"
    (book.folder / "part" / "fit.md").write_text(front + "```{code-cell}\n1\n```\n")
    project = book.project(executor="temp-serial")
    (planned,) = project.plan()
    project.close()
    (asset,) = planned.key.assets
    trace = traced(Declared(f"part/{asset}", DIGEST), Declared(f"part/{asset}/**", DIGEST))
    told = (Dependency("file", f"part/{asset}"),)
    assert facts_of(planned, result(), trace).depends_on == told
