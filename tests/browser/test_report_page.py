"""The report page in a real browser: sorting, filtering, links, copying, accessibility."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from support_report import EXECUTED, FAILED, REPORT, REUSED, many

from sphinx_nbcache.report.html.page import standalone_page
from sphinx_nbcache.report.model import Report

pytestmark = pytest.mark.browser

SORT_SECONDS = 0.2
TOO_WIDE = """
[...document.querySelectorAll(".nbcache-report *")]
  .filter(e => !e.closest("pre, .nbcache-hidden, .nbcache-permalink"))
  .filter(e => e.getBoundingClientRect().right > innerWidth)
  .map(e => e.outerHTML)
"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(
        timezone_id="Pacific/Auckland", permissions=["clipboard-read", "clipboard-write"]
    )
    yield made
    made.close()


def opened(context: BrowserContext, folder: Path, report: Report, behind: str = "") -> Page:
    """Open a report in a page of its own; a script error fails the test."""
    path = folder / "report.html"
    path.write_text(standalone_page(report, "Notebooks"), encoding="utf-8")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri() + behind)
    assert not errors
    return page


def shown(page: Page) -> list[str]:
    """Return the names in the rows that are visible, from top to bottom."""
    found: list[str] = page.eval_on_selector_all(
        ".nbcache-table tbody[data-name]",
        "all => all.filter(b => b.offsetParent).map(b => b.dataset.name)",
    )
    return found


def head(page: Page, name: str) -> str | None:
    return page.get_by_role("columnheader", name=name).get_attribute("aria-sort")


def test_a_click_on_a_head_sorts_and_the_next_one_turns_round(
    context: BrowserContext, tmp_path: Path
) -> None:
    page = opened(context, tmp_path, REPORT)
    page.get_by_role("button", name="Time", exact=True).click()
    by_time = ["spring.ipynb", "guide/fit.ipynb", "wet.md", "old.md", "kept.md"]
    assert shown(page) == by_time
    assert head(page, "Time") == "descending"
    page.get_by_role("button", name="Time", exact=True).click()
    assert shown(page) == ["old.md", "kept.md", "wet.md", "guide/fit.ipynb", "spring.ipynb"]
    page.get_by_role("button", name="Status", exact=True).click()
    assert shown(page)[:2] == ["guide/fit.ipynb", "old.md"]
    assert (head(page, "Time"), head(page, "Status")) == (None, "ascending")


def test_rows_are_chosen_by_status_and_by_text(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context, tmp_path, REPORT)
    page.get_by_role("button", name="Failed 2").click()
    assert shown(page) == ["guide/fit.ipynb", "old.md"]
    expect(page.locator(".nbcache-count")).to_have_text("2 of 5 notebooks")
    page.get_by_role("searchbox").fill("CHANGED cell")
    assert shown(page) == ["guide/fit.ipynb"]
    page.get_by_role("searchbox").fill("no such thing")
    expect(page.get_by_text("No notebook matches.")).to_be_visible()
    page.get_by_role("button", name="All 5").click()
    page.get_by_role("searchbox").fill("")
    assert len(shown(page)) == 5


def test_what_was_chosen_is_in_the_address_and_survives_a_reload(
    context: BrowserContext, tmp_path: Path
) -> None:
    page = opened(context, tmp_path, REPORT)
    page.get_by_role("button", name="Run at").click()
    page.get_by_role("button", name="Failed 2").click()
    page.get_by_role("searchbox").fill("fit")
    address = page.evaluate("location.href")
    assert "sort=-date" in address
    assert "status=failed" in address
    assert "find=fit" in address
    other = context.new_page()
    other.goto(address)
    assert shown(other) == ["guide/fit.ipynb"]
    assert head(other, "Run at") == "descending"
    expect(other.get_by_role("searchbox")).to_have_value("fit")
    expect(other.get_by_role("button", name="Failed 2")).to_have_attribute("aria-pressed", "true")


def test_an_address_that_makes_no_sense_shows_everything(
    context: BrowserContext, tmp_path: Path
) -> None:
    page = opened(context, tmp_path, REPORT, "?sort=constructor&status=x&find=%20#nb-%E0%A4%A")
    assert len(shown(page)) == 5


def typical() -> Report:
    """Return the report on 300 notebooks of which 12 ran; two of them failed."""
    kinds = {25 * n: FAILED if n in (3, 7) else EXECUTED for n in range(12)}
    entries = [
        replace(
            kinds.get(n, REUSED),
            name=f"docs/part-{n % 17}/notebook-{n:03}.ipynb",
            reason=f"data/levels-{n}.csv changed" if n in kinds else REUSED.reason,
        )
        for n in range(300)
    ]
    return Report(tuple(sorted(entries, key=lambda entry: entry.name)), seconds=74.2)


def test_what_ran_and_why_and_what_failed_is_on_the_first_screen(
    browser: Browser, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = opened(context, tmp_path, typical())
    page.screenshot(path=tmp_path / "first-screen.png")
    report = typical()
    ran = [entry for entry in report.entries if entry.decision == "executed"]
    assert len(ran) == 12
    for entry in ran:
        row = page.locator(f'tbody[data-name="{entry.name}"]')
        for part in (row, row.get_by_text(entry.reason, exact=True).first):
            expect(part).to_be_in_viewport(ratio=1)
    for entry in report.failed:
        headline = page.get_by_text(f"{entry.name.removeprefix('docs/')}, cell 7")
        expect(headline).to_be_in_viewport(ratio=1)
    assert shown(page)[:2] == [entry.name for entry in report.failed]
    assert len(shown(page)) == 12
    context.close()


def test_reused_notebooks_are_a_group_that_unfolds(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context, tmp_path, typical())
    fold = page.get_by_role("button", name="288 reused")
    expect(fold).to_have_attribute("aria-expanded", "false")
    fold.click()
    assert len(shown(page)) == 300
    fold.click()
    assert len(shown(page)) == 12
    page.get_by_role("searchbox").fill("notebook-001")
    assert shown(page) == ["docs/part-1/notebook-001.ipynb"]
    page.get_by_role("searchbox").fill("")
    page.get_by_role("button", name="Time", exact=True).click()
    assert len(shown(page)) == 300
    expect(fold).to_be_hidden()


def test_failures_are_opened_and_closed_together(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context, tmp_path, typical())
    failures = page.locator(".nbcache-failures > details")
    assert [failures.nth(n).get_attribute("open") for n in range(2)] == [None, None]
    page.get_by_role("button", name="Open all").click()
    assert [failures.nth(n).get_attribute("open") for n in range(2)] == ["", ""]
    page.get_by_role("button", name="Close all").click()
    assert [failures.nth(n).get_attribute("open") for n in range(2)] == [None, None]


def test_a_link_to_a_notebook_unfolds_its_row_even_if_it_was_filtered_out(
    context: BrowserContext, tmp_path: Path
) -> None:
    page = opened(context, tmp_path, many(300), "?status=failed#nb-part-1/notebook-0001.ipynb")
    row = page.locator('tbody[data-name="part-1/notebook-0001.ipynb"]')
    expect(row).to_be_in_viewport()
    expect(row.get_by_text("local-parallel").or_(row.get_by_text("temp-serial"))).to_be_visible()
    assert "status=" not in page.evaluate("location.href")


def test_a_click_in_the_chart_leads_to_the_row(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context, tmp_path, REPORT)
    page.locator(".nbcache-chart").get_by_role("link", name="spring.ipynb").click()
    row = page.locator('tbody[data-name="spring.ipynb"]')
    expect(row.get_by_text("levels.png (4.1 kB)")).to_be_visible()
    expect(row.get_by_text("data/levels.csv")).to_be_visible()


def test_a_link_to_a_row_that_is_filtered_out_shows_it_and_goes_there(
    context: BrowserContext, tmp_path: Path
) -> None:
    page = opened(context, tmp_path, many(300), "?status=failed")
    row = page.locator('tbody[data-name="part-10/notebook-0299.ipynb"]')
    expect(row).to_be_hidden()
    page.evaluate("location.hash = 'nb-part-10/notebook-0299.ipynb'")
    expect(row).to_be_in_viewport()


def test_the_traceback_is_copied_without_its_colours(
    context: BrowserContext, tmp_path: Path
) -> None:
    page = opened(context, tmp_path, REPORT)
    page.get_by_role("button", name="Open all").click()
    page.get_by_role("button", name="Copy the traceback").first.click()
    expect(page.get_by_text("Copied", exact=True)).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "----> 3 frame['b']" in copied
    assert "… 1 frame in pandas" in copied
    assert "\x1b" not in copied
    page.get_by_text("Full traceback").click()
    page.get_by_role("button", name="Copy the traceback").nth(1).click()
    page.wait_for_function("navigator.clipboard.readText().then(t => t.includes('__getitem__'))")


def test_everything_can_be_done_with_the_keyboard_alone(
    context: BrowserContext, tmp_path: Path
) -> None:
    page = opened(context, tmp_path, REPORT)
    reached: list[str] = []

    def go_to(text: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "(e => (e.ariaLabel || e.textContent || e.type).trim())(document.activeElement)"
            )
            reached.append(focused)
            if focused.startswith(text):
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != (
                    "none"
                ), f"{text} has no focus ring"
                return
        raise AssertionError(f"{text} is not reached: {reached}")

    go_to("Open all")
    page.keyboard.press("Enter")
    go_to("Copy the traceback")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Copied", exact=True)).to_be_visible()
    go_to("Full traceback")
    page.keyboard.press("Enter")
    go_to("Executed")
    page.keyboard.press("Space")
    assert shown(page) == ["guide/fit.ipynb", "wet.md"]
    go_to("search")
    page.keyboard.type("wet")
    assert shown(page) == ["wet.md"]
    go_to("Time")
    page.keyboard.press("Enter")
    assert head(page, "Time") == "descending"
    go_to("nothing changed")
    page.keyboard.press("Enter")
    row = page.locator('tbody[data-name="wet.md"]')
    expect(row.get_by_text("data/levels.csv")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_axe_finds_nothing_to_complain_about(
    browser: Browser, tmp_path: Path, scheme: str, width: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 900},
    )
    page = opened(context, tmp_path, REPORT)
    page.eval_on_selector_all("details", "all => all.forEach(d => { d.open = true })")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # Rows are clipped, so that what is too wide for them would not be seen.
    assert page.evaluate(TOO_WIDE) == []
    context.close()


def test_without_javascript_the_page_is_complete(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = opened(context, tmp_path, REPORT)
    for entry in REPORT.entries:
        expect(page.get_by_role("rowheader", name=entry.name)).to_be_visible()
    page.get_by_text("guide/fit.ipynb, cell 7").click()
    expect(page.get_by_text("frame['b']").first).to_be_visible()
    expect(page.get_by_text("Run at (UTC)")).to_be_visible()
    expect(page.get_by_text("2026-09-21 14:13", exact=True).first).to_be_visible()
    expect(page.get_by_role("searchbox")).not_to_be_visible()
    page.get_by_text("code cell 7 changed").first.click()
    expect(page.get_by_text("212.0 MB")).to_be_visible()
    context.close()


def test_times_are_those_of_the_readers_own_zone(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context, tmp_path, REPORT)
    row = page.locator('tbody[data-name="spring.ipynb"]')
    expect(row.get_by_role("cell", name="2026-09-22 02:13", exact=True)).to_be_visible()
    expect(row.get_by_text("since it was run at 2026-09-22 02:13").first).to_be_visible()
    expect(page.get_by_text("(UTC)")).to_have_count(0)


def test_two_thousand_rows_are_sorted_and_filtered_in_no_time(
    context: BrowserContext, tmp_path: Path
) -> None:
    page = opened(context, tmp_path, many(2000))
    session = context.new_cdp_session(page)
    # The time that the page's thread works, because other tests may run at the same time.
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def worked() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))

    def seconds(selector: str) -> float:
        # Until the rows are laid out.
        act = "s => { document.querySelector(s).click(); document.body.getBoundingClientRect(); }"
        before = worked()
        page.evaluate(act, selector)
        return worked() - before

    taken = {}
    for column in ("time", "notebook", "status", "date"):
        taken[column] = min(seconds(f'th[data-sort="{column}"] button') for _ in range(4))
    taken["filter"] = min(seconds(f'button[data-choice="{c}"]') for c in ("failed", "", "reused"))
    assert max(taken.values()) <= SORT_SECONDS, taken
    assert shown(page) != []


@pytest.mark.kernel
def test_the_page_of_a_build_links_to_the_very_cell_in_any_theme(
    context: BrowserContext, tmp_path: Path
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    folder = tmp_path / "book"
    (folder / "guide").mkdir(parents=True)
    cells = "".join(f"```{{code-cell}}\n{code}\n```\n\n" for code in ("1 + 1", "# blank", "1 / 0"))
    front = "---\nkernelspec:\n  name: python3\n---\n"
    (folder / "guide" / "fit.md").write_text(f"{front}# Fit\n\n{cells}")
    (folder / "conf.py").write_text("extensions = ['sphinx_nbcache']\nproject = 'B'\n")
    (folder / "index.md").write_text("# B\n\n```{toctree}\nguide/fit\nnbcache-report\n```\n")
    for theme in ("alabaster", "furo"):
        output = tmp_path / "out" / theme
        subprocess.run(
            [
                *(sys.executable, "-m", "sphinx", "-q", "-D", f"html_theme={theme}"),
                *("-d", tmp_path / f"doctrees-{theme}", folder, output),
            ],
            check=True,
            capture_output=True,
        )
        page = context.new_page()
        page.goto((output / "nbcache-report.html").as_uri())
        found = Axe().run(page, context=".nbcache-report")
        assert found.violations_count == 0, found.generate_report()
        page.get_by_role("link", name="cell 3").first.click()
        assert page.url.endswith("/guide/fit.html#nbcache_cell_3")
        cell = page.locator("#nbcache_cell_3")
        expect(cell).to_be_in_viewport()
        expect(cell).to_contain_text("1 / 0")
        page.close()
    assert FAILED.docname == "guide/fit"
