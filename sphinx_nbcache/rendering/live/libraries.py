"""The script libraries that outputs need: versions, hashes, addresses, and installed files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_NPM = "https://cdn.jsdelivr.net/npm/"
_BOKEH = "https://cdn.bokeh.org/bokeh/release/"
_BOKEH_FILES = ("bokeh", "bokeh-gl", "bokeh-widgets", "bokeh-tables", "bokeh-mathjax", "bokeh-api")
_BOKEH_NAME = re.compile(r"(?P<file>bokeh(?:-[a-z]+)?)@(?P<version>\d+\.\d+\.\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Library:
    """A file of a script library, in one version.

    Attributes:
        name: Its name in doctrees.
        package: The package of npm.
        version: The version.
        path: The file in the package.
        integrity: The hash for browsers; empty if it is not known.
        place: The number that orders the files of a page: what is needed comes first.
        family: The libraries of which a page can have one only, the newest.
        module: The importable Python package that has the same file, if there is one.
        installed: The path of the file in that package.
        address: Where it is on the network, if not at npm's mirror.
    """

    name: str
    package: str
    version: str
    path: str
    integrity: str
    place: int
    family: str
    module: str = ""
    installed: str = ""
    address: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def url(self) -> str:
        """Its address on the network."""
        return self.address or f"{_NPM}{self.package}@{self.version}/{self.path}"

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.partition(".")[0])

    @property
    def remedy(self) -> str:
        """The command that puts it on this machine."""
        if self.module == "bokeh":
            return f'run "pip install bokeh=={self.version}"'
        if self.module:
            return f'run "pip install {self.module}"'
        return (
            f'run "npm install --prefix FOLDER {self.package}@{self.version}", and set'
            ' nbcache_scripts = "FOLDER"'
        )


def _plotly(version: str, digest: str) -> Library:
    return Library(
        name=f"plotly@{version.partition('.')[0]}",
        package="plotly.js-dist-min",
        version=version,
        path="plotly.min.js",
        integrity=f"sha384-{digest}",
        place=10,
        family="plotly",
        module="plotly",
        installed="package_data/plotly.min.js",
    )


def _vega(package: str, version: str, digest: str) -> Library:
    return Library(
        name=f"{package}@{version.partition('.')[0]}",
        package=package,
        version=version,
        path=f"build/{package}.min.js",
        integrity=f"sha384-{digest}",
        place={"vega": 20, "vega-lite": 21, "vega-embed": 22}[package],
        family=package,
    )


# `tests/units/test_live_libraries.py` compares the hashes with the packages of npm, if asked to.
_LIBRARIES = (
    _plotly("2.35.3", "MqL7Cy3itNqCI1Wlc926K0XhyRKJ/NMqTaytIIEB+QIdInOploxqRIHRKLlhPykM"),
    _plotly("3.7.0", "l4G4qURPwALv583BKlynU/4LiUx0rk9jcTX58Aq+Jc+jgWb52zeH2geZkSS3UPPs"),
    _plotly("4.1.1", "AFNp2MtSm5/oZbEs/J19F/Ah57MEiVsoed8nE3fq2Wnccdl1u/EkyJ9XKKU8rt7+"),
    _vega("vega", "5.33.1", "NMXhl2TbCXxcN7o4ROC56Funm78m4AylL8gMg/7Kn4YU+wrm23K9l7cY8lDRXQ9d"),
    _vega("vega", "6.4.0", "VKdcJr3ZaBIJMbVcopTAI/JEuUkSY6qnwVu9iLuw0DnQ9gQ1JjsfZJhXFQAgNi43"),
    _vega(
        "vega-lite",
        "3.4.0",
        "RvXAU3HR7iMA2oPQ8X8jX5KHTpuShIEiFdtfJFd20PnrUGLOPx0E4Em5gsJsbTlj",
    ),
    _vega(
        "vega-lite",
        "4.17.0",
        "Lk76BfFIvNLUmTFmFz5tTLsyZm84P0HIeOI/vFqXLMmiysiih15Ey5s/uuizSEve",
    ),
    _vega(
        "vega-lite",
        "5.23.0",
        "D9LYH0esGjcxQJsBuxOuXtCDJGXRWW1+KhluzWPqi0rLJmiR/ygPChefaD+rFFDQ",
    ),
    _vega(
        "vega-lite",
        "6.5.0",
        "pV2l7nzmyxZh02knvUH7N8zvtyCYsYiGt+SsE/emG/dFiBI6G0YJZFZ2FzEX72P3",
    ),
    _vega(
        "vega-embed",
        "6.29.0",
        "M+Ax7e/WFJpxSOF09HzI+Sj4wg9ottVd/uxmV2ItGGh02fLH28t2FAOJx3TJBap5",
    ),
    _vega(
        "vega-embed",
        "7.3.0",
        "Muy1QRxYFeNrA1zShc1KtN4OfipkR/61gt+HWqN57c1Zxu3Oe16TsilsruVVjfKL",
    ),
    # After the others: files that find its `define` register themselves there, without a name.
    Library(
        name="requirejs",
        package="requirejs",
        version="2.3.8",
        path="require.js",
        integrity="sha384-gzoQyNpzaOK+Aes9TTuBq/ZgYdleZUDN3sFwxyLRbRytLEWofprkKj2F7z3a6nTu",
        place=50,
        family="requirejs",
        module="nbclassic",
        installed="static/components/requirejs/require.js",
    ),
    Library(
        name="html-manager",
        package="@jupyter-widgets/html-manager",
        version="1.0.15",
        path="dist/embed-amd.js",
        integrity="sha384-/x/n24gdFNkRW3aFeWPOJ5tgVI0ZmBOBu6UKswtJLAm6SIAzWBZUdrLEr5A9yXvL",
        place=60,
        family="html-manager",
    ),
)
LIBRARIES = {library.name: library for library in _LIBRARIES}
PLOTLY = "plotly@4"
REQUIRE = "requirejs"


def library(name: str) -> Library | None:
    """Return the library with a name; `None` if there is none of this name."""
    if (found := LIBRARIES.get(name)) is not None:
        return found
    match = _BOKEH_NAME.fullmatch(name)
    if match is None or match["file"] not in _BOKEH_FILES:
        return None
    file, version = match["file"], match["version"]
    return Library(
        name=name,
        package="@bokeh/bokehjs",
        version=version,
        path=f"build/js/{file}.min.js",
        integrity=_bokeh_integrity(file, version),
        place=30 + _BOKEH_FILES.index(file),
        family=file,
        module="bokeh",
        installed=f"server/static/js/{file}.min.js",
        address=f"{_BOKEH}{file}-{version}.min.js",
    )


def libraries_for(names: Iterable[str]) -> list[Library]:
    """Return the libraries of a page in order: each once, and one of each family."""
    newest: dict[str, Library] = {}
    for name in names:
        found = library(name)
        if found is None:
            continue
        other = newest.get(found.family)
        if other is None or _numbers(found) > _numbers(other):
            newest[found.family] = found
    return sorted(newest.values(), key=lambda found: found.place)


def _numbers(found: Library) -> list[int]:
    return [int(part) for part in found.version.split(".")]


def local_file(wanted: Library, folder: Path | None) -> Path | None:
    """Return the file of a library on this machine; `None` if there is none.

    Args:
        wanted: The library.
        folder: The folder that the project names, if it names one.
    """
    if folder is not None:
        for place in _places(wanted, folder):
            if place.is_file() and _is_of_version(place, wanted):
                return place
    if not wanted.module:
        return None
    package = _package_folder(wanted.module)
    if package is None:
        return None
    file = package / wanted.installed
    if wanted.module == "bokeh" and _installed_bokeh(package) != wanted.version:
        return None  # a plot can be drawn only by the version that has made it
    return file if file.is_file() else None


def _places(wanted: Library, folder: Path) -> Iterable[Path]:
    """Yield where npm and people put a file."""
    name = wanted.path.rpartition("/")[2]
    for top in (folder / "node_modules", folder):
        yield top / f"{wanted.package}@{wanted.version}" / wanted.path
        yield top / wanted.package / wanted.path
    stem, dot, suffix = name.partition(".")
    yield folder / f"{stem}-{wanted.version}{dot}{suffix}"
    yield folder / name


def _is_of_version(file: Path, wanted: Library) -> bool:
    """Tell whether a file has the version that is wanted, as far as it says so."""
    top = file
    for _ in wanted.path.split("/"):
        top = top.parent
    try:
        found = json.loads((top / "package.json").read_bytes())["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return True
    if wanted.package == "@bokeh/bokehjs":
        return bool(found == wanted.version)
    return str(found).partition(".")[0] == str(wanted.major)


@cache
def _package_folder(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    origin = spec.origin if spec is not None else None
    return Path(origin).parent if origin else None


@cache
def _installed_bokeh(_package: Path) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("bokeh")
    except PackageNotFoundError:
        return ""


@cache
def _bokeh_integrity(file: str, version: str) -> str:
    """Return the hash of a file, which an installed Bokeh has for itself and older versions."""
    package = _package_folder("bokeh")
    if package is None:
        return ""
    try:
        known = json.loads((package / "_sri" / f"{version}.json").read_bytes())
        return f"sha384-{known[f'{file}-{version}.min.js']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
