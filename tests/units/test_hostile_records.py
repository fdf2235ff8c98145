"""Records that a stranger changed: they count as absent, or do no harm. Nothing else happens.

Digests and checksums protect from damage; whoever plants a record computes them. The records here
carry the mark of the account as well: a bound must not rest on the mark alone.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import sqlite3
import sys
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from docutils.utils import new_document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Book, stream
from support_cli import CommandLine

from sphinx_nbcache import Action, Project, bounded
from sphinx_nbcache.execution.job import Job, JobCell, Outcome
from sphinx_nbcache.extension.domain import WrittenPages
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.planning import Plan, Reason, Why
from sphinx_nbcache.project.differences import differences
from sphinx_nbcache.project.jobs import make_result, outcome_of
from sphinx_nbcache.project.requests import StoreTroubleError
from sphinx_nbcache.rendering.cells import render_outputs
from sphinx_nbcache.rendering.nodes import Context
from sphinx_nbcache.report.as_json import report_json
from sphinx_nbcache.report.ci import report_junit
from sphinx_nbcache.report.html.page import report_html
from sphinx_nbcache.report.making import draft_of_plan
from sphinx_nbcache.report.model import Report, ReportEntry
from sphinx_nbcache.report.selection import Links, Selection
from sphinx_nbcache.report.side_files import write_files
from sphinx_nbcache.results.artifacts import Artifact, MadeFile
from sphinx_nbcache.results.outputs import OutputsError, RunOutputs
from sphinx_nbcache.results.records import (
    CellRun,
    Failure,
    Result,
    Rules,
    Status,
    Stored,
    StoreLimits,
    content_digest,
)
from sphinx_nbcache.store import disk
from sphinx_nbcache.store import store as store_module
from sphinx_nbcache.store.disk_shelf import DiskShelf
from sphinx_nbcache.store.file_records import checkout_id
from sphinx_nbcache.store.shelf import DamagedEntryError, ShelfError
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.text import colourless, json_for_terminals, one_line
from sphinx_nbcache.traces.fact import Kind
from sphinx_nbcache.traces.facts import (
    Absent,
    Baseline,
    Declared,
    Directory,
    Distribution,
    EnvironmentVariable,
    File,
    Interpreter,
    Listing,
    Location,
    Uninstalled,
    Unknown,
    Unshadowed,
)
from sphinx_nbcache.traces.fingerprints import text_digest
from sphinx_nbcache.traces.trace import Trace, Written, decode_trace
from sphinx_nbcache.traces.tracking import TRACKED, Tracking, why_not_valid

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
)
TRACEBACK = "\x1b[31mValueError\x1b[0m: no\n" + "x" * 100
LARGE = "much " * 20_000  # a file of its own
DEEP = "@@deep {}@@"
COLOUR_ORDER = "\x1b]0;owned\x07\x9b2J\r\x1b[31m"

HOSTILE: list[Any] = [
    *(None, True, False, [], {}, [[]], [-5], {"": {}}),
    *(-1, 0, 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**24, -(10**24), 10**400),
    *(-1.0, 0.5, 1e17, 1e300, float("nan"), float("inf"), "@@1e400@@"),
    *("", ".", "..", "/", "//", "\0", "\ud800", "-", " ", "\n", "é" * 40, COLOUR_ORDER),
    *("../../etc/passwd", "/etc/passwd", "C:\\x", "~/.ssh/id", "a/../../b", "%s%d{}"),
    *("/" * 3000, "a" * 100_000, "0" * 64, "f" * 32, "os:system", "[" * 500, "*" * 200 + "b"),
    *(DEEP.format(depth) for depth in (150, 500, 5_000, 100_000)),
    *([0] * 3, ["a", None], {"type": "file"}, {"type": "later", "a": 1}, {"$nbcache-text": 5}),
    *({"$nbcache-base64": "0" * 64}, {"$nbcache-json": {"$nbcache-text": "x"}}),
]


def encoded(value: Any) -> bytes:
    """Return JSON, also of what `json` cannot write."""
    text = json.dumps(value).replace('"@@1e400@@"', "1e400").encode()
    for depth in (150, 500, 5_000, 100_000):
        text = text.replace(json.dumps(DEEP.format(depth)).encode(), b"[" * depth + b"]" * depth)
    return text


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all parts of a JSON value."""
    yield path
    items: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, item in items:
        yield from places_in(item, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a JSON value with another part."""
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    at(copy, path[:-1])[path[-1]] = new
    return copy


@st.composite
def mutations(draw: st.DrawFn, value: Any) -> Any:
    """Return a JSON value of which one to three parts are others, gone, or swapped."""
    for _ in range(draw(st.integers(1, 3))):
        paths = list(places_in(value))
        path = draw(st.sampled_from(paths))
        how = draw(st.sampled_from(["hostile", "hostile", "hostile", "swap", "drop", "repeat"]))
        if how == "hostile":
            value = changed(value, path, draw(st.sampled_from(HOSTILE)))
        elif how == "swap":
            value = changed(value, path, at(value, draw(st.sampled_from(paths))))
        elif path and how == "drop":
            value = json.loads(json.dumps(value))
            del at(value, path[:-1])[path[-1]]
        elif isinstance(at(value, path), list):
            value = changed(value, path, at(value, path) * 3)
    return value


@dataclass
class Hostile:
    """A book with results, and what its store holds: JSON by the names of its parts."""

    book: Book
    pristine: Path
    parts: dict[str, Any] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)

    def project(self) -> Project:
        """Return the project, as a build opens it that runs nothing."""
        self.notices.clear()
        return Project.find(
            self.book.folder,
            place=self.book.store,
            notify=self.notices.append,
            execute="frozen",
            retry_failed="changed",
        )

    def restore(self) -> None:
        """Put the store back as it was."""
        shutil.rmtree(self.book.store)
        shutil.copytree(self.pristine, self.book.store)

    def plant(self, name: str, value: Any) -> None:
        """Put another value in the place of a part, with right digests, checksums and marks."""
        self.restore()
        store = Store(self.book.store, self.notices.append)
        content = value if isinstance(value, bytes) else encoded(value)
        kind, _, number = name.partition(":")
        if not number:
            store.access.write({name: content})
        elif kind == "results":
            store.access.write({f"results/{self.result(number)['code_key']}": content})
        else:
            record = content
            if kind != "result":
                digest = content_digest(content)
                store.access.write({f"blob/{digest}": content})
                old = self.result(number)
                blobs = [digest if blob == old[kind] else blob for blob in old["blobs"]]
                record = encoded({**old, kind: digest, "blobs": blobs})
            self._plant_result(store, number, record)
        store.close()
        self.notices.clear()

    def _plant_result(self, store: Store, number: str, record: bytes) -> None:
        digest = content_digest(record)
        mark = store.access.marks.of(f"result/{digest}", record)
        ((old_id, _),) = self.parts[f"results:{number}"]
        key = f"results/{self.result(number)['code_key']}"
        store.access.write({f"result/{digest}": mark + record, key: encoded([[old_id, digest]])})

    def result(self, number: str) -> dict[str, Any]:
        return dict(self.parts[f"result:{number}"])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    folder = tmp_path_factory.mktemp("hostile")
    made = Hostile(Book(folder / "book", folder / "counter.txt"), folder / "pristine")
    book = made.book
    for name in "ab":
        # A notebook of this name exists twice in no test: their code differs.
        book.myst(f"{name}.md", f"%%\nprint('{name}')", "%%\n1", counts=False)
    (book.folder / "data.csv").write_text("1\n")
    (book.folder / "folder").mkdir()
    time.sleep(0.2)  # or the scans would not be trusted: the files were written a moment ago
    project = made.project()
    project.notebooks.add([book.folder / "a.md", book.folder / "b.md"])
    (book.folder / "plot.csv").write_text("kept")
    files = [MadeFile("plot.csv", str(book.folder / "plot.csv"), 0o644, created=True)]
    for planned in project.plan():
        is_ok = planned.name == "a.md"
        job = Job(
            planned.code_key,
            planned.name,
            str(book.folder),
            "python3",
            "python",
            tuple(JobCell(c.digest, "1", skipped=False) for c in planned.scan.cells),
            planned.rules,
        )
        result = make_result(job, outcome(planned.scan.cells, is_ok=is_ok), "local-serial")
        project.store.commit(
            result,
            outcome(planned.scan.cells, is_ok=is_ok).outputs,
            files if is_ok else (),
            ["print(1)", "1"],
            trace_of(book.folder) if is_ok else every_fact(),
            checkout=checkout_id(book.folder),
        )
    project.execute(project.plan())
    for number, stored in enumerate(project.store.all_results()):
        record = json.loads(msgspec.json.encode(stored.result))
        made.parts[f"result:{number}"] = record
        made.parts[f"results:{number}"] = [[stored.id, stored.digest]]
        for kind in ("outputs", "trace", "sources"):
            content = project.store.blob(record[kind])
            made.parts[f"{kind}:{number}"] = json.loads(content)
    access = project.store.access
    kept = access.keys("")
    plain = [k for k in kept if not k.startswith(("blob/", "result/", "results/"))]
    made.parts |= {key: json.loads(access.get(key) or b"") for key in plain}
    made.parts["limits"] = {"count": 5, "size": 10**9}
    project.close()
    shutil.copytree(book.store, made.pristine)
    return made


def outcome(cells: Any, *, is_ok: bool) -> Outcome:
    """Return what a run displayed: of every kind of output one."""
    data = {"text/plain": "1", "text/html": "<b>1</b>", "image/png": PIXEL, "application/json": [1]}
    shown: list[dict[str, Any]] = [
        {"output_type": "display_data", "data": data, "metadata": {"image/png": {"width": 5}}},
        {"output_type": "execute_result", "data": {"text/plain": LARGE}, "execution_count": 2},
    ]
    raised = [
        {"output_type": "error", "ename": "E", "evalue": "no", "traceback": TRACEBACK.split("\n")}
    ]
    failure = Failure("ValueError", "no\nmore", TRACEBACK, 1)
    return Outcome(
        status=Status.OK if is_ok else Status.FAILED,
        cells=tuple(CellRun(c.digest, n, 0.5, None if is_ok else "E") for n, c in enumerate(cells)),
        outputs=RunOutputs([stream("text"), shown if is_ok else raised], {"state": {"a": {}}}),
        kernel="python3",
        language_info={"name": "python", "codemirror_mode": {"version": 3}},
        started=time.time(),
        seconds=1.0,
        failure=None if is_ok else failure,
        retried=() if is_ok else (failure,),
        peak_memory=5000,
    )


def trace_of(folder: Path) -> Trace:
    """Return a trace that holds."""
    digest = content_digest(b"1\n")
    facts = (
        File("data.csv", digest),
        Absent("none.txt"),
        Directory("folder"),
        Listing("folder", text_digest()),
        Unshadowed("folder", "zzz"),
        EnvironmentVariable("NONE_OF_THIS_NAME", ""),
        Location(str(folder)),
    )
    return Trace(facts, tracked=TRACKED, untracked=("a socket",), imported_by={"a.py": "b.py"})


def every_fact() -> Trace:
    """Return a trace with all kinds of facts, which does not matter for a failed run."""
    facts = (
        *trace_of(Path("/")).facts,
        File("module.py", "0" * 64, module=True),
        Uninstalled("zzz yyy"),
        Distribution("pandas", "1"),
        Interpreter("CPython", f"3.{sys.version_info[1]}", "linux", "x86_64"),
        Baseline("6", "9"),
        Declared("*.csv", "0" * 64, {"data.csv": "0" * 64}),
        Unknown("later"),
    )
    written = (Written("out.csv", "0" * 64, 0o644, created=True),)
    return Trace(facts, written, ("gone.csv",), tracked=TRACKED)


def look_at_everything(hostile: Hostile) -> Plan:
    """Plan, report and render, as builds do; every exception but the declared ones fails."""
    project = hostile.project()
    plan = project.plan()
    for planned in plan:
        assert planned.name in ("a.md", "b.md")
    results = {p.name: s for p in plan for s in project.store.results(p.code_key)}
    report = draft_of_plan(plan, results, project.past_runs).whole(project.store)
    report_html(report, Selection(), Links())
    report_junit(report)
    report_json(report)
    for stored in project.store.all_results():
        render(hostile, project, stored)
        project.results.trace(stored)
        with suppress(StoreTroubleError):
            project.results.sources(stored)
    list(project.results)
    list(project.notebooks)
    project.results.check()
    assert isinstance(project.results.limits, StoreLimits)
    project.close()
    return plan


def render(hostile: Hostile, project: Project, stored: Stored) -> None:
    try:
        outputs = project.outputs(stored)
    except OutputsError:
        return
    images = hostile.book.folder.parent / "images"
    context = Context(new_document("page"), images, str, lambda *_, **__: None)
    for cell in outputs.cells:
        render_outputs(cell, frozenset(), context)
    differences(outputs, RunOutputs([[] for _ in outputs.cells]))


def warnings(hostile: Hostile) -> list[str]:
    return [n.text for n in hostile.notices if n.topic is Topic.STORE and not n.is_information]


def test_untouched_records_are_reused_without_a_warning(hostile: Hostile) -> None:
    hostile.restore()
    for name, value in hostile.parts.items():
        hostile.plant(name, value)
        plan = look_at_everything(hostile)
        assert [p.decision.action for p in plan] == [Action.REUSE, Action.REFUSE], name
        assert warnings(hostile) == []


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_records(hostile: Hostile, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(hostile.parts)))
    hostile.plant(name, data.draw(mutations(hostile.parts[name])))
    look_at_everything(hostile)
    assert len(warnings(hostile)) <= 1, warnings(hostile)


COMMANDS = [
    ("cache", "list"),
    ("cache", "list", "--json"),
    ("cache", "show", "1"),
    ("cache", "show", "2", "--tb"),
    ("cache", "check"),
    ("project", "plan"),
    ("project", "list"),
    ("project", "show", "1"),
    ("explain", "a.md"),
    ("explain", "b.md"),
    ("report",),
]
# What a terminal would obey: everything but tabs, line ends and colours.
ORDERS = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[0-9;]*m)")


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_commands_show_mutated_records_or_say_what_is_wrong(
    hostile: Hostile, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(hostile.parts)))
    value = data.draw(mutations(hostile.parts[name]))
    cli = CommandLine(hostile.book.folder, capsys)
    for command in COMMANDS:
        hostile.plant(name, value)
        done = cli(*command, "--cache-path", hostile.book.store)
        assert done.code in {0, 1, 2, 3}, (command, done)
        assert not ORDERS.search(done.out + done.err), (command, done)


def test_names_of_a_store_are_no_orders_to_a_terminal(
    hostile: Hostile, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = f"x{COLOUR_ORDER}\nWARNING: forged\u2028\u202edesrever"
    record = hostile.result("1")
    failure = {**record["failure"], "name": evil, "message": evil}
    more = {"notebook": evil, "kernel": evil, "executor": evil, "failure": failure}
    hostile.plant("result:1", {**record, **more})
    cli = CommandLine(hostile.book.folder, capsys)
    for command in COMMANDS:
        done = cli(*command, "--cache-path", hostile.book.store)
        shown = done.out + done.err
        assert not ORDERS.search(shown), command
        assert not re.search("^WARNING", shown, re.MULTILINE), command
        assert "\x1b" not in shown or "--tb" in command
        assert not re.search("[\u2028\u202e]", shown) or "--json" in command


def test_a_reason_has_no_control_characters() -> None:
    assert Reason(Why.DEPENDENCY_CHANGED, f"a{COLOUR_ORDER}\nb changed").text == (
        "a\\x1b]0;owned\\x07\\x9b2J\\r\\x1b[31m\\nb changed"
    )
    assert Reason(Why.UNREADABLE, "two\nlines").text == "two\nlines"


@given(st.text())
def test_a_text_in_one_line_has_no_control_characters(text: str) -> None:
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", one_line(text))
    assert one_line(one_line(text)) == one_line(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", colourless(text))
    assert json.loads(json_for_terminals(json.dumps(text, ensure_ascii=False))) == text


# -- single values


def result_with(hostile: Hostile, *path: Any, value: Any) -> Any:
    return changed(hostile.result("0"), path, value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("artifacts", 0, "size"), 10**24),
        (("artifacts", 0, "mode"), 0o4755),
        (("artifacts", 0, "path"), "../out"),
        (("artifacts", 0, "pieces"), ["0" * 64]),
        (("started",), -1),
        (("started",), 1e308),
        (("started",), 253_402_300_800),
        (("seconds",), 1e300),
        (("peak_memory",), 2**64),
        (("cells", 0, "execution_count"), -1),
        (("cells",), []),
        (("outputs",), "0" * 64),
        (("render_id",), "A" * 32),
        (("blobs",), []),
        (("rules", "raising"), [7]),
        (("rules", "promises"), [[7, ["E"]]]),
        (("rules", "timeout"), "@@1e400@@"),
        (("failure",), {"name": "E", "message": "", "traceback": "", "position": 2}),
        (("kernel",), "k" * 40_000),
        (("language_info", "deep"), DEEP.format(500)),
        (("language_info", "deep"), DEEP.format(100_000)),
        (("notebook",), "\ud800"),
        (("status",), "fine"),
    ],
)
def test_a_value_out_of_bounds_makes_a_result_absent(
    hostile: Hostile, path: tuple[Any, ...], value: Any
) -> None:
    hostile.plant("result:0", result_with(hostile, *path, value=value))
    plan = look_at_everything(hostile)
    assert plan.notebooks[0].decision.action is Action.REFUSE
    assert len(warnings(hostile)) == 1
    assert "counts as absent" in warnings(hostile)[0]


@pytest.mark.parametrize("number", [[-5], 0, -1, 10**24, "1", 1.0, None])
def test_a_number_of_a_result_is_a_positive_whole_number(hostile: Hostile, number: Any) -> None:
    ((_, digest),) = hostile.parts["results:0"]
    hostile.plant("results:0", [[number, digest]])
    assert look_at_everything(hostile).notebooks[0].decision.action is Action.REFUSE
    assert len(warnings(hostile)) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("used", {"1": 1e308}),
        ("used", {"1": 10**24}),
        ("used", {"-5": 1}),
        ("limits", {"count": 0}),
        ("limits", {"size": -1}),
        ("next-id", -5),
        ("next-id", 10**24),
    ],
)
def test_numbers_of_the_store_itself_are_bounded(hostile: Hostile, name: str, value: Any) -> None:
    hostile.plant(name, value)
    assert {p.decision.action for p in look_at_everything(hostile)} == {
        Action.REUSE,
        Action.REFUSE,
    }
    project = hostile.project()
    assert [finding.key for finding in project.results.check()] == [name]
    project.close()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../../out.md"},
        {"name": "a/../../out.md"},
        {"name": "a\0.md"},
        {"assets": ["../../../etc/passwd"]},
        {"assets": ["/etc/passwd"]},
        {"added": 1e308},
    ],
)
def test_a_list_of_notebooks_leads_nowhere_else(hostile: Hostile, change: dict[str, Any]) -> None:
    roll = changed(hostile.parts["notebooks"], ("notebooks", 0), {"id": 1, "name": "a.md"} | change)
    hostile.plant("notebooks", roll)
    project = hostile.project()
    assert list(project.notebooks) == []
    assert len(warnings(hostile)) == 1
    project.close()


@pytest.mark.parametrize("asset", ["../../../etc/passwd", "/etc/passwd", "a/../../b", "a\0"])
def test_a_scan_with_assets_elsewhere_is_read_again(hostile: Hostile, asset: str) -> None:
    hostile.plant("scan/a.md", {**hostile.parts["scan/a.md"], "assets": [asset]})
    plan = look_at_everything(hostile)
    assert plan.notebooks[0].scan.assets == ()
    assert plan.notebooks[0].decision.action is Action.REUSE
    assert len(warnings(hostile)) == 1


# -- contents


@pytest.mark.parametrize(
    "value",
    [
        {"cells": []},
        {"cells": [[], [], []]},
        {"cells": [[], [5]]},
        {"cells": {}},
        {"cells": [[], [{"data": {"image/png": {"$nbcache-base64": "0" * 64}}}]]},
        {"cells": [[], [{"data": {"image/png": {"$nbcache-base64": 5}}}]]},
        {"cells": [[], [{"data": {"a": DEEP.format(500)}}]]},
        {"cells": [[], []], "widgets": {"a": DEEP.format(500)}},
    ],
)
def test_a_damaged_part_of_the_outputs_makes_the_result_damaged(
    hostile: Hostile, value: Any
) -> None:
    """Nothing is rendered of it: outputs are decoded with all contents before they are used."""
    hostile.plant("outputs:0", value)
    plan = look_at_everything(hostile)
    assert plan.notebooks[0].decision.action is Action.REFUSE
    assert len(warnings(hostile)) == 1


def test_outputs_of_reasonable_depth_are_shown(hostile: Hostile) -> None:
    value = {"cells": [[], [{"output_type": "display_data", "data": {"a": DEEP.format(150)}}]]}
    hostile.plant("outputs:0", value)
    assert look_at_everything(hostile).notebooks[0].decision.action is Action.REUSE
    assert warnings(hostile) == []


def test_a_piece_that_is_named_very_often_is_not_written_as_often(
    hostile: Hostile,
) -> None:
    (artifact,) = hostile.result("0")["artifacts"]
    project = hostile.project()
    pieces = (artifact["digest"],) * 10_000
    repeated = Artifact("x.csv", artifact["digest"], 10_000, 0o644, pieces=pieces)
    written = project.store.content(msgspec.structs.replace(repeated, size=10_000))
    sizes: list[int] = []
    with pytest.raises(OutputsError):
        sizes.extend(map(len, written))
    assert sum(sizes) <= 10_000
    project.close()


def test_a_compressed_record_is_never_inflated(hostile: Hostile) -> None:
    """Nothing in a store is compressed, so that no value can be larger than it looks."""
    for name in ("result:0", "outputs:0", "trace:0", "scan/a.md"):
        hostile.plant(name, gzip.compress(encoded(hostile.parts[name])))
        look_at_everything(hostile)
        assert len(warnings(hostile)) == 1, name
    sources = Path(bounded.__file__).parent.rglob("*.py")
    modules = re.compile(
        r"^\s*(?:import|from) (?:zlib|gzip|bz2|lzma|zipfile|tarfile)\b", re.MULTILINE
    )
    found = [path for path in sources if modules.search(path.read_text("utf-8"))]
    # What travels is compressed, and inflated up to a limit: see `test_archives.py`.
    assert {path.parent.name for path in found} == {"sharing"}


# -- sizes


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[DiskShelf]:
    """A shelf with a value that is a file, and one that is not."""
    made = DiskShelf(tmp_path / "shelf")
    made.set("large", b"x" * 50_000)
    made.set("small", b"x")
    yield made
    made.close()


def test_a_file_that_is_larger_than_any_value_is_not_read(shelf: DiskShelf) -> None:
    (path,) = shelf.folder.rglob("*.val")
    os.truncate(path, bounded.LARGEST_VALUE + 1)  # it takes no room
    with pytest.raises(DamagedEntryError):
        shelf.get("large")


def test_a_large_value_in_the_database_is_not_read(shelf: DiskShelf) -> None:
    shelf.close()
    with closing(sqlite3.connect(shelf.folder / "cache.db")) as database, database:
        database.execute("UPDATE Cache SET value = zeroblob(20000000) WHERE key = 'small'")
    tracemalloc.start()
    with pytest.raises(DamagedEntryError, match="larger"):
        shelf.get("small")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
    assert dict(shelf.get_many(["large", "small"]))["large"] == b"x" * 50_000


def test_a_value_that_would_not_be_read_again_is_not_written(
    shelf: DiskShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "LARGEST_VALUE", 60_000)
    with pytest.raises(ShelfError, match="60001 bytes"):
        shelf.set("large", b"y" * 60_001)
    assert shelf.get("large") == b"x" * 50_000


def test_a_trace_that_would_not_be_read_again_makes_its_result_unreliable(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile.restore()
    monkeypatch.setattr(store_module, "LARGEST_RECORD", 1_000)
    project = hostile.project()
    (planned, _) = project.plan()
    result = msgspec.json.decode(encoded(hostile.result("0")), type=Result)
    facts = tuple(File(f"{number}.csv", "0" * 64) for number in range(50))
    shown = RunOutputs([[] for _ in planned.scan.cells])
    stored = project.store.commit(result, shown, trace=Trace(facts, tracked=TRACKED))
    trace = project.results.trace(stored)
    assert trace is not None
    assert trace.unreliable is not None
    project.close()


def test_a_key_of_any_size_is_not_listed(shelf: DiskShelf) -> None:
    shelf.set("k" * 100_000, b"x")
    assert shelf.keys("") == ["large", "small"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "folder is a link"])
def test_what_is_no_file_is_neither_followed_nor_waited_for(
    shelf: DiskShelf, tmp_path: Path, kind: str
) -> None:
    (path,) = shelf.folder.rglob("*.val")
    elsewhere = path.replace(tmp_path / "elsewhere") if kind != "folder is a link" else path
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "folder":
        path.mkdir()
    else:
        elsewhere = path.parent.rename(tmp_path / "elsewhere") / path.name
        path.parent.symlink_to(elsewhere.parent)
    with pytest.raises(DamagedEntryError):
        shelf.get("large")
    shelf.delete("large")
    assert elsewhere.read_bytes() == b"x" * 50_000


# -- later versions


def test_a_fact_of_a_later_version_is_no_damage(hostile: Hostile) -> None:
    later = {"type": "socket", "address": "example.org:80", "digest": None}
    trace = hostile.parts["trace:0"]
    hostile.plant("trace:0", {**trace, "facts": [*trace["facts"], later]})
    planned = look_at_everything(hostile).notebooks[0]
    assert planned.decision.reason.why is Why.UNKNOWN_DEPENDENCIES
    assert "later version" in planned.decision.reason.text
    assert "socket" in planned.decision.reason.text
    assert warnings(hostile) == []


def test_a_kind_of_fact_of_a_later_version_is_no_damage(hostile: Hostile) -> None:
    tracked = [*map(str, TRACKED), "network"]
    hostile.plant("trace:0", {**hostile.parts["trace:0"], "tracked": tracked, "known": tracked})
    assert look_at_everything(hostile).notebooks[0].decision.action is Action.REUSE
    assert warnings(hostile) == []


def test_fields_of_a_later_version_are_ignored(hostile: Hostile) -> None:
    for name in ("result:0", "trace:0", "outputs:0", "scan/a.md", "history/a.md", "notebooks"):
        hostile.plant(name, {**hostile.parts[name], "later": {"a": [1]}})
        assert look_at_everything(hostile).notebooks[0].decision.action is Action.REUSE, name
        assert warnings(hostile) == []


def test_a_damaged_fact_beside_one_of_a_later_version_is_damage() -> None:
    text = b'{"facts":[{"type":"later"},{"type":"file","path":5,"digest":""}]}'
    with pytest.raises(msgspec.ValidationError):
        decode_trace(text)
    whole = decode_trace(
        b'{"facts":[{"type":"later"},{"type":"absent","path":"a"}],"removed":["b"]}'
    )
    assert whole == Trace((Unknown("later"), Absent("a")), removed=("b",))


class _NoWorld:
    """A world that is not asked."""


def test_a_result_without_a_kind_of_fact_that_came_later_stays_valid() -> None:
    """A new version that tracks more must not run every notebook again."""
    old = decode_trace(msgspec.json.encode(Trace(tracked=TRACKED)))
    later: Any = (*TRACKED, "network")
    world: Any = _NoWorld()
    assert why_not_valid(old, Tracking(kinds=later), world) is None
    # What that version made, with the kind left out by its user, does not count for it.
    left_out = msgspec.structs.replace(old, known=later)
    mismatch = why_not_valid(left_out, Tracking(kinds=later), world)
    assert mismatch is not None
    assert "network" in mismatch.text
    # The kinds that all versions know are missed, as ever.
    fewer = Trace(tracked=(Kind.FILES,))
    assert why_not_valid(fewer, Tracking(), world) is not None


# -- what runs give is kept within bounds


def job_of(hostile: Hostile) -> Job:
    cells = tuple(JobCell(f"{n:064}", "1", skipped=False) for n in range(2))
    return Job("0" * 64, "a.md", str(hostile.book.folder), "python3", "python", cells, Rules())


@pytest.mark.parametrize(
    "change",
    [
        {"language_info": {"a": object()}},
        {"cells": (CellRun("0", -5), CellRun("1", None, -1.0))},
        {"cells": (CellRun("0"), CellRun("1", error="E" * 50_000))},
        {"failure": Failure("E", "", "", 5)},
        {"kernel": "k" * 50_000},
        {"peak_memory": -1},
    ],
)
def test_an_outcome_that_no_record_can_hold_is_a_failure(
    hostile: Hostile, change: dict[str, Any]
) -> None:
    """Executors may be other packages': what they return must not stop a build."""
    job = job_of(hostile)
    future: Future[Outcome] = Future()
    future.set_result(msgspec.structs.replace(outcome(job.cells, is_ok=True), **change))
    got = outcome_of(job, future)
    assert got.status is Status.FAILED
    assert "cannot be kept" in (got.failure or Failure("", "", "")).message
    result = make_result(job, got, "e")
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result) == result


def test_outputs_that_are_nested_too_deep_are_a_failure(hostile: Hostile) -> None:
    job = job_of(hostile)
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    shown = [{"output_type": "display_data", "data": {"application/json": deep}, "metadata": {}}]
    future: Future[Outcome] = Future()
    made = outcome(job.cells, is_ok=True)
    future.set_result(msgspec.structs.replace(made, outputs=RunOutputs([[], shown])))
    got = outcome_of(job, future)
    assert got.failure is not None
    assert "deeper than 200 levels" in got.failure.message


@pytest.mark.parametrize("started", [-1.0, 1e308, float("nan"), float("inf")])
def test_a_wrong_clock_does_not_make_a_record_that_cannot_be_read(
    hostile: Hostile, started: float
) -> None:
    job = job_of(hostile)
    made = msgspec.structs.replace(
        outcome(job.cells, is_ok=True), started=started, seconds=-started
    )
    result = make_result(job, made, "e")
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result) == result


@given(st.lists(st.sampled_from("[{"), min_size=1, max_size=300))
def test_depth_is_counted_in_dictionaries_and_lists(kinds: list[str]) -> None:
    value: Any = 1
    for kind in kinds:
        value = [value, 2] if kind == "[" else {"a": value, "b": 2}
    depth = len(kinds)
    assert bounded.is_deep(value) == (depth > bounded.DEEPEST)
    assert bounded.is_deep(value, encoded(value)) == (depth > bounded.DEEPEST)


# -- files beside the store


@pytest.mark.parametrize("docname", ["../../out", "/out", "a/../../out"])
def test_a_forged_report_removes_no_file_elsewhere(tmp_path: Path, docname: str) -> None:
    folder = tmp_path / "build" / "html"
    (folder / "reports").mkdir(parents=True)
    log = tmp_path / "build" / "out.err.log"
    log.write_text("kept")
    document = json.loads(report_json(Report(())))
    forged = json.loads(
        report_json(Report((ReportEntry("a", docname, "reused", "", failed=False),)))
    )
    assert document["notebooks"] == []
    (folder / "nbcache-report.json").write_text(json.dumps(forged))
    write_files(Report(()), folder, Report(()))
    assert log.read_text() == "kept"


@pytest.mark.parametrize("value", [*HOSTILE, {"version": 3}, {"version": 3, "builders": {"a": 1}}])
def test_what_was_written_last_is_read_or_counts_as_nothing(tmp_path: Path, value: Any) -> None:
    (tmp_path / "nbcache-written.json").write_bytes(encoded(value))
    app: Any = SimpleNamespace(
        doctreedir=tmp_path, outdir=tmp_path, builder=SimpleNamespace(name="html")
    )
    pages = WrittenPages(app)
    assert pages.outdated({"a": "1"}) == ["a"]
    pages.note("a")
    pages.commit()
    assert WrittenPages(app).outdated({"a": "1"}) == []
