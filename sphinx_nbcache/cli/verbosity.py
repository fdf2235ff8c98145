"""Verbosity: counted by `-v` and `-q`, or named like the levels of Python's logging."""

from __future__ import annotations

from collections.abc import Sequence

DEBUG, USUAL, NO_PROGRESS, ERRORS, NOTHING = 1, 0, -1, -2, -3

LEVELS = {
    "DEBUG": DEBUG,
    "INFO": USUAL,
    "WARNING": NO_PROGRESS,
    "ERROR": ERRORS,
    "CRITICAL": NOTHING,
}
_SHORT, _LONG = "-v", "--verbosity"


def with_named_levels(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which a level after `-v` is the value of `--verbosity`.

    click has no option that counts and may also take a value. Only names in capitals are taken for
    levels: any other word after `-v` is a notebook.
    """
    found: list[str] = []
    for place, argument in enumerate(arguments):
        if argument == "--":
            return [*found, *arguments[place:]]
        if argument in LEVELS and found and found[-1] == _SHORT:
            found[-1] = f"{_LONG}={argument}"
        elif argument.startswith(_SHORT) and argument[len(_SHORT) :] in LEVELS:
            found.append(f"{_LONG}={argument[len(_SHORT) :]}")
        else:
            found.append(argument)
    return found
