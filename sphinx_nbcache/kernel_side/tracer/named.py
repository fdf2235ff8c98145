"""Files that are named in code: C libraries open them without an audit event."""

import ast
import os
import pathlib
import re
import sys
import time
import types
import warnings

from .changes import OTHER, OWN
from .common import absolute, shell
from .states import is_folder

# Files that C libraries read. A missing path is recorded only for these names.
_DATA = re.compile(
    r"(.*/)?[^/]+\.(h5|hdf5?|nc4?|parquet|feather|arrow|orc|duckdb|zarr|tiff?|root|fits|gpkg|shp|mat|las)",
    re.IGNORECASE,
)
_EXTENSION = re.compile(r"^\s*%(?:re)?load_ext\s+([\w.]+)", re.MULTILINE)
_ARGUMENT = re.compile(r"[^-\s*?\[][^\s*?\[]*[./][^\s*?\[]+")
_WORD = re.compile(r"[^\s'\"`;|&<>(){}=,$]+")
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# Bounds for the time spent: files beyond them can still be declared.
_MOST_FILES = 2000
_MOST_MODULES = 500
_MOST_ITEMS = 1000
_MOST_FOLDERS = 50
_MOST_NAMES = 10_000
_MOST_WORDS = 10_000
_LONGEST_PATH = 500
_DEEPEST = 2
# File systems take times from a clock that advances with timer interrupts (up to 10 ms on Linux,
# with CONFIG_HZ=100).
_TICK_NS = 10_000_000
_LONGEST_COMMAND = 10_000
_FILE = "<nbcache>"
_QUIET = ("ignore", None, Warning, re.compile(_FILE), 0)


def parsed(code):
    """Return the tree of a cell's code, without the warnings of Python about it.

    Python warns about code, such as an invalid escape, whenever it parses it. IPython parses the
    cell as well, so the page would show the warning once more.
    """
    # The functions of `warnings` would make all warnings appear again that were shown once.
    filters = warnings.filters
    filters.insert(0, _QUIET)
    try:
        return ast.parse(code, _FILE)
    finally:
        if _QUIET in filters:
            filters.remove(_QUIET)


class Code(ast.NodeVisitor):
    """The content of a cell's code: strings, names and imports.

    Attributes:
        words: The words in strings, except keys that are set, as in `{**os.environ, "X": "1"}`.
    """

    def __init__(self, source, transformed=None):
        self.texts = []
        self.words = set()
        self.keys = set()
        self.names = set()
        self.attributes = set()
        self.imports = set()
        self.has_magics = False
        try:
            self.visit(parsed(transformed or shell().transform_cell(source)))
        except (SyntaxError, ValueError, RecursionError):
            return  # it will not run either
        self.has_magics = "get_ipython" in self.names
        if self.has_magics:
            self.imports.update(_EXTENSION.findall(source))

    def visit_Name(self, node):
        self.names.add(node.id)

    def visit_Attribute(self, node):
        self.attributes.add(node.attr)
        self.generic_visit(node)

    def visit_Import(self, node):
        self.imports.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node):
        if not node.level:
            self.imports.add(node.module)

    def visit_Dict(self, node):
        if None in node.keys:  # it contains another dictionary
            self.keys.update(id(key) for key in node.keys)
        self.generic_visit(node)

    def visit_Assign(self, node):
        for target in node.targets:
            key = getattr(target, "slice", None)
            # Before Python 3.9, there is an `ast.Index` around it.
            self.keys.update((id(key), id(getattr(key, "value", None))))
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            self.texts.append(node.value)
            if id(node) not in self.keys:
                self.words.update(_VARIABLE.findall(node.value[:_LONGEST_COMMAND]))


class Named:
    """Files that are named in cells, variables and modules, and that C libraries may open.

    They are looked at before and after each cell. A file may have been written by the cell if it
    changed without an audit event and the cell itself names it: `Changes` judges that.
    """

    def __init__(self, own, files, imports, changes):
        self.own = own
        self.files = files
        self.imports = imports
        self.changes = changes
        self.looks = {}
        self.missing = {}
        self.current = set()
        self.used = set()
        self.modules = set()
        self.started = 0
        self.has_ended = False
        self.folders = {}
        self.scripts = []
        self.words = set()

    def before_cell(self, info):
        with self.own:
            self.started, self.has_ended = time.time_ns(), False
            self.current, self.used, self.missing = set(), set(), {}
            self.scripts = []
            self._renew(self.changes.begin_cell(self.started))
            self._list_folders()
            # Old versions of IPython do not pass the transformed cell.
            self._scan(info.raw_cell, getattr(info, "transformed_cell", None))
            self.changes.expect(self.scripts, is_named=bool(self.looks or self.missing))

    def _scan(self, source, transformed=None, depth=0):
        """Consider the strings in a cell, and record its imports and the names that it uses."""
        code = Code(source, transformed)
        self.used |= code.names
        self._keep_words(code.words)
        self.imports.want(code.imports)
        if "tell" in code.attributes:
            self.files.on_sizes()
        for text in code.texts:
            self.consider(text)
            if code.has_magics:
                self.consider_words(text)
                self.scripts += [text] if "\n" in text else []
                # Could be a cell-magic body, such as that of `%%time`.
                if "\n" in text and depth < _DEEPEST:
                    self._scan(text, depth=depth + 1)

    def after_cell(self, result):
        with self.own:
            self.has_ended = True
            self._variables()
            self._modules()
            for path in self.current:
                self._compare(path, self.looks[path])
            for path, look in self.missing.items():
                self._compare(path, look)
            self._renew(self.changes.end_cell())

    def finish(self):
        """Renew the looks at files that the run itself changed after its last cell."""
        self._renew(self.changes.settle())
        reads = self.files.reads
        for path in self.files.restated:
            if path in self.looks:
                self.looks[path] = self.files.renewed(path, self.looks[path])
            if path in reads:
                reads.keep(path, self.files.renewed(path, reads.at(path)))

    def _renew(self, paths):
        for path in paths:
            self.looks[path] = self.files.look(path, "named")

    def _compare(self, path, before):
        """Judge a file that has changed in this cell."""
        if path in self.files.writes or path in self.files.databases:
            return
        if self.files.is_restated(path):
            return
        now = self.files.look(path, "named")
        if now[1] == "file" and now[0] != before[0] and self._is_new(now):
            self._judge(path, before, now)

    def _judge(self, path, before, now):
        """Record a changed file as written by the run, or by another process."""
        author = self.changes.author(path, before, now)
        if author == OTHER:
            self.changes.changed[path] = True
            return
        self.looks[path] = now
        if author == OWN and path not in self.files.inferred:
            self.changes.proven[path] = True
        elif author != OWN:
            self.changes.proven.pop(path, None)
        self.files.inferred.setdefault(path, before)
        read = self.files.reads.at(path)
        if read is not None and read[0] is not None:
            del self.files.reads[path]

    def _is_new(self, look):
        """Tell whether a file changed since the cell began, by the file system's coarser clock."""
        return look[0] is not None and max(look[0][1:3]) >= self.started - _TICK_NS

    def consider(self, text, *, of_command=False):
        """Look at the file that a text names, if it names one.

        A missing file that a command names counts if the word looks like a file name.
        """
        if not text or len(text) > _LONGEST_PATH or "\n" in text or "\0" in text:
            return
        path = self.files.links.through(absolute(text))
        if path not in self.looks:
            counts = _ARGUMENT.fullmatch(text) if of_command else _DATA.fullmatch(text)
            self._first_look(path, counts_if_missing=counts is not None)
        if path in self.looks:
            self.current.add(path)

    def _first_look(self, path, *, counts_if_missing):
        if len(self.looks) >= _MOST_FILES or path.startswith(self.files.quiet.prefixes):
            return
        self.files.watch.add(os.path.dirname(path))
        look = self.files.look(path, "named")
        if look[0] is None:
            self.missing[path] = look
        if look[1] == "file" or (look[0] is None and counts_if_missing):
            self.looks[path] = look
            self.files.log.note("named", path, look)
            if self.has_ended and self._is_new(look) and path not in self.files.writes:
                before = "" if self._was_absent(path) else "unknown"
                self._judge(path, (None, before, look[2], None, "named"), look)

    def _was_absent(self, path):
        """Tell whether a newly found file is known to have been absent before."""
        folder, name = os.path.split(os.path.normpath(path))
        if folder in self.files.made:
            return True
        names = self.folders.get(folder, (0, None))[1]
        return names is not None and name not in names

    def _list_folders(self):
        """List the working directory and its folders, unless they are unchanged."""
        here = absolute(".")
        if self._list(here):
            with os.scandir(here) as entries:
                inside = [e.path for e in entries if e.name[0] not in "._" and is_folder(e)]
            for folder in inside[:_MOST_FOLDERS]:
                self._list(folder)

    def _list(self, folder):
        """Record the entries of a folder; return whether they are known."""
        try:
            changed = os.stat(folder).st_mtime_ns
            if self.folders.get(folder, (0, None))[0] != changed:
                names = os.listdir(folder)
                known = frozenset(names) if len(names) < _MOST_NAMES else None
                self.folders[folder] = changed, known
        except OSError:  # it is forbidden, or has just gone
            self.folders.pop(folder, None)
            return False
        return self.folders[folder][1] is not None

    def consider_words(self, text):
        """Look at the files that a command names."""
        for word in _WORD.findall(text[:_LONGEST_COMMAND]):
            self.consider(word, of_command=True)

    def _variables(self):
        ip = shell()
        hidden = getattr(ip, "user_ns_hidden", ())
        for name, value in list(ip.user_ns.items()):
            if name[:1] == "_" or (name in hidden and hidden[name] is value):
                continue
            known = set(self.current)
            many = type(value) in (list, tuple) and len(value) <= _MOST_ITEMS
            for item in value if many else (value,):
                # The exact type: the `str` of a subclass may run code of the notebook.
                if type(item) is str or isinstance(item, pathlib.PurePath):
                    self.consider(str(item))
            # A variable that this cell does not name cannot show which file the cell wrote.
            if name not in self.used:
                self.current = known

    def _modules(self):
        """Consider the strings in the code of local modules, including their functions."""
        for name, file in self.imports.new_local_modules():
            if file in self.modules or len(self.modules) >= _MOST_MODULES:
                continue
            self.modules.add(file)
            spec = getattr(sys.modules.get(name), "__spec__", None)
            # `get_code` would otherwise write bytecode even for a young source: the hook, which
            # forbids that, ignores the thread of the tracer (`Files._open_for_writing`).
            keep, sys.dont_write_bytecode = sys.dont_write_bytecode, True
            try:
                self._texts(spec.loader.get_code(spec.name), os.path.dirname(file))
            except Exception:  # noqa: S112
                continue  # a loader without code: there is nothing to consider
            finally:
                sys.dont_write_bytecode = keep

    def _keep_words(self, words):
        if len(self.words) < _MOST_WORDS:
            self.words |= words

    def _texts(self, code, folder):
        if "tell" in code.co_names:
            self.files.on_sizes()
        for constant in code.co_consts:
            if type(constant) is str:
                self._keep_words(set(_VARIABLE.findall(constant[:_LONGEST_COMMAND])))
                self.consider(constant)
                self.consider(os.path.join(folder, constant))
            elif isinstance(constant, types.CodeType):
                self._texts(constant, folder)
