"""How outputs of two runs are compared, and what is shown of a difference."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import pytest
from support import stream

from sphinx_nbcache.project.differences import differences
from sphinx_nbcache.results.outputs import RunOutputs

VIEW = "application/vnd.jupyter.widget-view+json"


def shown(**data: Any) -> dict[str, Any]:
    data = {mime.replace("_", "/"): value for mime, value in data.items()}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def result(text: str, count: int) -> dict[str, Any]:
    return {**shown(text_plain=text), "output_type": "execute_result", "execution_count": count}


def slider(value: int) -> RunOutputs:
    """Return outputs with a widget, whose ids are new each time."""
    ids = [uuid4().hex for _ in range(3)]
    view = {**shown(), "data": {VIEW: {"model_id": ids[0]}, "text/plain": "IntSlider()"}}
    state = {
        ids[1]: {"model_name": "LayoutModel", "state": {}},
        ids[0]: {
            "model_name": "IntSliderModel",
            "state": {"value": value, "layout": f"I_{ids[1]}"},
        },
    }
    state[ids[2]] = {"model_name": "LayoutModel", "state": {"width": "2px"}}
    # As the store keeps it.
    return RunOutputs([[], [view]], {"state": dict(sorted(state.items()))})


@pytest.mark.parametrize(
    ("old", "new", "diff"),
    [
        (
            stream("a\nb\nc\n"),
            stream("a\nB\nc\n"),
            " stdout: a\n-stdout: b\n+stdout: B\n stdout: c",
        ),
        ([], stream("a"), "+stdout: a"),
        ([result("1", 1)], [result("2", 1)], "-text/plain: 1\n+text/plain: 2"),
        ([shown(text_plain="<A at 0x1>")], [shown(text_plain="<A at 0x2>")], None),
        ([shown(image_png="aaaa")], [shown(image_png="aaab")], None),
        ([shown(text_plain="1")], [shown(text_plain="1", text_html="1")], None),
        ([{**shown(), "metadata": {"a": 1}}], [shown()], '-metadata: {"a":1}'),
    ],
)
def test_what_differs_is_shown(
    old: list[dict[str, Any]], new: list[dict[str, Any]], diff: str | None
) -> None:
    found = differences(RunOutputs([[], old]), RunOutputs([[], new]))
    assert set(found) == {1}
    assert found[1] == diff if diff else {"-", "+"} & {line[0] for line in found[1].splitlines()}


def test_execution_counts_do_not_count() -> None:
    assert differences(RunOutputs([[result("1", 1)]]), RunOutputs([[result("1", 7)]])) == {}


def test_widgets_are_compared_by_what_they_are_not_by_their_ids() -> None:
    for _ in range(20):
        assert differences(slider(1), slider(1)) == {}
    (changed,) = differences(slider(1), slider(2)).items()
    assert changed[0] == 1
    assert '"value": 2' in changed[1]


def test_a_difference_is_shown_in_short_however_much_there_is() -> None:
    many = "".join(f"line {n}\n" for n in range(200_000))
    begin = time.process_time()
    (diff,) = differences(
        RunOutputs([stream(many)]), RunOutputs([stream("new\n" * 200_000)])
    ).values()
    assert time.process_time() - begin < 5
    assert len(diff.splitlines()) <= 13
    long = "x" * 1_000_000
    (diff,) = differences(
        RunOutputs([stream(long + "a")]), RunOutputs([stream(long + "b")])
    ).values()
    assert len(diff) < 1000
    assert "xa" in diff
