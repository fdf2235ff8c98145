"""An interpreter and its installed distributions, with versions.

No package is imported and no metadata is parsed: the names of `.dist-info` directories contain
names and versions. This takes less than a millisecond for each interpreter.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Annotated

import msgspec

from sphinx_nbcache.bounded import Many, Name
from sphinx_nbcache.traces.fingerprints import text_digest
from sphinx_nbcache.traces.installed import (
    content_of,
    edited_modules,
    entry_lines,
    is_editable,
    origin_of,
    path_lines,
    read_text,
)

# https://packaging.python.org/en/latest/specifications/recording-installed-packages/; old versions
# of setuptools append the Python version (`name-1.0-py3.9.egg-info`).
_INFO = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")
# The `.pth` files of editable installations, as setuptools and hatchling name them.
_EDITABLE = ("__editable__", "_editable_impl_")
_BASELINE = ("ipykernel", "ipython")
# An interpreter on a network drive may take many seconds to start.
_PROBE_SECONDS = 60
# The probe must run on any Python 3 without our packages. The `site` module of virtualenv before 20
# has no `getsitepackages` (https://github.com/pypa/virtualenv/issues/571).
_PROBE = """
import json, os, platform, site, sys, sysconfig
paths = [sysconfig.get_paths().get(name) for name in ("purelib", "platlib")]
paths += getattr(site, "getsitepackages", list)() + [site.getusersitepackages()]
print(json.dumps({
    "implementation": platform.python_implementation(),
    "version": "%d.%d" % sys.version_info[:2],
    "platform": sys.platform,
    "machine": platform.machine(),
    "sites": list(dict.fromkeys(path for path in paths if path and path in sys.path)),
}))
"""


class Python(msgspec.Struct, frozen=True):
    """The properties of an interpreter, cached because each query starts the interpreter."""

    implementation: Name
    version: Name
    platform: Name
    machine: Name
    sites: Annotated[tuple[Name, ...], Many]
    """The directories with its distributions, in search order."""


def ask(executable: str, environment: Mapping[str, str] | None = None) -> Python | None:
    """Start an interpreter and query it; return `None` if it does not answer.

    Args:
        executable: The interpreter.
        environment: Its environment variables; `None` means those of this process.
    """
    try:
        done = subprocess.run(  # noqa: S603 (an interpreter that kernels are started with)
            [executable, "-c", _PROBE],
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=True,
            env=environment,
        )
        return msgspec.json.decode(done.stdout, type=Python)
    except (OSError, ValueError, subprocess.SubprocessError, msgspec.DecodeError):
        return None


@dataclass(frozen=True)
class Environment:
    """The distributions of an interpreter. Each one is looked up once.

    Attributes:
        python: The interpreter.
        folders: Further directories on its search path, such as those in `PYTHONPATH`.
    """

    python: Python
    folders: tuple[str, ...] = ()
    _details: dict[str, str | None] = field(default_factory=dict, repr=False)
    _entries: dict[str, str] = field(default_factory=dict, repr=False)
    _contents: dict[str, str] = field(default_factory=dict, repr=False)

    def version(self, name: str) -> str | None:
        """Return the version of a distribution; `None` if it is not installed.

        The version of an installation from a repository or an archive ends with a digest of its
        origin, because such versions often stay the same when the code changes.
        """
        name = normalised(name)
        if name not in self._details:
            found = self.installed(name)
            self._details[name] = found and found[0] + _origin(found[1])
        return self._details[name]

    def installed(self, name: str) -> tuple[str, str] | None:
        """Return the version in a distribution's metadata, and the directory of the metadata.

        `None` if it is not installed.
        """
        return self._installed.get(normalised(name))

    def content(self, name: str) -> str:
        """Return the digest of a distribution's code, or a word (see [](content_of)).

        It is empty if the distribution is not installed.
        """
        name = normalised(name)
        if name not in self._contents:
            found = self.installed(name)
            self._contents[name] = content_of(found[1]) if found is not None else ""
        return self._contents[name]

    def entry_points(self, group: str) -> str:
        """Return a digest of the entry points of a group (see [](EntryPoints.group))."""
        if group not in self._entries:
            installed = sorted(self._installed.items())
            if group == "*":
                texts = [text for name, (version, _) in installed for text in (name, version)]
            else:
                texts = [
                    text
                    for name, (_, folder) in installed
                    for found, line in entry_lines(folder)
                    if group in (found, "")
                    for text in (name, found, line)
                ]
            self._entries[group] = text_digest(*texts)
        return self._entries[group]

    @classmethod
    def of(cls, python: Python, variables: Mapping[str, str]) -> Environment:
        """Return the distributions of an interpreter that is started with these variables."""
        listed = variables.get("PYTHONPATH", "").split(os.pathsep)
        # A relative path leads elsewhere in each directory.
        return cls(python, tuple(map(os.path.normpath, filter(os.path.isabs, listed))))

    @cached_property
    def edited(self) -> Mapping[str, tuple[str, str]]:
        """The distribution and the path of each top-level module that is installed as editable."""
        return {
            module: (name, path)
            for name, information in self._edited.items()
            for module, path in edited_modules(information).items()
        }

    @cached_property
    def added_folders(self) -> tuple[str, ...]:
        """The directories that `.pth` files add to the search path, except editable ones."""
        files = [
            os.path.join(site, entry)
            for site in self.python.sites
            for entry in _names(site)
            if entry.endswith(".pth") and not entry.startswith(_EDITABLE)
        ]
        found = [folder for file in files for folder in path_lines(file)]
        edited = self.edited.values() if found else ()
        folders = {os.path.dirname(path) for _, path in edited}
        return tuple(folder for folder in found if folder not in folders)

    @cached_property
    def _edited(self) -> Mapping[str, str]:
        """The metadata directories of editable installations."""
        return {
            name: information
            for name, (_, information) in self._installed.items()
            if is_editable(origin_of(information))
        }

    @cached_property
    def baseline(self) -> tuple[str, str]:
        """The versions of ipykernel (major) and IPython (major, minor), which all notebooks need.

        An empty string stands for a package that is not installed.
        """
        # Patch releases of both rarely change outputs, and would make every result stale.
        ipykernel, ipython = (self.version(name) or "" for name in _BASELINE)
        return ipykernel.partition(".")[0], ".".join(ipython.split(".")[:2])

    def has_module(self, name: str) -> bool:
        """Tell whether a top-level module is installed."""
        return name in self._modules

    def owners(self, module: str) -> tuple[str, ...]:
        """Return the distributions of a top-level module; a namespace package has several."""
        # Fast path: most distributions have the name of their module, and no RECORD is read.
        own = normalised(module)
        if own in self._installed:
            return (own,)
        return self._owners.get(module, ())

    @cached_property
    def _installed(self) -> Mapping[str, tuple[str, str]]:
        """Versions and metadata directories by normalised name; the first match wins."""
        found: dict[str, tuple[str, str]] = {}
        for site in (*self.python.sites, *self.folders):
            for entry in _names(site):
                parsed = parse_info(entry)
                if parsed is not None:
                    found.setdefault(parsed[0], (parsed[1], os.path.join(site, entry)))
        return found

    @cached_property
    def _modules(self) -> frozenset[str]:
        return frozenset(
            entry.partition(".")[0] for site in self.python.sites for entry in _names(site)
        )

    @cached_property
    def _owners(self) -> Mapping[str, tuple[str, ...]]:
        """Distributions by top-level module, from their file lists."""
        owners: dict[str, list[str]] = {}
        for name, (_, folder) in self._installed.items():
            for module in _top_level(folder):
                owners.setdefault(module, []).append(name)
        return {module: tuple(sorted(names)) for module, names in owners.items()}


@cache
def normalised(name: str) -> str:
    """Return the normalised name of a distribution."""
    # https://packaging.python.org/en/latest/specifications/name-normalization/
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_info(folder: str) -> tuple[str, str] | None:
    """Return the normalised name and the version from the name of a metadata directory."""
    match = _INFO.fullmatch(folder)
    return (normalised(match["name"]), match["version"]) if match is not None else None


def _names(folder: str) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(folder)))
    except OSError:
        return ()


def _origin(folder: str) -> str:
    """Return a version suffix for an installation from a repository or an archive; else empty."""
    origin = origin_of(folder)
    # `dir_info` is left out: the location of an editable installation does not identify its code,
    # whose files are tracked as local modules.
    parts = [origin.get(key) for key in ("vcs_info", "archive_info")]
    told = [json.dumps(part, sort_keys=True) for part in parts if part]
    return f" ({text_digest(*told)[:8]})" if told else ""


def _top_level(folder: str) -> Iterable[str]:
    # Only setuptools writes `top_level.txt`; hatchling, flit and others do not.
    listed = read_text(folder, "top_level.txt").split()
    if listed:
        return listed
    found = set()
    for line in read_text(folder, "RECORD").splitlines():
        path = line.split(",")[0]
        first, slash, _ = path.partition("/")
        if slash or first.endswith((".py", ".so", ".pyd")):
            found.add(first.partition(".")[0])
    return found - {"", "__pycache__"}
