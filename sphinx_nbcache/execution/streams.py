"""Joining of stream outputs of a cell.

Workaround: nbclient joins them as well, but with a regular expression that takes quadratic time in
the length of a line: a cell that printed a line of 300 KiB took a minute.
"""

from __future__ import annotations

from collections.abc import Sequence

from sphinx_nbcache.store.outputs import Output


def join_streams(outputs: Sequence[Output]) -> list[Output]:
    """Join all outputs of one stream, at the position of the first one.

    Overwritten lines, such as those of progress bars, keep their last state. If the two streams
    are next to each other, `stdout` goes first, because their order is random.
    """
    texts: dict[str, list[str]] = {}
    joined: list[Output] = []
    for output in outputs:
        if output["output_type"] != "stream":
            joined.append(output)
            continue
        if output["name"] not in texts:
            texts[output["name"]] = []
            joined.append(output)
        texts[output["name"]].append(output["text"])
    joined = [
        {**output, "text": _last_states("".join(texts[output["name"]]))}
        if output["output_type"] == "stream"
        else output
        for output in joined
    ]
    for position in range(len(joined) - 1):
        pair = joined[position : position + 2]
        if [output.get("name") for output in pair] == ["stderr", "stdout"]:
            joined[position : position + 2] = reversed(pair)
    return joined


def _last_states(text: str) -> str:
    """Return a text without the parts of lines that carriage returns have overwritten."""
    lines = text.split("\n")
    return "\n".join(line[line.rfind("\r", 0, max(len(line) - 1, 0)) + 1 :] for line in lines)
