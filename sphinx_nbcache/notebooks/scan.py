"""The remembered scan of a source file, from which planning works without parsing again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec

from sphinx_nbcache.bounded import (
    Count,
    Limit,
    Line,
    Many,
    Name,
    Nanoseconds,
    PerCell,
    Position,
    ShortDigest,
    State,
    Text,
)
from sphinx_nbcache.config import (
    ExecuteMode,
    RunIn,
    Settings,
    execute_mode_of,
    overrides,
    own_check,
)
from sphinx_nbcache.files.paths import is_inner_path
from sphinx_nbcache.files.stats import Stat, stat_or_none
from sphinx_nbcache.notebooks.formats import Formats, read_notebook
from sphinx_nbcache.notebooks.front_matter import MYST
from sphinx_nbcache.notebooks.inline_values import LEADING, expressions_after
from sphinx_nbcache.notebooks.notebook import (
    RAISES_TAG,
    SKIP_TAG,
    Notebook,
    NotebookError,
    decode_source,
    refuse_pipe,
)
from sphinx_nbcache.notebooks.own_settings import SettingProblem, own_settings
from sphinx_nbcache.notebooks.readers import IPYNB, is_foreign
from sphinx_nbcache.notebooks.renderers import MYST_NB, myst_extensions, taken_apart

# The format of a file that cannot be read far enough to determine it.
_UNKNOWN = "unknown"
# Incremented when the scan of an unchanged file changes. Results are not affected, unlike by the
# store's schema.
_READING = "6"


class ScannedCell(msgspec.Struct, frozen=True, array_like=True):
    """The relevant facts about a code cell that has code."""

    number: Position
    """Its number among all code cells of the notebook, counted from 1."""
    line: Line
    """The line of the file at which its source starts; 0 if unknown."""
    digest: State
    """Digest of its source, normalised."""
    skipped: bool
    """Tagged `skip-execution`."""
    raises: bool
    """Tagged `raises-exception`."""
    promised: Annotated[tuple[Name, ...], Many] = ()
    """Names of the exceptions of which the cell raises one, according to its metadata."""
    has_lines: bool = True
    """Whether each line of its source is a line of the file."""
    expressions: Annotated[tuple[Text, ...], Many] = ()
    """Expressions in the text after it, whose values its page shows."""

    def line_in_file(self, line: int) -> int | None:
        """Return the line of the file for a line of the source, if it is known."""
        if not self.line:
            return None
        return self.line + line - 1 if self.has_lines else self.line


class Scan(msgspec.Struct, frozen=True):
    """The scan of one source file.

    `fmt` is `None` if the file is not a notebook; `unreadable` says why an apparent notebook cannot
    be read.
    """

    stat: Stat
    seen_ns: Nanoseconds
    declared: Name
    """The value of `nbcache_formats` for the suffix at that time, or the named reader."""
    reader: Name
    """Versions of the scan itself, and of a reader that is not our own."""
    fmt: Name | None
    kernel: Name = ""
    language: Name = ""
    cells: Annotated[tuple[ScannedCell, ...], PerCell] = ()
    has_outputs: bool = False
    timeout: Limit | msgspec.UnsetType | None = msgspec.UNSET
    allow_errors: bool | msgspec.UnsetType = msgspec.UNSET
    assets: Annotated[tuple[Name, ...], Many] = ()
    """Files and folders that the notebook needs next to it, relative to its folder."""
    dependencies: Annotated[tuple[Name, ...], Many] = ()
    """Globs of files that it depends on, relative to its folder."""
    variables: Annotated[tuple[Name, ...], Many] = ()
    """Names of environment variables that it depends on."""
    track: Annotated[tuple[Name, ...], Many] | msgspec.UnsetType = msgspec.UNSET
    """The kinds of dependencies that count."""
    notebook_timeout: Limit | msgspec.UnsetType | None = msgspec.UNSET
    """Seconds that it may take."""
    alone: bool = False
    """Whether no other notebook may run at the same time."""
    retries: Count | msgspec.UnsetType = msgspec.UNSET
    """How often it is run again if it failed."""
    run_in: RunIn | msgspec.UnsetType = msgspec.UNSET
    """The folder in which its kernel works, by one of the words of `nbcache_run_in`."""
    problems: Annotated[tuple[SettingProblem, ...], Many] = ()
    unreadable: SettingProblem | None = None
    reading: ShortDigest = ""
    """Digest of the whole notebook if third-party code read it, as that code may change."""
    loaded: Annotated[tuple[tuple[Name, Stat | None], ...], Many] = ()
    """Files from which its code was loaded, relative to its folder, and their stats then."""
    leading: Annotated[tuple[Text, ...], Many] = ()
    """Expressions in the text before the first cell that is run."""
    decodable: bool = True
    """Whether the file is UTF-8; Sphinx cannot even open one that is not."""
    options: Annotated[dict[Name, Any], Many] | msgspec.UnsetType = msgspec.UNSET
    """Its values, as written, of options that have no field of their own here."""

    def __post_init__(self) -> None:
        # Records are read from stores that others may have written, and assets are copied by these
        # paths.
        if self.assets and not all(map(is_inner_path, self.assets)):
            raise ValueError(f"assets out of the folder of the notebook: {self.assets!r:.200}")

    def settings(self, project: Settings) -> Settings:
        """Return the options of a project as they apply to this notebook.

        Lists that its metadata add to an option, such as `dependencies`, are not included.
        """
        own = {
            name: value
            for name, declared in overrides().items()
            if not declared.is_added and (value := self._own(name)) is not msgspec.UNSET
        }
        own.pop("execute", None)
        renderers = taken_apart(self.declared).execute
        mode = execute_mode_of(project.execute, self.own_execute, renderers)
        if mode != project.execute:
            own["execute"] = mode
        return replace(project, **own) if own else project

    @property
    def own_execute(self) -> ExecuteMode | None:
        """The execution mode in its metadata, if there is one."""
        own: ExecuteMode | msgspec.UnsetType = self._own("execute")
        return None if isinstance(own, msgspec.UnsetType) else own

    def _own(self, name: str) -> Any:
        if name in Scan.__struct_fields__:
            return getattr(self, name)
        written = {} if isinstance(self.options, msgspec.UnsetType) else self.options
        if name not in written:
            return msgspec.UNSET
        try:
            return own_check(name)(written[name])
        except ValueError:
            # Only in a store that others have written to: a scan of ours has only valid values.
            return msgspec.UNSET

    def says_the_same(self, other: Scan) -> bool:
        """Tell whether two scans are equal except for their time."""
        return msgspec.structs.replace(self, seen_ns=other.seen_ns) == other

    def is_current(self, path: Path, formats: Formats, reader: str = "") -> bool:
        """Tell whether a new scan would give the same result, from stats only.

        Args:
            path: The file.
            formats: The formats by suffix.
            reader: The reader that was named for this file, if any.
        """
        if self.declared != _declared(path, formats, reader):
            return False
        # No version or stat covers a function and what it imports.
        if self.fmt is not None and is_foreign(self.fmt):
            return False  # third-party code may have changed
        try:
            stat = Stat.of(path)
        except OSError:
            return False
        # A file that changed within the resolution of its time stamp looks unchanged, as in git's
        # index (https://git-scm.com/docs/racy-git).
        if stat != self.stat or stat.is_racy(self.seen_ns):
            return False
        for name, before in self.loaded:
            now = stat_or_none(path.parent / name)
            if now != before or (now is not None and now.is_racy(self.seen_ns)):
                return False
        return self.reader == _reader_version(self.fmt)


def cell_digest(source: str) -> str:
    """Return the digest of a code cell's source, ignoring line endings and trailing newlines."""
    # git converts line ends on checkout (`core.autocrlf`), and editors add a last newline: neither
    # is a reason to run a notebook (https://git-scm.com/docs/gitattributes).
    normalised = source.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    return hashlib.sha256(normalised.encode("utf-8", "surrogatepass")).hexdigest()


def scan_file(
    path: Path,
    formats: Formats,
    reader: str = "",
    now_ns: Callable[[], int] = time.time_ns,
) -> Scan:
    """Scan a source file. Invalid input is part of the result.

    Args:
        path: The file.
        formats: The formats by suffix.
        reader: The reader that was named for this file, if any; it overrides the suffix.
        now_ns: The clock: nanoseconds since the epoch.

    Raises:
        OSError: The file cannot be opened, or is a named pipe.
    """
    refuse_pipe(path)
    # Before the content is read: a change in between is then seen by the next build, not missed.
    stat, seen_ns = Stat.of(path), now_ns()
    scan = Scan(stat, seen_ns, _declared(path, formats, reader), _reading_format(), None)
    content = path.read_bytes()
    try:
        text = decode_source(content)
    except NotebookError as error:
        problem = SettingProblem(str(error), error.line)
        # A scan, not an error: the failure is remembered until the file changes.
        return msgspec.structs.replace(scan, fmt=_UNKNOWN, unreadable=problem, decodable=False)
    try:
        fmt = formats.format_of(path.name, text, reader)
        if fmt is None:
            return scan
        scan = msgspec.structs.replace(scan, fmt=fmt, reader=_reader_version(fmt))
        notebook = read_notebook(text, fmt, path.parent)
        loaded = tuple((name, stat_or_none(path.parent / name)) for name in notebook.loaded)
        return scan_notebook(msgspec.structs.replace(scan, loaded=loaded), notebook, text)
    except NotebookError as error:
        problem = SettingProblem(str(error), error.line)
        return msgspec.structs.replace(scan, fmt=scan.fmt or _UNKNOWN, unreadable=problem)


def scan_notebook(scan: Scan, notebook: Notebook, text: str = "") -> Scan:
    """Return a scan completed with the facts about a notebook that planning needs.

    Args:
        scan: The scan.
        notebook: The notebook.
        text: The source text, to find the lines of problems.
    """
    declared = taken_apart(scan.declared)
    expressions = expressions_for(scan, notebook)
    own, without_field = own_settings(notebook, text, declared), _without_field()
    problems = (SettingProblem(problem.text, problem.line) for problem in notebook.problems)
    return msgspec.structs.replace(
        scan,
        kernel=notebook.kernel_name,
        language=notebook.language,
        # In MyST-NB, "auto" runs a notebook in which any code cell has no output (`create_client`
        # in `myst_nb/core/execute/__init__.py`, MyST-NB 1.4).
        has_outputs=notebook.has_all_outputs
        if declared.renderer == MYST_NB
        else notebook.has_outputs,
        cells=tuple(
            ScannedCell(
                number=numbered.number,
                line=numbered.cell.line,
                digest=cell_digest(numbered.cell.source),
                skipped=SKIP_TAG in numbered.cell.tags,
                raises=RAISES_TAG in numbered.cell.tags,
                promised=own.promises.get(numbered.number, ()),
                has_lines=numbered.cell.has_lines,
                expressions=expressions.get(position, ()),
            )
            for position, numbered in enumerate(notebook.code_cells)
        ),
        leading=expressions.get(LEADING, ()),
        problems=(*own.problems, *problems),
        reading=_reading(notebook) if is_foreign(scan.fmt or "") else "",
        **{name: v for name, v in own.settings.items() if name in Scan.__struct_fields__},
        options={n: own.written[n] for n in without_field if n in own.written} or msgspec.UNSET,
    )


def expressions_for(scan: Scan, notebook: Notebook) -> Mapping[int, tuple[str, ...]]:
    """Return the expressions that are evaluated after each code cell that has code."""
    # MyST-NB evaluates them itself, and nbsphinx does not know them.
    return {} if taken_apart(scan.declared).renderer else expressions_after(notebook)


def _without_field() -> list[str]:
    """Return the options that a notebook overrides by a value in [](Scan.options)."""
    return sorted(name for name in overrides() if name not in Scan.__struct_fields__)


def _reading_format() -> str:
    """Return the version of scans: an option that was added since may be set in any notebook."""
    return "+".join([_READING, *_without_field()])


def _declared(path: Path, formats: Formats, reader: str) -> str:
    # No value of `nbcache_formats` has this form.
    return f"by {reader}" if reader else formats.extra.get(formats.suffix_of(path.name), "")


def _reading(notebook: Notebook) -> str:
    # `repr` for objects that a foreign reader may put into metadata; the order of its dictionaries
    # must not count.
    encoded = msgspec.json.encode(notebook, order="deterministic", enc_hook=repr)
    return hashlib.sha256(encoded).hexdigest()[:32]


def _reader_version(fmt: str | None) -> str:
    if fmt in (None, IPYNB, MYST, _UNKNOWN) or is_foreign(fmt or ""):
        return _reading_format()
    if myst_extensions(fmt or "") is not None:
        return f"{_reading_format()}, {_version_of('myst-parser')}"
    return f"{_reading_format()}, {_version_of('jupytext')}"


@cache
def _version_of(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        # From the metadata of the distribution: importing jupytext would cost every build its
        # start.
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
