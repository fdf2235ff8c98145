"""Notices as Sphinx warnings: type `nbcache`, a subtype, and a place in a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

from sphinx_nbcache.atomic import trouble_in_words
from sphinx_nbcache.extension.conf_names import line_in_conf
from sphinx_nbcache.notices import WARNING_TYPE, Notice, Notify, Topic
from sphinx_nbcache.printable import colourless
from sphinx_nbcache.report.github import serve_github
from sphinx_nbcache.report.model import Report

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
            "%s",
            colourless(notice.text),
            type=WARNING_TYPE,
            subtype=notice.topic.value,
            location=_location(app, notice),
        )
        if notice.is_error:
            app.statuscode = 1

    return notify


def annotate(app: Sphinx, notices: Iterable[Notice], report: Report) -> None:
    """Show the report and unsuppressed notices in GitHub Actions (see `suppress_warnings`)."""
    suppressed = app.config.suppress_warnings
    shown = [
        notice
        for notice in notices
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
    # Sphinx takes a text without a colon for a docname.
    return f"{notice.path}:{notice.line}" if notice.line else None


def place_of_option(app: Sphinx, option: str) -> str | None:
    """Return file and line of `conf.py` that set an option; `None` if none does."""
    if not option or option in app.config.overrides:
        return None
    conf = Path(app.confdir) / "conf.py"
    line = line_in_conf(option, conf)
    return f"{conf}:{line}" if line else None
