"""YAML in notebooks: safe, and as fast as PyYAML can."""

from __future__ import annotations

from typing import Any


class YamlError(Exception):
    """A text that is not YAML. `line` is where, counted from 1, if known."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


def load_yaml(text: str) -> Any:
    """Return what a YAML text says: plain data, never objects.

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
        words = (getattr(error, "problem", None), getattr(error, "context", None))
        problem = " ".join(filter(None, words)) or "unreadable"
        raise YamlError(problem, mark.line + 1 if mark is not None else None) from None
    except Exception as error:  # noqa: BLE001 (PyYAML lets through impossible dates and more)
        raise YamlError(str(error), None) from None
