"""Outputs on their way into the store and out of it: what goes in comes out."""

from __future__ import annotations

import base64
import binascii
import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.results.outputs import OutputsError, RunOutputs, pack, render_id, unpack
from sphinx_nbcache.results.records import Failure, content_digest

# What JSON can say, and what Python's own reader makes of it.
TEXT = st.text(max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
REFERENCES = st.sampled_from(["$nbcache-text", "$nbcache-base64", "$nbcache-json"])
LOOKALIKES = st.recursive(
    st.dictionaries(REFERENCES, JSON, min_size=1, max_size=2),
    lambda inner: st.dictionaries(REFERENCES, inner, min_size=1, max_size=1),
    max_leaves=3,
)
LONG = st.builds(lambda text, times: text * times, TEXT, st.sampled_from([1, 700, 5000]))
IMAGES = st.binary(max_size=40).map(lambda content: base64.b64encode(content).decode())
MIMES = st.sampled_from(
    ["text/plain", "text/html", "image/png", "image/svg+xml", "application/json", "x/y+json"]
)
DATA = st.dictionaries(MIMES, LONG | IMAGES | JSON | LOOKALIKES, max_size=4)
OUTPUTS = st.one_of(
    st.builds(
        lambda text, name: {"output_type": "stream", "name": name, "text": text},
        LONG,
        st.sampled_from(["stdout", "stderr"]),
    ),
    st.builds(
        lambda data, metadata, kind: {"output_type": kind, "data": data, "metadata": metadata},
        DATA,
        st.dictionaries(TEXT, JSON, max_size=2),
        st.sampled_from(["display_data", "execute_result"]),
    ),
    st.builds(
        lambda name, lines: {
            "output_type": "error",
            "ename": name,
            "evalue": "",
            "traceback": lines,
        },
        TEXT,
        st.lists(TEXT, max_size=3),
    ),
    st.dictionaries(TEXT | st.just("data"), JSON | LOOKALIKES, max_size=3),
)
RUNS = st.builds(
    RunOutputs,
    st.lists(st.lists(OUTPUTS, max_size=3), max_size=3),
    st.dictionaries(TEXT, JSON, max_size=2),
)


def display(**data: Any) -> RunOutputs:
    """Return a run with one output; `_` in a name stands for `/`."""
    bundle = {mime.replace("_", "/"): value for mime, value in data.items()}
    return RunOutputs([[{"output_type": "display_data", "metadata": {}, "data": bundle}]])


def there_and_back(outputs: RunOutputs) -> RunOutputs:
    """Pack and unpack."""
    packed, blobs = pack(outputs)
    return unpack(packed, blobs.__getitem__)


@given(RUNS)
def test_outputs_come_back_as_they_were(outputs: RunOutputs) -> None:
    before = copy.deepcopy(outputs)
    packed, blobs = pack(outputs)
    assert outputs == before
    assert all(content_digest(content) == digest for digest, content in blobs.items())
    assert unpack(packed, blobs.__getitem__) == outputs
    # The same outputs are the same text: a digest can stand for them.
    assert pack(copy.deepcopy(outputs)) == (packed, blobs)


@given(st.text(max_size=9), st.sampled_from([1, 9000]), MIMES)
def test_every_text_comes_back(text: str, times: int, mime: str) -> None:
    outputs = display(**{mime.replace("/", "_"): text * times})
    assert there_and_back(outputs) == outputs


@pytest.mark.parametrize("mime", ["image/png", "image/jpeg", "application/pdf", "text/plain"])
@pytest.mark.parametrize(
    "text",
    [
        "no base64!",
        "é",
        "A",
        "AAA",
        "AAA=",
        "AB==",
        "====",
        "",
        "AA AA",
        "\x00",
        "A" * 9001,
        "\n",
        "AA\nAA",
    ],
)
def test_what_only_looks_like_an_image_comes_back_as_it_was(mime: str, text: str) -> None:
    outputs = display(**{mime.replace("/", "_"): text})
    assert there_and_back(outputs) == outputs


@pytest.mark.parametrize("folded", [base64.encodebytes, binascii.b2a_base64])
def test_an_image_comes_back_in_the_lines_in_which_it_was(
    folded: Callable[[bytes], bytes],
) -> None:
    outputs = display(image_png=folded(bytes(range(200))).decode())
    assert there_and_back(outputs) == outputs
    assert list(pack(outputs)[1].values()) == [bytes(range(200))]


def test_an_image_is_kept_as_bytes_of_its_own() -> None:
    content = bytes(range(256))
    encoded = base64.b64encode(content).decode()
    packed, blobs = pack(display(image_png=encoded))
    assert list(blobs.values()) == [content]
    assert encoded.encode() not in packed


def test_equal_images_are_one_blob_and_large_texts_are_blobs() -> None:
    image = base64.b64encode(b"image").decode()
    outputs = RunOutputs(display(image_png=image).cells * 2)
    assert len(pack(outputs)[1]) == 1
    packed, blobs = pack(display(text_html="x" * 20_000))
    assert list(blobs.values()) == [b"x" * 20_000]
    assert len(packed) < 1000
    assert pack(display(text_html="x" * 100))[1] == {}


@pytest.mark.parametrize("value", [2**63, 2**64, -(2**70), 1e300, 0.1, -0.0])
def test_large_numbers_in_json_come_back(value: float) -> None:
    outputs = display(application_json={"value": value})
    assert there_and_back(outputs) == outputs


def test_a_missing_blob_is_an_outputs_error() -> None:
    packed, _ = pack(display(text_html="x" * 20_000))

    def missing(digest: str) -> bytes:
        raise OutputsError(f"{digest} is missing")

    with pytest.raises(OutputsError, match="is missing"):
        unpack(packed, missing)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"garbage",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"cells": {}}',
        b'{"cells": [1]}',
        b'{"cells": [[1]]}',
        b'{"cells": [[{"data": {"a": {"$nbcache-text": 3}}}]]}',
        b'{"cells": [[{"data": {"a": {"$nbcache-base64": null}}}]]}',
        b'{"cells": [[{"data": {"a": {"$nbcache-text": ["d"]}}}]]}',
        b'{"cells": [[{"data": {"a": {"$nbcache-text": "no utf-8"}}}]]}',
        b'{"cells": [[{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]]}",
        b'{"cells": [], "widgets": 3}',
    ],
    ids=lambda packed: packed[:60].decode("latin-1"),
)
def test_what_was_never_packed_is_an_outputs_error(packed: bytes) -> None:
    with pytest.raises(OutputsError):
        unpack(packed, lambda _digest: b"\xff\xfe")


def test_odd_data_is_left_as_it_is() -> None:
    for data in (None, 3, "x", [1]):
        outputs = RunOutputs([[{"output_type": "display_data", "data": data}]])
        assert there_and_back(outputs) == outputs


FAILURE = Failure("ValueError", "no", "Traceback", 1)


def shown(outputs: RunOutputs, **other: Any) -> str:
    """Return the render id of outputs."""
    seen: dict[str, Any] = {"status": "ok", "lexer": "ipython3", "failure": None, **other}
    return render_id(outputs, **seen)


@given(RUNS, st.integers(), st.integers())
def test_the_render_id_is_blind_to_execution_counts(
    outputs: RunOutputs, first: int, second: int
) -> None:
    def counted(count: int) -> RunOutputs:
        cells = [[{**output, "execution_count": count} for output in c] for c in outputs.cells]
        return RunOutputs(cells, outputs.widgets)

    assert shown(counted(first)) == shown(counted(second))


@given(RUNS, RUNS)
def test_the_render_id_tells_outputs_apart(first: RunOutputs, second: RunOutputs) -> None:
    def plain(outputs: RunOutputs) -> Any:
        cells = [
            [{k: v for k, v in output.items() if k != "execution_count"} for output in cell]
            for cell in outputs.cells
        ]
        return cells, outputs.widgets

    # Python takes 1, 1.0 and True for equal, a page does not show them alike.
    if repr(plain(first)) == repr(plain(second)):
        assert shown(first) == shown(second)
    elif plain(first) != plain(second):
        assert shown(first) != shown(second)


BASE = display(text_plain="1")


@pytest.mark.parametrize(
    ("outputs", "other"),
    [
        (display(text_plain="2"), {}),
        (display(text_html="1"), {}),
        (RunOutputs(BASE.cells, {"state": {"a": 1}}), {}),
        (RunOutputs([[], *BASE.cells]), {}),
        (RunOutputs([[{**BASE.cells[0][0], "metadata": {"a": 1}}]]), {}),
        (RunOutputs([[{**BASE.cells[0][0], "output_type": "execute_result"}]]), {}),
        (BASE, {"status": "failed"}),
        (BASE, {"lexer": "r"}),
        (BASE, {"failure": FAILURE}),
    ],
)
def test_the_render_id_sees_everything_that_a_page_shows(
    outputs: RunOutputs, other: dict[str, Any]
) -> None:
    assert shown(outputs, **other) != shown(BASE)


def test_the_render_id_takes_data_in_any_order() -> None:
    one = display(text_plain="1", text_html="2")
    other = display(text_html="2", text_plain="1")
    assert shown(one) == shown(other)
