"""Notices as Sphinx warnings: type `nbcache`, a subtype, and a place in a file."""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.util import logging

from sphinx_nbcache.notices import WARNING_TYPE, Notice, Notify
from sphinx_nbcache.printable import colourless

LOGGER = logging.getLogger(__name__)


def notifier(app: Sphinx) -> Notify:
    """Return what turns notices into Sphinx warnings; an error makes the build's status 1.

    Information becomes a line of the log.
    """

    def notify(notice: Notice) -> None:
        if notice.is_information:
            LOGGER.info("%s", colourless(notice.text))
            return
        docname = app.env.path2doc(notice.path) if notice.path is not None else None
        location = (docname, notice.line) if docname is not None else None
        log = LOGGER.error if notice.is_error else LOGGER.warning
        text = colourless(notice.text)
        log("%s", text, type=WARNING_TYPE, subtype=notice.topic.value, location=location)
        if notice.is_error:
            app.statuscode = 1

    return notify
