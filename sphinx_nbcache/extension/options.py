"""From the declared options to Sphinx's configuration, and back as checked settings."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.matching import get_matching_files

from sphinx_nbcache.config import PREFIX, Settings, declared_options, read_settings
from sphinx_nbcache.extension.log import notifier
from sphinx_nbcache.notebooks.formats import Formats
from sphinx_nbcache.notebooks.sources import not_documents
from sphinx_nbcache.notices import Notice, Topic

FILE_TYPE = "nbcache"
# Before and after Sphinx merges the suffixes of extensions with those of `conf.py` (800).
BEFORE_SUFFIXES, AFTER_SUFFIXES = 700, 900
CHECKPOINTS = "**.ipynb_checkpoints"


def register_options(app: Sphinx) -> None:
    """Register every declared option. The types are checked by the declarations themselves."""
    for name, (declared, default) in declared_options().items():
        # As a text, because Sphinx makes numbers of what `-D` says for a number.
        registered = str(default) if type(default) is int else default
        app.add_config_value(PREFIX + name, registered, declared.rebuild, types=Any)


def raw_options(config: Config) -> dict[str, Any]:
    """Return the values that `conf.py` and the command line give, by name without `nbcache_`."""
    return {name: config[PREFIX + name] for name in declared_options()}


def settings_of(config: Config) -> tuple[Settings, list[str]]:
    """Return the settings that `conf.py` and the command line give, and what is wrong there."""
    return read_settings(raw_options(config))


def check_options(app: Sphinx, config: Config) -> None:
    """Warn about values that cannot be used, and make their defaults the values."""
    settings, problems = settings_of(config)
    notify = notifier(app)
    for problem in problems:
        notify(Notice(Topic.CONFIG, problem))
    config[PREFIX + "formats"] = dict(settings.formats)
    for suffix in settings.formats:
        app.add_source_suffix(suffix, FILE_TYPE, override=True)


def guard_sources(app: Sphinx, config: Config) -> None:
    """Keep files from becoming documents that are none, although their suffix says so.

    This must be done while the configuration is read: Sphinx compares `exclude_patterns` with
    those of the last build right after that.
    """
    excluded = dict.fromkeys([*config.exclude_patterns, CHECKPOINTS])
    formats = Formats(config[PREFIX + "formats"])
    candidates = [
        name
        for name in get_matching_files(app.srcdir, config.include_patterns, excluded)
        if formats.suffix_of(name)
    ]
    for name in not_documents(app.srcdir, candidates, formats):
        # A name is no glob, even if it looks like one.
        excluded[re.sub(r"([\[*?])", r"[\1]", name)] = None
    # A new list: the old one may be the default, which all configurations share.
    config.exclude_patterns = list(excluded)
