"""The options of MyST-NB and nbsphinx that a `conf.py` keeps although nothing loaded reads them.

With our own renderer in charge, those that have a counterpart count as that option. Everything up
to [](take_left_over) is a pure function of the configuration.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.matching import get_matching_files

from sphinx_nbcache import values
from sphinx_nbcache.config import declared_options
from sphinx_nbcache.extension.log import notifier
from sphinx_nbcache.extension.their_mime_types import former_priority, mime_priority
from sphinx_nbcache.extension.their_options import (
    CUSTOM_FORMATS,
    TRANSLATIONS,
    Derived,
    Their,
    Translation,
    has_effect,
    reader_for,
    taken,
    unnamed_converters,
)
from sphinx_nbcache.files.paths import matching_glob
from sphinx_nbcache.notebooks.renderers import INLINE, MODE_OPTIONS, MODES, MYST_NB, NBSPHINX
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.options import PREFIX
from sphinx_nbcache.text import shown

_PREFIXES = ("nb_", "nbsphinx_")
_MIME, _FORMER_MIME = "nb_mime_priority_overrides", "nb_render_priority"
_STYLE = "remove it, and use a style sheet (`html_css_files`)"
_WIDGETS = "remove it; pages with widgets load their scripts, from where `nbcache_scripts` says"
_PROMPT = "remove it; `nbcache_prompts = True` shows the execution counts, as `[3]:`"
_ON_EACH_PAGE = "remove it; write the text into the notebooks, or into a template of the theme"
_USUAL_MODE = "changed"
# The options that have no counterpart, with what to do about them.
WITHOUT_COUNTERPART: Mapping[str, str] = {
    "nb_eval_name_regex": "remove it; the role `eval` takes any expression",
    "nb_render_plugin": "remove it; packages can announce renderers of single MIME types",
    "nb_ipywidgets_js": _WIDGETS,
    "nbsphinx_prolog": _ON_EACH_PAGE,
    "nbsphinx_epilog": _ON_EACH_PAGE,
    "nbsphinx_input_prompt": _PROMPT,
    "nbsphinx_output_prompt": _PROMPT,
    "nbsphinx_prompt_width": _STYLE,
    "nbsphinx_responsive_width": _STYLE,
    "nbsphinx_codecell_lexer": "remove it; the kernel of a notebook names the language",
    "nbsphinx_requirejs_path": _WIDGETS,
    "nbsphinx_requirejs_options": _WIDGETS,
    "nbsphinx_widgets_path": _WIDGETS,
    "nbsphinx_widgets_options": _WIDGETS,
    "nbsphinx_thumbnails": "remove it; galleries of notebooks are not there",
    "nbsphinx_assume_equations": "remove it; add `sphinx.ext.mathjax` to `extensions` if a page"
    " has formulas in its outputs only",
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of an option that is left over.

    Attributes:
        source: The option.
        said: Its part of the line on the log; empty if there is only a problem.
        problem: The part of it that does not count, and what to do; empty if all does.
        topic: The kind of the problem.
        option: Our option that follows from it, without `nbcache_`; empty if none does.
        value: The raw value of that.
        checked: The same value, checked.
    """

    source: str
    said: str = ""
    problem: str = ""
    topic: Topic = Topic.OPTION
    option: str = ""
    value: Any = None
    checked: Any = None


def meanings(their: Their) -> Iterator[Meaning]:
    """Yield what each option means that is left over.

    Args:
        their: The options that nothing reads, and ours.
    """
    chosen: dict[str, str] = {}
    for name, (option, translate) in translations().items():
        source, value = their.effective(name)
        if source != name and their.is_set(name):
            yield Meaning(name, f"{source} counts, not {name}")
        if not their.is_set(source):
            continue
        if option in chosen:
            yield Meaning(source, f"{chosen[option]} counts, not {source}")
            continue
        is_added = option == "exclude"
        meaning = _meaning(Derived(option, translate, source, value, adds=is_added), their)
        if meaning.option:
            chosen[option] = source
        yield meaning
        if meaning.option and (lost := _lost(source, their)):
            yield Meaning(source, problem=f"{source} counts only in part: {lost}")
    for name, remedy in WITHOUT_COUNTERPART.items():
        source, value = their.effective(name)
        if their.is_set(source) and has_effect(value):
            yield Meaning(source, problem=f"{source} has no counterpart: {remedy}")
        elif their.is_set(source):
            yield Meaning(source, f"{source} = {shown(value)} is not needed")


def translations() -> dict[str, Translation]:
    """Return each option that has a counterpart, with its name and what translates a value."""
    found: dict[str, Translation] = {MODE_OPTIONS[NBSPHINX]: ("execute", _mode_of(NBSPHINX))}
    found |= TRANSLATIONS[NBSPHINX]
    found[CUSTOM_FORMATS[NBSPHINX]] = ("formats", _formats)
    found[MODE_OPTIONS[MYST_NB]] = ("execute", _mode_of(MYST_NB))
    found |= TRANSLATIONS[MYST_NB]
    found[CUSTOM_FORMATS[MYST_NB]] = ("formats", _formats)
    for name, (declared, _) in declared_options().items():
        if declared.in_myst_nb:
            found[f"nb_{declared.in_myst_nb}"] = (name, lambda value: value)
    # The name is the same in the metadata of cells only: in `conf.py` it stood for something else.
    del found[_FORMER_MIME]
    found["nb_metadata_key"] = found["nb_render_key"] = found["nb_cell_metadata_key"]
    found[_MIME] = ("mime_priority", mime_priority)
    found[_FORMER_MIME] = ("mime_priority", former_priority)
    return found


def options_left_over(their: Their) -> dict[str, Any]:
    """Return the options of ours that follow from those left over, by name without `nbcache_`."""
    return {meaning.option: meaning.value for meaning in meanings(their) if meaning.option}


def unread(set_names: Mapping[str, Any], is_known: Callable[[str], bool]) -> str:
    """Return one line on the options of other notebook extensions that nothing reads.

    It is empty if there are none.

    Args:
        set_names: The names that a `conf.py` defines.
        is_known: Tells whether a loaded extension has registered an option, or it counts here.
    """
    names = sorted(
        name
        for name, value in set_names.items()
        if name.startswith(_PREFIXES) and not is_known(name) and is_setting(value)
    )
    listed = ", ".join(f"`{name}`" for name in names)
    return f"no loaded extension reads {listed} of conf.py" if names else ""


# A `conf.py` is a module: everything in it is a name that could be an option.
def is_setting(value: Any) -> bool:
    """Tell whether a value could be that of an option: modules and functions are helpers."""
    return not isinstance(value, ModuleType) and not callable(value)


def left_over_in(
    set_names: Mapping[str, Any],
    loaded: Collection[str],
    base: Path,
    documents: Callable[[], Iterable[str]],
) -> Their:
    """Return the options that are left over in a `conf.py`, if no extension is loaded to ask.

    Args:
        set_names: The names that it defines.
        loaded: The renderers in its `extensions`.
        base: The source directory.
        documents: Returns the names of the files in it that are documents.
    """

    def is_set(name: str) -> bool:
        is_read = name.startswith("nbsphinx_") and NBSPHINX in loaded
        return name in set_names and not is_read and is_setting(set_names[name])

    return Their(set_names.get, is_set, base, documents)


def take_left_over(app: Sphinx, config: Config) -> None:
    """Make our options follow from those that are left over, and say so in one line.

    Call this before our options are checked.
    """
    notify, said = notifier(app), []
    for meaning in meanings(_left_over(app, config)):
        if meaning.option:
            config[PREFIX + meaning.option] = meaning.value
        if meaning.said:
            said.append(meaning.said)
        if meaning.problem:
            notify(Notice(meaning.topic, meaning.problem, option=meaning.source))
    if said:
        text = f"conf.py: {'; '.join(said)}"
        notify(Notice(Topic.OPTION, text, is_information=True))


def name_left_over(app: Sphinx, config: Config) -> None:
    """Name the options of other notebook extensions that nothing reads."""
    # Only our own renderer understands them.
    is_ours = "nbcache" in app.registry.source_parsers
    known = {*translations(), *WITHOUT_COUNTERPART} if is_ours else set()

    def is_known(name: str) -> bool:
        return name in config or name in known

    # Sphinx keeps the names of `conf.py` in a private attribute only: values of unregistered names
    # are otherwise dropped silently.
    if text := unread(config._raw_config, is_known):  # noqa: SLF001
        notifier(app)(Notice(Topic.OPTION, text, is_information=True))


def execute_left_over(app: Sphinx) -> str:
    """Return the execution mode where neither `conf.py` nor the command line has the option."""
    their = _left_over(app, app.config, has_command_line=False)
    return str(options_left_over(their).get("execute", "renderer"))


def _left_over(app: Sphinx, config: Config, *, has_command_line: bool = True) -> Their:
    in_conf: Mapping[str, Any] = config._raw_config  # noqa: SLF001 (as above)

    def is_set(name: str) -> bool:
        if name.startswith(PREFIX):
            return name in in_conf or (has_command_line and name in config.overrides)
        return name in in_conf and name not in config and is_setting(in_conf[name])

    def documents() -> Iterator[str]:
        return get_matching_files(app.srcdir, config.include_patterns, config.exclude_patterns)

    return Their(in_conf.get, is_set, Path(app.srcdir), documents)


def _meaning(derived: Derived, their: Their) -> Meaning:
    """Return the meaning of an option that has a counterpart."""
    source, value, ours = derived.source, derived.source_value, PREFIX + derived.option
    # Unlike next to MyST-NB, nothing is added to what is set: whoever has set it has moved on.
    if their.is_set(ours):
        return Meaning(source, f"{ours} counts, not {source}")
    if isinstance(value, str) and value == INLINE and derived.option == "execute":
        # MyST-NB needs this mode for expressions in the text, which are evaluated in any mode here.
        said = f"{source} = {INLINE!r} counts as {ours} = {_USUAL_MODE!r}"
        return Meaning(source, said, option=derived.option, value=_USUAL_MODE, checked=_USUAL_MODE)
    declared, _ = declared_options()[derived.option]
    try:
        new = taken(derived, their)
        assert new is not None
        value_here = _as_globs(value, new[0], their) if derived.adds else new[0]
        if derived.option == "store":
            value_here = _relative(value_here, their.base)
        checked = declared.check(value_here)
    except ValueError as expected:
        text = (
            f"{source} does not count, and {ours} has its default: {shown(value)} is not {expected}"
        )
        return Meaning(source, problem=text, topic=Topic.CONFIG)
    if isinstance(value_here, list | dict) and not value_here and (lost := _lost(source, their)):
        return Meaning(source, problem=f"{source} does not count: {lost}")
    written = _as_in_conf(checked)
    said = f"{source} = {shown(value)} counts as {ours} = {written!r}"
    return Meaning(source, said, option=derived.option, value=value_here, checked=written)


def _as_in_conf(checked: Any) -> Any:
    """Return a checked value as a `conf.py` has it: with lists."""
    if isinstance(checked, tuple):
        return [*checked]
    if isinstance(checked, Mapping):
        return {key: _as_in_conf(value) for key, value in checked.items()}
    return checked


def _as_globs(patterns: Iterable[str], excluded: list[str], their: Their) -> list[str]:
    """Return what excludes the same documents as patterns of MyST-NB: globs where that is possible.

    Args:
        patterns: The patterns, which match the end of a path.
        excluded: The names of the documents.
        their: The options, for all documents.
    """
    globs = [f"**/{pattern}" for pattern in patterns]
    found = {name for name in their.documents() if matching_glob(name, globs)}
    return globs if found == {*excluded} else excluded


def _relative(path: Any, base: Path) -> Any:
    """Return a path relative to the source directory, so that it names no machine."""
    try:
        return Path(os.path.relpath(path, base)).as_posix()
    except (TypeError, ValueError):
        return path  # empty, or on another drive of Windows


def _lost(source: str, their: Their) -> str:
    """Return what of the value of an option does not count; empty if all does."""
    for renderer, option in CUSTOM_FORMATS.items():
        if source == option and (suffixes := unnamed_converters(renderer, their)):
            return (
                f"the converters of {', '.join(suffixes)} cannot be imported by a name; write them"
                ' into a module, and name them in `nbcache_formats` as "module:function"'
            )
    return ""


def _mode_of(renderer: str) -> Callable[[Any], str]:
    modes = MODES[renderer]
    check = values.one_of(*modes)
    return lambda mode: modes[check(mode)]


def _formats(custom: Any) -> dict[str, str]:
    if not isinstance(custom, Mapping):
        raise ValueError("a dictionary from suffix to converter")  # noqa: TRY004 (as in `values`)
    readers = {suffix: reader_for(converter) for suffix, converter in custom.items()}
    return {suffix: reader for suffix, reader in readers.items() if reader is not None}
