"""The project that a `conf.py` describes, whether it was built or not (`--conf`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx_nbcache.cli.exits import Exit, Stopped
from sphinx_nbcache.config import PREFIX, checked_settings, declared_options, read_settings
from sphinx_nbcache.notebooks.formats import Formats
from sphinx_nbcache.notebooks.sources import not_documents
from sphinx_nbcache.notices import Notice, Notify, Topic
from sphinx_nbcache.project import Project
from sphinx_nbcache.project.place import store_place

# Where builds put their output, for those who have not said otherwise to sphinx-quickstart.
_BUILD = "_build"


def project_of_conf(
    conf: Path, *, place: Path | None, notify: Notify, options: Mapping[str, Any]
) -> Project:
    """Open the project of a Sphinx source directory. Its notebooks are put into its list.

    Args:
        conf: The folder with `conf.py`, which is executed by Sphinx's own loader.
        place: The folder of the store; by default what `conf.py` or the environment says, else
            where a build into `_build` keeps it.
        notify: Takes warnings.
        options: Options that take the place of those in `conf.py`.

    Raises:
        Stopped: There is no `conf.py`, or it fails.
        ValueError: An option that was given has a value that cannot be used.
    """
    base = conf.resolve()
    names = _names_in(base)
    raw = {name: names[PREFIX + name] for name in declared_options() if PREFIX + name in names}
    checked_settings(options)
    settings, problems = read_settings(raw | dict(options))
    for problem in problems:
        notify(Notice(Topic.CONFIG, problem))
    where = place.resolve() if place else store_place(base, base / _BUILD, settings)
    project = Project(None, base=base, place=where, settings=settings, notify=notify)
    documents = _documents(base, names, project.formats)
    found = [project.name_of(base / name) for name in documents]
    project.notebooks.set_built(found, project.name_of(base))
    return project


def _names_in(base: Path) -> Mapping[str, Any]:
    """Execute `conf.py`; return the names that it defines."""
    from sphinx.config import eval_config_file
    from sphinx.errors import ConfigError
    from sphinx.util.tags import Tags

    file = base / "conf.py"
    if not file.is_file():
        raise Stopped(f"there is no {file}", Exit.USAGE)
    try:
        return eval_config_file(file, Tags())
    except ConfigError as error:
        raise Stopped(f"{file}: {error}", Exit.USAGE) from None


def _documents(base: Path, names: Mapping[str, Any], formats: Formats) -> Iterator[str]:
    """Yield the files that a build would take for documents and that may be notebooks."""
    from sphinx.util.matching import get_matching_files

    include = names.get("include_patterns", ["**"])
    exclude = [*names.get("exclude_patterns", []), "**.ipynb_checkpoints", _BUILD]
    found = [name for name in get_matching_files(base, include, exclude) if formats.suffix_of(name)]
    left_out = set(not_documents(base, found, formats))
    for name in found:
        if name not in left_out and _is_notebook(base / name, formats):
            yield name


def _is_notebook(path: Path, formats: Formats) -> bool:
    """Tell whether a file is a notebook; the list is for those only."""
    from sphinx_nbcache.notebooks.scan import scan_file

    try:
        return scan_file(path, formats).fmt is not None
    except OSError:
        return False
