"""The project of a `conf.py`, without a build: for the command line's `--conf`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import sphinx
from sphinx.config import eval_config_file
from sphinx.errors import ConfigError
from sphinx.util.matching import get_matching_files
from sphinx.util.tags import Tags

from sphinx_nbcache.config import Settings, checked_settings, declared_options, read_settings
from sphinx_nbcache.extension.config_values import CHECKPOINTS, notice_of_unknown, unknown_options
from sphinx_nbcache.extension.handover import renderers_in_charge
from sphinx_nbcache.extension.left_over import left_over_in, meanings, options_left_over
from sphinx_nbcache.extension.log import line_in_conf
from sphinx_nbcache.extension.migrating import Migrated, migrated
from sphinx_nbcache.extension.their_options import Their, file_types_in, options_of
from sphinx_nbcache.notebooks.formats import not_documents
from sphinx_nbcache.notebooks.renderers import MODE_OPTIONS
from sphinx_nbcache.notices import Notice, Notify, Topic
from sphinx_nbcache.options import AUTO, PREFIX, OptionError
from sphinx_nbcache.project import Project, ProjectError
from sphinx_nbcache.project.discovery import built_store
from sphinx_nbcache.project.locations import STORE_VARIABLE, store_place

# No extension is loaded that would have registered them.
_DEFAULTS = dict.fromkeys(MODE_OPTIONS.values(), "auto")


def open_conf_project(
    folder: Path, *, place: Path | None = None, notify: Notify, **options: Any
) -> Project:
    """Open the project of a source directory, whether or not it has been built.

    Args:
        folder: The folder that holds `conf.py`.
        place: The folder of the store; by default the one that an option or the environment names,
            else that of the last build, else `.jupyter_cache` in `_build`.
        notify: Receives warnings.
        options: Options that override those in `conf.py`, by name without `nbcache_`.

    Raises:
        ValueError: An option is unknown or has a value that cannot be used.
        ProjectError: There is no `conf.py`, or it fails.
    """
    checked_settings(options)
    base = folder.resolve()
    values = _values(base)
    settings, problems = read_settings(_lasting(values) | _of_renderers(base, values) | options)
    conf = base / "conf.py"
    for problem in problems:
        # `place_of_option` would need an application, and there is none without a build.
        notify(Notice(Topic.CONFIG, problem.text, conf, line_in_conf(problem.option, conf)))
    for option in unknown_options(values):
        notify(notice_of_unknown(option, conf, is_in_conf=True))
    where = place or _store_of(base, settings)
    project = Project((), base=base, place=where.resolve(), settings=settings, notify=notify)
    names = [name for name in _documents(base, values) if project.formats.suffix_of(name)]
    no_documents = not_documents(base, names, project.formats)
    left_out = set(no_documents)
    for notice in no_documents.notices:
        notify(notice)
    project.sources = sorted(base / name for name in names if name not in left_out)
    # Only names are wanted, so no outputs are read.
    found = [planned.name for planned in project.plan(needs_outputs=lambda _name, _result: False)]
    project.notebooks.set_built(found, project.name_of(base))
    # From here on, commands work on the list of notebooks, to which users may add.
    project.sources = None
    return project


def find_conf_store(folder: Path) -> tuple[Path, Settings]:
    """Return the folder of the store of a source directory, and its options. Nothing is opened.

    Raises:
        ProjectError: There is no `conf.py`, or it fails.
    """
    base = folder.resolve()
    values = _values(base)
    settings, _ = read_settings(_lasting(values) | _of_renderers(base, values))
    return _store_of(base, settings).resolve(), settings


def migrated_conf(folder: Path) -> tuple[str, Migrated]:
    """Return the text of a `conf.py`, and its migration to our extension and options.

    Raises:
        ProjectError: There is no `conf.py`, or it fails.
    """
    base = folder.resolve()
    values = _values(base)
    their = left_over_in(values, (), base, partial(_documents, base, values))
    # Bytes, so that line ends and a byte order mark stay.
    text = (base / "conf.py").read_bytes().decode()
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    new = migrated(text.removeprefix(mark), values, meanings(their))
    return text, Migrated(mark + new.text, new.notices)


def _lasting(values: dict[str, Any]) -> dict[str, Any]:
    """Return our lasting options in a `conf.py`, by name without `nbcache_`."""
    return {
        name: values[PREFIX + name]
        for name, (declared, _) in declared_options().items()
        if PREFIX + name in values and declared.is_lasting
    }


def _documents(base: Path, values: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the files that may be documents."""
    # Without a build, the output directory is not known: `_build` is where sphinx-quickstart puts
    # it.
    excluded = [*values.get("exclude_patterns", []), "_build", CHECKPOINTS]
    return get_matching_files(base, values.get("include_patterns", ["**"]), excluded)


def _of_renderers(base: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Return the options that follow from those of nbsphinx or MyST-NB in a `conf.py`."""
    wanted, extensions = values.get(PREFIX + "renderer", AUTO), values.get("extensions", ())
    try:
        renderers = renderers_in_charge(extensions, wanted)
    except ConfigError as error:
        raise ProjectError(str(error)) from None
    documents = partial(_documents, base, values)
    if not renderers:
        loaded = renderers_in_charge(extensions, AUTO)
        return options_left_over(left_over_in(values, loaded, base, documents))

    def get(name: str) -> Any:
        return values.get(name, _DEFAULTS.get(name))

    their = Their(get, values.__contains__, base, documents)
    try:
        return options_of(renderers, file_types_in(values), their)
    except OptionError as error:
        raise ProjectError(str(error)) from None


def _store_of(base: Path, settings: Settings) -> Path:
    found = _declared_store(base, settings) or built_store(base)
    return found or store_place(base, base / "_build", settings)


def _declared_store(base: Path, settings: Settings) -> Path | None:
    """Return the folder of the store if an option or the environment names one."""
    is_declared = settings.store is not None or os.environ.get(STORE_VARIABLE)
    return store_place(base, base, settings) if is_declared else None


def _values(base: Path) -> dict[str, Any]:
    """Return the names that a `conf.py` defines, with their values."""
    path = base / "conf.py"
    if not path.is_file():
        raise ProjectError(f"there is no conf.py in {base}")
    try:
        # Sphinx takes a path from version 9 on, a string before.
        file: Any = path if sphinx.version_info >= (9,) else str(path)
        return eval_config_file(file, Tags())
    # Sphinx wraps every exception of a `conf.py` in this one, SystemExit included.
    except ConfigError as error:
        raise ProjectError(f"{path} cannot be used: {str(error).strip()}") from None
