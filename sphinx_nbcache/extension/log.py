"""The log: notices as Sphinx warnings with a place, and progress while notebooks run."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO

from sphinx.application import Sphinx
from sphinx.util import logging

from sphinx_nbcache.files.atomic import trouble_in_words
from sphinx_nbcache.notices import WARNING_TYPE, Notice, Notify, Topic
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project import Settled
from sphinx_nbcache.report.ci import serve_github
from sphinx_nbcache.report.model import Report
from sphinx_nbcache.report.running import KEPT, ProgressLines, StatusItem, status_line, width_of
from sphinx_nbcache.signals import Interrupted, write_line
from sphinx_nbcache.signals import interrupt_in_words as in_words_of_signal
from sphinx_nbcache.text import colourless, duration_in_words, one_line

LOGGER = logging.getLogger(__name__)


def notifier(app: Sphinx) -> Notify:
    """Return a callback that turns notices into Sphinx warnings; an error sets the status to 1.

    Information becomes a line of the log.
    """

    def notify(notice: Notice) -> None:
        if notice.is_information:
            LOGGER.info("%s", colourless(notice.text))
            return
        log = LOGGER.error if notice.is_error else LOGGER.warning
        log(
            # Never the text as the format: names of files and messages may contain `%`.
            "%s",
            colourless(notice.text),
            type=WARNING_TYPE,
            subtype=notice.topic.value,
            location=_location(app, notice),
        )
        if notice.is_error:
            # An error in the log alone does not change the exit status of sphinx-build.
            app.statuscode = 1

    return notify


def log_error(app: Sphinx, text: str) -> None:
    """Log an error that cannot be suppressed."""
    LOGGER.error("%s", colourless(text))
    app.statuscode = 1


def annotate(app: Sphinx, notices: Iterable[Notice], report: Report) -> None:
    """Show the report and unsuppressed notices in GitHub Actions (see `suppress_warnings`)."""
    suppressed = app.config.suppress_warnings
    shown = [
        notice
        for notice in notices
        # Annotations do not pass through Sphinx's log, which would have left these out.
        if not logging.is_suppressed_warning(WARNING_TYPE, notice.topic.value, suppressed)
    ]
    try:
        serve_github(shown, report, app.config.project, os.environ, sys.stdout)
    except OSError as error:
        text = f"the summary of the job cannot be written: {trouble_in_words(error)}"
        notifier(app)(Notice(Topic.REPORT, text))


def _location(app: Sphinx, notice: Notice) -> tuple[str, int | None] | str | None:
    """Return the location of a notice, in the form of Sphinx's logging."""
    if notice.path is None:
        return place_of_option(app, notice.option)
    # While the configuration is read, there is no environment yet.
    env = getattr(app, "env", None)
    docname = env.path2doc(notice.path) if env is not None else None
    if docname is not None:
        return docname, notice.line
    # Sphinx takes a text without a colon for a docname
    # (https://www.sphinx-doc.org/en/master/extdev/logging.html).
    return f"{notice.path}:{notice.line}" if notice.line else None


def place_of_option(app: Sphinx, option: str) -> str | None:
    """Return file and line of `conf.py` that set an option; `None` if none does."""
    if not option or option in app.config.overrides:
        return None
    conf = Path(app.confdir) / "conf.py"
    line = line_in_conf(option, conf)
    return f"{conf}:{line}" if line else None


def line_in_conf(name: str, conf: Path) -> int | None:
    """Return the line in which a `conf.py` sets a name; `None` if it is not known.

    Args:
        name: The name.
        conf: The path of the `conf.py`.
    """
    try:
        # Python, which runs the file, also accepts a byte order mark
        # (https://docs.python.org/3/reference/lexical_analysis.html).
        text = conf.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    # An assignment, an annotation, a change of an item, or a method call such as `.update`.
    found = re.search(rf"^[ \t]*{re.escape(name)}\b[ \t]*(?:=|:|\[|\.)", text, re.MULTILINE)
    return None if found is None else text.count("\n", 0, found.start()) + 1


class LogProgress(ProgressLines):
    """Writes the lines to Sphinx's log."""

    def __init__(self) -> None:
        super().__init__(has_estimate=True)

    def say(self, line: str) -> None:
        """Write a line to the log."""
        LOGGER.info("%s", one_line(line))

    def close(self) -> None:
        """Remove everything but the lines of the log."""


class TerminalProgress(LogProgress):
    """Shows the running notebooks and the remaining work on a terminal, below the log.

    Args:
        terminal: The terminal to which the log is written as well.
    """

    def __init__(self, terminal: TextIO) -> None:
        super().__init__()
        self._terminal = terminal
        self._shown = 0

    def started(self, planned: Planned, number: int, total: int) -> None:
        """Report which notebook starts, above the status line."""
        super().started(planned, number, total)
        self._show()

    def still_running(self) -> None:
        """Show the running notebooks."""
        super().still_running()
        self._show()

    def say(self, line: str) -> None:
        """Write a line above the status line."""
        # The log writes to the same terminal: its line would begin after the status line.
        self.close()
        super().say(line)

    def close(self) -> None:
        """Remove the status line."""
        if self._shown:
            # The terminal may have put `^C` after it.
            width = min(self._shown + len("^C"), shutil.get_terminal_size().columns - 1)
            self._write("\r" + " " * width + "\r")
            self._shown = 0

    def _show(self) -> None:
        now = self.clock()
        running = [
            StatusItem(name, f"{running.at_cell}{spent}", spent)
            for name, running in self.running.items()
            if (spent := f", {duration_in_words(round(now - running.since))}")
        ]
        done = f"{self.total - len(self.to_come) - len(self.running)} of {self.total}"
        rests = dict.fromkeys(filter(None, [self.rest, self.time_left]))
        heads = [*(f"executed {done} ({rest})" for rest in rests), f"executed {done}", done]
        # The last column stays free: some terminals would wrap to the next line.
        line = status_line(heads, running, shutil.get_terminal_size().columns - 1)
        width = width_of(line)
        self._write("\r" + line + " " * max(0, self._shown - width))
        self._shown = width

    def _write(self, text: str) -> None:
        self._terminal.write(text)
        self._terminal.flush()


@contextmanager
def shown_progress(app: Sphinx) -> Iterator[LogProgress]:
    """Return the progress display; say what is kept when Ctrl-C ends the build."""
    # Sphinx has no public attribute for its status stream; with `-q` it is a StringIO, and so no
    # terminal. A terminal of type `dumb` cannot return to the start of a line.
    terminal: TextIO | None = getattr(app, "_status", None)
    is_terminal = terminal is not None and terminal.isatty() and os.environ.get("TERM") != "dumb"
    progress = TerminalProgress(terminal) if terminal and is_terminal else LogProgress()
    try:
        yield progress
    except (KeyboardInterrupt, Interrupted) as interrupt:
        progress.close()
        more = "; the next build executes the others" if progress.total else ""
        line = f"{in_words_of_signal(interrupt)}: {progress.kept}{more}"
        write_line(line, is_at_start=bool(progress.total))
        raise
    finally:
        progress.close()


def say_interrupted(what: str) -> None:
    """Say what ended a build in which no notebook is running."""
    write_line(f"{what}: {KEPT}")


def is_command_line(frame: FrameType | None) -> bool:
    """Tell whether `sphinx-build` called the function with this frame.

    That program catches `KeyboardInterrupt`, and exits with status 2.
    """
    while frame is not None:
        # The application does not know who created it. `python -m sphinx` and sphinx-autobuild's
        # subprocess pass through this module as well.
        if frame.f_globals.get("__name__") == "sphinx.cmd.build":
            return True
        frame = frame.f_back
    return False


def log_tracebacks(items: Iterable[Settled]) -> None:
    """Log the tracebacks of the notebooks that failed in this build."""
    for item in items:
        failure = item.result.result.failure if item.failed and item.result is not None else None
        if failure is not None and item.ran_here:
            traceback = colourless(failure.traceback).rstrip()
            LOGGER.info("the traceback of %s:\n\n%s\n", item.planned.name, traceback)


def log_summary(report: Report) -> None:
    """Log the summary of the notebooks, if there are any."""
    if report.entries:
        LOGGER.info("%s", report.summary)
