"""The import of nbclient, without its slowest part, which is not used here."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

# If rfc3987_syntax is installed, jsonschema (used by nbformat) imports it to check IRIs. It
# compiles a grammar for each rule, which takes two seconds. jsonschema does not defer the import:
# https://github.com/python-jsonschema/jsonschema/issues/1428
_SLOW, _FUNCTION = "rfc3987_syntax", "is_valid_syntax"


def import_nbclient() -> None:
    """Import nbclient, unless that was done already."""
    with _without_grammars():
        importlib.import_module("nbclient")


@contextmanager
def _without_grammars() -> Iterator[None]:
    """Defer the import of grammars by modules imported in the context until they are used."""
    # If jsonschema has been imported, it has taken its reference to the function, or has found
    # none.
    if {_SLOW, "jsonschema"} & sys.modules.keys() or find_spec(_SLOW) is None:
        yield
        return
    stand_in = types.ModuleType(_SLOW)
    setattr(stand_in, _FUNCTION, _is_valid_syntax)
    sys.modules[_SLOW] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(_SLOW) is stand_in:
            del sys.modules[_SLOW]


def _is_valid_syntax(*arguments: Any, **options: Any) -> Any:
    return getattr(importlib.import_module(_SLOW), _FUNCTION)(*arguments, **options)
