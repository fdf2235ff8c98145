"""The settings in a notebook's metadata and tags, validated, and probable misspellings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from sphinx_nbcache import values
from sphinx_nbcache.bounded import Line, Text
from sphinx_nbcache.config import overrides, own_check
from sphinx_nbcache.files.paths import inner_path
from sphinx_nbcache.notebooks.front_matter import line_of_key
from sphinx_nbcache.notebooks.notebook import LOAD, RAISES_TAG, SKIP_TAG, Cell, Notebook
from sphinx_nbcache.notebooks.renderers import DeclaredFormat, foreign_settings
from sphinx_nbcache.notices import Topic
from sphinx_nbcache.text import did_you_mean, one_edit_away

# The keys of a notebook's metadata that contain its settings.
OWN, EXECUTION = "nbcache", "execution"
KERNELSPEC = "kernelspec"
# The key in a cell's metadata that lists the exceptions that the cell raises.
PROMISE = "raises"
_ASSETS = "assets"
# The keys of a code cell's metadata that have an effect here. Other tools may add more.
_CELL_KEYS = ("tags", PROMISE, LOAD)
# Tags that remove or hide; they may be written with underscores.
_REMOVING_OR_HIDING = (
    *(f"remove-{what}" for what in ("cell", "input", "output", "stdout", "stderr")),
    *(f"hide-{what}" for what in ("cell", "input", "output")),
)
_TAGS = (SKIP_TAG, RAISES_TAG, *_REMOVING_OR_HIDING)
_ALL_TAGS = (*_TAGS, *(tag.replace("-", "_") for tag in _REMOVING_OR_HIDING))
# Keys of MyST-NB and Jupyter Book below `execution`: not misspelt, although unused here.
_EXECUTION_OF_OTHERS = frozenset("mode allow_errors timeout raise_on_error show_tb".split())


class SettingProblem(msgspec.Struct, frozen=True, array_like=True):
    """An unusable setting in the notebook, or an unusable part of its text."""

    text: Text
    line: Line | None
    topic: Topic = Topic.SOURCE


class OwnSettings(msgspec.Struct, frozen=True):
    """The settings of one notebook.

    Attributes:
        settings: The valid settings, by name: those of options, and a few others.
        written: The same as they are written in the metadata.
        promises: The exceptions that cells raise according to their metadata, by cell number.
        problems: Invalid settings, which count as absent, and probable misspellings.
    """

    settings: dict[str, Any]
    written: dict[str, Any]
    promises: dict[int, tuple[str, ...]]
    problems: tuple[SettingProblem, ...]


_OURS = DeclaredFormat()


def own_settings(
    notebook: Notebook, text: str = "", declared: DeclaredFormat = _OURS
) -> OwnSettings:
    """Return the settings of a notebook.

    Args:
        notebook: The notebook.
        text: The source text, to find the lines of problems.
        declared: How the file is read, with the renderer whose settings count as well.
    """
    problems = _Problems(text)
    own, execution = (problems.section(notebook.metadata, key) for key in (OWN, EXECUTION))
    problems.kernel(notebook)
    # Our own settings take precedence, then those of jupyter-cache, as in MyST-NB.
    written = (
        problems.foreign(declared, notebook.metadata)
        | problems.valid(EXECUTION, execution)
        | problems.valid(OWN, own)
    )
    settings = {name: check(value) for name, (check, value) in written.items()}
    settings[_ASSETS] = problems.assets(own.get(_ASSETS, []))
    problems.unknown_keys(notebook.metadata, own, execution)
    promises = dict(problems.promises(notebook))
    for number, cell in _numbered(notebook.cells):
        problems.slips_in_cell(number, cell)
    return OwnSettings(
        settings,
        {name: value for name, (_, value) in written.items()},
        promises,
        tuple(problems.found),
    )


_Checks = Mapping[str, tuple[str, Callable[[Any], Any]]]
# Key → name of the setting, and the check of its value. These override no option.
_NO_OPTIONS: _Checks = {
    "environment": ("variables", values.text_list),
    "alone": ("alone", values.switch),
}


@cache
def _checks(section: str) -> _Checks:
    """Return the settings below a key of the metadata: overrides of options, and others."""
    paths = ((name, item.per_notebook.split(".")) for name, item in overrides().items())
    found = {key: (name, own_check(name)) for name, (above, key) in paths if above == section}
    return {**found, **_NO_OPTIONS} if section == OWN else found


class _Problems:
    """Collects problems, each with its line in the text of the notebook."""

    def __init__(self, text: str) -> None:
        self.found: list[SettingProblem] = []
        self._text = text

    def section(self, metadata: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Return the settings below a key; empty if the value is not a mapping."""
        section = metadata.get(key)
        if section is None or isinstance(section, Mapping):
            return section or {}
        wrong = f"{key} = {section!r:.200} in its metadata is not a mapping from settings to values"
        self._add(Topic.CONFIG, wrong, key)
        return {}

    def kernel(self, notebook: Notebook) -> None:
        """Record a kernelspec that names no kernel, since another kernel would run the notebook."""
        spec = notebook.metadata.get(KERNELSPEC)
        if spec in (None, {}) or notebook.kernel_name or notebook.language:
            return
        name = f"{spec:.40}" if isinstance(spec, str) else "python3"
        wrong = f"{KERNELSPEC} in its metadata has no `name`, so the default kernel is used"
        self._add(Topic.CONFIG, f"{wrong}; write one, such as `{name}`, below it", KERNELSPEC)

    def valid(
        self, section: str, given: Mapping[str, Any]
    ) -> dict[str, tuple[Callable[[Any], Any], Any]]:
        """Return the valid settings of a section: name → check, value as it is written."""
        settings = {}
        for key, (name, check) in _checks(section).items():
            if key not in given:
                continue
            try:
                check(given[key])
            except ValueError as expected:
                wrong = f"{section}.{key} = {given[key]!r} in its metadata is not {expected}"
                self._add(Topic.CONFIG, wrong, section, key)
            else:
                settings[name] = check, given[key]
        return settings

    def foreign(
        self, declared: DeclaredFormat, metadata: Mapping[str, Any]
    ) -> dict[str, tuple[Callable[[Any], Any], Any]]:
        """Return the valid settings for a renderer, as [](valid) does."""
        settings = {}
        for item in foreign_settings(declared, metadata):
            if item.meant is None:
                wrong = (
                    f"{item.section}.{item.key} = {item.value!r:.200} in its metadata is not"
                    f" {item.expected}"
                )
                self._add(Topic.CONFIG, wrong, item.section, item.key)
            else:
                settings[item.option] = own_check(item.option), item.meant
        return settings

    def assets(self, listed: object) -> tuple[str, ...]:
        """Return the assets that a notebook names, without invalid ones."""
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            wrong = f"{OWN}.{_ASSETS} = {listed!r} in its metadata is not a list of paths"
            self._add(Topic.CONFIG, wrong, OWN, _ASSETS)
            return ()
        assets = set()
        for item in listed:
            try:
                assets.add(inner_path(item))
            except ValueError as error:
                wrong = f"{OWN}.{_ASSETS} in its metadata: {error} of the notebook; it is left out"
                self._add(Topic.CONFIG, wrong, OWN, _ASSETS)
        return tuple(sorted(assets))

    def unknown_keys(
        self, metadata: Mapping[str, Any], own: Mapping[str, Any], execution: Mapping[str, Any]
    ) -> None:
        """Record unused keys of the metadata that are ours, or resemble ours."""
        own_keys = (*_checks(OWN), _ASSETS)
        for key in own:
            if key not in own_keys:
                meant = did_you_mean(key, own_keys)
                wrong = f"nothing reads `{OWN}.{key}` in its metadata{meant}"
                self._add(Topic.METADATA, wrong, OWN, str(key))
        # Only likely slips: the section is shared with other tools, whose keys are not known here.
        for key in execution.keys() - _EXECUTION_OF_OTHERS:
            if meant := one_edit_away(str(key), _checks(EXECUTION)):
                self._slip(f"{EXECUTION}.{key}", f"{EXECUTION}.{meant}", EXECUTION, str(key))
        for key in metadata:
            if meant := one_edit_away(str(key), (OWN,)):
                self._slip(str(key), meant, str(key))

    def promises(self, notebook: Notebook) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield the exceptions that cells are to raise, by cell number; skip invalid values."""
        for numbered in notebook.code_cells:
            if PROMISE not in numbered.cell.metadata:
                continue
            value = numbered.cell.metadata[PROMISE]
            try:
                yield numbered.number, values.exceptions(value)
            except ValueError as expected:
                wrong = f"{PROMISE} = {value!r} of code cell {numbered.number} is not {expected}"
                line = numbered.cell.line or None
                self.found.append(SettingProblem(wrong, line, Topic.CONFIG))

    def slips_in_cell(self, number: int, cell: Cell) -> None:
        """Record tags and keys of a cell that are one edit away from effective ones."""
        what = f"code cell {number}" if cell.kind == "code" else f"a {cell.kind} cell"
        line = cell.line or None
        tags = cell.metadata.get("tags")
        if not _are_tags(tags):
            wrong = f"tags = {tags!r:.200} of {what} is not a list of texts"
            self.found.append(SettingProblem(wrong, line, Topic.TAG))
        for tag in sorted(cell.tags.difference(_ALL_TAGS)):
            # Tags are free words: a warning about each unknown one would be noise.
            if meant := one_edit_away(tag, _ALL_TAGS):
                wrong = f"the tag `{tag}` of {what} has no effect; did you mean `{meant}`?"
                self.found.append(SettingProblem(wrong, line, Topic.TAG))
        for key in cell.metadata if cell.kind == "code" else ():
            if meant := one_edit_away(str(key), _CELL_KEYS):
                wrong = f"nothing reads `{key}` in the metadata of {what}; did you mean `{meant}`?"
                self.found.append(SettingProblem(wrong, line, Topic.METADATA))

    def _slip(self, key: str, meant: str, *path: str) -> None:
        wrong = f"nothing reads `{key}` in its metadata; did you mean `{meant}`?"
        self._add(Topic.METADATA, wrong, *path)

    def _add(self, topic: Topic, wrong: str, *path: str) -> None:
        self.found.append(SettingProblem(wrong, self._line_of(*path), topic))

    def _line_of(self, *path: str) -> int | None:
        """Return the line of a key, or that of its parent if the key itself is not found."""
        return line_of_key(self._text, *path) or None


def _are_tags(value: object) -> bool:
    """Tell whether a value is valid for tags; a string is separated by commas."""
    if value is None or isinstance(value, str):
        return True
    return isinstance(value, list | tuple) and all(isinstance(tag, str) for tag in value)


def _numbered(cells: Iterable[Cell]) -> Iterator[tuple[int, Cell]]:
    """Yield each cell with the number of code cells so far."""
    number = 0
    for cell in cells:
        number += cell.kind == "code"
        yield number, cell
