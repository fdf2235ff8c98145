"""The common parts of the tracer: paths, code that is not the user's, and the children's log."""

import genericpath
import glob
import json
import os
import pathlib
import site
import sys
import sysconfig
import threading

# An error in a hook may recur for each of thousands of opened files.
_MOST_ERRORS = 20
_IS_POSIX = os.name == "posix"
_DOT, _DOUBLE = os.sep + ".", os.sep * 2
# Characters: `PATH_MAX` of Linux, in bytes and with a final null, and the longest path on Windows
# (https://learn.microsoft.com/en-us/windows/win32/fileio/maximum-file-path-limitation).
_LONGEST_PATH = 4096 if _IS_POSIX else 32_767
# Modules that handle paths on behalf of other code.
PATHS = (
    *("<frozen ", "<nbcache", os.__file__, os.path.__file__, genericpath.__file__),
    *(glob.__file__, pathlib.__file__, os.path.join(os.path.dirname(os.__file__), "pathlib", "")),
)
IMPORTLIB = ("<frozen importlib", os.path.join(os.path.dirname(os.__file__), "importlib", ""))


# The cached working directory: asking for it takes longer than everything else.
HERE = []
# The name by which the run entered it: a link in it may have another target in the next build.
ENTERED = []
# The unwrapped functions: the wrapped ones would record the tracer's own looks.
_stat, _readlink = os.stat, os.readlink
_INNER = "<nbcache"


def preloaded():
    """Return the finder of the zygote that this kernel was forked from; `None` if there is none.

    It knows the modules that were loaded before the kernel began, and their imports.
    """
    for finder in sys.meta_path:
        if type(finder).__module__ == "_nbcache_zygote.hiding":
            return finder
    return None


def is_too_long(path):
    """Tell whether nothing can be at a path because of its length.

    IPython looks for the texts that it shows (https://github.com/ipython/ipython/issues/14820). An
    animation has megabytes of text with a hundred thousand slashes: every step up through so many
    directories copies them, and keeping such texts would take the memory of the kernel.
    """
    return len(os.fspath(path)) > _LONGEST_PATH


def absolute(path):
    """Return a path of any kind as an absolute string; links and `..` are kept."""
    if type(path) is not str:
        path = os.fsdecode(path)
    if path[:1] != "/" and (_IS_POSIX or not os.path.isabs(path)):
        if not HERE:
            HERE.append(_here())
        path = HERE[0] + "/" + path if _IS_POSIX else os.path.join(HERE[0], path)
    # `normpath` takes longer than all of the rest, so call it only where it changes something. It
    # must not see `..`: after a link, that leads elsewhere.
    if (_DOT in path or _DOUBLE in path or path[-1] == os.sep) and ".." not in path:
        path = os.path.normpath(path)
    return path


def located(path, dir_fd=-1):
    """Return the absolute form of a path that may be relative to a directory's descriptor.

    Return None for a descriptor, and where the system does not tell which directory is meant. -1
    means that no descriptor was given.
    """
    if type(path) is int:
        return None
    if dir_fd in (-1, None):
        return absolute(path)
    folder = folder_of(dir_fd)
    return absolute(os.path.join(folder, os.fsdecode(path))) if folder else None


def folder_of(descriptor):
    """Return the path of an open directory; None where the system does not tell it."""
    try:
        return _readlink("/proc/self/fd/%d" % descriptor)
    except (OSError, TypeError):
        return None


def is_emptying(frame):
    """Tell whether `shutil.rmtree` works here: one event tells of the whole tree."""
    while frame is not None and frame.f_code.co_filename.startswith(_INNER):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name.startswith("_rmtree")


def is_making(frame):
    """Tell whether `os.makedirs` or `Path.mkdir` work here: a folder may be there or not."""
    while frame is not None and frame.f_code.co_filename.startswith(PATHS):
        if frame.f_code.co_name in ("makedirs", "mkdir"):
            return True
        frame = frame.f_back
    return False


def _here():
    """Return the working directory, under the name that the run used if that is still valid."""
    found = os.getcwd()
    for name in ENTERED:
        try:
            if os.path.samestat(_stat(name), _stat(found)):
                return name
        except (OSError, ValueError):
            break
    return found


def without_dots(path):
    """Return an absolute path without `..`, which goes up from the target of a link.

    Links after the last `..` are kept.
    """
    above, dots, rest = (path + os.sep).rpartition(".." + os.sep)
    return os.path.normpath(os.path.join(os.path.realpath(above + dots), rest) if dots else path)


def is_below(path, prefixes):
    """Tell whether an absolute path lies in one of these folders, given with a slash at the end."""
    return (without_dots(path) if ".." in path else path).startswith(prefixes)


def shell():
    """Return IPython's shell; `None` in Python kernels without IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def uses(code, name):
    """Tell whether code, or a function in it, names an attribute or a global variable."""
    inside = (constant for constant in code.co_consts if hasattr(constant, "co_names"))
    return name in code.co_names or any(uses(constant, name) for constant in inside)


def outer(frame, inner):
    """Return the file name of the first frame outside these files."""
    while frame is not None and frame.f_code.co_filename.startswith(inner):
        frame = frame.f_back
    return frame.f_code.co_filename if frame is not None else ""


class Own:
    """A context for the tracer's own work in a thread: it is not recorded, and does not raise."""

    def __init__(self):
        # By thread, and not a flag: while one thread works for the tracer, others run code of
        # cells.
        self.threads = set()
        self.errors = []

    def is_working(self):
        return threading.get_ident() in self.threads

    def __enter__(self):
        self.threads.add(threading.get_ident())

    def __exit__(self, kind, error, trace):
        self.threads.discard(threading.get_ident())
        if isinstance(error, Exception):
            self.complain(error)
        return isinstance(error, Exception)

    def complain(self, error):
        """Record an error of our own, which the notebook must not see."""
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append(f"{type(error).__name__}: {error}")


class Quiet:
    """The files of Python and of installed packages, which are represented by their versions."""

    def __init__(self, further=()):
        get = getattr(site, "getsitepackages", list)
        found = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
        # virtualenv before 20 replaced `site` by a module without `getsitepackages`.
        found += [*get(), site.getusersitepackages()]
        self.sites = [path for path in dict.fromkeys(found) if path and path in sys.path]
        library = [os.path.dirname(os.__file__), sysconfig.get_path("platstdlib")]
        self.library = [path for path in dict.fromkeys(library) if path]
        self.site_prefixes = self._prefixes(self.sites)
        self.library_prefixes = (*self._prefixes(self.library), "<frozen ")
        self.prefixes = (
            *self.site_prefixes,
            *self._prefixes([*self.library, *further]),
            *("/proc/", "/sys/", "/dev/"),
        )

    @staticmethod
    def _prefixes(folders):
        both = [form for folder in folders for form in (folder, os.path.realpath(folder))]
        return tuple(os.path.join(folder, "") for folder in dict.fromkeys(both))

    def is_user(self, filename):
        """Tell whether code from this file belongs to a cell or to a local module."""
        if filename.startswith("<"):
            return filename.startswith("<ipython-input")  # cells, in old versions
        return bool(filename) and not filename.startswith(self.prefixes)

    def package_of(self, filename):
        """Return the top-level name under which a file is installed; empty if it is not."""
        for prefix in self.site_prefixes:
            if filename.startswith(prefix):
                return filename[len(prefix) :].partition(os.sep)[0].partition(".")[0]
        return ""


class Log:
    """The log of child processes. Each child reopens the file, as descriptors may get lost."""

    def __init__(self, path, is_child):
        self.path = path
        self.is_child = is_child
        self.told = set()
        if hasattr(os, "register_at_fork"):
            # CPython does not call this for children of `subprocess` (without `preexec_fn`). If
            # they run Python, they load our `sitecustomize`.
            os.register_at_fork(after_in_child=self._forked)

    def _forked(self):
        self.is_child = True
        self.told = set()

    def is_new(self, path):
        """Tell whether this is a child that has not reported a path yet; its parent may have."""
        if not self.is_child or path in self.told:
            return False
        self.told.add(path)
        return True

    def note(self, *record):
        """Write a record, if this is a child."""
        if not self.is_child or not self.path:
            return
        line = json.dumps(record).encode("ascii") + b"\n"
        # Children write at the same time: with O_APPEND, Linux puts each write at the current end.
        # https://man7.org/linux/man-pages/man2/open.2.html
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def size(self):
        """Return the number of bytes that children have written."""
        try:
            return os.path.getsize(self.path) if self.path else 0
        except OSError:
            return 0

    def records(self, start=0):
        """Return the records that children have written after this position."""
        if not self.path or not os.path.exists(self.path):
            return []
        with open(self.path, encoding="ascii", errors="replace") as file:
            file.seek(start)
            # The last line may be incomplete, if a child is killed while it writes.
            return [json.loads(line) for line in file if line.endswith("\n")]
