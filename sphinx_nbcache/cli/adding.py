"""Adds notebooks that were executed elsewhere, and reports which results were removed.

It asks about notebooks that may not have been executed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from sphinx_nbcache.cli import documents
from sphinx_nbcache.cli.documents import AddedItem, AddedResults, RefusedItem, RemovedResults
from sphinx_nbcache.cli.options import NOTHING
from sphinx_nbcache.cli.output import asked, from_here, say_done, say_json, tell
from sphinx_nbcache.project import Project, ProjectError
from sphinx_nbcache.project.handed_in import ImportedResults
from sphinx_nbcache.project.requests import StoreTroubleError, ValidityError
from sphinx_nbcache.project.results import Exported, Imported
from sphinx_nbcache.text import counted


class _HasId(Protocol):
    @property
    def id(self) -> int: ...


def say_removed(removed: Sequence[_HasId], *, as_json: bool) -> None:
    """Report which results were removed."""
    if as_json:
        say_json(RemovedResults(removed=tuple(item.id for item in removed)))
        return
    say_done(f"Removed {counted(len(removed), 'result')}{_ids(removed)}")


def _ids(removed: Sequence[_HasId]) -> str:
    return f": {', '.join(str(item.id) for item in removed)}" if removed else ""


def add_executed(
    project: Project,
    paths: Sequence[Path],
    *,
    validate: bool,
    artifacts: Sequence[Path] = (),
    quietly: bool,
) -> AddedResults:
    """Add executed notebooks; an error in one does not affect the others.

    Args:
        project: The project.
        paths: The notebooks.
        validate: Whether to check the execution counts, and to ask where they are odd.
        artifacts: Files that the runs wrote.
        quietly: Whether to report only the notebooks that were not added.

    Raises:
        StoreTroubleError: The store cannot be written.
    """
    items = list(_added(project, [path.absolute() for path in paths], validate, artifacts, quietly))
    return AddedResults(
        added=tuple(item for item in items if isinstance(item, AddedItem)),
        refused=tuple(item for item in items if isinstance(item, RefusedItem)),
    )


def files_in(project: Project, path: Path) -> list[Path]:
    """Return a file, or the notebooks below a folder.

    Raises:
        ProjectError: There is no notebook below the folder.
    """
    if not path.is_dir():
        return [path]
    if not (found := project.found_below(path)):
        raise ProjectError(f"there is no notebook below {from_here(path)}")
    return found


def _added(
    project: Project,
    paths: Sequence[Path],
    validate: bool,  # noqa: FBT001 (passed on)
    artifacts: Sequence[Path],
    quietly: bool,  # noqa: FBT001 (passed on)
) -> Iterator[AddedItem | RefusedItem]:
    for path in paths:
        try:
            item = _add_one(project, path, validate=validate, artifacts=artifacts)
        # A ProjectError, too, but not one of this notebook: every other one would fail in the same
        # way.
        except StoreTroubleError:
            raise
        except ProjectError as error:
            # Even with `-qqq`: otherwise only the exit code would say that something is missing.
            tell(f"Not added: {error}", level=NOTHING)
            yield RefusedItem(path=project.name_of(path), reason=str(error))
        else:
            if not quietly:
                say_done(f"Added: {item.path} (result {item.result})")
            yield item


def _add_one(
    project: Project, path: Path, *, validate: bool, artifacts: Sequence[Path]
) -> AddedItem:
    try:
        stored = project.results.add(path, validate=validate, artifacts=artifacts)
    except ValidityError as error:
        # Asked on standard error, so that `--json` can be combined with a terminal.
        if not asked(f"{error}. It may not have been executed. Add it nevertheless?"):
            # In scripts there is no one to ask: name the option.
            raise ValidityError(f"{error}; --no-validate adds it without asking") from None
        stored = project.results.add(path, validate=False, artifacts=artifacts)
    return AddedItem(path=stored.result.notebook, result=stored.id)


def say_imported(imported: ImportedResults, *, as_json: bool) -> None:
    """Report which results of jupyter-cache were added."""
    items = tuple(AddedItem(path=s.result.notebook, result=s.id) for s in imported.added)
    refused = tuple(RefusedItem(path=path, reason=why) for path, why in imported.unreadable)
    for path in refused:
        tell(f"Not added: {path.reason}", level=NOTHING)
    if as_json:
        say_json(AddedResults(added=items, refused=refused))
        return
    for item in items:
        say_done(f"Added: {item.path} (result {item.result})")
    others = [f"{counted(len(items), 'result')} added"]
    if imported.present:
        others.append(f"{counted(len(imported.present), 'notebook')} had a result")
    if imported.unused:
        others.append(f"{imported.unused} in jupyter-cache of other code")
    say_done(", ".join(others))


def say_exported(done: Exported, file: Path, *, as_json: bool) -> None:
    """Report which results are in an archive, and why others are not."""
    if as_json:
        left_out = (
            documents.LeftOutItem(id=stored.id, notebook=stored.result.notebook, reason=why)
            for stored, why in done.left_out
        )
        exported = tuple(stored.id for stored in done.exported)
        say_json(documents.ExportedResults(exported=exported, left_out=tuple(left_out)))
        return
    for stored, why in done.left_out:
        say_done(f"Left out: {stored.result.notebook} (result {stored.id}): {why}")
    say_done(f"{counted(len(done.exported), 'result')} in {from_here(file)}")


def say_taken_in(done: Imported, *, as_json: bool) -> None:
    """Report which results of archives were added."""
    items = tuple(AddedItem(path=s.result.notebook, result=s.id) for s in done.added)
    if as_json:
        say_json(documents.ImportedResults(added=items, present=done.present))
        return
    for item in items:
        say_done(f"Added: {item.path} (result {item.result})")
    had = f", {counted(done.present, 'result')} had been there" if done.present else ""
    say_done(f"{counted(len(items), 'result')} added{had}")
