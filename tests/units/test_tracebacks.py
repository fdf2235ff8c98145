"""Tracebacks without the frames of installed packages, in every form that kernels send."""

from __future__ import annotations

from support_report import TRACEBACK

from sphinx_nbcache.results.terminal import strip_ansi
from sphinx_nbcache.results.tracebacks import trimmed, without_own_frames

CHAINED = """\
---------------------------------------------------------------------------
KeyError                                  Traceback (most recent call last)
File /venv/lib/python3.11/site-packages/pandas/core/indexes/base.py:3816, in Index.get_loc(self)
   3815 try:
-> 3816     return self._engine.get_loc(casted_key)

File pandas/_libs/index.pyx:172, in pandas._libs.index.IndexEngine.get_loc()
--> 172 'Could not get source'

KeyError: 'b'

The above exception was the direct cause of the following exception:

Foo                                       Traceback (most recent call last)
Cell In[3], line 6
      4     helper.get(frame)
----> 6     raise Foo('bad') from e

File ~/book/helper.py:3, in get(frame)
      2 def get(frame):
----> 3     return frame['b']

Foo: bad"""

PLAIN = """\
Traceback (most recent call last):
  File "/home/me/book/helper.py", line 3, in get
    return json.loads(text)
  File "/usr/lib/python3.11/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
  File "/usr/lib/python3.11/json/decoder.py", line 337, in decode
    obj, end = self.raw_decode(s)
json.decoder.JSONDecodeError: Expecting value"""


def test_frames_of_packages_are_counted_and_those_of_the_user_stay() -> None:
    text = strip_ansi(trimmed(TRACEBACK))
    assert "Cell In[2], line 3" in text
    assert "frame['b']" in text
    assert "DataFrame.__getitem__" not in text
    assert text.endswith("frame['b']\n\n    … 1 frame in pandas\n\nKeyError: 'b'")


def test_colours_stay() -> None:
    assert "\x1b[33m'b'\x1b[39m" in trimmed(TRACEBACK)


def test_every_exception_of_a_chain_is_trimmed() -> None:
    text = trimmed(CHAINED)
    assert text.count("… 2 frames in pandas") == 1
    assert "Index.get_loc" not in text
    assert "index.pyx" not in text
    for kept in ("KeyError: 'b'", "direct cause", "Cell In[3]", "~/book/helper.py:3", "Foo: bad"):
        assert kept in text


def test_pythons_own_form_is_known_as_well() -> None:
    text = trimmed(PLAIN)
    assert "helper.py" in text
    assert "    … 2 frames in Python's library" in text
    assert "decoder.py" not in text
    assert text.endswith("json.decoder.JSONDecodeError: Expecting value")


def test_frames_on_windows_are_known() -> None:
    text = PLAIN.replace("/usr/lib/python3.11/", "C:\\Python311\\Lib\\")
    assert "decoder.py" not in trimmed(text)


def test_what_has_no_frames_of_the_user_or_none_at_all_is_left_whole() -> None:
    foreign = "\n".join(PLAIN.splitlines()[:1] + PLAIN.splitlines()[3:])
    for text in (foreign, "Error in f(): object 'x' not found", "", "the kernel died: -9"):
        assert trimmed(text) == text


def test_a_traceback_of_the_user_alone_is_left_whole() -> None:
    text = "Cell In[1], line 1\n----> 1 1/0\n\nZeroDivisionError: division by zero"
    assert trimmed(text) == text


def test_frames_of_the_tracer_are_left_out() -> None:
    own = "\x1b[36mFile \x1b[39m\x1b[32m<nbcache imports>:50\x1b[39m, in f(name)\n     46 x"
    theirs = "File ~/lib/importlib/__init__.py:126, in import_module(name)"
    assert without_own_frames(["Cell In[1], line 2", own, theirs]) == ["Cell In[1], line 2", theirs]
    text = (
        'Traceback\n  File "<nbcache imports>", line 50, in import_module\n'
        '  File "a.py", line 1, in f\n    x\nE: no'
    )
    assert without_own_frames([text]) == ['Traceback\n  File "a.py", line 1, in f\n    x\nE: no']
