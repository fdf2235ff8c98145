"""How an option is declared: its check, its description, and where it may be overridden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from sphinx_nbcache import values

Rebuild = Literal["", "env", "html"]
InKey = Literal["", "indirect", "value"]
FlagKind = Literal["switch", "count", "positive", "seconds", "executor"]

# In `conf.py`, names of all extensions share one namespace.
PREFIX = "nbcache_"
AUTO = CORES = values.AUTO


@dataclass(frozen=True, slots=True)
class Flag:
    """The flag of `execute` that overrides an option for one call.

    Attributes:
        names: Its names, such as `-j` and `--jobs`; for a switch `--ci/--no-ci`.
        kind: The values that it takes. A switch that is not given leaves the option alone.
        help: Its description.
        metavar: The name of its value in the help; empty for a switch.
        switch: The raw values for a switch: on and off.
    """

    names: tuple[str, ...]
    kind: FlagKind
    help: str
    metavar: str = ""
    switch: tuple[Any, Any] = (True, False)


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of one option.

    Attributes:
        check: Takes a raw value, returns the value to use; `ValueError` says what is expected.
        expects: The values in words, for messages and for the reference.
        help: A description of its effect (Markdown).
        rebuild: Sphinx's rebuild class. Options that only decide what is run have `""`:
            pages whose outputs change are re-read because their render id changes.
        in_key: Whether a change of the value can change the code key of a notebook: `"value"` if
            the value itself is part of the key, `"indirect"` if it decides about other parts, such
            as the folder or the kernel.
        per_notebook: The notebook metadata that overrides it, as a dotted path, or `""`.
        per_cell: The key below `nbcache` in the metadata of a cell that overrides it, or `""`.
        in_myst_nb: The name of the same option in MyST-NB, without `nb_`, or `""`.
        per_cell_in_myst_nb: Its key below `mystnb` in the metadata of a cell, or `""`.
        is_project_wide: Whether it exists in `conf.py`, and not only in metadata.
        own: The check of the value there, if it is not the same.
        is_added: Whether that value adds to the option instead of replacing it.
        flag: The flag of `execute` that overrides it, if there is one.
        is_strict: Whether a value that cannot be used is an error. The default takes its place
            otherwise, after a warning.
        is_lasting: Whether it holds for the commands that follow a build, too.
    """

    check: Callable[[Any], Any]
    expects: str
    help: str
    rebuild: Rebuild = ""
    in_key: InKey = ""
    per_notebook: str = ""
    per_cell: str = ""
    in_myst_nb: str = ""
    per_cell_in_myst_nb: str = ""
    is_project_wide: bool = True
    own: Callable[[Any], Any] | None = None
    is_added: bool = False
    flag: Flag | None = None
    is_strict: bool = False
    is_lasting: bool = True


@dataclass(frozen=True, slots=True)
class OptionProblem:
    """A problem with the value of an option, in words.

    Attributes:
        option: The name of the option in `conf.py`.
        text: The problem, and the value that is used instead.
    """

    option: str
    text: str

    def __str__(self) -> str:
        return self.text


class OptionError(ValueError):
    """The value of a strict option cannot be used.

    Attributes:
        option: The name of the option in `conf.py`.
    """

    def __init__(self, option: str, text: str) -> None:
        super().__init__(text)
        self.option = option


def option(default: Any, check: Callable[[Any], Any], **declared: Any) -> Any:
    """Declare an option as a dataclass field. `default` is the raw value, as in `conf.py`."""
    metadata = {"option": Option(check, **declared), "raw": default}
    # A factory, because a checked default can be a dictionary, which dataclasses refuse as a
    # default (https://docs.python.org/3/library/dataclasses.html#mutable-default-values).
    return field(default_factory=lambda: check(default), metadata=metadata)
