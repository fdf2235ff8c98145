"""Importing nbclient without the grammars that jsonschema may check IRIs with."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHECK = """
import sys
from sphinx_nbcache.kernels.quick_import import import_nbclient
import_nbclient()
assert "nbclient" in sys.modules
assert "rfc3987_syntax" not in sys.modules
import jsonschema
checker = jsonschema.FormatChecker(["iri"])
assert checker.conforms("http://example.org/é", "iri")
assert not checker.conforms("no iri", "iri")
assert "rfc3987_syntax" in sys.modules
"""


def test_grammars_are_imported_only_when_something_is_checked_with_them() -> None:
    pytest.importorskip("rfc3987_syntax")
    done = subprocess.run([sys.executable, "-c", CHECK], check=False, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
