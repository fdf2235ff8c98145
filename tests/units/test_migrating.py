"""A `conf.py` with our options in place of those of nbsphinx and MyST-NB."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from support_cli import CommandLine

from sphinx_nbcache.extension.left_over import left_over_in, meanings
from sphinx_nbcache.extension.migrating import migrated


def after(text: str, *documents: str) -> str:
    """Return the text of a `conf.py` after its migration."""
    values: dict[str, object] = {}
    exec(compile(text, "conf.py", "exec"), values)
    their = left_over_in(values, (), Path("/src"), lambda: documents)
    return migrated(text, values, meanings(their))


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ('extensions = ["a", "myst_nb"]', 'extensions = ["a", "sphinx_nbcache"]'),
        ("extensions = ['nbsphinx']", "extensions = ['sphinx_nbcache']"),
        (
            "extensions = ['a']\nextensions.append('myst_nb')",
            "extensions = ['a']\nextensions.append('sphinx_nbcache')",
        ),
        ('extensions = ["myst_nb", "sphinx_nbcache"]', 'extensions = ["sphinx_nbcache"]'),
        ('extensions = ["sphinx_nbcache", "myst_nb"]', 'extensions = ["sphinx_nbcache"]'),
        (
            'extensions = [\n "myst_nb",\n "nbsphinx",\n "b",\n]',
            'extensions = [\n "sphinx_nbcache",\n "b",\n]',
        ),
        ('other = ["myst_nb"]', 'other = ["myst_nb"]'),
        ("nb_execution_timeout = 30 # é", "nbcache_timeout = 30 # é"),
        ('é = "é"; nb_merge_streams = True', 'é = "é"; nbcache_merge_streams = True'),
        ('nb_execution_mode = "cache"  # why', 'nbcache_execute = "changed"  # why'),
        ("nb_execution_mode = 'off'", "nbcache_execute = 'off'"),
        ("x = 3\r\nnb_execution_timeout = x\r\n", "x = 3\r\nnbcache_timeout = x\r\n"),
        ("nb_execution_excludepatterns = [\n  'a*',\n]", 'nbcache_exclude = ["**/a*"]'),
        (
            "nb_kernel_rgx_aliases = {}\nnb_kernel_rgx_aliases['a'] = 'b'",
            "nbcache_kernel_aliases = {}\nnbcache_kernel_aliases['a'] = 'b'",
        ),
        (
            "nb_execution_excludepatterns = [\n  'a*',  # old\n]",
            (
                '# nb_execution_excludepatterns: write nbcache_exclude = ["**/a*"] instead\n'
                "nb_execution_excludepatterns = [\n  'a*',  # old\n]"
            ),
        ),
        (
            "if True:\n    nb_render_plugin = 'x'\n",
            (
                "if True:\n    # nb_render_plugin: no counterpart, remove it; outputs are"
                " rendered by this extension alone\n    nb_render_plugin = 'x'\n"
            ),
        ),
        (
            "nbcache_timeout = 1\r\nnb_execution_timeout = 2\r\n",
            (
                "nbcache_timeout = 1\r\n# nbcache_timeout counts, not nb_execution_timeout;"
                " remove it\r\nnb_execution_timeout = 2\r\n"
            ),
        ),
    ],
)
def test_only_what_has_to_change_does(before: str, expected: str) -> None:
    assert after(before) == expected
    assert after(expected) == expected


def test_the_command_prints_a_diff_and_writes_nothing(cli: CommandLine) -> None:
    text = textwrap.dedent(
        """\
        project = "P"
        extensions = ["myst_nb"]  # notebooks
        nb_execution_mode = "cache"
        """
    )
    conf = cli.write("docs/conf.py", text)
    for path in ("docs", "docs/conf.py"):
        done = cli.ok("migrate", path)
        assert done.out == textwrap.dedent(
            """\
            --- a/docs/conf.py
            +++ b/docs/conf.py
            @@ -1,3 +1,3 @@
             project = "P"
            -extensions = ["myst_nb"]  # notebooks
            -nb_execution_mode = "cache"
            +extensions = ["sphinx_nbcache"]  # notebooks
            +nbcache_execute = "changed"
            """
        )
    assert conf.read_text(encoding="utf-8") == text
    assert {path.name for path in cli.folder.rglob("*")} >= {"docs", "conf.py"}
    cli.write("docs/conf.py", 'extensions = ["sphinx_nbcache"]\n')
    done = cli.ok("migrate", "docs")
    assert (done.out, done.err) == ("", "There is nothing to change in docs/conf.py.\n")


def test_a_conf_that_is_missing_or_fails_is_named(cli: CommandLine) -> None:
    assert "there is no conf.py in" in cli("migrate", "nowhere").err
    cli.write("conf.py", "1 / 0\n")
    done = cli("migrate")
    assert done.code == 2
    assert "ZeroDivisionError" in done.err
