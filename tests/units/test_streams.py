"""What cells wrote to their streams, joined without what a terminal would not show."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.kernels.streams import join_streams
from sphinx_nbcache.results.terminal import pieces


def stream(name: str, text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


SHOWN = {"output_type": "display_data", "data": {"text/plain": "x"}, "metadata": {}}


def on_screen(text: str) -> str:
    return "".join(part for _, part in pieces(text))


@given(st.lists(st.text("ab\r\b\n", max_size=12)))
def test_what_is_left_out_is_what_a_terminal_does_not_show(texts: list[str]) -> None:
    joined = join_streams([stream("stdout", text) for text in texts])
    assert len(joined) == bool(texts)
    for output in joined:
        assert on_screen(output["text"]) == on_screen("".join(texts))


def test_a_progress_bar_keeps_its_last_state() -> None:
    bar = "".join(f"\r{done:3}% {'#' * done}" for done in range(101))
    (joined,) = join_streams([stream("stderr", bar)])
    assert joined["text"] == f"100% {'#' * 100}"


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
