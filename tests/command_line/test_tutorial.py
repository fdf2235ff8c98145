"""The commands of jupyter-cache's tutorial, in its order, over notebooks of its kinds."""

from __future__ import annotations

import io
import sys

import click
import pytest
from support import code_cell
from support_cli import CommandLine, Done, printing

from sphinx_nbcache.cli import cache, notebook, project

MYST = """---
kernelspec:
  name: python3
  display_name: Python 3
---

Text.

```{code-cell}
a = 1
print(a)
```
"""
BASIC, FAILING, UNRUN = (
    f"tests/notebooks/basic{name}.ipynb" for name in ("", "_failing", "_unrun")
)
COMPLEX, EXTERNAL = (f"tests/notebooks/{name}.ipynb" for name in ("complex_outputs", "external"))
TEXT, ASSET = "tests/notebooks/basic.md", "tests/notebooks/artifact_folder/artifact.txt"


@pytest.fixture
def filled(cli: CommandLine) -> CommandLine:
    """The notebooks of the tutorial."""
    image = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0KGgo="}}
    basic = code_cell("a = 1\nprint(a)", outputs=printing("1\n"), count=2)
    cli.ipynb(BASIC, "A title", basic)
    cli.ipynb(UNRUN, "Another title", code_cell("a = 1\nprint(a)"))
    cli.ipynb(FAILING, code_cell("raise Exception('oopsie!')", count=3))
    cli.ipynb(COMPLEX, code_cell("import sys"), code_cell("sys", outputs=[image], count=9))
    cli.ipynb(EXTERNAL, code_cell("open('artifact.txt')", count=2))
    cli.write(TEXT, MYST)
    cli.write(ASSET, "An artifact")
    return cli


@pytest.mark.kernel
def test_the_tutorial(filled: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(
        answer: str, *arguments: str, code: int = 0, group: click.Group = notebook
    ) -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{answer}\n"))
        done = filled(*arguments, group=group)
        assert done.code == code, done
        return done

    def states() -> list[list[str]]:
        """Return id and state of each notebook of the list."""
        rows = filled.ok("list", group=notebook).out.splitlines()[2:]
        return [[row.split()[0], *row.split()[5:]] for row in rows]

    assert answered("y", "list").out == "No notebooks in project\n"
    answered("y", "clear", group=project)
    filled.ok("add", BASIC, FAILING, UNRUN, COMPLEX, EXTERNAL, group=notebook)
    assert states() == [[str(number), "-"] for number in range(1, 6)]
    filled.ok("remove", "4", group=notebook)
    answered("y", "clear")
    assert "No notebooks" in filled.ok("list", group=notebook).out

    filled.ok("add", "--reader", "nbformat", BASIC, FAILING, group=notebook)
    filled.ok("add", "--reader", "jupytext", TEXT, group=notebook)
    done = filled("execute", "--executor", "local-serial", group=project)
    assert done.code == 1
    assert "code cell 1, line 1: Exception: oopsie!" in done.out
    digests = [item["digest"] for item in filled.ok("list", "--json", group=cache).json["results"]]
    assert all(d[:12] in filled.ok("list", "--hashkeys", group=cache).out for d in digests)
    assert states() == [["6", "✅"], ["7", "❌"], ["8", "✅"]]

    done = filled("execute", "--executor", "local-serial", "-v", "CRITICAL", group=project)
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("failed:\n- tests/notebooks/basic_failing.ipynb:7 (result 2): ")
    done = filled("execute", "--force", group=project)
    assert done.out.startswith("Finished! 1 succeeded, 1 failed, 1 up to date.\n")
    answered("n", "clear", code=2, group=cache)

    assert "1 of 1 code cells run" in filled.ok("info", "1", group=cache).out
    assert "----> 1 raise" in filled.ok("info", "--tb", FAILING, group=notebook).out
    filled.ok("merge", TEXT, "final_notebook.ipynb", group=notebook)
    merged = filled.read("final_notebook.ipynb")["cells"]
    assert merged[0]["source"] == ["Text."]
    assert merged[1]["outputs"][0]["text"] == ["1\n"]

    filled.ok("invalidate", BASIC, group=notebook)
    assert [state[1] for state in states()] == ["-", "❌", "-"]
    filled.ok("remove", BASIC, group=notebook)
    filled.ok("add-with-assets", "-nb", BASIC, ASSET, group=notebook)
    assert "- artifact_folder/artifact.txt" in filled.ok("info", BASIC, group=notebook).out

    added = answered("y", "add", COMPLEX, group=cache)
    assert "code cell 1 has no execution count" in added.err
    filled.ok("add", "--no-validate", EXTERNAL, group=cache)
    assert len(filled.ok("list", "--json", group=cache).json["results"]) == 3

    pytest.importorskip("nbdime")
    # The tutorial means the result that has the lowest id by then. Ours has gone, and its id too.
    assert filled("diff", "1", UNRUN, group=cache).code == 2
    assert (
        "+++ tests/notebooks/basic_unrun.ipynb"
        in filled.ok("diff", COMPLEX, UNRUN, group=cache).out
    )
