"""Checks for values that users write in options and in the metadata of notebooks.

Each function takes a raw value and returns the checked one. For an invalid value it raises
`ValueError`; the message names the expected form and completes a sentence that ends in "is not".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from sphinx_nbcache.text import did_you_mean

_Value = TypeVar("_Value")

AUTO = "auto"
# The kinds of dependencies that a tracer observes (see `traces.facts.Kind`, which imports too much
# for `--help`).
TRACKED = ("files", "imports", "versions", "environment")
# The largest number of attempts; a run with more would never end.
_LARGEST = 1_000_000
# Globs of notebooks contain at least one of these characters; misspelled switches contain none.
_OF_GLOBS = frozenset("*?[/.")


class BadEntriesError(ValueError):
    """Some entries of a list or mapping are invalid.

    Attributes:
        usable: The value without the invalid entries.
        bad: The index or key of each invalid entry, the entry, and the expected form.
    """

    def __init__(self, usable: Any, bad: list[tuple[Any, Any, str]]) -> None:
        super().__init__("; ".join(expected for _, _, expected in bad))
        self.usable = usable
        self.bad = bad


# Without a query, which could be a signature, and without blanks.
_REMOTE = re.compile(
    r"(?P<scheme>s3|gs|az|https|file)://(?P<host>[^/?#\s]*)(?P<path>/[^?#\s]*)?", re.ASCII
)
# No system opens longer ones (`PATH_MAX` of Linux is 4096).
_LONGEST_PATH = 4_095


def one_of(*choices: str) -> Callable[[Any], str]:
    """Return a function that accepts one of these words."""

    def check(value: Any) -> str:
        if not _is_word(value, *choices):
            listed = ", ".join(map(repr, choices))
            raise ValueError(f"one of {listed}{did_you_mean(value, choices)}")
        return str(value)

    return check


def _is_word(value: Any, *words: str) -> bool:
    # The type comes first: arrays are compared item by item, and a comparison may raise anything.
    return isinstance(value, str) and value in words


EXECUTE_MODES = ("changed", "missing", "force", "off", "frozen", "renderer")
# Values of `nb_execution_mode` in MyST-NB
# (https://myst-nb.readthedocs.io/en/latest/computation/execute.html) and of `nbsphinx_execute`, and
# switches that users try. They only improve the suggestion: the meanings differ in detail.
_OTHER_MODES: Mapping[str, str] = {
    **dict.fromkeys(("false", "none", "never", "no", "0"), "off"),
    **dict.fromkeys(("true", "cache", "yes", "1"), "changed"),
    **dict.fromkeys(("auto", "lazy"), "missing"),
    "always": "force",
}


def execute_mode(value: Any) -> str:
    """Return an execution mode."""
    if isinstance(value, str) and value in EXECUTE_MODES:
        return value
    word = str(value).lower() if isinstance(value, str | int | None) else ""
    meant = _OTHER_MODES.get(word, value)
    listed = ", ".join(map(repr, EXECUTE_MODES))
    raise ValueError(f"one of {listed}{did_you_mean(meant, EXECUTE_MODES)}")


own_execute_mode = one_of("changed", "missing", "force", "off")
RUN_IN = one_of("notebook", "root", "temp")


def name(value: Any) -> str:
    """Return a name without surrounding blanks."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a name")
    return value.strip()


def path(value: Any) -> str | None:
    """Return a path; `None` if none is given."""
    if value is None or _is_word(value, ""):
        return None
    if not isinstance(value, str | os.PathLike):
        raise ValueError("a path")  # noqa: TRY004 (one error type for all values)
    text = os.fspath(value)
    if not isinstance(text, str) or "\0" in text:
        raise ValueError("a path")
    try:
        size = len(os.fsencode(text))
    except UnicodeEncodeError:
        raise ValueError("a path") from None
    if size > _LONGEST_PATH:
        raise ValueError("a path")
    return text


def remote(value: Any) -> str | None:
    """Return the address of a shared store; `None` if none is given."""
    if value is None or _is_word(value, ""):
        return None
    match = _REMOTE.fullmatch(value) if isinstance(value, str) else None
    # A password in `conf.py` would be published with it.
    if match is None or "@" in match["host"] or bool(match["host"]) == (match["scheme"] == "file"):
        raise ValueError("the address of a bucket, a folder or a site")
    return match[0].rstrip("/")


def switch(value: Any) -> bool:
    """Return a switch; `sphinx-build -D` passes strings."""
    # https://www.sphinx-doc.org/en/master/man/sphinx-build.html#cmdoption-sphinx-build-D
    flags = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    flag = flags.get(value.lower()) if isinstance(value, str) else value
    # Sphinx's documentation uses 0 and 1 for `-D`, so a `conf.py` may have the numbers as well.
    if not isinstance(flag, int) or flag not in (0, 1):
        raise ValueError("True or False")
    return bool(flag)


def whole_number(value: Any) -> int:
    """Return a non-negative whole number."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    # `int()` accepts booleans and truncates floats: 2.5 attempts are a mistake.
    if not 0 <= number <= _LARGEST or isinstance(value, bool | float):
        raise ValueError("a whole number from 0 on")
    return number


def time_limit(value: Any) -> float | None:
    """Return a time limit in seconds; `None`, 0 and negative numbers mean no limit."""
    # nbclient and MyST-NB use -1 for no limit
    # (https://nbclient.readthedocs.io/en/latest/reference/nbclient.html).
    if value is None or _is_word(value, "", "none", "None"):
        return None
    try:
        limit = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("a number of seconds, or None for no limit") from None
    if isinstance(value, bool) or limit != limit:  # noqa: PLR0124 (NaN)
        raise ValueError("a number of seconds, or None for no limit")
    return limit if 0 < limit < float("inf") else None


def megabytes(value: Any) -> float | None:
    """Return a size limit in megabytes; `None`, 0 and negative numbers mean no limit."""
    try:
        return time_limit(value)
    except ValueError:
        raise ValueError("a number of megabytes, or None for no limit") from None


def strings(value: Any) -> tuple[str, ...]:
    """Return strings; a single string is split at commas."""
    if isinstance(value, str):
        value = [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of strings")
    # Sphinx splits `-D name=a, b` at the commas without stripping the blanks
    # (`sphinx.config.Config.convert_overrides`, 9.0).
    return tuple(item.strip() for item in value)


def glob_list(value: Any) -> tuple[str, ...]:
    """Return globs; a single string is split at commas.

    Raises:
        BadEntriesError: Some entries are not strings or not valid globs.
        ValueError: The value is not a list.
    """
    if isinstance(value, list | tuple):
        return _checked_entries(enumerate(value), _glob, lambda found: tuple(found.values()))
    return glob_list(list(strings(value)))


def _glob(_position: Any, entry: Any) -> str:
    if not isinstance(entry, str):
        raise ValueError("a glob")  # noqa: TRY004 (one error type for all values)
    if wrong := _wrong_class(entry):
        raise ValueError(f"a glob: {wrong}; write `[[]` for a bracket itself")
    return entry.strip()


def _wrong_class(glob: str) -> str:
    """Return an error in the character classes of a glob; empty if there is none."""
    # `fnmatch` takes a `[` without `]` literally, so such a glob would silently match nothing.
    for found in re.finditer(r"\[(?:([^\]]+)\])?", glob):
        if found[1] is None:
            return "a `[` in it begins no set of characters, such as `[a-z]`"
        inner = found[1].removeprefix("!").replace("[", r"\[")
        try:
            re.compile(f"[{inner}]")
        except re.error as error:
            return f"it has a {error.msg}"
    return ""


def _checked_entries(
    pairs: Iterable[tuple[Any, Any]],
    check: Callable[[Any, Any], Any],
    collect: Callable[[dict[Any, Any]], _Value],
) -> _Value:
    """Check each entry separately, so that an invalid entry does not affect the others.

    Args:
        pairs: Indexes or keys, with the entries.
        check: Takes a pair; returns the checked entry, or raises `ValueError`.
        collect: Builds the value from the valid entries.

    Raises:
        BadEntriesError: Some entries are invalid.
    """
    usable: dict[Any, Any] = {}
    bad = []
    for key, entry in pairs:
        try:
            usable[key] = check(key, entry)
        except ValueError as expected:
            bad.append((key, entry, str(expected)))
    if bad:
        raise BadEntriesError(collect(usable), bad)
    return collect(usable)


def mapping(value: Any, expected: str) -> Mapping[Any, Any]:
    """Return a mapping."""
    if not isinstance(value, Mapping):
        raise ValueError(expected)  # noqa: TRY004 (one error type for all values)
    return value


def kinds(value: Any) -> tuple[str, ...]:
    """Return kinds of dependencies, in the order of [](TRACKED)."""
    # A fixed order, because records store the kinds and compare them.
    try:
        chosen = set(strings(value))
    except ValueError:
        chosen = {""}
    if not chosen <= set(TRACKED):
        raise ValueError(f"a list of some of {', '.join(map(repr, TRACKED))}")
    return tuple(kind for kind in TRACKED if kind in chosen)


def globs_by_notebook(value: Any) -> dict[str, tuple[str, ...]]:
    """Return a mapping from globs of notebooks to globs of files; a list applies to all."""
    expected = "a list of globs, or a dictionary from a glob of notebooks to such a list"
    if isinstance(value, Mapping):
        return _checked_entries(value.items(), _globs_of_notebook, _without_empty)
    try:
        return _without_empty({"**": strings(value)})
    except ValueError:
        raise ValueError(expected) from None


def _globs_of_notebook(pattern: Any, listed: Any) -> tuple[str, ...]:
    if not isinstance(pattern, str):
        raise ValueError("a list of globs by a glob of notebooks")  # noqa: TRY004 (as above)
    return strings(listed)


def _without_empty(entries: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {key: listed for key, listed in entries.items() if listed}


def switch_or_globs(value: Any) -> bool | tuple[str, ...]:
    """Return a switch for all notebooks, or globs of the notebooks with the switch on."""
    try:
        return switch(value)
    except (TypeError, ValueError):
        pass
    expected = "True, False, or a list of globs of notebooks"
    try:
        globs = strings(value)
    except ValueError:
        raise ValueError(expected) from None
    are_globs = bool(globs) and all(_OF_GLOBS.intersection(glob) for glob in globs)
    if isinstance(value, str) and not are_globs:
        raise ValueError(expected)
    return globs


def place_of_scripts(value: Any) -> str:
    """Return `"cdn"`, `"local"`, or a path."""
    return _given_path(value, "'cdn', 'local', or a path")


def switch_or_path(value: Any) -> bool | str:
    """Return a switch, `"auto"`, or a path."""
    try:
        return AUTO if _is_word(value, AUTO) else switch(value)
    except (TypeError, ValueError):
        pass
    return _given_path(value, "'auto', True, False, or a path")


def _given_path(value: Any, expected: str) -> str:
    try:
        text = path(value)
    except ValueError:
        raise ValueError(expected) from None
    if text is None:
        raise ValueError(expected)
    return text


def formats(value: Any) -> dict[str, str]:
    """Return a mapping from suffixes to formats or readers."""
    return _checked_entries(mapping(value, "a dictionary of strings").items(), _format, dict)


def _format(suffix: Any, reader: Any) -> str:
    is_entry = isinstance(suffix, str) and isinstance(reader, str)
    if not is_entry or not suffix.startswith(".") or not reader:
        raise ValueError("a format or reader by a suffix such as '.py'")
    return str(reader)


def aliases(value: Any) -> dict[str, str]:
    """Return a mapping from regular expressions to names."""
    return _checked_entries(mapping(value, "a dictionary of strings").items(), _alias, dict)


def _alias(pattern: Any, alias: Any) -> str:
    _check_expression(pattern)
    if not isinstance(alias, str):
        raise ValueError("a name by a regular expression")  # noqa: TRY004 (as above)
    return alias


def arguments_by_kernel(value: Any) -> dict[str, tuple[str, ...]]:
    """Return a mapping from regular expressions to arguments; a list applies to all kernels.

    A string is not split at commas, because arguments may contain them.
    """
    if isinstance(value, Mapping):
        return _checked_entries(value.items(), _arguments_of_kernel, _without_empty)
    return _without_empty({".*": _arguments(value, "a list of strings, or a dictionary of them")})


def _arguments_of_kernel(pattern: Any, listed: Any) -> tuple[str, ...]:
    _check_expression(pattern)
    return _arguments(listed, "a list of strings")


def _arguments(listed: Any, expected: str) -> tuple[str, ...]:
    if not isinstance(listed, list | tuple) or not all(isinstance(text, str) for text in listed):
        raise ValueError(expected)
    if any("\0" in text for text in listed):
        raise ValueError("a list of strings without null characters")
    return tuple(listed)


def _check_expression(pattern: Any) -> None:
    if not isinstance(pattern, str):
        raise ValueError("an entry with a regular expression as key")  # noqa: TRY004 (as above)
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"an entry with a regular expression as key ({error})") from None


def environment(value: Any) -> dict[str, str | None]:
    """Return environment variables; the value `None` removes a variable."""
    expected = "a dictionary of strings or None"
    return _checked_entries(mapping(value, expected).items(), _variable, dict)


def _variable(variable: Any, text: Any) -> str | None:
    if not isinstance(variable, str) or not isinstance(text, str | None):
        raise ValueError("a string or None")  # noqa: TRY004 (as above)
    # `subprocess.Popen` raises `ValueError` for these, long after the check of the options.
    if not variable or "=" in variable or "\0" in variable + (text or ""):
        raise ValueError("what an environment can have")
    return text


def jobs(value: Any) -> int | None:
    """Return the number of notebooks to run in parallel; `None` means one per core."""
    if value is None or _is_word(value, AUTO):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if number < 1 or isinstance(value, bool | float):
        raise ValueError("'auto' or a whole number from 1 on")
    return number


def preloaded_modules(value: Any) -> tuple[str, ...] | str:
    """Return the modules to preload, or `"auto"`."""
    if value is None or _is_word(value, AUTO):
        return AUTO
    names = strings(value)
    if not all(part.isidentifier() for module in names for part in module.split(".")):
        raise ValueError("'auto' or a list of modules")
    return names


def exceptions(value: Any) -> tuple[str, ...]:
    """Return names of exception classes.

    A module prefix is removed: kernels report the class name of an exception without its module.
    """
    try:
        listed = [text.strip().rpartition(".")[2] for text in strings(value)]
    except ValueError:
        listed = []
    if not listed or not all(text.isidentifier() for text in listed):
        raise ValueError("a list of names of exceptions")
    return tuple(dict.fromkeys(listed))


def text_list(value: object) -> tuple[str, ...]:
    """Return a list of strings without duplicates."""
    # Lazy import: `--help` checks no value and need not load msgspec.
    from sphinx_nbcache.bounded import LONGEST_NAME

    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValueError("a list of texts")
    if any(len(item) > LONGEST_NAME for item in value):
        raise ValueError(f"a list of texts of at most {LONGEST_NAME} characters")
    return tuple(dict.fromkeys(value))
