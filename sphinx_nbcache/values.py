"""What the values mean that users write, in options and in the metadata of notebooks.

Each function takes a raw value and returns the one to use. If it cannot be used, the message of the
`ValueError` says what is expected, to stand behind "is not".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

AUTO = "auto"
# The kinds of dependencies that a tracer sees (see `traces.facts.Kind`).
TRACKED = ("files", "imports", "versions", "environment")
# No number of attempts is larger.
_LARGEST = 1_000_000
# Characters of which a glob of notebooks has one, and a misspelt switch does not.
_OF_GLOBS = frozenset("*?[/.")


def one_of(*choices: str) -> Callable[[Any], str]:
    """Return the function that takes one of these words."""

    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(map(repr, choices))}")
        return str(value)

    return check


RUN_IN = one_of("notebook", "root", "temp")


def name(value: Any) -> str:
    """Return a name, without blanks around it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a name")
    return value.strip()


def path(value: Any) -> str | None:
    """Return a path; `None` where nothing is given."""
    if value is None or value == "":
        return None
    if not isinstance(value, str | os.PathLike):
        raise ValueError("a path")  # noqa: TRY004 (one error type for all values)
    text = os.fspath(value)
    if not isinstance(text, str) or "\0" in text:
        raise ValueError("a path")
    return text


def switch(value: Any) -> bool:
    """Return a switch; strings are what `sphinx-build -D` hands over."""
    flags = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    flag = flags.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(flag, bool) and flag not in (0, 1):
        raise ValueError("True or False")
    return bool(flag)


def whole_number(value: Any) -> int:
    """Return a whole number from 0 on."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number <= _LARGEST or isinstance(value, bool | float):
        raise ValueError("a whole number from 0 on")
    return number


def seconds(value: Any) -> float | None:
    """Return a time limit in seconds; `None` (also for 0 and below) is no limit."""
    if value is None or value in ("", "none", "None"):
        return None
    try:
        limit = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("a number of seconds, or None for no limit") from None
    if isinstance(value, bool) or limit != limit:  # noqa: PLR0124 (NaN)
        raise ValueError("a number of seconds, or None for no limit")
    return limit if 0 < limit < float("inf") else None


def megabytes(value: Any) -> float | None:
    """Return a limit of size in megabytes; `None` (also for 0 and below) is no limit."""
    try:
        return seconds(value)
    except ValueError:
        raise ValueError("a number of megabytes, or None for no limit") from None


def strings(value: Any) -> tuple[str, ...]:
    """Return strings; a single one has commas between them."""
    if isinstance(value, str):
        value = [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of strings")
    return tuple(value)


def string_map(value: Any) -> dict[str, str]:
    """Return a dictionary of strings."""
    if not isinstance(value, Mapping):
        raise ValueError("a dictionary of strings")  # noqa: TRY004 (one error type for all values)
    if not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise ValueError("a dictionary of strings")
    return dict(value)


def kinds(value: Any) -> tuple[str, ...]:
    """Return kinds of dependencies, in the order of their declaration."""
    try:
        chosen = set(strings(value))
    except ValueError:
        chosen = {""}
    if not chosen <= set(TRACKED):
        raise ValueError(f"a list of some of {', '.join(map(repr, TRACKED))}")
    return tuple(kind for kind in TRACKED if kind in chosen)


def globs_by_notebook(value: Any) -> dict[str, tuple[str, ...]]:
    """Return globs of files by globs of notebooks; a mere list is meant for all notebooks."""
    expected = "a list of globs, or a dictionary from a glob of notebooks to such a list"
    by_notebook = value if isinstance(value, Mapping) else {"**": value}
    try:
        globs = {pattern: strings(listed) for pattern, listed in by_notebook.items()}
    except ValueError:
        raise ValueError(expected) from None
    if not all(isinstance(pattern, str) for pattern in globs):
        raise ValueError(expected)
    return {pattern: listed for pattern, listed in globs.items() if listed}


def switch_or_globs(value: Any) -> bool | tuple[str, ...]:
    """Return a switch for all notebooks, or globs of those for which it is on."""
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


def formats(value: Any) -> dict[str, str]:
    """Return formats or readers by suffix."""
    by_suffix = string_map(value)
    if not all(suffix.startswith(".") and reader for suffix, reader in by_suffix.items()):
        raise ValueError("a dictionary from a suffix such as '.py' to a format or reader")
    return by_suffix


def aliases(value: Any) -> dict[str, str]:
    """Return names by regular expressions."""
    by_pattern = string_map(value)
    _check_expressions(by_pattern)
    return by_pattern


def arguments_by_kernel(value: Any) -> dict[str, tuple[str, ...]]:
    """Return command-line arguments by regular expressions; a mere list is meant for all kernels.

    Arguments are not split at commas, which they may contain.
    """
    expected = "a list of strings, or a dictionary from a regular expression to such a list"
    by_kernel = value if isinstance(value, Mapping) else {".*": value}
    for pattern, listed in by_kernel.items():
        is_list = isinstance(listed, list | tuple)
        if not is_list or not all(isinstance(text, str) for text in (pattern, *listed)):
            raise ValueError(expected)
        if any("\0" in text for text in listed):
            raise ValueError("a list of strings without null characters")
    _check_expressions(by_kernel)
    return {pattern: tuple(listed) for pattern, listed in by_kernel.items() if listed}


def _check_expressions(patterns: Mapping[str, object]) -> None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"regular expressions as keys ({pattern!r}: {error})") from None


def environment(value: Any) -> dict[str, str | None]:
    """Return environment variables; `None` for those that are taken away."""
    if not isinstance(value, Mapping):
        raise ValueError("a dictionary of strings")  # noqa: TRY004 (one error type for all values)
    for variable, text in value.items():
        if not isinstance(variable, str) or not isinstance(text, str | None):
            raise ValueError("a dictionary of strings or None")  # noqa: TRY004 (as above)
        if not variable or "=" in variable or "\0" in variable + (text or ""):
            raise ValueError("a dictionary of what the environment can have")
    return dict(value)


def jobs(value: Any) -> int | None:
    """Return how many notebooks to run at once; `None` is one for each core."""
    if value in (AUTO, None):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if number < 1 or isinstance(value, bool | float):
        raise ValueError("'auto' or a whole number from 1 on")
    return number


def preload(value: Any) -> tuple[str, ...] | str:
    """Return the modules to preload, or that they are to be found out."""
    if value in (AUTO, None):
        return AUTO
    names = strings(value)
    if not all(part.isidentifier() for module in names for part in module.split(".")):
        raise ValueError("'auto' or a list of modules")
    return names


def exceptions(value: Any) -> tuple[str, ...]:
    """Return names of classes of exceptions.

    A class is known by its own name: what stands before a dot does not count, because kernels do
    not tell in which module a class is.
    """
    try:
        listed = [text.strip().rpartition(".")[2] for text in strings(value)]
    except ValueError:
        listed = []
    if not listed or not all(text.isidentifier() for text in listed):
        raise ValueError("a list of names of exceptions")
    return tuple(dict.fromkeys(listed))
