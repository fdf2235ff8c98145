"""Reports without runs, for tests of views."""

from __future__ import annotations

from dataclasses import replace

from sphinx_nbcache.report.model import (
    Dependency,
    Produced,
    Report,
    ReportCell,
    ReportEntry,
    ReportFailure,
    ReportRun,
)

STARTED = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC

# As IPython writes it, with its colours.
TRACEBACK = """\
^31m---------------------------------------------------------^39m
^31mKeyError^39m                Traceback (most recent call last)
^36mCell^39m^36m ^39m^32mIn[2]^39m^32m, line 3^39m
^32m      2^39m frame = pd.DataFrame()
^32m----> ^39m^32m3^39m ^30m^43mframe^49m^39m[^33m'b'^39m]

^36mFile ^39m^32m/opt/lib/python3.12/site-packages/pandas/core/frame.py:43^39m, in \
^36mDataFrame.__getitem__^39m^34m(self, key)^39m
^32m     42^39m     return self._getitem_multilevel(key)
^32m---> ^39m^32m43^39m indexer = self.columns.get_loc(key)

^31mKeyError^39m: 'b'""".replace("^", "\x1b[")

FAILED = ReportEntry(
    "guide/fit.ipynb",
    "guide/fit",
    "executed",
    "code cell 7 changed",
    status="failed",
    failed=True,
    started=STARTED,
    seconds=5.0,
    cells=(ReportCell(1, 1.5), ReportCell(7, 2.0, "KeyError"), ReportCell(8)),
    failure=ReportFailure(
        "KeyError", "'b'", TRACEBACK, 7, 2, 41, "frame = pd.DataFrame()\nframe['b']"
    ),
    kernel="python3",
    executor="local-parallel",
    peak_memory=212_000_000,
    changed="code cell 7 changed",
    runs=(
        ReportRun(STARTED - 7200, 4.0, "ok", "no earlier result"),
        ReportRun(STARTED, 5.0, "failed", "code cell 7 changed"),
    ),
)
REUSED = ReportEntry(
    "spring.ipynb",
    "spring",
    "reused",
    "nothing changed since it was run at 2026-09-21 14:13 UTC",
    status="ok",
    started=STARTED,
    seconds=20.0,
    cells=(ReportCell(1, 12.0), ReportCell(2, 7.0)),
    kernel="python3",
    executor="temp-serial",
    depends_on=(
        Dependency("file", "data/levels.csv"),
        Dependency("package", "numpy 2.1.0"),
        Dependency("package", "pandas 2.2.3"),
    ),
    untracked=("a program was started: git",),
    produced=(Produced("levels.png", 4096),),
)
AS_IS = ReportEntry("kept.md", "kept", "as it is", "excluded by 'kept.md' in nbcache_exclude")
REFUSED = ReportEntry("old.md", "old", "refused", "no earlier result", failed=True)
EXECUTED = replace(REUSED, name="wet.md", docname="wet", decision="executed", seconds=3.0)

REPORT = Report((FAILED, AS_IS, REFUSED, REUSED, EXECUTED), seconds=7.25)


def many(number: int) -> Report:
    """Return a report on so many notebooks, of which some failed."""
    kinds = (FAILED, REUSED, REUSED, EXECUTED, AS_IS)
    return Report(
        tuple(
            replace(
                kinds[position % len(kinds)],
                name=f"part-{position % 17}/notebook-{position:04}.ipynb",
                docname=f"part-{position % 17}/notebook-{position:04}",
                seconds=position * 7919 % 1000 / 7,
                started=STARTED + position * 7907 % 100_000,
            )
            for position in range(number)
        ),
        seconds=1234.5,
    )
