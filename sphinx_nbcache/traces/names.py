"""The names under which traces store paths, and the paths that are never tracked."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

from sphinx_nbcache.files.paths import matching_glob

# Directories whose content is never input, wherever they are.
_CACHES = frozenset({"__pycache__", ".ipynb_checkpoints"})
# ipykernel's file names for the code of cells (`ipykernel.compiler.get_file_name`, 6.0 and later).
# The files exist only if a debugger asked for them.
_CELLS = re.compile(r".*/ipykernel_\d+/\d+\.py")
# Directories of the operating system, whose fonts, time zones and libraries are not tracked.
_SYSTEM = (
    *("/usr", "/etc", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/boot", "/snap", "/nix/store"),
    *("/proc", "/sys", "/dev", "/run", "/var/lib", "/var/cache", "/var/run"),
    *("/System", "/Library", "/private/etc", "/private/var/db"),
)
# Files next to a SQLite database with uncommitted changes (https://www.sqlite.org/tempfiles.html).
_TRANSIENT = re.compile(r".+\.(db3?|sqlite3?)-(journal|wal|shm)")
# Outside the root: the font cache of Matplotlib, the history of IPython, and locks of builds.
_CACHE_FILE = re.compile(
    r"fontlist-v[\d.]+\.json(\.matplotlib-lock)?|history\.sqlite|nbcache-work-[0-9a-f]+\.lock"
)
# Python decodes bytes of paths that are not UTF-8 as lone surrogates (PEP 383,
# https://peps.python.org/pep-0383/), which JSON in UTF-8 cannot hold. Private-use characters can.
_TO_PRIVATE = {0xDC00 + byte: 0xF700 + byte for byte in range(0x80, 0x100)}
_FROM_PRIVATE = {private: surrogate for surrogate, private in _TO_PRIVATE.items()}


def _usual_temporary() -> tuple[str, ...]:
    """Return the system's temporary directory; empty if none is writable."""
    try:
        return (tempfile.gettempdir(),)
    except OSError:
        return ()


@dataclass(frozen=True)
class PathNames:
    """Classifies paths by the directories that contain them.

    The innermost directory decides: a virtual environment inside the root is ignored, but a root
    inside an ignored directory is not.

    Attributes:
        root: The root, absolute.
        home: The home directory.
        ignored: Directories whose content is ignored.
        globs: Globs of ignored paths, relative to the root (`nbcache_ignore`).
        temporary: Directories of temporary files.
    """

    root: str
    home: str = field(default_factory=lambda: os.path.expanduser("~"))
    ignored: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    temporary: tuple[str, ...] = field(default_factory=_usual_temporary)

    def ignoring(self, directories: Iterable[str]) -> PathNames:
        """Return the places with further ignored directories; equal requests share one object."""
        # The cached properties of the result call `realpath` for each directory, which is slow.
        further = tuple(directories)
        if further not in self._narrower:
            self._narrower[further] = replace(self, ignored=(*self.ignored, *further))
        return self._narrower[further]

    def name_of(self, path: str) -> str | None:
        """Return the name of an absolute path; `None` if it is relative or ignored."""
        if "\0" in path or not os.path.isabs(path):
            return None
        path = self.normal(path)
        base = self._innermost(path)
        if base is None:
            real = os.path.realpath(path)
            # A root that is reached through a symbolic link has two paths.
            if self._innermost(real) in self._roots:
                path, base = real, self._innermost(real)
        if base in self._roots:
            name = _posix(path[len(base or "") :]).strip("/") or "."
            if self._is_ignored(name):
                return None
            # A file `~` under the root must not look like the home directory.
            return _encode("./" + name if name[0] == "~" else name)
        if base is not None or self._is_cache_elsewhere(path):
            return None
        # In containers, the home directory may be `/`: then `~/` would abbreviate nothing.
        if _is_under(path, self.home) and len(self.home) > 1:
            return _encode("~/" + _posix(path[len(self.home) :]).strip("/"))
        return _encode(_posix(path))

    def path_of(self, name: str) -> str | None:
        """Return the absolute path for a name; `None` if [](name_of) would not return this name.

        Thus a forged store cannot have its own files hashed: a sparse file would take hours.
        """
        if "\0" in name or ".." in name.split("/"):
            return None
        path = self._joined(name.translate(_FROM_PRIVATE))
        return None if path is None or self._is_in_ignored(path) else path

    def is_inside(self, name: str) -> bool:
        """Tell whether a name belongs to a path under the root."""
        return not name.startswith("~/") and not os.path.isabs(name)

    def leads_out(self, path: str) -> bool:
        """Tell whether a path below the root leads out of it through a link."""
        return not any(_is_under(os.path.realpath(path), root) for root in self._roots)

    def normal(self, path: str) -> str:
        """Return the path without `.` and `..`. A `..` goes up from the target of a link.

        Links after the last `..` are kept: they may have another target in the next build.
        """
        # `normpath` alone would turn `link/../file` into a sibling of the link
        # (https://docs.python.org/3/library/os.path.html#os.path.normpath).
        parts = path.split(os.sep)
        if ".." in parts and "\0" not in path:
            last = len(parts) - parts[::-1].index("..")
            above = os.path.realpath(os.sep.join(parts[:last]))
            return os.path.normpath(os.path.join(above, *parts[last:]))
        return os.path.normpath(path)

    def is_temporary(self, path: str) -> bool:
        """Tell whether a path is temporary, and neither under the root nor the home directory."""
        path = self.normal(path)
        if any(_is_under(path, folder) for folder in (*self._roots, self.home)):
            return False
        return any(_is_under(path, folder) for folder in self._temporary)

    def keeps(self, directory: str, entry: str) -> bool:
        """Tell whether an entry of a directory, given by its name, is tracked in listings."""
        name = f"{directory}/{entry.rstrip('/')}" if directory != "." else entry.rstrip("/")
        if self.is_inside(directory):
            if self._is_ignored(name.removeprefix("./")):
                return False
            return not self._ignored_entries.get(os.path.join(self.root, name), False)
        return entry.rstrip("/") not in _CACHES

    def mentioned(self, texts: Iterable[str]) -> tuple[str | None, str | None]:
        """Return the names of the root and the home directory; `None` for one not mentioned."""
        # The root is removed first: most roots are below the home directory and would mention it.
        roots = _mention(self._roots)
        home = _mention((self.home,)) if len(self.home) > 1 else None
        has_root = has_home = False
        for text in texts:
            rest, count = roots.subn("", text)
            has_root |= count > 0
            has_home |= home is not None and home.search(rest) is not None
        root = _encode(_posix(self.root)) if has_root else None
        return root, _encode(_posix(self.home)) if has_home else None

    def _joined(self, name: str) -> str | None:
        if name.startswith("~/"):
            return os.path.join(self.home, name[2:])
        if os.path.isabs(name):
            return name if _may_be_read(name) else None
        if name == ".":
            return self.root
        return os.path.join(self.root, name.removeprefix("./"))

    def _is_in_ignored(self, path: str) -> bool:
        """Tell whether one of `ignored` is the innermost directory, not one of the system's."""
        if not self.ignored:
            return False
        path = os.path.normpath(path)
        # POSIX allows a special meaning for two leading slashes, so `normpath` keeps them; on Linux
        # they mean `/`.
        path = path[1:] if os.sep == "/" and path.startswith("//") else path
        return self._innermost(path) in self._ignored_folders

    @cached_property
    def _ignored_folders(self) -> frozenset[str]:
        return frozenset((*self.ignored, *map(os.path.realpath, self.ignored)))

    @cached_property
    def _narrower(self) -> dict[tuple[str, ...], PathNames]:
        return {}

    @cached_property
    def _roots(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.root, os.path.realpath(self.root))))

    @cached_property
    def _temporary(self) -> tuple[str, ...]:
        real = (os.path.realpath(folder) for folder in self.temporary)
        return (*self.temporary, *real)

    @cached_property
    def _ignored_entries(self) -> dict[str, bool]:
        return dict.fromkeys(self.ignored, True)

    @cached_property
    def _bases(self) -> dict[str, str]:
        """The directories that classify paths, by path without a trailing slash."""
        system = [*_SYSTEM, *_caches_of(self.home)]
        if sys.platform == "win32":
            system += [os.environ.get(name, "") for name in ("SYSTEMROOT", "PROGRAMFILES")]
        ignored = [*system, *self._ignored_folders]
        bases = dict.fromkeys((*ignored, *self._roots))
        return {folder.rstrip("/\\") or folder: folder for folder in bases if folder}

    def _innermost(self, path: str) -> str | None:
        bases, folder = self._bases, path
        while True:
            if folder in bases:
                return bases[folder]
            above = os.path.dirname(folder)
            if above == folder:
                return None
            folder = above

    def _is_ignored(self, name: str) -> bool:
        return self._is_cache(name) or (
            bool(self.globs) and matching_glob(name, self.globs) is not None
        )

    @classmethod
    def _is_cache_elsewhere(cls, path: str) -> bool:
        name = _posix(path)
        last = name.rpartition("/")[2]
        is_cache = "/.cache/" in name or _CACHE_FILE.fullmatch(last) or _CELLS.fullmatch(name)
        return bool(is_cache) or cls._is_cache(path)

    @staticmethod
    def _is_cache(path: str) -> bool:
        parts = _posix(path).split("/")
        return not _CACHES.isdisjoint(parts) or _TRANSIENT.fullmatch(parts[-1]) is not None


def _caches_of(home: str) -> list[str]:
    """Return the user's cache directories."""
    caches = [os.path.join(home, ".cache"), os.path.join(home, "Library", "Caches")]
    return [*caches, os.environ.get("XDG_CACHE_HOME", "")]


def _is_under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _may_be_read(path: str) -> bool:
    """Tell whether an absolute path is neither a device nor an endless file.

    No run records such a path (see `_SYSTEM`), but a forged store may contain one.
    """
    parts = [part for part in _posix(path).split("/") if part not in ("", ".")]
    return not parts or parts[0] not in ("dev", "proc", "sys")


def _posix(path: str) -> str:
    return path.replace(os.sep, "/") if os.sep != "/" else path


def _encode(name: str) -> str:
    return name if name.isascii() else name.translate(_TO_PRIVATE)


def _mention(folders: Iterable[str]) -> re.Pattern[str]:
    """Return an expression that finds these paths in a text, with any kind of separator."""
    forms = {form for f in folders for form in (f, _posix(f), f.replace("\\", "\\\\"))}
    # Alternatives are tried in order, so a prefix of another path has to come after it.
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile(f"(?:{'|'.join(map(re.escape, longest_first))})(?![\\w.-])")
