"""YAML in notebooks: loaded safely, and with libyaml where available."""

from __future__ import annotations

import re
from typing import Any

# The conflict markers that git leaves in a file.
_CONFLICT = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
CONFLICT = "an unresolved merge conflict"


class YamlError(Exception):
    """A text that is not YAML. `line` is the faulty line, counted from 1, if known."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


def load_yaml(text: str) -> Any:
    """Return the content of a YAML text: plain data, never objects.

    Raises:
        YamlError: The text is not YAML.
    """
    import yaml

    # PyYAML is not always built with libyaml, whose loader is ten times faster.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, loader)  # noqa: S506 (a safe loader, in either form)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        words = (getattr(error, "problem", None), getattr(error, "context", None))
        problem = " ".join(filter(None, words)) or "unreadable"
        usual, usual_line = _usual_mistake(text, line)
        raise YamlError(usual or problem, usual_line) from None
    except Exception as error:  # noqa: BLE001 (PyYAML lets through impossible dates and more)
        raise YamlError(str(error), None) from None


def line_of_conflict(text: str) -> int | None:
    """Return the line at which an unresolved merge conflict begins, counted from 1, if any."""
    found = _CONFLICT.search(text)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def _usual_mistake(text: str, line: int | None) -> tuple[str, int | None]:
    """Describe a common mistake with its remedy, where YAML's own message does not.

    Args:
        text: The text, which is not YAML.
        line: The line at which the parser stopped.

    Returns:
        The description, empty if the mistake is not common; and its line.
    """
    if conflict := line_of_conflict(text):
        return CONFLICT, conflict
    lines = text.splitlines()
    stopped = lines[line - 1] if line is not None and line <= len(lines) else ""
    if "\t" in stopped[: len(stopped) - len(stopped.lstrip())]:
        return "YAML cannot be indented with tabs; use spaces", line
    return "", line
