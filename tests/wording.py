"""Look for words and constructions that docstrings, comments and pages do without.

Run by `nox -s lint`. A line that needs one of them all the same ends with `wording: ok`.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/**/*.md")
ALLOWED = "wording: ok"

# What is found, and what to write in its place.
RULES = {
    r"(?:^|[.:;] )(?:Of|Those|Who|Whoever) (?!(?:course)\b)": "begin with the subject",
    r"(?:^|[.:] )(?:What|Whatever) (?![^.?!]*\?)": "begin with the subject",
    r"\banew\b": "again",
    r"\bnobody\b": "no one; better: name who does not",
    r"\blets? go of\b": "release, close",
    r"\b(?:is|are|was|were|be|been) told\b": "reported, named, passed",
    r"\bas they stand\b": "unchanged",
    r"\bno more\b(?! than)": "no longer",
    r"\bneed be\b": "if necessary",
}


def python_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the docstrings and comments of a module, each with its line."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            if isinstance(text, str):
                yield node.lineno, text
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.removeprefix("#").strip()


def page_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a page that are no code, each with its line."""
    is_code = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith(("```", ":::", "%")):
            is_code = line.lstrip().startswith("```") and not is_code
        elif not is_code:
            yield number, line.strip(" -*|>")


def findings(number: int, text: str) -> Iterator[tuple[int, str, str]]:
    """Yield what speaks against a text: the line, what was found, and what to write."""
    for offset, line in enumerate(text.splitlines()):
        if ALLOWED not in line:
            for pattern, instead in RULES.items():
                for found in re.finditer(pattern, line.strip()):
                    yield number + offset, line.strip()[found.start() :][:50], instead


def main() -> int:
    """Print each finding; return 1 if there are any."""
    count = 0
    modules = sorted((TOP / "sphinx_nbcache").rglob("*.py"))
    pages = sorted(path for glob in PAGES for path in TOP.glob(glob) if "_build" not in path.parts)
    for path in (*modules, *pages):
        texts = python_texts(path) if path.suffix == ".py" else page_texts(path)
        for text in texts:
            for line, found, instead in findings(*text):
                count += 1
                place = f"{path.relative_to(TOP)}:{line}"
                sys.stdout.write(f"{place}: {found!r}: {instead}\n")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
