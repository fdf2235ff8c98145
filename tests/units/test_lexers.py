"""Highlighters are found by name, and nothing is loaded for it that is not needed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pygments.lexers import PythonLexer
from sphinx.highlighting import lexer_classes

from sphinx_nbcache.extension.lexers import is_lexer, load_lexers


@pytest.mark.parametrize("name", ["python", "Python", "ipython3", "r", "none"])
def test_what_pygments_sphinx_or_a_package_has_is_known(name: str) -> None:
    assert is_lexer(name)


@pytest.mark.parametrize("name", ["no-such", "", "x" * 1000, "../a", "ipython3\n"])
def test_other_names_are_not(name: str) -> None:
    assert not is_lexer(name)


def test_what_an_extension_has_registered_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lexer_classes, "of-an-extension", PythonLexer)
    assert is_lexer("of-an-extension")


def test_only_the_highlighter_that_is_asked_for_is_loaded() -> None:
    code = (
        "import sys\n"
        "from sphinx_nbcache.extension.lexers import load_lexers\n"
        "from sphinx.highlighting import lexer_classes\n"
        "load_lexers(['ipython3', 'no-such'])\n"
        "import pygments.plugin\n"
        "asked = []\n"
        "pygments.plugin.find_plugin_lexers = lambda: asked.append(1) or []\n"
        "load_lexers(['ipython3'])\n"
        "from sphinx.highlighting import PygmentsBridge\n"
        "PygmentsBridge('html').highlight_block('%time 1', 'ipython3')\n"
        "print('ipython3' in lexer_classes, asked)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "True []"


def test_loading_lexers_takes_any_names() -> None:
    load_lexers(["python", "no-such", "python"])
