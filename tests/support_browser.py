"""The browser that the tests drive: the Chromium or Chrome that the machine has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = os.environ.get("NBCACHE_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and "NBCACHE_NEEDS_BROWSER" in os.environ:
        pytest.fail("there is no Chromium or Chrome")
    if found is None:
        pytest.skip("there is no Chromium or Chrome; NBCACHE_BROWSER can name one")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(
        timezone_id="Pacific/Auckland", permissions=["clipboard-read", "clipboard-write"]
    )
    yield made
    made.close()
