"""The options of nbsphinx and MyST-NB as options of ours: pure functions of the configuration."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sphinx_nbcache import values
from sphinx_nbcache.config import declared_options
from sphinx_nbcache.notebooks.formats import MARKDOWN_SUFFIX
from sphinx_nbcache.notebooks.readers import IPYNB_SUFFIX
from sphinx_nbcache.notebooks.renderers import (
    INLINE,
    KEYS,
    MODE_OPTIONS,
    MODES,
    MYST_NB,
    NBSPHINX,
    NO_NOTEBOOKS,
    DeclaredFormat,
    myst_reader,
)
from sphinx_nbcache.options import PREFIX, OptionError
from sphinx_nbcache.text import shown

# The file types for which they register their parsers.
FILE_TYPES: Mapping[str, str] = {"jupyter_notebook": NBSPHINX, "myst-nb": MYST_NB}
CUSTOM_FORMATS = {NBSPHINX: "nbsphinx_custom_formats", MYST_NB: "nb_custom_formats"}
_JUPYTEXT = "jupytext.reads"
# Former names of MyST-NB's options, which count if they are set, and the value of those that are
# not (`NbParserConfig` in `myst_nb/core/config.py`, `_UNSET` in `myst_nb/sphinx_ext.py`, 1.4).
FORMER_NAMES: Mapping[str, str] = {
    "nb_execution_mode": "jupyter_execute_notebooks",
    "nb_execution_cache_path": "jupyter_cache",
    "nb_execution_excludepatterns": "execution_excludepatterns",
    "nb_execution_timeout": "execution_timeout",
    "nb_execution_in_temp": "execution_in_temp",
    "nb_execution_allow_errors": "execution_allow_errors",
    "nb_execution_show_tb": "execution_show_tb",
}
UNSET = "--unset--"


def _is_unset(value: Any) -> bool:
    # An array would be compared item by item.
    return isinstance(value, str) and value == UNSET


@dataclass(frozen=True, slots=True)
class Their:
    """The options in a configuration.

    Attributes:
        get: Returns the value of an option; `None` if no extension has registered it.
        is_set: Tells whether `conf.py` or the command line sets it.
        base: The source directory.
        documents: Returns the names of the files in it that are documents.
    """

    get: Callable[[str], Any]
    is_set: Callable[[str], bool]
    base: Path = Path()
    documents: Callable[[], Iterable[str]] = tuple

    def effective(self, name: str) -> tuple[str, Any]:
        """Return the name under which an option of MyST-NB is set, and its value."""
        former = FORMER_NAMES.get(name)
        if former is not None and self.is_set(former) and not _is_unset(self.get(former)):
            return former, self.get(former)
        return name, self.get(name)


@dataclass(frozen=True, slots=True)
class Derived:
    """A value of an option of ours that follows from one of theirs.

    Attributes:
        option: Our option, without `nbcache_`.
        translate: Returns its raw value for a value of theirs; `ValueError` says what is expected.
        source: Their option.
        source_value: The value of that option.
        is_default: Whether the user has not set it.
        adds: Whether the value adds to that of `conf.py`.
    """

    option: str
    translate: Callable[[Any], Any]
    source: str
    source_value: Any
    is_default: bool = False
    adds: bool = False

    @property
    def value(self) -> Any:
        """The raw value of our option."""
        return self.translate(self.source_value)


def has_effect(value: Any) -> bool:
    """Tell whether a value is more than nothing; arrays and the like have no truth value."""
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 (the value may raise anything)
        return True


def mode_in(renderer: str, their: Their) -> str:
    """Return the execution mode of a renderer, in its own words.

    Raises:
        OptionError: There is no such mode. A default could show old outputs.
    """
    option, mode = their.effective(MODE_OPTIONS[renderer])
    modes = (*MODES[renderer], INLINE) if renderer == MYST_NB else tuple(MODES[renderer])
    if not isinstance(mode, str) or mode not in modes:
        listed = ", ".join(map(repr, modes))
        raise OptionError(option, f"{option} = {shown(mode)} is not one of {listed}")
    return str(mode)


def derived_options(renderer: str, their: Their) -> Iterator[Derived]:
    """Yield the options of ours that follow from those of a renderer.

    The mode is not among them: it may differ between two renderers (see [](formats_of)).
    """
    for name, (option, translate) in TRANSLATIONS[renderer].items():
        source, value = their.effective(name)
        is_set = their.is_set(source)
        if is_set and has_effect(value):
            yield Derived(option, translate, source, value, adds=option == "exclude")
        elif renderer == NBSPHINX and option == "timeout":
            # nbsphinx has no time limit unless one is set, and its users rely on that.
            yield Derived(option, lambda _: None, source, value, is_default=not is_set)


def options_of(
    renderers: Sequence[str], file_types: Mapping[str, Any], their: Their
) -> dict[str, Any]:
    """Return the options of ours that follow from the configuration, by name without `nbcache_`.

    Args:
        renderers: The renderers in charge.
        file_types: The final value of `source_suffix`.
        their: The options of the renderers, and ours.
    """
    options: dict[str, Any] = {"formats": formats_of(renderers, file_types, their)}
    if not their.is_set(PREFIX + "execute"):
        options["execute"] = "renderer"
    for renderer in renderers:
        for derived in derived_options(renderer, their):
            # A build warns about values that cannot be used.
            with suppress(ValueError):
                if (value := taken(derived, their)) is not None:
                    options[derived.option] = value[0]
    return options


def taken(derived: Derived, their: Their) -> tuple[Any] | None:
    """Return the raw value that an option of ours gets from theirs, in a tuple.

    Returns:
        `None` if `conf.py` sets our option.

    Raises:
        ValueError: The value cannot be used.
    """
    name = PREFIX + derived.option
    is_set = their.is_set(name)
    if is_set and not derived.adds:
        return None
    value = derived.value
    if not derived.adds:
        declared_options()[derived.option][0].check(value)
        return (value,)
    own = their.get(name) if is_set else ()
    paths = (their.base / document for document in their.documents())
    return ([*values.strings(own or ()), *excluded(value, paths, their.base)],)


def _identical(value: Any) -> Any:
    return value


def _absolute(path: Any) -> Any:
    return str(Path(path).absolute()) if isinstance(path, str | os.PathLike) and path else path


def _of_switch(on: str, off: str) -> Callable[[Any], str]:
    return lambda value: on if values.switch(value) else off


def _alias_of_all(name: Any) -> dict[str, Any]:
    return {".*": name} if has_effect(name) else {}


Translation = tuple[str, Callable[[Any], Any]]
# Their options, with ours and what translates a value.
TRANSLATIONS: Mapping[str, Mapping[str, Translation]] = {
    NBSPHINX: {
        "nbsphinx_timeout": ("timeout", _identical),
        "nbsphinx_allow_errors": ("allow_errors", _identical),
        # It replaces the kernel that a notebook names.
        "nbsphinx_kernel_name": (
            "kernel_aliases",
            _alias_of_all,
        ),
        "nbsphinx_execute_arguments": ("kernel_arguments", _identical),
    },
    MYST_NB: {
        "nb_execution_timeout": ("timeout", _identical),
        "nb_execution_allow_errors": ("allow_errors", _identical),
        "nb_execution_excludepatterns": ("exclude", _identical),
        "nb_execution_in_temp": ("run_in", _of_switch("temp", "notebook")),
        "nb_execution_raise_on_error": ("on_error", _of_switch("stop", "warn")),
        "nb_kernel_rgx_aliases": ("kernel_aliases", _identical),
        # It is relative to the working directory of the build.
        "nb_execution_cache_path": ("store", _absolute),
    },
}


def excluded(patterns: Any, paths: Iterable[Path], base: Path) -> list[str]:
    """Return globs for the files that MyST-NB excludes.

    Its patterns match the end of an absolute path (`create_client` in
    `myst_nb/core/execute/__init__.py`, MyST-NB 1.4), which no glob of ours expresses.

    Args:
        patterns: The option `nb_execution_excludepatterns`.
        paths: The absolute paths of the documents.
        base: The source directory.

    Raises:
        ValueError: The patterns are not a list of texts.
    """
    if not isinstance(patterns, list | tuple | set) or not all(
        isinstance(pattern, str) and pattern for pattern in patterns
    ):
        raise ValueError("a list of globs")
    matching = (
        path for path in paths if any(PurePosixPath(path.as_posix()).match(p) for p in patterns)
    )
    names = (path.relative_to(base).as_posix() for path in matching)
    return [re.sub(r"([\[*?])", r"[\1]", name) for name in sorted(names)]


def formats_of(
    renderers: Iterable[str], file_types: Mapping[str, Any], their: Their
) -> dict[str, str]:
    """Return the value of `nbcache_formats` with which we read what the renderers read.

    Args:
        renderers: The renderers in charge.
        file_types: The final value of `source_suffix`.
        their: The options of the renderers.
    """
    formats = dict.fromkeys((IPYNB_SUFFIX, MARKDOWN_SUFFIX), NO_NOTEBOOKS)
    for suffix, file_type in file_types.items():
        renderer = FILE_TYPES.get(file_type or "")
        if renderer is None or renderer not in renderers:
            continue
        mode, reader = mode_in(renderer, their), _reader(renderer, suffix, their)
        if mode != INLINE and reader is not None:
            formats[suffix] = str(DeclaredFormat(renderer, mode, reader, _key(renderer, their)))
    return formats


def _key(renderer: str, their: Their) -> str:
    key = their.get("nb_metadata_key") if renderer == MYST_NB else None
    # A key of another form could not be written into the value of `nbcache_formats`.
    return key if isinstance(key, str) and key.isidentifier() else KEYS[renderer]


def _reader(renderer: str, suffix: str, their: Their) -> str | None:
    """Return the reader of files with a suffix; `None` if they cannot be read here."""
    custom = _custom_formats(renderer, their)
    if renderer == NBSPHINX:
        suffix = suffix_for_nbsphinx(suffix, custom)
    if suffix in custom:
        return reader_for(custom[suffix])
    if suffix == IPYNB_SUFFIX:
        return ""
    return myst_reader(their.get("myst_enable_extensions") or ()) if renderer == MYST_NB else None


def _custom_formats(renderer: str, their: Their) -> Mapping[str, Any]:
    custom = their.get(CUSTOM_FORMATS[renderer])
    return custom if isinstance(custom, Mapping) else {}


def suffix_for_nbsphinx(name: str, custom: Mapping[str, Any]) -> str:
    """Return the suffix by which nbsphinx chooses the reader of a file.

    It is the first one that fits, not the longest (`NotebookParser.parse` in nbsphinx 0.9.8).
    """
    return next((suffix for suffix in (IPYNB_SUFFIX, *custom) if name.endswith(suffix)), "")


def unnamed_converters(renderer: str, their: Their) -> list[str]:
    """Return the suffixes of custom formats whose converters cannot be imported by a name."""
    custom = _custom_formats(renderer, their)
    return sorted(str(suffix) for suffix, value in custom.items() if reader_for(value) is None)


def reader_for(converter: Any) -> str | None:
    """Return the reader that does what a converter of a custom format does.

    Args:
        converter: A function, or its name; or a sequence of one and its keyword arguments.

    Returns:
        A reader, as in `nbcache_formats`; `None` if the function cannot be imported by a name.
    """
    parts = [*converter] if isinstance(converter, list | tuple) else [converter]
    name, arguments = (*parts, None, None)[:2]
    arguments = arguments or {}
    if not isinstance(arguments, Mapping):
        return None
    name = name if isinstance(name, str) else _name_of(name)
    module, _, function = name.rpartition(".")
    if not module:
        return None
    fmt = arguments.get("fmt")
    if name == _JUPYTEXT and arguments.keys() <= {"fmt"} and isinstance(fmt, str | None):
        return (fmt or "jupytext").removeprefix(".")
    try:
        written = json.dumps(arguments, sort_keys=True) if arguments else ""
    except (TypeError, ValueError):
        return None
    return f"{module}:{function} {written}".strip()


def _name_of(function: Any) -> str:
    """Return the name by which a function can be imported; empty if it has none."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if not callable(function):
        return ""
    # Sphinx executes `conf.py` without a module (`sphinx.config.eval_config_file`, 9.0).
    is_importable = module not in ("", None, "builtins", "__main__") and name.isidentifier()
    return f"{module}.{name}" if is_importable else ""


def file_types_in(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the file type of each suffix that one of the renderers reads, as Sphinx would.

    Args:
        values: The names that a `conf.py` defines. No extension is loaded.
    """
    loaded = values.get("extensions", ())
    found: dict[str, str] = {}
    if "nbsphinx" in loaded:
        suffixes = (IPYNB_SUFFIX, *values.get(CUSTOM_FORMATS[NBSPHINX], ()))
        found |= dict.fromkeys(suffixes, "jupyter_notebook")
    if "myst_nb" in loaded:
        suffixes = (IPYNB_SUFFIX, MARKDOWN_SUFFIX, *values.get(CUSTOM_FORMATS[MYST_NB], ()))
        found |= dict.fromkeys(suffixes, "myst-nb")
    named = values.get("source_suffix")
    entries = named.items() if isinstance(named, Mapping) else ()
    # A build ends at entries of other types.
    return found | {
        suffix: kind or ""
        for suffix, kind in entries
        if isinstance(suffix, str) and isinstance(kind, str | None)
    }
