"""Environment variables: the names that code reads, and those by which child processes are traced.

Only names are reported, never values: the build's process knows the values that kernels start with.
"""

import os
import re
import sys

from .common import PATHS, outer

_ABC_FILE = getattr(sys.modules["_collections_abc"], "__file__", None) or "<none>"
_INNER = ("<frozen os>", "<frozen _collections_abc>", os.__file__, _ABC_FILE)
# Functions of the standard library and of IPython that read the variables that a caller names. The
# last one is the magic `%env`.
_FOR_CALLERS = re.compile(r"[/\\](string|collections)([/\\]__init__)?\.py$|magics[/\\]osm\.py$")
_SCRIPTS = ("<string>", "<stdin>")
_EXPANDING = ("expandvars", "repl")
# Texts that could be the name of a variable, or a part of it.
_CAPITALS = re.compile(r"_?[A-Z][A-Z0-9_]+", re.ASCII)
# A code object with one of these tests names; the operator `in` has an instruction.
_TESTS = frozenset(
    """
    startswith endswith match search fullmatch findall fnmatch fnmatchcase filter compile
    removeprefix partition find split
    """.split()
)
# Copies of the environment for a child process extend these. Only the child reads the result.
_EXTENDED = frozenset(("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"))
# References in shell scripts, and what assigns a variable there.
_REFERENCE = re.compile(r"(?<!\\)\$(?:\{[#!]?)?([A-Za-z_]\w*)", re.ASCII)
# Single quotes, unless they stand in double quotes, in a comment, or behind a backslash.
_LITERAL = re.compile(r"""\\.|"(?:\\.|[^"\\])*"|'[^']*'|(?<!\S)#[^\n]*""", re.DOTALL)
# The end of what stands before a text that a shell runs.
_RUNS = re.compile(r"(?:\s-[a-z]*c|\beval|\btrap)\s*$")
_ASSIGNED = re.compile(r"(?:^|[\s;&|(])(?:for\s+|read\s+(?:-\w+\s+)*)?([A-Za-z_]\w*)(?==|\s+in\s)")
_READ_BY = re.compile(r"\bread\s+(?:-\w+\s+)*([A-Za-z_]\w*)")
_PRINTED = re.compile(r"\bprintenv\s+([A-Za-z_]\w*)")
# Variables that shells set themselves, and `PATH`, which scripts extend.
_OF_SHELLS = frozenset(
    """
    PWD OLDPWD RANDOM SECONDS LINENO UID EUID PPID SHLVL IFS OPTARG OPTIND REPLY HOSTNAME PATH
    EPOCHSECONDS FUNCNAME PIPESTATUS BASH BASHPID BASH_VERSION BASH_SOURCE
    """.split()
)


def _without_literals(match):
    """Blank a text in single quotes, but not one that another shell runs."""
    is_script = _RUNS.search(match.string[: match.start()]) is not None
    is_literal = match.group()[0] in "'#" and not is_script
    return " " * len(match.group()) if is_literal else match.group()


def names_in_script(script):
    """Return the variables that a shell script reads and does not set before."""
    found = []
    if "<<" not in script:  # quotes mean nothing in the text of a here-document
        script = _LITERAL.sub(_without_literals, script)
    for match in (*_REFERENCE.finditer(script), *_PRINTED.finditer(script)):
        before = script[: match.start()]
        own = (*_ASSIGNED.findall(before), *_READ_BY.findall(before), *_OF_SHELLS)
        if match.group(1) not in own:
            found.append(match.group(1))
    return found


def _caller(frame):
    """Return the frame of the code that called `os.environ`."""
    while frame is not None and frame.f_code.co_filename in _INNER:
        frame = frame.f_back
    return frame


class Variables:
    """The names of the environment variables that user code read.

    Attributes:
        read: Their names.
        parts: Parts of names, by which code selected from all variables.
        shown: Whether code showed all variables.
    """

    def __init__(self, own, quiet, log, named):
        self.own = own
        self.quiet = quiet
        self.log = log
        self.named = named
        self.read = {}
        self.parts = {}
        self.shown = False
        self.put = set()
        self.asked = set()
        self.is_copied = False
        self.iterated = None
        self.copying = None
        self.children = None

    def on_put(self, name, *more):
        self.put.add(os.fsdecode(name))

    def made_here(self):
        """Return the variables that the run set, and did not ask for before.

        `load_dotenv` sets only what is not set yet.
        """
        return self.put - self.asked

    def on_script(self, script):
        """Note the variables that a shell script reads."""
        for name in names_in_script(script):
            self._count(name)

    def _count(self, name):
        if name not in self.made_here() and name not in self.read:
            self.read[name] = True
            self.log.note("variable", name)

    def iterate(self, name, frame):
        """Record that this code iterates over all variables, and has reached this one."""
        frame = _caller(frame)
        self.iterated = name
        copying = frame and (frame.f_code, frame.f_lasti)
        if copying != self.copying:
            self.copying = copying
            self._note_copy(frame)

    def _note_copy(self, frame):
        """Record which variables code looks for among all of them, as far as its texts tell."""
        if frame is None or not self.is_of_user(frame):
            return
        self.is_copied = True
        if not self.quiet.is_user(frame.f_code.co_filename):
            self.shown = True  # `%env` without a name
        elif _is_testing(frame.f_code):
            parts, names = _texts(frame.f_code)
            for text in parts:
                self.parts.update(dict.fromkeys(_CAPITALS.findall(text), True))
            for name in names:
                if _CAPITALS.fullmatch(name):
                    self._count(name)

    def is_of_user(self, frame):
        """Tell whether code reads variables for a cell or a local module."""
        while frame is not None:
            file, name = frame.f_code.co_filename, frame.f_code.co_name
            is_path = file.startswith(PATHS) and name in _EXPANDING
            if not is_path and _FOR_CALLERS.search(file) is None:
                break
            if file.endswith("osm.py"):
                return name == "env"
            frame = frame.f_back
        reader = outer(frame, _INNER)
        # A child may run `python -c`, or read its code from its input.
        is_script = self.log.is_child and reader in _SCRIPTS
        return is_script or self.quiet.is_user(reader)

    def _is_of_all(self, name, frame):
        """Tell whether a variable is read while all of them are read.

        `items`, like loops, asks for each value in turn. `dict` asks for all names first, and then
        for the values, from the same place in the code.
        """
        if name == self.iterated:
            self.iterated = None
            return True
        return frame is not None and (frame.f_code, frame.f_lasti) == self.copying

    def note(self, name, frame):
        """Note that a variable is read."""
        frame = _caller(frame)
        if self._is_of_all(name, frame) or not isinstance(name, str) or name in self.read:
            return
        if self.is_of_user(frame):
            self._count(name)
        if name not in self.put:
            self.asked.add(name)

    def finish(self):
        """Return the names of the variables that were read.

        Code that has copied all of them may look for any that its texts name.
        """
        found = dict(self.read)
        if self.is_copied:
            there = {os.environ.decodekey(name) for name in os.environ._data}
            for word in self.named.words:
                is_name = word in there or _CAPITALS.fullmatch(word) is not None
                if is_name and word not in self.put and word not in _EXTENDED:
                    found[word] = True
        return list(found)

    def watch(self):
        """Replace the class of `os.environ` by one that records reads."""
        plain = type(os.environ)
        variables = self

        class Environ(plain):
            def __getitem__(self, key):
                variables.note(key, sys._getframe(1))
                return plain.__getitem__(self, key)

            def __setitem__(self, key, value):
                plain.__setitem__(self, key, value)
                variables.lead_again()

            def __delitem__(self, key):
                plain.__delitem__(self, key)
                variables.lead_again()

            def __iter__(self):
                for key in plain.__iter__(self):
                    variables.iterate(key, sys._getframe(1))
                    yield key
                variables.iterated = None

            def __repr__(self):
                variables.shown = True
                return plain.__repr__(self)

        Environ.__name__, Environ.__qualname__ = plain.__name__, plain.__qualname__
        Environ.__module__ = plain.__module__
        # The object stays: modules keep references to it (`from os import environ`).
        os.environ.__class__ = Environ

    def lead_again(self):
        """Tell child processes which variables the run has set, and keep them traced."""
        if self.children is not None:
            with self.own:
                self.children.lead()


def _is_testing(code):
    import opcode

    if _TESTS.intersection(code.co_names):
        return True
    # Before Python 3.9, one instruction stands for all comparisons.
    inside = opcode.opmap.get("CONTAINS_OP", opcode.opmap["COMPARE_OP"])
    nested = [constant for constant in code.co_consts if hasattr(constant, "co_code")]
    return inside in code.co_code[::2] or any(map(_is_testing, nested))


def _texts(code):
    """Return the texts in code, which may be parts of names, and those that are whole names."""
    parts, names = [], []
    for constant in code.co_consts:
        if isinstance(constant, str):
            parts.append(constant)
        elif isinstance(constant, (tuple, frozenset)):
            # `k in ("HOME", "MODE")` compares whole names, `k.startswith(("MY_", "OUR_"))` parts.
            found = parts if _TESTS.intersection(code.co_names) else names
            found += [text for text in constant if isinstance(text, str)]
        elif hasattr(constant, "co_consts"):
            more_parts, more_names = _texts(constant)
            parts += more_parts
            names += more_names
    return parts, names
