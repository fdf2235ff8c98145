"""What a cell wrote to its streams, put together.

nbclient does the same, but with an expression that takes a time that grows with the square of a
line's length: a cell that printed a line of 300 KiB took a minute.
"""

from __future__ import annotations

from collections.abc import Sequence

from sphinx_nbcache.store.outputs import Output


def join_streams(outputs: Sequence[Output]) -> list[Output]:
    """Join what stands in several outputs of one stream, where the first of them stands.

    Of lines that were overwritten, as progress bars are, the last state is kept. Of the two
    streams side by side `stdout` goes first, because which message came first is chance.
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
    """Return a text without what a carriage return within its line has overwritten."""
    lines = text.split("\n")
    return "\n".join(line[line.rfind("\r", 0, max(len(line) - 1, 0)) + 1 :] for line in lines)
