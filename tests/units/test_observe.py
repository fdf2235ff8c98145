"""From reports to traces: what is certain, what is not, and reports that nobody would send."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracing import OLD_NS, Project, Traced, report

from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.kernel_side.tracer import MODULES
from sphinx_nbcache.traces.distributions import Python
from sphinx_nbcache.traces.facts import Absent, Directory, File, Listing, Location
from sphinx_nbcache.traces.fingerprints import OTHER, Fingerprint, Fingerprints
from sphinx_nbcache.traces.observe import observe
from sphinx_nbcache.traces.trace import Trace
from sphinx_nbcache.traces.tracer_code import (
    TracerConfig,
    install_code,
    parse_report,
    report_expression,
    write_support,
)

TICK = 1_000_000
# Counts what is compiled.
COUNTING = """
import builtins, importlib.util
compiled, real = [], builtins.compile
def compile(*arguments, **options):
    if '<nbcache ' in str(arguments[1]):
        compiled.append(arguments[1])
    return real(*arguments, **options)
builtins.compile = compile
"""


def look(
    path: Path, seen_ns: int | None = None, digest: str | None = None, how: str = "read"
) -> Any:
    """Return what a kernel would say of a path now."""
    seen = time.time_ns() if seen_ns is None else seen_ns
    if not path.exists():
        return [None, "", seen, None, how]
    stat = Stat.of(path)
    values = [stat.size, stat.mtime_ns, stat.ctime_ns, stat.inode]
    return [values, "directory" if path.is_dir() else "file", seen, digest, how]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def traced(project: Project, **more: Any) -> Trace:
    return observe(report(**more), project.world())


def later(path: Path) -> int:
    """Return a time at which a file's times are clearly old."""
    return path.stat().st_ctime_ns + 10_000_000_000


def test_a_stat_that_was_old_when_the_file_was_read_is_proof(project: Project) -> None:
    path = project.write("a")
    trace = traced(project, reads={str(path): look(path, later(path))})
    assert trace.unreliable is None
    assert isinstance(trace.facts[0], File)


@pytest.mark.parametrize(("digest", "certain"), [(None, False), ("0" * 64, False), ("", True)])
def test_a_stat_that_was_young_is_proof_only_with_the_same_digest(
    project: Project,
    digest: str | None,
    certain: bool,  # noqa: FBT001
) -> None:
    path = project.write("a")
    now = path.stat().st_ctime_ns + TICK
    if digest == "":
        digest = Fingerprints().digest(str(path))
    trace = traced(project, reads={str(path): look(path, now, digest)})
    assert (trace.unreliable is None) == certain


def test_a_file_that_was_found_at_the_end_must_be_older_than_the_run(project: Project) -> None:
    path = project.write("a")
    found = {str(path): look(path, later(path), how="late")}
    changed = path.stat().st_ctime_ns
    assert traced(project, reads=found, started=changed + 10 * TICK * 10).unreliable is None
    told = traced(project, reads=found, started=changed).unreliable
    assert told == "a changed while the notebook ran"


def test_how_a_large_file_was_before_is_known_from_earlier_builds(project: Project) -> None:
    path = project.write("large", "1")
    before = look(path, later(path))
    stat = Stat.of(path)
    digest = Fingerprints().digest(str(path)) or ""
    path.write_text("22")
    more = {"reads": {str(path): before}, "writes": {str(path): before}}
    assert "rewritten" in (traced(project, **more).unreliable or "")
    world = project.world()
    known = Fingerprint(stat, digest, later(path))
    world.fingerprints = Fingerprints({str(path): known})
    trace = observe(report(**more), world)
    assert trace.unreliable is None
    assert isinstance(trace.facts[0], File)
    assert trace.facts[0].digest == digest


def test_reading_after_writing_is_no_input_whoever_did_either(project: Project) -> None:
    path = project.write("a", old=False)
    wrote = [None, "", 100, None, "write"]
    reading = look(path, 200)
    for more in (
        {"writes": {str(path): wrote}, "reads": {str(path): reading}},
        {"writes": {str(path): wrote}, "children": [["read", str(path), reading]]},
        {"children": [["write", str(path), wrote], ["read", str(path), reading]]},
        {"children": [["write", str(path), wrote]], "reads": {str(path): reading}},
    ):
        trace = traced(project, **more)
        assert not any(isinstance(fact, File) for fact in trace.facts)
        assert [written.path for written in trace.written] == ["a"]


def test_the_texts_that_mention_the_place_are_found(project: Project) -> None:
    trace = observe(report(), project.world(), ["x", f"see {project.root}/a"])
    assert trace.facts[-1] == Location(str(project.root))


def test_ignored_files_are_neither_facts_nor_artifacts(project: Project) -> None:
    project.options = {"globs": ("*.log",), "ignored": (str(project.root / "_build"),)}
    files = [project.write(name, old=False) for name in ("a.log", "_build/x", "__pycache__/m.pyc")]
    looks = {str(path): look(path) for path in files}
    assert traced(project, reads=looks).unreliable is None
    trace = traced(project, writes={name: [None, "", 1, None, "write"] for name in looks})
    assert trace.written == ()
    assert not any(isinstance(fact, File | Absent) for fact in trace.facts)


def test_thousands_of_files_and_directories_take_linear_time(project: Project) -> None:
    folders = [str(project.root / f"{number}") for number in range(2000)]
    written = {f"{folder}/{n}": [None, "", 1, None, "write"] for folder in folders for n in "ab"}
    listings = [[folder, "", False, ["a", "b", "c"]] for folder in folders]
    reads = {folder: [[0, 0, 0, 0], "directory", 1, None, "probe"] for folder in folders}
    before = time.process_time()
    more = {"writes": written, "removed": list(written), "listings": listings, "reads": reads}
    trace = traced(project, **more)
    assert time.process_time() - before < 2
    assert len([fact for fact in trace.facts if isinstance(fact, Listing)]) == 2000
    assert not any(isinstance(fact, Directory) for fact in trace.facts)


def test_an_error_of_the_tracer_makes_the_trace_unreliable(project: Project) -> None:
    assert traced(project, errors=["OSError: x"]).unreliable == "its tracer failed: OSError: x"


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"schema": 3},
        {**report(), "schema": 1},
        {**report(), "reads": []},
        {**report(), "reads": {"/a": "x"}},
        {**report(), "reads": {"/a": [[1, 2], "file", 3, None, "read"]}},
        {**report(), "python": None},
        {**report(), "started": "now"},
    ],
)
def test_without_a_report_that_can_be_read_nothing_is_certain(
    project: Project, raw: dict[str, Any]
) -> None:
    assert "no report" in (observe(raw, project.world()).unreliable or "")


WORDS = st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=6,
)
ODD_PATHS = st.sampled_from(
    ["", ".", "/", "relative", "/a\0b", "/../\0", "~", "..", "/\udc80", "/proc/self/mem"]
)


@given(name=st.sampled_from(sorted(report())), value=JSON, path=ODD_PATHS)
def test_no_report_makes_trouble(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: Any, path: str
) -> None:
    project = Project(Path(tmp_path_factory.getbasetemp()) / "odd")
    raw = report()
    raw[name] = value
    observe(raw, project.world())
    odd: dict[str, Any] = copy.deepcopy(report())
    odd["reads"] = {path: [None, "", 1, None, "read"]}
    odd["writes"] = {path: [[1, 2, 3, 4], "file", 1, None, "write"]}
    odd["children"] = [value, ["read", path], [path, value], ["process", [path]], ["list", path]]
    odd["listings"] = [[path, "*", False, None], [path, "[", True, [path]]]
    odd["search"] = [[path, [path]]]
    odd["modules"] = {path: [path, path]}
    odd["processes"] = [[], [path], [path, path, path]]
    observe(odd, project.world())


def test_odd_answers_of_kernels_are_no_reports() -> None:
    def answer(text: str) -> Any:
        return {"status": "ok", "data": {"text/plain": text}}

    assert parse_report(answer("'{\"a\": 1}'")) == {"a": 1}
    for text in ("x", "'x'", "'[1]'", "1", "(" * 999):
        assert parse_report(answer(text)) == {}
    assert parse_report(None) == {}
    assert parse_report({}) == {}


def test_the_code_that_installs_the_tracer_defines_no_names(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    code = compile(install_code(TracerConfig(root=str(tmp_path))), "x", "exec")
    assert set(code.co_names) <= {"__import__", "modules", "exec", "compile"}
    assert names == {}


@pytest.mark.parametrize("other", ["", "importlib.util.MAGIC_NUMBER = b'another'\n"])
def test_the_tracer_comes_compiled_and_for_another_python_as_text(
    tmp_path: Path, other: str
) -> None:
    write_support(tmp_path)
    config = TracerConfig(root=str(tmp_path), support=str(tmp_path), startup=False)
    code = f"{other}{install_code(config)}\nopen('a', 'w').close(); print({report_expression()})"
    script = f"{COUNTING}\n{code}\nprint(len(compiled))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    seen, compiled = done.stdout.splitlines()
    assert str(tmp_path / "a") in json.loads(seen)["writes"]
    assert int(compiled) == (len(MODULES) if other else 0)


# --- Whatever is read: it holds as long as nothing changes, and no longer --------------------

NAMES = st.sampled_from(["a", "b.csv", "sub/c", "sub/d.csv", "größe"])
KEPT = {"a": "1", "sub/c": "2", "größe": "3"}


@given(
    read=st.sets(NAMES),
    listed=st.sets(st.sampled_from([("", ""), ("sub", ""), ("sub", "*.csv"), ("", "*.csv")])),
    changed=NAMES,
    text=st.sampled_from(["1", "2", "9", None]),
)
def test_a_trace_holds_exactly_as_long_as_what_was_read_is_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    read: set[str],
    listed: set[tuple[str, str]],
    changed: str,
    text: str | None,
) -> None:
    python = Python("CPython", "3.11", "linux", "x86_64", ())
    project = Project(tmp_path_factory.mktemp("holds") / "project", python=python)
    for name, content in KEPT.items():
        project.write(name, content)
    root = project.root
    looks = {}
    for name in read:
        path = root / name
        digest = Fingerprints().digest(str(path))
        looks[str(path)] = look(path, OLD_NS, digest)
    listings = [
        [
            str(root / folder),
            pattern,
            False,
            sorted(Fingerprints().listing(str(root / folder)) or ()),
        ]
        for folder, pattern in listed
    ]
    trace = traced(project, reads=looks, listings=listings)
    seen = Traced(trace, {}, "")
    assert project.says(seen) is None
    for name in KEPT:
        os.utime(root / name)
    assert project.says(seen) is None
    before = KEPT.get(changed)
    if text is None:
        (root / changed).unlink(missing_ok=True)
    else:
        project.write(changed, text)
    folder, _, last = changed.rpartition("/")
    appeared_or_went = (before is None) != (text is None)
    matters = changed in read and before != text
    for listed_folder, pattern in listed:
        if listed_folder == folder and appeared_or_went:
            matters |= not pattern or last.endswith(".csv")
    assert (project.says(seen) is not None) == matters


def test_a_file_that_may_not_be_read_has_a_state_as_well(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.write("a")
    monkeypatch.setattr(Fingerprints, "_hash", lambda _self, _path: None)
    trace = traced(project, reads={str(path): look(path, later(path))})
    assert trace.unreliable is None
    assert trace.facts[0] == File("a", OTHER)
    monkeypatch.undo()
    project.python = Python("CPython", "3.11", "linux", "x86_64", ())
    assert project.says(Traced(trace, {}, "")) == "a changed"
