"""Levels of verbosity behind `-v`, where click has no option that counts and takes a value."""

from __future__ import annotations

import pytest

from sphinx_nbcache.cli.options import with_named_levels


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("-v DEBUG a.ipynb", "--verbosity=DEBUG a.ipynb"),
        ("a.ipynb -vERROR", "a.ipynb --verbosity=ERROR"),
        ("-v", "-v"),
        ("-vv", "-vv"),
        ("-v a.ipynb", "-v a.ipynb"),
        ("-v debug", "-v debug"),
        ("DEBUG -v", "DEBUG -v"),
        ("-v -v INFO INFO", "-v --verbosity=INFO INFO"),
        ("--verbosity ERROR", "--verbosity ERROR"),
        ("-v -- -v INFO", "-v -- -v INFO"),
        ("project -v INFO list -q", "project --verbosity=INFO list -q"),
    ],
)
def test_only_a_level_in_capitals_is_a_value(given: str, taken: str) -> None:
    assert with_named_levels(given.split()) == taken.split()
