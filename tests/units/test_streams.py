"""What cells wrote to their streams, joined as nbclient does, in linear time."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbclient.client import _RGX_CARRIAGERETURN

from sphinx_nbcache.kernels.streams import join_streams


def stream(name: str, text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


SHOWN = {"output_type": "display_data", "data": {"text/plain": "x"}, "metadata": {}}


@given(st.lists(st.text("ab\r\n\x85", max_size=12)))
def test_overwritten_lines_are_left_out_as_nbclient_leaves_them_out(texts: list[str]) -> None:
    expected = _RGX_CARRIAGERETURN.sub("", "".join(texts))
    joined = join_streams([stream("stdout", text) for text in texts])
    assert joined == ([stream("stdout", expected)] if texts else [])


@pytest.mark.parametrize(
    ("outputs", "joined"),
    [
        ([], []),
        ([SHOWN, SHOWN], [SHOWN, SHOWN]),
        (
            [stream("stdout", "1"), SHOWN, stream("stdout", "2")],
            [stream("stdout", "12"), SHOWN],
        ),
        (
            [stream("stderr", "e"), stream("stdout", "o"), stream("stderr", "f")],
            [stream("stdout", "o"), stream("stderr", "ef")],
        ),
        (
            [stream("stderr", "e"), SHOWN, stream("stdout", "o")],
            [stream("stderr", "e"), SHOWN, stream("stdout", "o")],
        ),
    ],
)
def test_each_stream_stands_where_it_began_and_stdout_goes_first(
    outputs: list[dict[str, Any]], joined: list[dict[str, Any]]
) -> None:
    assert join_streams(outputs) == joined


def test_a_long_line_takes_no_time() -> None:
    """nbclient would take minutes."""
    begin = time.process_time()
    ((output),) = join_streams([stream("stdout", "x" * 1_000_000)] * 3)
    assert time.process_time() - begin < 1
    assert len(output["text"]) == 3_000_000
