"""The last runs of a notebook: their durations and their reasons."""

from __future__ import annotations

from collections.abc import Sequence

from sphinx_nbcache.report.html.markup import Html, element, joined
from sphinx_nbcache.report.html.parts import time_of, with_times
from sphinx_nbcache.report.model import ReportRun
from sphinx_nbcache.report.words import in_words

_LISTED = 5
_BAR, _GAP, _HEIGHT = 8, 2, 24
_OK = "ok"


def last_runs(runs: Sequence[ReportRun]) -> Html:
    """Return a small chart of the durations of runs, and a list of the last ones.

    Args:
        runs: The runs, the oldest first.
    """
    listed = [element("li", _in_words(run)) for run in reversed(runs[-_LISTED:])]
    return Html(_drawn(runs) + element("ol", listed, class_="nbcache-runs"))


def _drawn(runs: Sequence[ReportRun]) -> Html:
    """Return a bar for each run; failed ones have a foot and another colour."""
    longest = max(run.seconds for run in runs) or 1.0
    width = len(runs) * (_BAR + _GAP) - _GAP
    well: list[str] = []
    bad: list[str] = []
    for position, run in enumerate(runs):
        height = max(1.0, run.seconds / longest * _HEIGHT)
        left = position * (_BAR + _GAP)
        (well if run.status == _OK else bad).append(
            f"M{left} {_HEIGHT}v-{height:.1f}h{_BAR}v{height:.1f}z"
        )
        if run.status != _OK:
            bad.append(f"M{left} {_HEIGHT + 2}h{_BAR}v2h-{_BAR}z")
    shapes = [
        element("path", d="".join(parts), class_=kind)
        for parts, kind in ((well, "reused"), (bad, "failed"))
        if parts
    ]
    return element(
        "svg",
        element("title", f"Durations of {len(runs)} runs, the longest {in_words(longest)}"),
        shapes,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {_HEIGHT + 4}",
        width=width,
        height=_HEIGHT + 4,
        role="img",
        class_="nbcache-trend",
    )


def _in_words(run: ReportRun) -> Html:
    parts = [time_of(run.started), in_words(run.seconds)]
    if run.status != _OK:
        parts.append(element("span", run.status, class_="nbcache-bad"))
    if run.reason:
        parts.append(with_times(run.reason))
    return joined(" · ", parts)
