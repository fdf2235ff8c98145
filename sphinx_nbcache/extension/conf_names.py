"""Names in a `conf.py`: their lines, and those that nothing reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx_nbcache.config import PREFIX, declared_options, unknown_option
from sphinx_nbcache.notices import Notice, Topic

# Prefixes of the options of MyST-NB and nbsphinx.
_OTHERS = ("nb_", "nbsphinx_")


def line_in_conf(name: str, conf: Path) -> int | None:
    """Return the line in which a `conf.py` sets a name; `None` if it is not known.

    Args:
        name: The name.
        conf: The path of the `conf.py`.
    """
    try:
        text = conf.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    found = re.search(rf"^[ \t]*{re.escape(name)}\b[ \t]*(?:=|:|\[|\.)", text, re.MULTILINE)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def unknown_options(set_names: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options `nbcache_…` that are set but do not exist.

    Args:
        set_names: The names that a `conf.py` defines, or that the command line overrides.
    """
    known = {PREFIX + name for name in declared_options()}
    for name, value in set_names.items():
        if name.startswith(PREFIX) and name not in known and _is_setting(value):
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


def left_over(set_names: Mapping[str, Any], is_read: Callable[[str], bool]) -> str:
    """Return one line on the options of other notebook extensions that nothing reads.

    It is empty if there are none.

    Args:
        set_names: The names that a `conf.py` defines.
        is_read: Tells whether a loaded extension has registered an option.
    """
    names = [
        name
        for name, value in set_names.items()
        if name.startswith(_OTHERS) and not is_read(name) and _is_setting(value)
    ]
    return f"no loaded extension reads {_listed(names)} of conf.py" if names else ""


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _is_setting(value: Any) -> bool:
    """Tell whether a value could be that of an option: modules and functions are helpers."""
    return not isinstance(value, ModuleType) and not callable(value)
