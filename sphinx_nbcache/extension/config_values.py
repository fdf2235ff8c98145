"""The options as config values of Sphinx: their registration, their lines in `conf.py`, typos."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError
from sphinx.project import EXCLUDE_PATHS
from sphinx.util.matching import get_matching_files

from sphinx_nbcache.config import Settings, declared_options, read_settings, unknown_option
from sphinx_nbcache.extension.left_over import is_setting
from sphinx_nbcache.extension.log import line_in_conf, notifier, place_of_option
from sphinx_nbcache.files.owned import is_listed, why_not_owned
from sphinx_nbcache.notebooks.formats import Formats, is_output, not_documents
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.options import AUTO, PREFIX, OptionError, OptionProblem
from sphinx_nbcache.project.locations import store_place
from sphinx_nbcache.text import did_you_mean, shown

FILE_TYPE = "nbcache"
# Before and after Sphinx merges the suffixes of extensions with those of `conf.py` (800).
BEFORE_SUFFIXES, AFTER_SUFFIXES = 700, 900
# The file types of MyST-NB and nbsphinx for notebooks in `source_suffix`.
_TYPES_OF_OTHERS = frozenset({"myst-nb", "jupyter_notebook"})
# They write each page that they have executed as a notebook next to the output directory
# (jupyter-sphinx 0.5.3, `utils.output_directory`; MyST-NB 1.4, `nb_output_folder`).
_KEEPS_NOTEBOOKS = frozenset({"jupyter_sphinx", "myst_nb"})
_EXECUTED = "jupyter_execute"
CHECKPOINTS = "**.ipynb_checkpoints"


def unknown_options(set_names: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options `nbcache_…` that are set but do not exist.

    Args:
        set_names: The names that a `conf.py` defines, or that the command line overrides.
    """
    known = {PREFIX + name for name in declared_options()}
    for name, value in set_names.items():
        if name.startswith(PREFIX) and name not in known and is_setting(value):
            yield name


def notice_of_unknown(option: str, conf: Path, *, is_in_conf: bool) -> Notice:
    """Return the warning about an option that does not exist.

    Args:
        option: Its name.
        conf: The path of the `conf.py`.
        is_in_conf: Whether it is set there, and not on the command line.
    """
    line = line_in_conf(option, conf) if is_in_conf else None
    return Notice(Topic.OPTION, unknown_option(option), conf if is_in_conf else None, line)


def register_options(app: Sphinx) -> None:
    """Register every declared option, once. The declarations themselves check the types."""
    for name, (declared, default) in declared_options().items():
        if PREFIX + name in app.config:
            return  # by the other of our extensions
        # As text, because Sphinx converts `-D` values if the default is a number or a bool.
        registered = str(default) if isinstance(default, int) else default
        app.add_config_value(PREFIX + name, registered, declared.rebuild, types=Any)


def raw_options(config: Config) -> dict[str, Any]:
    """Return the values that `conf.py` and the command line give, by name without `nbcache_`."""
    return {name: config[PREFIX + name] for name in declared_options()}


def options_for_commands(config: Config, usual: str) -> dict[str, Any]:
    """Return the values that count for the commands after this build, too.

    Users give `-D nbcache_execute=force` to run everything once; the commands would run everything
    each time if it lasted.

    Args:
        config: The configuration.
        usual: The execution mode where neither `conf.py` nor the command line has the option.
    """
    raw, name = raw_options(config), PREFIX + "execute"
    if name in config.overrides:
        # In the configuration, the value of the command line has replaced that of `conf.py`.
        raw["execute"] = config._raw_config.get(name, usual)  # noqa: SLF001 (no public API)
    return raw


def settings_of(config: Config) -> tuple[Settings, list[OptionProblem]]:
    """Return the settings that `conf.py` and the command line give, and the problems in them.

    Raises:
        OptionError: The value of a strict option cannot be used.
    """
    return read_settings(raw_options(config))


def config_error(app: Sphinx, error: OptionError) -> ConfigError:
    """Return the error that ends a build because of an option, with its place in `conf.py`."""
    place = place_of_option(app, error.option)
    return ConfigError(f"{place}: {error}" if place else str(error))


def check_options(app: Sphinx, config: Config) -> None:
    """Warn about values that cannot be used, and make their defaults the values.

    Raises:
        ConfigError: The value of a strict option cannot be used. Here an exception costs nothing:
            Sphinx has not loaded its environment yet.
    """
    try:
        settings, problems = settings_of(config)
    except OptionError as error:
        raise config_error(app, error) from None
    notify = notifier(app)
    for problem in (*problems, *_missing_folders(settings, Path(app.srcdir))):
        notify(Notice(Topic.CONFIG, problem.text, option=problem.option))
    # The checked value: parsers in worker processes read it from the configuration.
    config[PREFIX + "formats"] = dict(settings.formats)


def register_formats(app: Sphinx, config: Config) -> None:
    """Register the suffixes of `nbcache_formats` for our parser."""
    for suffix in config[PREFIX + "formats"]:
        # `override`, because another extension may have registered the suffix, such as MyST-NB
        # `.ipynb` (https://www.sphinx-doc.org/en/master/extdev/appapi.html).
        app.add_source_suffix(suffix, FILE_TYPE, override=True)


def _missing_folders(settings: Settings, srcdir: Path) -> Iterator[OptionProblem]:
    if settings.scripts not in ("cdn", "local") and not (srcdir / settings.scripts).is_dir():
        text = (
            f"nbcache_scripts = {shown(settings.scripts)} is not a folder (relative to the source"
            ' directory); only installed packages are looked at, as with "local"'
        )
        yield OptionProblem(PREFIX + "scripts", text)
    if settings.root is not None and not (srcdir / settings.root).is_dir():
        text = (
            f"nbcache_root = {settings.root!r} is not a folder (relative to the source directory);"
            " the default is used"
        )
        yield OptionProblem(PREFIX + "root", text)


def check_names(app: Sphinx, config: Config) -> None:
    """Warn about unknown options."""
    conf, notify = Path(app.confdir) / "conf.py", notifier(app)
    # Sphinx keeps the names of `conf.py` in a private attribute only: values of unregistered names
    # are otherwise dropped silently.
    in_conf: dict[str, Any] = config._raw_config  # noqa: SLF001
    for option in unknown_options(in_conf):
        overridden = option in config.overrides
        notify(notice_of_unknown(option, conf, is_in_conf=not overridden))
    for option in unknown_options(config.overrides):
        if option not in in_conf:
            notify(notice_of_unknown(option, conf, is_in_conf=False))


def check_suffixes(app: Sphinx, config: Config) -> None:
    """End a build whose `source_suffix` has suffixes or file types that are no strings.

    Sphinx would end it with a traceback.

    Raises:
        ConfigError: There is one.
    """
    suffixes = config.source_suffix
    if not isinstance(suffixes, dict):
        suffixes = dict.fromkeys(suffixes) if isinstance(suffixes, list | tuple) else {}
    for suffix, kind in suffixes.items():
        if not isinstance(suffix, str) or not isinstance(kind, str | None):
            text = (
                f"source_suffix has the entry {shown({suffix: kind})}, which is not a file type by"
                ' a suffix; write both as strings, such as {".ipynb": "nbcache"}'
            )
            raise config_error(app, OptionError("source_suffix", text))


def take_over_suffixes(app: Sphinx, config: Config) -> None:
    """Read the source files that `conf.py` assigns to the parsers of extensions not loaded.

    Sphinx looks for a parser when it reads the first page, after all notebooks have been run.
    """
    suffixes = config.source_suffix
    if not isinstance(suffixes, dict):
        return  # no types are named
    # A loaded extension keeps its files: the user has chosen both.
    foreign = _TYPES_OF_OTHERS - app.registry.source_parsers.keys()
    taken = {suffix: kind for suffix, kind in suffixes.items() if kind in foreign}
    if taken:
        # A new dictionary: the old one may belong to `conf.py`.
        config.source_suffix = {**suffixes, **dict.fromkeys(taken, FILE_TYPE)}
        listed = ", ".join(f"`{suffix}` (`{kind}`)" for suffix, kind in taken.items())
        text = f"source_suffix names parsers of other extensions; sphinx_nbcache reads {listed}"
        notifier(app)(Notice(Topic.OPTION, text, is_information=True))


def check_parsers(app: Sphinx, config: Config) -> None:
    """End a build that could not read a document, before notebooks are run.

    Sphinx looks for a parser when it reads the first page that needs it.

    Raises:
        ConfigError: No loaded extension reads the file type of a document.
    """
    known = [*app.registry.source_parsers]
    without = {
        suffix: kind
        for suffix, kind in config.source_suffix.items()
        if (kind or "restructuredtext") not in known
    }
    if not without:
        return
    left_out = [*config.exclude_patterns, *EXCLUDE_PATHS, *_outputs(app)]
    for name in get_matching_files(app.srcdir, config.include_patterns, left_out):
        # The first suffix that fits, as in `sphinx.util.get_filetype` (9.0).
        suffix = next((suffix for suffix in config.source_suffix if name.endswith(suffix)), "")
        if suffix in without:
            kind = without[suffix]
            text = (
                f"source_suffix names the file type {kind!r} for `{suffix}` ({name}), which no"
                f" loaded extension reads{did_you_mean(kind, known) or '.'} Write a type that one"
                ' reads, such as "restructuredtext" or "markdown", or add the extension that reads'
                " it to `extensions`; no notebook has been run"
            )
            raise config_error(app, OptionError("source_suffix", text))


def exclude_non_documents(app: Sphinx, config: Config) -> None:
    """Exclude files that are not documents, although their suffix says so.

    This must be done while the configuration is read: Sphinx compares `exclude_patterns` with
    those of the last build right after that.
    """
    excluded = dict.fromkeys([*config.exclude_patterns, CHECKPOINTS])
    formats = Formats(config[PREFIX + "formats"])
    left_out = [*excluded, *_outputs(app)]
    candidates = [
        name
        for name in get_matching_files(app.srcdir, config.include_patterns, left_out)
        if formats.suffix_of(name)
    ]
    listed = _listed_folders(Path(app.srcdir), candidates)
    candidates = [name for name in candidates if listed.isdisjoint(_folders_of(name))]
    no_documents = not_documents(app.srcdir, candidates, formats)
    excluded |= {_glob_of(name): None for name in (*sorted(listed), *no_documents)}
    for notice in no_documents.notices:
        notifier(app)(notice)
    # A new list: the old one may be the default, which all configurations share.
    config.exclude_patterns = list(excluded)


def _listed_folders(srcdir: Path, names: Iterable[str]) -> set[str]:
    """Return the folders above these files that hold executed notebooks of any build.

    The option may have named them before. Their files are not documents, and are not run.
    """
    return {
        folder
        for folder in {folder for name in names for folder in _folders_of(name)}
        if is_listed(srcdir / folder)
    }


def _folders_of(name: str) -> Iterator[str]:
    """Yield the folders above a file, below the source directory."""
    while name := posixpath.dirname(name):
        yield name


def leave_out_outputs(app: Sphinx) -> None:
    """Keep what builds write into the source directory from becoming documents.

    This does not use `exclude_patterns`: they would differ between builders that share doctrees,
    and each of them would read every page again.
    """
    # `env.find_files` adds these paths to `exclude_patterns` for one look
    # (sphinx/environment/__init__.py, Sphinx 9.0). It is the only way in that does not change the
    # configuration.
    builder, outputs = app.builder, _outputs(app)
    asset_paths = builder.get_asset_paths
    builder.get_asset_paths = lambda: [*asset_paths(), *outputs]  # type: ignore[method-assign]


def _outputs(app: Sphinx) -> list[str]:
    """Return globs for the folders in the source directory that builds write to.

    They hold copies of notebooks: downloads, sources, and those of other tools that share the
    folder of the store.
    """
    settings, _ = settings_of(app.config)
    base, output = Path(app.srcdir), Path(app.outdir)
    # Also folders of other builders: `make html latexpdf` writes both next to each other.
    folders = {output, Path(app.doctreedir), store_place(base, output.parent, settings)}
    usual = output.parent / _EXECUTED
    # Also if they are not written any more.
    if not _KEEPS_NOTEBOOKS.isdisjoint(app.extensions) or is_listed(usual):
        folders.add(usual)
    executed = executed_folder(app, settings)
    # A folder of the user's stays a folder of documents.
    if executed is not None and not why_not_owned(executed, base):
        folders.add(executed)
    # npm brings many a readme.
    folders.add(base / settings.scripts / "node_modules")
    if output.parent.is_dir():
        folders.update(folder for folder in output.parent.iterdir() if is_output(folder))
    inside = (folder for folder in folders if base in folder.parents)
    return sorted(_glob_of(folder.relative_to(base).as_posix()) for folder in inside)


def executed_folder(app: Sphinx, settings: Settings) -> Path | None:
    """Return the folder for executed notebooks; `None` if none are written."""
    wanted = settings.write_executed
    if wanted == AUTO:
        return launched_folder(app)
    if isinstance(wanted, str):
        return Path(os.path.normpath(Path(app.srcdir) / wanted))
    return Path(app.outdir).parent / _EXECUTED if wanted else None


def launched_folder(app: Sphinx) -> Path | None:
    """Return the folder in which launch buttons expect executed notebooks, if there are any.

    sphinx-book-theme (1.4) copies the executed notebook of each page that is not `.ipynb`, and ends
    the build if it is not there (`header_buttons/launch.py`).
    """
    options: Any = app.config.html_theme_options
    is_wanted = isinstance(options, Mapping) and options.get("launch_buttons")
    return Path(app.outdir).parent / _EXECUTED if is_wanted else None


def _glob_of(name: str) -> str:
    """Return the glob for exactly this name, even if it looks like a glob."""
    # Sphinx makes a regular expression of it, and Python's `re` raises a FutureWarning for `[[]`, a
    # possible nested set (https://docs.python.org/3/library/re.html).
    glob = re.sub(r"([\[*?])", r"[/\1]", name)
    # Sphinx could not save its environment with a lone surrogate in it.
    return re.sub("[\udc80-\udcff]", "[! -\ud7ff]", glob)
