"""At which line of its cell a run failed, in the words of several versions and modes of IPython."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import job, outcome_of

from sphinx_nbcache.results.tracebacks import line_in_cell, without_own_file

IPYTHON_8 = """\
\x1b[0;31m---------------------------------------------------------------------------\x1b[0m
\x1b[0;31mZeroDivisionError\x1b[0m                         Traceback (most recent call last)
Cell \x1b[0;32mIn[2], line 3\x1b[0m
\x1b[1;32m      1\x1b[0m x = 1
\x1b[0;32m----> 3\x1b[0m \x1b[43mf\x1b[49m()

Cell \x1b[0;32mIn[1], line 2\x1b[0m, in \x1b[0;36mf\x1b[0;34m()\x1b[0m
\x1b[0;32m----> 2\x1b[0m     1 / 0

\x1b[0;31mZeroDivisionError\x1b[0m: division by zero"""
IPYTHON_8_0 = """\
Input \x1b[0;32mIn [2]\x1b[0m, in \x1b[0;36m<cell line: 3>\x1b[0;34m()\x1b[0m
\x1b[0;32m----> 3\x1b[0m f()
ZeroDivisionError: division by zero"""
IPYTHON_7 = """\
<ipython-input-2-9e1622b385b6> in <module>
      2 # text
----> 3 f()

<ipython-input-1-0123> in f()
----> 1 1 / 0
ZeroDivisionError: division by zero"""
SYNTAX = """\
  Cell \x1b[0;32mIn[2], line 3\x1b[0m
\x1b[0;31m    for\x1b[0m
SyntaxError: invalid syntax"""
CHAIN = """\
Cell In[2], line 2
----> 2 {}["a"]
KeyError: 'a'

During handling of the above exception, another exception occurred:

Cell In[2], line 3
----> 3 1 / 0
ZeroDivisionError: division by zero"""


@pytest.mark.parametrize("text", [IPYTHON_8, IPYTHON_8_0, IPYTHON_7, SYNTAX, CHAIN])
def test_the_line_of_the_cell_that_failed_is_found(text: str) -> None:
    assert line_in_cell(text, 2) == 3


@pytest.mark.parametrize(("text", "count"), [(IPYTHON_8, 7), (IPYTHON_8, None), ("", 1), ("x", 2)])
def test_no_line_is_guessed(text: str, count: int | None) -> None:
    assert line_in_cell(text, count) is None


@given(st.text(max_size=80))
def test_no_text_is_a_problem(text: str) -> None:
    line_in_cell(text, 1)


@pytest.mark.parametrize(
    ("message", "clean"),
    [
        ("invalid syntax (2463523457.py, line 2)", "invalid syntax"),
        ("invalid syntax (<ipython-input-2-ab12>, line 2)", "invalid syntax"),
        ("invalid syntax (helpers.py, line 2)", "invalid syntax (helpers.py, line 2)"),
        ("unterminated (detected at line 1) (12.py, line 1)", "unterminated (detected at line 1)"),
        ("other", "other"),
    ],
)
def test_only_the_files_of_the_kernel_are_left_out_of_messages(message: str, clean: str) -> None:
    assert without_own_file(message) == clean


@pytest.mark.kernel
@pytest.mark.parametrize("mode", ["Plain", "Context", "Verbose"])
@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = 1\n\n1 / 0", 3),
        ("def f():\n    1 / 0\n\nf()", 2),
        ("try:\n    {}['a']\nexcept KeyError:\n    1 / 0", 4),
        ("x = 1\nfor", 2),
        ("import json\njson.loads('x')", 2),
    ],
)
def test_the_line_is_found_in_tracebacks_of_real_kernels(
    tmp_path_factory: pytest.TempPathFactory, mode: str, source: str, line: int
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    failure = (outcome := outcome_of(job(folder, f"%xmode {mode}", source))).failure
    assert failure is not None
    assert line_in_cell(failure.traceback, outcome.cells[1].execution_count) == line
    assert ".py" not in failure.headline
