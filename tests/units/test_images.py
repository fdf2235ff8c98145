"""Images: files named by their content, and what is no image."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from docutils import nodes
from docutils.utils import new_document

from sphinx_nbcache.looks import Looks
from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.images import SUFFIXES, image_content, render_image, write_image
from sphinx_nbcache.rendering.nodes import Context

PIXELS = bytes(range(256))
ENCODED = base64.b64encode(PIXELS).decode()


@dataclass
class Page:
    """A page that is being read, and the warnings about it."""

    images: Path
    warnings: list[tuple[Topic, str]] = field(default_factory=list)

    def warn(self, topic: Topic, text: str, *, is_error: bool = False) -> None:
        assert not is_error
        self.warnings.append((topic, text))

    def render(self, value: Any, mime: str = "image/png", **more: Any) -> list[nodes.Node]:
        """Render an image of this page."""
        context = Context(
            document=new_document("page"),
            images=self.images,
            image_uri=lambda path: f"/uri/{path.name}",
            warn=self.warn,
            **more,
        )
        return render_image(value, context, mime)

    def image(self, value: Any, mime: str = "image/png", **more: Any) -> nodes.image:
        """Render what is an image."""
        (image,) = self.render(value, mime, **more)
        assert isinstance(image, nodes.image)
        assert self.warnings == []
        return image

    @property
    def files(self) -> dict[str, bytes]:
        """The files that were written."""
        found = self.images.iterdir() if self.images.exists() else ()
        return {path.name: path.read_bytes() for path in found}


@pytest.fixture
def page(tmp_path: Path) -> Page:
    """A page without images."""
    return Page(tmp_path / "images" / "deep")


@pytest.mark.parametrize(("mime", "suffix"), list(SUFFIXES.items()))
def test_an_image_becomes_a_file_and_a_node_that_refers_to_it(
    page: Page, mime: str, suffix: str
) -> None:
    svg = "<svg>é</svg>"
    is_svg = mime == "image/svg+xml"
    image = page.image(svg if is_svg else ENCODED, mime)
    ((name, content),) = page.files.items()
    assert name.endswith(suffix)
    assert content == (svg.encode() if is_svg else PIXELS)
    assert image["uri"] == f"/uri/{name}"
    assert mime.replace("/", "_") in image["classes"]


def test_equal_content_is_one_file_also_from_folded_lines(page: Page) -> None:
    first = page.image(ENCODED)
    folded = base64.encodebytes(PIXELS).decode()
    assert folded != ENCODED
    assert page.image(folded)["uri"] == first["uri"]
    assert len(page.files) == 1
    page.image(base64.b64encode(b"other").decode())
    assert len(page.files) == 2


def test_equal_content_of_another_kind_is_another_file(page: Page) -> None:
    assert page.image(ENCODED)["uri"] != page.image(ENCODED, "image/gif")["uri"]


def test_a_file_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    path = write_image(PIXELS, ".png", tmp_path)
    before = path.stat()
    assert write_image(PIXELS, ".png", tmp_path) == path
    assert path.stat() == before
    # No temporary file is left, and the web server's user can read it.
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("value", ["A", "AAA", "no base64 at all", "é", "????", "===="])
def test_bad_base64_warns_and_shows_nothing(page: Page, value: str) -> None:
    assert page.render(value) == []
    ((topic, text),) = page.warnings
    assert topic is Topic.MIME
    assert "image/png" in text
    assert page.files == {}


@pytest.mark.parametrize("mime", ["image/png", "image/svg+xml"])
@pytest.mark.parametrize("value", [None, 3, ["A"], {"a": 1}, True])
def test_what_is_not_text_warns_and_shows_nothing(page: Page, mime: str, value: Any) -> None:
    assert page.render(value, mime) == []
    ((topic, _),) = page.warnings
    assert topic is Topic.MIME
    assert page.files == {}


def test_the_text_instead_of_the_image_is_the_best_there_is(page: Page) -> None:
    assert page.image(ENCODED)["alt"] == "output of a code cell"
    # What Python calls an object tells a listener nothing.
    assert page.image(ENCODED, plain="<Figure>")["alt"] == "output of a code cell"
    assert page.image(ENCODED, plain="A table")["alt"] == "A table"
    assert page.image(ENCODED, plain="A table", metadata={"alt": "A curve"})["alt"] == "A curve"


def test_a_size_is_taken_from_the_metadata(page: Page) -> None:
    image = page.image(ENCODED, metadata={"width": 300, "height": "50%", "other": 1})
    assert (image["width"], image["height"], image.get("other")) == ("300", "50%", None)


@pytest.mark.parametrize(
    "size", [[1], "auto", "", "100 of 5", True, float("nan"), 1e300, "\u0663px"]
)
def test_a_size_that_is_no_length_is_left_out_with_a_word(page: Page, size: object) -> None:
    (image,) = page.render(ENCODED, metadata={"width": size, "height": None})
    assert isinstance(image, nodes.image)
    assert "width" not in image
    assert "height" not in image
    ((topic, text),) = page.warnings
    assert topic is Topic.MIME
    assert "which is no length" in text


def test_an_alternative_text_has_no_control_characters_and_no_markup(page: Page) -> None:
    assert page.image(ENCODED, plain="a\x00b\x1b[31mc\ufffe")["alt"] == "abc\ufffd"
    looks = Looks(figure={"caption": "See[^1] and {ref}`x`"})
    assert page.image(ENCODED, looks=looks)["alt"] == "output of a code cell"
    assert page.image(ENCODED, looks=Looks(figure={"caption": "A sine"}))["alt"] == "A sine"


def test_half_a_surrogate_pair_in_an_svg_is_no_error() -> None:
    assert image_content("<svg>\ud800</svg>", "image/svg+xml")
