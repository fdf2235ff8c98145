"""The project as an object: its list of notebooks, references, threads, processes, discovery."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest
from support import Book, code_cell, ipynb_text

from sphinx_nbcache import Action, Project, ProjectError, open_project
from sphinx_nbcache.project.locations import project_file, write_project_file
from sphinx_nbcache.project.requests import UnknownReferenceError, ValidityError


def notebook(path: Path, code: str = "1") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ipynb_text([f"%%{code}"], {}))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with three notebooks."""
    folder = tmp_path / "work"
    for name in ("a.ipynb", "b.ipynb", "sub/c.ipynb"):
        notebook(folder / name)
    (folder / "pyproject.toml").touch()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def project(folder: Path) -> Iterator[Project]:
    opened = open_project(folder)
    yield opened
    opened.close()


def names(project: Project) -> list[str]:
    return [item.name for item in project.notebooks]


def test_a_notebook_is_known_by_id_path_and_name(project: Project, folder: Path) -> None:
    project.notebooks.add(["a.ipynb", folder / "sub" / "c.ipynb"])
    (found,) = {project.notebooks.get(r) for r in (2, "sub/c.ipynb", folder / "sub" / "c.ipynb")}
    assert (found.id, found.name) == (2, "sub/c.ipynb")
    os.chdir(folder / "sub")
    assert project.notebooks.get("c.ipynb") == found
    with pytest.raises(UnknownReferenceError, match="gone"):
        project.notebooks.get("gone.ipynb")


def test_of_several_one_unknown_reference_changes_nothing(project: Project) -> None:
    project.notebooks.add(["a.ipynb", "b.ipynb"])
    with pytest.raises(UnknownReferenceError):
        project.notebooks.remove([1, 99])
    with pytest.raises(ProjectError):
        project.notebooks.add(["sub/c.ipynb", "gone.ipynb"])
    assert names(project) == ["a.ipynb", "b.ipynb"]


def test_ids_are_not_used_again(project: Project) -> None:
    project.notebooks.add(["a.ipynb", "b.ipynb"])
    project.notebooks.clear()
    assert [item.id for item in project.notebooks.add(["b.ipynb", "a.ipynb"])] == [3, 4]


def test_a_build_changes_only_what_builds_have_found_below_its_source_directory(
    project: Project,
) -> None:
    project.notebooks.add(["a.ipynb"])
    project.notebooks.set_built(["docs/x.md", "docs/y.md"], "docs")
    project.notebooks.set_built(["guide/z.md"], "guide")
    project.notebooks.set_built(["docs/y.md", "a.ipynb"], "docs")
    assert names(project) == ["a.ipynb", "docs/y.md", "guide/z.md"]
    assert project.notebooks.get(1).by_build is False


def _add_one(place: Path, path: Path) -> None:
    project = open_project(path.parent, place=place)
    project.notebooks.add([path])
    project.close()


def test_of_processes_that_add_notebooks_at_once_none_loses_anything(
    project: Project, folder: Path
) -> None:
    place = project.store.folder.parent
    paths = [notebook(folder / f"n{number}.ipynb") for number in range(12)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        pool.starmap(_add_one, [(place, path) for path in paths])
    assert sorted(names(project)) == sorted(path.name for path in paths)
    assert sorted(item.id for item in project.notebooks) == list(range(1, 13))


def test_threads_may_share_a_project(project: Project, folder: Path) -> None:
    paths = [notebook(folder / f"n{number}.ipynb", f"{number}") for number in range(16)]

    def work(path: Path) -> str:
        project.notebooks.add([path])
        (planned,) = project.plan([path])
        return planned.name

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, paths)) == [path.name for path in paths]
    assert len(names(project)) == 16


@pytest.mark.kernel
def test_threads_that_execute_at_once_run_each_notebook_once(book: Book) -> None:
    for name in ("a.md", "b.md"):
        book.myst(name, f"%%\nprint({name!r})")
    project = book.project()
    with ThreadPoolExecutor(2) as threads:
        runs = list(threads.map(lambda _: project.execute(project.plan()), range(2)))
    assert sorted(book.runs()) == ["a.md", "b.md"]
    assert not any(item.failed for run in runs for item in run.notebooks)
    project.close()


def test_a_project_can_be_sent_to_another_process(project: Project) -> None:
    project.notebooks.add(["a.ipynb"])
    sent = pickle.loads(pickle.dumps(project))
    assert names(sent) == ["a.ipynb"]
    (planned,) = sent.plan()
    assert planned.decision.action is Action.EXECUTE
    sent.close()


def test_a_built_project_is_found_with_its_root_and_settings(folder: Path) -> None:
    place = folder / "docs" / "_build" / ".jupyter_cache"
    raw = {"timeout": 7, "executor": "local-serial", "formats": {".py": "py:percent"}}
    write_project_file(place, folder / "docs", folder, raw)
    (folder / "docs" / "sub").mkdir()
    (folder / "docs" / "conf.py").touch()
    for here in (folder, folder / "docs", folder / "docs" / "sub", folder / "sub"):
        project = open_project(here)
        assert project.store.folder.parent == place
        assert (project.base, project.root) == (folder / "docs", folder)
        assert (project.settings.timeout, project.settings.executor) == (7, "local-serial")
        project.close()


def test_a_built_project_can_be_moved(folder: Path, tmp_path: Path) -> None:
    write_project_file(folder / "_build" / ".jupyter_cache", folder, folder, {})
    moved = folder.rename(tmp_path / "moved")
    project = open_project(moved)
    assert (project.base, project.root) == (moved, moved)
    project.close()


def test_projects_above_the_top_of_this_one_are_not_looked_for(folder: Path) -> None:
    write_project_file(folder.parent / ".jupyter_cache", folder.parent, folder.parent, {})
    project = open_project(folder)
    assert project.store.folder.parent == folder / ".jupyter_cache"
    project.close()


def test_of_several_built_projects_one_must_be_named(folder: Path) -> None:
    for name in ("one", "two"):
        write_project_file(folder / name / "_build" / ".jupyter_cache", folder / name, folder, {})
    with pytest.raises(ProjectError, match="several projects"):
        open_project(folder)


def executed(code: str, count: int | None = 1) -> Any:
    """Return an executed notebook in memory."""
    output = {"output_type": "stream", "name": "stdout", "text": "hi\n"}
    cell = code_cell(code, outputs=[output], count=count)
    return nbformat.reads(ipynb_text([cell], {}), as_version=4)


def test_a_notebook_in_memory_becomes_the_result_of_its_file(
    project: Project, folder: Path
) -> None:
    (folder / "made.txt").write_text("content")
    stored = project.results.add_node(executed("1"), "a.ipynb", artifacts=["made.txt"])
    assert stored.result.notebook == "a.ipynb"
    assert project.results.outputs(stored).cells[0][0]["text"] == "hi\n"
    assert project.results.artifact(stored, "made.txt") == b"content"
    project.notebooks.add(["a.ipynb"])
    (planned,) = project.plan()
    assert planned.decision.result == stored
    assert project.merge("a.ipynb").cells[0].execution_count == 1


def test_a_notebook_in_memory_is_planned_and_merged(project: Project, folder: Path) -> None:
    unrun = executed("1", count=None)
    unrun.cells[0].outputs = []
    assert project.plan_node(unrun, "a.ipynb").decision.action is Action.EXECUTE
    with pytest.raises(ProjectError, match=r"^a\.ipynb has no result of its present"):
        project.merge_node(unrun, "a.ipynb")
    stored = project.results.add_node(executed("1"), "a.ipynb")
    planned = project.plan_node(unrun, folder / "a.ipynb")
    assert (planned.decision.result, planned.code_key) == (stored, stored.result.code_key)
    merged = project.merge_node(unrun, "a.ipynb")
    assert (merged.cells[0].execution_count, merged.cells[0].outputs[0].text) == (1, "hi\n")
    assert unrun.cells[0].outputs == []
    assert project.plan_node(executed("2"), "a.ipynb").decision.result is None
    assert list(project.notebooks) == []


@pytest.mark.kernel
def test_what_a_run_depended_on_can_be_looked_at(project: Project, folder: Path) -> None:
    (folder / "data.txt").write_text("content")
    project.notebooks.add([notebook(folder / "a.ipynb", "open('data.txt').read()")])
    (settled,) = project.execute(project.plan()).notebooks
    assert settled.result is not None
    trace = project.results.trace(settled.result)
    assert trace is not None
    assert "data.txt" in {getattr(fact, "path", "") for fact in trace.facts}
    added = project.results.trace(project.results.add_node(executed("1"), "b.ipynb"))
    assert added is not None
    assert (added.facts, added.tracked) == ((), None)


def test_the_file_of_a_notebook_in_memory_need_not_be_there(project: Project) -> None:
    stored = project.results.add_node(executed("1 + 2"), "gone/later.ipynb")
    assert project.results.get("gone/later.ipynb") == stored
    assert not Path("gone").exists()


def test_a_notebook_in_memory_is_checked_as_a_file_is(project: Project) -> None:
    with pytest.raises(ValidityError, match=r"^a.ipynb: code cell 1 has execution count 3, not 1"):
        project.results.add_node(executed("1", count=3), "a.ipynb")
    project.results.add_node(executed("1", count=3), "a.ipynb", validate=False)
    wrong: Any
    for wrong in ({}, {"nbformat": 4, "cells": [1]}, {"nbformat": 4, "cells": [{1, 2}]}):
        with pytest.raises(ProjectError, match="the notebook cannot be used"):
            project.results.add_node(wrong, "a.ipynb")
    with pytest.raises(ProjectError, match="there is no artifact"):
        project.results.add_node(executed("1"), "a.ipynb", artifacts=["gone.txt"])
    assert len(list(project.results)) == 1


def test_code_of_a_result_is_compared_with_files_and_nodes(project: Project, folder: Path) -> None:
    pytest.importorskip("nbdime")
    stored = project.results.add_node(executed("1"), "a.ipynb")
    assert project.diff(stored.id, "a.ipynb") == ""
    assert project.diff("a.ipynb", executed("1", count=5)) == ""
    lines = project.diff(stored.id, executed("2")).splitlines()
    assert lines[:2] == ["--- result 1 (a.ipynb)", "+++ notebook"]
    notebook(folder / "b.ipynb", "2")
    assert project.diff(1, folder / "b.ipynb").splitlines()[1] == "+++ b.ipynb"
    (folder / "text.md").write_text("# Text")
    wrong: Any
    for wrong in ("gone.ipynb", "text.md", {}):
        with pytest.raises(ProjectError):
            project.diff(1, wrong)
    with pytest.raises(UnknownReferenceError):
        project.diff(9, "a.ipynb")


def test_a_file_that_was_added_with_a_reader_is_compared_by_it(
    project: Project, folder: Path
) -> None:
    pytest.importorskip("nbdime")
    (folder / "b.txt").write_text("# %%\n1\n")
    project.notebooks.add(["b.txt"], reader="py:percent")
    stored = project.results.add_node(executed("1"), "a.ipynb")
    assert project.diff(stored.id, "b.txt") == ""


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"format": 99}', b"[" * 100_000])
def test_a_damaged_project_file_is_as_none(folder: Path, content: bytes) -> None:
    path = project_file(folder / "_build" / ".jupyter_cache")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    project = open_project(folder)
    assert project.settings.executor == "local-parallel"
    project.close()


def test_a_project_file_that_another_account_wrote_is_ignored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its settings could name functions to import."""
    place = folder / "_build" / ".jupyter_cache"
    write_project_file(place, folder, folder, {"jobs": 7})
    assert open_project(folder).settings.jobs == 7
    changed = project_file(place).read_text().replace("7", "8")
    project_file(place).write_text(changed)
    assert open_project(folder).settings.jobs is None
    write_project_file(place, folder, folder, {"jobs": 7})
    monkeypatch.setenv("NBCACHE_SECRET", "of another account")
    assert open_project(folder).settings.jobs is None
