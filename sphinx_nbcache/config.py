"""Every option, declared once.

A field of [](Settings) made by [](option) is the only place where an option is named. From it
come the registration with Sphinx (`nbcache_` + name), the validation, the rebuild class, the
membership in the code key, and the reference table in the documentation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

ExecuteMode = Literal["changed", "missing", "force", "off", "frozen"]
OnError = Literal["warn", "fail", "stop"]
KernelStart = Literal["auto", "fork", "spawn"]
RetryFailed = Literal["always", "changed"]
Rebuild = Literal["", "env", "html"]

PREFIX = "nbcache_"
AUTO = CORES = "auto"
# The kinds of dependencies that a tracer sees (see `traces.facts.Kind`).
TRACKED = ("files", "imports", "versions", "environment")


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of one option.

    Attributes:
        check: Takes a raw value, returns the value to use; `ValueError` says what is expected.
        expects: The values in words, for messages and for the reference.
        help: What the option does (Markdown).
        rebuild: Sphinx's rebuild class. Options that only decide what is run have `""`:
            pages whose outputs change are re-read because their render id changes.
        in_key: Whether a change of the value can change the code key of a notebook.
        per_notebook: The notebook metadata that overrides it, as a dotted path, or `""`.
    """

    check: Callable[[Any], Any]
    expects: str
    help: str
    rebuild: Rebuild = ""
    in_key: bool = False
    per_notebook: str = ""


def _one_of(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(map(repr, choices))}")
        return str(value)

    return check


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a name")
    return value.strip()


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of strings")
    return tuple(value)


def check_kinds(value: Any) -> tuple[str, ...]:
    """Return kinds of dependencies, in the order of their declaration."""
    try:
        kinds = set(_strings(value))
    except ValueError:
        kinds = {""}
    if not kinds <= set(TRACKED):
        raise ValueError(f"a list of some of {', '.join(map(repr, TRACKED))}")
    return tuple(kind for kind in TRACKED if kind in kinds)


def _globs_by_notebook(value: Any) -> dict[str, tuple[str, ...]]:
    expected = "a list of globs, or a dictionary from a glob of notebooks to such a list"
    by_notebook = value if isinstance(value, Mapping) else {"**": value}
    try:
        globs = {pattern: _strings(listed) for pattern, listed in by_notebook.items()}
    except ValueError:
        raise ValueError(expected) from None
    if not all(isinstance(pattern, str) for pattern in globs):
        raise ValueError(expected)
    return {pattern: listed for pattern, listed in globs.items() if listed}


def _string_map(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("a dictionary of strings")  # noqa: TRY004 (one error type for all checks)
    if not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise ValueError("a dictionary of strings")
    return dict(value)


def _formats(value: Any) -> dict[str, str]:
    formats = _string_map(value)
    if not all(suffix.startswith(".") and name for suffix, name in formats.items()):
        raise ValueError("a dictionary from a suffix such as '.py' to a format or reader")
    return formats


def _aliases(value: Any) -> dict[str, str]:
    import re

    aliases = _string_map(value)
    for pattern in aliases:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"regular expressions as keys ({pattern!r}: {error})") from None
    return aliases


def _path(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str | os.PathLike):
        raise ValueError("a path")  # noqa: TRY004 (one error type for all checks)
    path = os.fspath(value)
    if not isinstance(path, str) or "\0" in path:
        raise ValueError("a path")
    return path


def check_seconds(value: Any) -> float | None:
    """Return a time limit in seconds; `None` (also for 0 and below) is no limit."""
    if value is None or value in ("", "none", "None"):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("a number of seconds, or None for no limit") from None
    if isinstance(value, bool) or seconds != seconds:  # noqa: PLR0124 (NaN)
        raise ValueError("a number of seconds, or None for no limit")
    return seconds if 0 < seconds < float("inf") else None


def check_megabytes(value: Any) -> float | None:
    """Return a limit of size in megabytes; `None` (also for 0 and below) is no limit."""
    try:
        return check_seconds(value)
    except ValueError:
        raise ValueError("a number of megabytes, or None for no limit") from None


def check_flag(value: Any) -> bool:
    """Return a switch; strings are what `sphinx-build -D` hands over."""
    flags = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    flag = flags.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(flag, bool) and flag not in (0, 1):
        raise ValueError("True or False")
    return bool(flag)


def _jobs(value: Any) -> int | None:
    if value in (CORES, None):
        return None
    try:
        jobs = int(value)
    except (TypeError, ValueError, OverflowError):
        jobs = 0
    if jobs < 1 or isinstance(value, bool | float):
        raise ValueError("'auto' or a whole number from 1 on")
    return jobs


def _preload(value: Any) -> tuple[str, ...] | str:
    if value in (AUTO, None):
        return AUTO
    names = _strings(value)
    if not all(part.isidentifier() for name in names for part in name.split(".")):
        raise ValueError("'auto' or a list of modules")
    return names


def option(default: Any, check: Callable[[Any], Any], **declared: Any) -> Any:
    """Declare an option as a dataclass field. `default` is the raw value, as in `conf.py`."""
    metadata = {"option": Option(check, **declared), "raw": default}
    return field(default_factory=lambda: check(default), metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The options of one project, checked. Build it by [](read_settings) from raw values."""

    execute: ExecuteMode = option(
        "changed",
        _one_of("changed", "missing", "force", "off", "frozen"),
        expects='`"changed"`, `"missing"`, `"force"`, `"off"`, `"frozen"`',
        help='What is run. `"changed"`: the notebooks for which the store has no valid result.'
        ' `"missing"`: a notebook with any stored output or execution count is used as it is,'
        ' the rest as with `"changed"`. `"force"`: everything, results older than this build do'
        ' not count. `"off"`: nothing; pages show the outputs stored in the notebook files.'
        ' `"frozen"`: nothing; a notebook without a valid result is an error.',
    )
    root: str | None = option(
        None,
        _path,
        expects="a path, relative to the source directory",
        in_key=True,
        help="The directory to which stored paths are relative. By default the nearest parent of"
        " the source directory that has `.git` or `pyproject.toml`, else the source directory.",
    )
    store: str | None = option(
        None,
        _path,
        expects="a path, relative to the source directory",
        help="The folder of the store. By default the environment variable `JUPYTERCACHE`, else"
        " `.jupyter_cache` beside the output directory.",
    )
    exclude: tuple[str, ...] = option(
        [],
        _strings,
        expects="a list of globs, relative to the source directory",
        help="Notebooks that are never run: their pages show the outputs stored in the files."
        " `*` stops at a slash, `**` does not.",
    )
    dependencies: Mapping[str, tuple[str, ...]] = option(
        {},
        _globs_by_notebook,
        expects="a dictionary from a glob of notebooks to a list of globs of files, or such a list"
        " for all notebooks; relative to the source directory",
        per_notebook="nbcache.dependencies",
        help="Files that notebooks depend on, beside those that they are seen to read: for what"
        " cannot be seen, and for languages other than Python. A notebook's own list is relative"
        " to its folder, and comes in addition.",
    )
    ignore: tuple[str, ...] = option(
        [],
        _strings,
        expects="a list of globs, relative to the source directory",
        help="Files and folders that are no dependencies, whoever reads them: logs, time stamps.",
    )
    track: tuple[str, ...] = option(
        list(TRACKED),
        check_kinds,
        expects='a list of `"files"`, `"imports"`, `"versions"`, `"environment"`',
        per_notebook="nbcache.track",
        help="What counts as a dependency of a notebook, beside what is declared: files that it"
        " reads, modules that it imports, versions of packages, environment variables. With an"
        " empty list notebooks are not traced, and only their code counts.",
    )
    retry_failed: RetryFailed = option(
        "always",
        _one_of("always", "changed"),
        expects='`"always"`, `"changed"`',
        help='When a notebook that failed is run again: in `"always"` every build, or if'
        ' something that it depends on has `"changed"`.',
    )
    executor: str = option(
        "local-parallel",
        _name,
        expects='`"local-serial"`, `"local-parallel"`, `"temp-serial"`, `"temp-parallel"`, or the'
        " name of one that an installed package announces",
        in_key=True,
        help="How notebooks are run, and where. `serial`: one after another; `parallel`: several"
        " at once. `local`: in the notebook's own folder; `temp`: each in a temporary folder that"
        " has copies of the notebook's assets.",
    )
    jobs: int | None = option(
        CORES,
        _jobs,
        expects='`"auto"` or a whole number',
        help='How many notebooks an executor runs at once, unless it is a serial one; `"auto"` is'
        " one for each core.",
    )
    kernel_start: KernelStart = option(
        AUTO,
        _one_of(AUTO, "fork", "spawn"),
        expects='`"auto"`, `"fork"`, `"spawn"`',
        help='How kernels are started. `"auto"`: by fork from a process that has loaded ipykernel,'
        " where that is possible: on Linux, for kernelspecs that start an ipykernel as usual. Else"
        ' as Jupyter does it. `"fork"`: the same, with a warning where it is not possible.'
        ' `"spawn"`: always as Jupyter does it. What notebooks compute is the same.',
    )
    preload: tuple[str, ...] | str = option(
        AUTO,
        _preload,
        expects='`"auto"` or a list of modules',
        help='What is imported before kernels are forked. `"auto"`: what the notebooks to be run'
        " import, of the packages that are known not to notice. A list: these modules. An empty"
        " list: nothing.",
    )
    timeout: float | None = option(
        600,
        check_seconds,
        expects="seconds, or `None` for no limit",
        per_notebook="execution.timeout",
        help="How long one cell may run.",
    )
    notebook_timeout: float | None = option(
        None,
        check_seconds,
        expects="seconds, or `None` for no limit",
        per_notebook="nbcache.notebook_timeout",
        help="How long a whole notebook may run, with the start of its kernel.",
    )
    output_limit: float | None = option(
        50,
        check_megabytes,
        expects="megabytes, or `None` for no limit",
        help="How much one cell may put out, text and images. What is beyond ends the run as a"
        " failure; the page shows what came before, and a note where it was cut.",
    )
    notebook_output_limit: float | None = option(
        200,
        check_megabytes,
        expects="megabytes, or `None` for no limit",
        help="How much all cells of a notebook together may put out.",
    )
    allow_errors: bool = option(
        False,  # noqa: FBT003 (a default, not a call's flag)
        check_flag,
        expects="`True`, `False`",
        per_notebook="execution.allow_errors",
        help="Go on after a cell that raised an exception, and count the run as a success."
        " For single cells use the tag `raises-exception`.",
    )
    on_error: OnError = option(
        "warn",
        _one_of("warn", "fail", "stop"),
        expects='`"warn"`, `"fail"`, `"stop"`',
        help='What a failed notebook means. `"warn"`: a warning. `"fail"`: finish the build, then'
        ' exit with status 1. `"stop"`: end the build at once.',
    )
    kernel_aliases: Mapping[str, str] = option(
        {},
        _aliases,
        expects="a dictionary from regular expression to kernel name",
        in_key=True,
        help="Replaces kernel names. The first expression that matches the whole name counts.",
    )
    formats: Mapping[str, str] = option(
        {},
        _formats,
        expects="a dictionary from suffix to format or reader",
        rebuild="env",
        in_key=True,
        help="Further notebook formats: a suffix such as `.py`, and what reads it. That is a format"
        " of jupytext such as `py:percent`; `module:function`, a function from text to an nbformat"
        " notebook; or the name of a reader (`nbformat`, `jupytext`, `myst`, or what an installed"
        " package announces). A script counts as a notebook only if it has a jupytext header;"
        " `conf.py` never does.",
    )
    cli_root: str | None = option(
        None,
        _path,
        expects="a path, relative to the source directory",
        rebuild="env",
        help="The folder in which the commands of [`jcache-cli`](directives.md) run. By default"
        " the parent of the source directory.",
    )
    cli_store: str | None = option(
        None,
        _path,
        expects="a path, relative to the source directory",
        rebuild="env",
        help="The folder of a store on which the commands of all pages work, one page at a time."
        " By default each page has a store of its own, which is empty when the page is read."
        " It cannot be the store of the build.",
    )


def declared_options() -> dict[str, tuple[Option, Any]]:
    """Return name → (declaration, raw default) of every option, in order of declaration."""
    return {f.name: (f.metadata["option"], f.metadata["raw"]) for f in fields(Settings)}


def read_settings(raw: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Check raw values, by option name.

    Returns:
        The settings, and a message for each value that could not be used: that option, and
        only that one, has its default then.
    """
    values: dict[str, Any] = {}
    problems = []
    for name, (declared, default) in declared_options().items():
        value = raw.get(name, default)
        try:
            values[name] = declared.check(value)
        except ValueError as expected:
            values[name] = declared.check(default)
            problems.append(
                f"{PREFIX}{name} = {value!r} is not {expected}; the default {default!r} is used"
            )
    return Settings(**values), problems


def checked_settings(options: Mapping[str, Any]) -> Settings:
    """Return the settings for options that a program gives.

    Args:
        options: Options, named as in `conf.py` without `nbcache_`.

    Raises:
        ValueError: An option is unknown or has a value that cannot be used.
    """
    if unknown := sorted(options.keys() - declared_options().keys()):
        raise ValueError(f"unknown options: {', '.join(unknown)}")
    settings, problems = read_settings(options)
    if problems:
        raise ValueError("; ".join(problems))
    return settings
