"""The HTML of a page's outputs is parsed once, and what is kept of it counts only if it is ours."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from forging import Forge

from sphinx_nbcache.extension import kept_html
from sphinx_nbcache.extension.kept_html import KeptHtml
from sphinx_nbcache.notices import Notice
from sphinx_nbcache.rendering.html import containing
from sphinx_nbcache.rendering.html.containing import contained, rules
from sphinx_nbcache.store.file_records import keep_html, page_html
from sphinx_nbcache.store.store import Store

PAGE = "docs/page.ipynb"
# No cheap test tells that it is complete: the paragraphs are not closed.
MANY = "".join(f"<p>{number}" for number in range(50))
CLOSED = "".join(f"<p>{number}</p>" for number in range(50))


class Reading:
    """Readings of one page. Each counts what it parses."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.parsed: list[str] = []

    def read(self, *outputs: str) -> list[str | None]:
        """Read the page with these outputs; return what it shows."""
        self.parsed.clear()
        kept = KeptHtml(self.store.access, PAGE)

        def counted(step: containing.Step, html: str) -> str | None:
            def parse(html: str) -> str | None:
                self.parsed.append(html)
                return step(html)

            parse.__name__ = step.__name__
            return kept(parse, html)

        shown = [contained(html, counted) for html in outputs]
        if kept.changed:
            keep_html(self.store.access, {PAGE: kept.changed})
        self.store.close()
        return shown


@pytest.fixture
def told() -> list[Notice]:
    return []


@pytest.fixture
def page(tmp_path: Path, told: list[Notice]) -> Iterator[Reading]:
    made = Reading(Store(tmp_path / "place", told.append))
    yield made
    made.store.close()


def test_a_second_reading_does_not_parse(page: Reading) -> None:
    assert page.read(MANY, MANY) == [CLOSED, CLOSED]
    assert page.parsed == [MANY]
    assert page.read(MANY, MANY) == [CLOSED, CLOSED]
    assert page.parsed == []


def test_what_a_page_does_not_show_any_more_is_forgotten(page: Reading) -> None:
    page.read(MANY)
    page.read("<p>other" + MANY)
    assert len(page_html(page.store.access, PAGE)) == 1
    page.read(MANY)
    assert page.parsed == [MANY]


@pytest.mark.parametrize(
    "html",
    ["<p>a<p>b", CLOSED, f"<script>{'var a = 1;' * 10_000}</script>{MANY}"],
    ids=["short", "clean", "scripts"],
)
def test_what_is_quickly_made_is_not_kept(page: Reading, html: str) -> None:
    page.read(html)
    assert page_html(page.store.access, PAGE) == {}


def test_a_page_keeps_no_more_than_a_store_may_hold(
    page: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_html, "_MOST", len(CLOSED) + 10)
    many = ["<p>first" + MANY[3:], MANY]
    page.read(*many)
    page.read(*many)
    assert page.parsed == many[1:]
    page.read(*many)
    assert page.parsed == many[1:]


def test_html_that_a_stranger_put_into_the_store_is_not_shown(page: Reading) -> None:
    page.read(MANY)
    (digest,) = page_html(page.store.access, PAGE)
    page.store.close()
    Forge(page.store.folder.parent).record(f"html/{PAGE}", {digest: "</div><!-- owned"})
    assert page.read(MANY) == [CLOSED]
    assert page.parsed == [MANY]
    page.read(MANY)
    assert page.parsed == [], "it was made and marked again"


def test_marked_html_of_another_page_or_another_output_is_not_shown(page: Reading) -> None:
    page.read(MANY)
    forge = Forge(page.store.folder.parent)
    moved = forge.bytes_of(f"html/{PAGE}")
    page.read("<p>other" + MANY)
    forge.raw({f"html/{PAGE}": moved, "html/other.ipynb": moved})
    assert page_html(page.store.access, "other.ipynb") == {}
    page.store.close()
    page.read("<p>other" + MANY)
    assert len(page.parsed) == 1


def test_damaged_html_is_made_again_with_a_warning(page: Reading, told: list[Notice]) -> None:
    page.read(MANY)
    forge = Forge(page.store.folder.parent)
    kept = forge.bytes_of(f"html/{PAGE}")
    assert kept.count(b">49<") == 1
    forge.raw({f"html/{PAGE}": kept.replace(b">49<", b">48<")})
    assert page.read(MANY) == [CLOSED]
    assert page.parsed == [MANY]
    (notice,) = told
    assert f"html/{PAGE} is not what was written" in notice.text


@pytest.mark.parametrize("record", [b'{"x": "<b>"}', b'{"%064x": 5}' % 0, b"[]", b"[" * 10_000])
def test_a_marked_record_of_another_form_is_made_again(page: Reading, record: bytes) -> None:
    page.store.access.write({f"html/{PAGE}": record})
    assert page.read(MANY) == [CLOSED]
    assert page.parsed == [MANY]


def test_other_rules_make_it_again(page: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    page.read(MANY)
    monkeypatch.setattr(kept_html, "rules", lambda: "other rules")
    page.read(MANY)
    assert page.parsed == [MANY]


def test_without_known_rules_nothing_is_kept(
    page: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_html, "rules", str)
    assert page.read(MANY) == [CLOSED]
    assert page_html(page.store.access, PAGE) == {}


@pytest.mark.parametrize("module", ["clean.py", "containing.py", "writing.py"])
def test_each_change_of_the_code_makes_other_rules(tmp_path: Path, module: str) -> None:
    folder = tmp_path / "html"
    here = Path(containing.__file__).parent
    shutil.copytree(here, folder, ignore=shutil.ignore_patterns("__pycache__"))
    assert rules_in(folder) == rules()
    with (folder / module).open("a", encoding="utf-8") as file:
        file.write("\nOTHER = True\n")
    assert rules_in(folder) != rules()


def test_another_version_of_the_parser_makes_other_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    before = rules()
    monkeypatch.setattr(
        "sphinx_nbcache.rendering.html.containing.version",
        lambda name: "999" if name == "justhtml" else version(name),
    )
    assert rules.__wrapped__() != before


def rules_in(folder: Path) -> str:
    """Return the rules of a copy of the package."""
    spec = importlib.util.spec_from_file_location("copy_of_rules", folder / "containing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.rules())


@pytest.mark.parametrize("text", ["\ud800", "&#xd800;", "\x00"])
def test_text_that_cannot_be_written_ends_no_build(page: Reading, text: str) -> None:
    first = page.read(MANY + text)
    assert page.read(MANY + text) == first
    assert page.parsed == []
