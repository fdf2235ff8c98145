"""A `conf.py` with our options in place of those of nbsphinx and MyST-NB."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_cli import CommandLine

from sphinx_nbcache.cli.migrating import unified_diff
from sphinx_nbcache.extension.left_over import left_over_in, meanings
from sphinx_nbcache.extension.migrating import Migrated, migrated

LOADED = 'extensions = ["sphinx_nbcache"]\n'


def migration(text: str) -> Migrated:
    """Return the migration of a `conf.py`."""
    values: dict[str, object] = {}
    exec(compile(text, "conf.py", "exec"), values)
    their = left_over_in(values, (), Path("/src"), tuple)
    return migrated(text, values, meanings(their))


def after(text: str) -> str:
    """Return the text of a `conf.py` after its migration; our extension is loaded by default."""
    head = "" if text.startswith("extensions") else LOADED
    done = migration(head + text)
    assert done.notices == ()
    return done.text.removeprefix(head)


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
        ("extensions = ('nbsphinx',)", "extensions = ('sphinx_nbcache',)"),
        ("extensions = ('myst_nb', 'nbsphinx')", "extensions = ('sphinx_nbcache',)"),
        ("extensions = ('myst_nb', 'nbsphinx',)", "extensions = ('sphinx_nbcache',)"),
        ("extensions = 'nbsphinx',", "extensions = 'sphinx_nbcache',"),
        ("extensions = 'nbsphinx', 'myst_nb'", "extensions = 'sphinx_nbcache',"),
        (
            'extensions = [\n "sphinx_nbcache",\n "b",\n "nbsphinx"\n]',
            'extensions = [\n "sphinx_nbcache",\n "b",\n]',
        ),
        (
            "extensions = ['a']\nextensions += ['myst_nb', 'nbsphinx']",
            "extensions = ['a']\nextensions += ['sphinx_nbcache']",
        ),
        (
            "extensions = ['myst_nb']\nextensions.extend(['nbsphinx', 'b'])",
            "extensions = ['sphinx_nbcache']\nextensions.extend(['b'])",
        ),
        (
            "extensions = ['myst_nb']\nextensions.append('nbsphinx')\nx = 1",
            "extensions = ['sphinx_nbcache']\nx = 1",
        ),
        ("nb_execution_timeout = 30 # é", "nbcache_timeout = 30 # é"),
        ('é = "é"; nb_merge_streams = True', 'é = "é"; nbcache_merge_streams = True'),
        ('nb_execution_mode = "cache"  # why', 'nbcache_execute = "changed"  # why'),
        ("nb_execution_mode = 'off'", "nbcache_execute = 'off'"),
        ("x = 3\r\nnb_execution_timeout = 3\r\n", "x = 3\r\nnbcache_timeout = 3\r\n"),
        ("x = '\x0c\u2028'\nnb_execution_timeout = 3", "x = '\x0c\u2028'\nnbcache_timeout = 3"),
        ("nb_execution_excludepatterns = [\n  'a*',\n]", 'nbcache_exclude = ["**/a*"]'),
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
                "if True:\n    # nb_render_plugin: no counterpart, remove it; packages can"
                " announce renderers of single MIME types\n    nb_render_plugin = 'x'\n"
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


@pytest.mark.parametrize(
    "before",
    [
        "import os\n@nb_execution_timeout = int(os.environ.get('T', '3'))",
        "x = 3\n@nb_execution_timeout = x",
        "@nb_execution_timeout = 1 + 2",
        "@nb_execution_timeout = 2\nnb_execution_timeout = 3",
        "@nb_execution_timeout = 2\nnb_execution_timeout += 1",
        "@nb_execution_timeout = 2\ndel nb_execution_timeout\nnb_execution_timeout = 3",
        "if True:\n\t@nb_execution_timeout = 3\nelse:\n\tnb_execution_timeout = 4",
        "for _ in '1':\n  @nb_execution_timeout = 3",
        "def f():\n  @global nb_execution_timeout\n  nb_execution_timeout = 3\nf()",
        "@from math import inf as nb_execution_timeout",
        "@nb_execution_timeout: int = 3",
        "@nb_execution_timeout, x = 3, 4",
        "@x = nb_execution_timeout = 3",
        "@globals()['nb_execution_timeout'] = 3",
        "@nb_execution_timeout = 2\nglobals().update(nb_execution_timeout=3)",
        "@nb_execution_timeout = 2\nglobals()['nb_execution_' + 'timeout'] = 3",
        "@nb_execution_timeout = 3\nif False:\n    nbcache_timeout = 4",
    ],
)
def test_what_is_not_one_assignment_of_a_literal_gets_a_comment(before: str) -> None:
    text = before.replace("@", "")
    comment = "# nb_execution_timeout: write nbcache_timeout instead\n"
    line = before[: before.index("@")].rpartition("\n")[2]
    expected = before.replace("@", f"{comment}{line}")
    changed = after(text)
    assert changed == expected
    assert after(changed) == changed


def test_the_comment_says_where_values_differ() -> None:
    changed = after("import os\nnb_execution_mode = os.environ.get('NONE', 'cache')\n")
    assert changed.splitlines()[1] == (
        "# nb_execution_mode: write nbcache_execute instead; its values differ, 'cache' is"
        ' nbcache_execute = "changed"'
    )
    assert "its values differ, 'off' is" in after("x = 'off'\nnb_execution_mode = x\n")


def test_a_comment_is_one_line_that_is_not_long() -> None:
    changed = after(
        f"nb_render_image_options = {{'widht': {'a' * 999!r} '\\n\u2028'}}\nnb_x = '''\n'''"
    )
    comment, statement = changed.splitlines()[:2]
    assert comment.startswith("# nb_render_image_options does not count")
    assert statement.startswith("nb_render_image_options = ")
    assert len(comment) < 450


@pytest.mark.parametrize(
    "text",
    [
        "x = 1; nb_render_plugin = 'x'",
        "x = '''\n'''; nb_render_plugin = 'x'",
        "if True: \\\n  nb_render_plugin = 'x'",
        "exec('nb_render_' + 'plugin = 1')",
    ],
)
def test_where_no_comment_can_stand_a_notice_says_it(text: str) -> None:
    done = migration(LOADED + text)
    assert done.text == LOADED + text
    (notice,) = done.notices
    assert "nb_render_plugin: no counterpart, remove it" in notice


@pytest.mark.parametrize(
    "text",
    [
        "extensions = ['myst_nb'] if True else []",
        "extensions = 'a myst_nb'.split()",
        "x = ['myst_nb']\nextensions = x",
        "extensions = ['a'] + ['myst_nb']",
        "extensions = []\nextensions.insert(0, 'myst_nb')",
        "extensions = ['myst' '_nb']",
        "extensions = [f'{\"myst_nb\"}']",
        "if True:\n    extensions = ['myst_nb']",
        "extensions = ['a']\nextensions = ['myst_nb']",
        "extensions = ['myst_nb']\nfor x in extensions: pass",
        "extensions = ['myst_nb', # why\n 'nbsphinx' # because\n]",
        "extensions = ['sphinx_nbcache', ('myst_nb')]",
        "extensions = ['sphinx_nbcache']; extensions.append('myst_nb')",
        "other = extensions = ['myst_nb']",
        "extensions = []\ndef setup(app): app.setup_extension('myst_nb')",
        "extensions = ['sphinx_nbcache']\ndef setup(app): app.setup_extension('myst_nb')",
        "extensions = [*['myst_nb']]",
    ],
)
def test_other_lists_of_extensions_are_left_and_options_wait(text: str) -> None:
    text += "\nnb_execution_timeout = 3\n"
    done = migration(text)
    assert done.text == text
    (notice,) = done.notices
    assert 'first replace "myst_nb"' in notice
    assert 'by "sphinx_nbcache" in it by hand' in notice
    assert notice.endswith("run this again for 1 option")


def test_without_a_notebook_extension_nothing_is_changed() -> None:
    text = "extensions = ['myst_parser']\nnb_execution_timeout = 3\n"
    done = migration(text)
    assert done.text == text
    assert 'Add "sphinx_nbcache" to it by hand' in done.notices[0]


_STATEMENTS = st.lists(
    st.sampled_from(
        [
            "extensions = ['a', 'myst_nb']",
            "extensions = 'nbsphinx', 'myst_nb'",
            "extensions = ['sphinx_nbcache']",
            "extensions += ['nbsphinx',\n 'sphinx_nbcache' # why\n]",
            "extensions.append('myst_nb')",
            "nb_execution_mode = 'cache'",
            "nb_execution_mode = ('a'\n.replace('a', 'off'))",
            "nb_execution_timeout = 30",
            "nb_merge_streams = not 1",
            "nb_render_plugin = 'x'",
            "nbsphinx_kernel_name = '\\x0c\u2028'",
            "x = '''\n  nb_render_plugin = 1\n'''",
            "if True: nbsphinx_epilog = 'x'",
            "if True:\n\tnb_execution_excludepatterns = ['a',\n'b']",
            "\x0cnb_execution_in_temp = True",
            "pass \\\n",
        ]
    ),
    max_size=8,
)


@given(_STATEMENTS, st.lists(st.sampled_from(["\n", "\r\n", "\r", "; "]), min_size=8, max_size=8))
def test_the_changed_text_is_valid_and_applies(statements: list[str], ends: list[str]) -> None:
    text = "".join(part for pair in zip(statements, ends, strict=False) for part in pair)
    try:
        done = migration(text)
    except (SyntaxError, NameError, TypeError, AttributeError):
        return  # no `conf.py` that Sphinx takes
    ast.parse(done.text)
    assert "valid Python" not in "".join(done.notices)
    diff = unified_diff(text, done.text, "conf.py")
    assert _applied(text, diff) == done.text


def _applied(text: str, diff: str) -> str:
    """Return a text after `patch`, which need not be installed."""
    lines, at, made = re.findall(r"[^\n]*\n|[^\n]+", text), 0, []
    without_end = diff.replace("\n\\ No newline at end of file\n", "\0")
    for line in re.findall(r"[^\n\0]*[\n\0]", without_end)[2:]:
        kind, content = line[0], line[1:].removesuffix("\0")
        if kind == "@":
            start, count = re.match(r"@@ -([0-9]+)(,0)?", line).groups()  # type: ignore[union-attr]
            first = int(start) - (0 if count else 1)
            made += lines[at:first]
            at = first
            continue
        if kind in " -":
            assert lines[at] == content
            at += 1
        if kind in " +":
            made.append(content)
    return "".join([*made, *lines[at:]])


@pytest.mark.skipif(shutil.which("patch") is None, reason="patch is not installed")
@pytest.mark.parametrize("folder", [".", "docs", "my docs", "../outside"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "# \x0c \u2028 é"])
def test_patch_applies_the_diff(cli: CommandLine, folder: str, end: str, last: str) -> None:
    where = cli.folder / "here"
    (where / folder).mkdir(parents=True)
    conf = (where / folder / "conf.py").resolve()
    lines = ['extensions = ["myst_nb"]', "nb_execution_mode = 'off'", "nb_render_plugin = 1", last]
    conf.write_bytes(end.join(lines).encode())
    done = CommandLine(where, cli.capsys).ok("migrate", folder)
    assert "\N{REPLACEMENT CHARACTER}" not in done.out
    command = shlex.split(done.err.rpartition(" | ")[2])
    subprocess.run(command, input=done.out.encode(), cwd=where, check=True, timeout=60)
    new = conf.read_bytes().decode().split(end)
    assert new[:2] == ['extensions = ["sphinx_nbcache"]', "nbcache_execute = 'off'"]
    assert new[3:] == ["nb_render_plugin = 1", last]


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
