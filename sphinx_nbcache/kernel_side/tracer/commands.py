"""Subprocesses and network hosts: what was started, and which of it may have written a file."""

import os
import re
import shlex

# Programs that write only to the target of their output.
_READERS = frozenset(
    """
    [ cat cd cmp cut date diff du echo egrep false fgrep file grep head hexdump less ls md5sum more
    od printf pwd sha1sum sha224sum sha256sum sha384sum sha512sum sleep stat tail test true wc
    zgrep
    """.split()
)
_SHELLS = frozenset("sh bash dash zsh ksh".split())
_OUTPUT_OPTIONS = ("-o", "-O", "--output", "--output-document", "--out")
_EXPANDED = re.compile(r"[$`*?\[{~]")
_ASSIGNMENT = re.compile(r"\w+=.*")


class Processes:
    """The processes that this process and its children started."""

    def __init__(self, log):
        self.log = log
        self.started = []
        self.forks = 0
        self.begun = (0, 0, 0)

    def note(self, words):
        self.started.append(words)
        self.log.note("process", words)

    def on_fork(self, *more):
        self.forks += 1

    def begin_cell(self):
        self.begun = (len(self.started), self.forks, self.log.size())

    def any_in_cell(self):
        """Tell whether a process was started in this cell, or an earlier one is still running."""
        begun = (len(self.started), self.forks)
        return begun != self.begun[:2] or has_children()

    def in_cell(self):
        """Return the words of the commands started in this cell, including those of children."""
        started, _, size = self.begun
        records = self.log.records(size) if self.log.path else []
        children = [record[1] for record in records if record[0] == "process"]
        return [*self.started[started:], *children]

    def may_have_written(self, path, texts):
        """Tell whether one of the processes of this cell may have written a file.

        Args:
            path: The file.
            texts: The texts in the cell, some of which shells may have read as input.
        """
        if self.has_unknown():
            return True
        return any(may_write(script, path) for script in self.scripts(texts))

    def has_unknown(self):
        """Tell whether there are children that may do anything.

        These are forks that did not exec another program, and processes of earlier cells.
        """
        commands = self.in_cell()
        forks = self.forks - self.begun[1]
        if forks > len(commands) - (len(self.started) - self.begun[0]):
            return True
        return has_children()

    def names(self, path, texts):
        """Tell whether a command of this cell names a file that the command may write."""
        name = os.path.basename(path)
        return any(name in s and may_write(s, path) for s in self.scripts(texts))

    def wrote(self, path):
        """Tell whether a child reported in this cell that it writes a file."""
        records = self.log.records(self.begun[2]) if self.log.path else []
        return any(record[:2] == ["write", path] for record in records)

    def is_output(self, path, texts):
        """Tell whether a command of this cell names a file as its output."""
        name = os.path.basename(path)
        words = [word for script in self.scripts(texts) for word in outputs(script)]
        return any(os.path.basename(word) == name for word in words)

    def scripts(self, texts):
        """Return the commands of this cell as shell scripts."""
        return [script for words in self.in_cell() for script in scripts_of(words, texts)]


def has_children():
    """Tell whether an unawaited child process exists; return true if this is unknown."""
    try:
        # WNOWAIT leaves the child to the notebook, which may still wait for it:
        # https://man7.org/linux/man-pages/man2/waitid.2.html
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    except (AttributeError, OSError):
        return True
    return True


def scripts_of(words, texts=()):
    """Return the shell scripts of a command; a shell may read them from its input."""
    if not words or os.path.basename(words[0]) not in _SHELLS:
        return [" ".join(map(shlex.quote, words))] if words else []
    if "-c" in words[1:-1]:
        return [words[words.index("-c", 1) + 1]]
    if any(word and word[0] != "-" for word in words[1:]):
        return [" ".join(map(shlex.quote, words))]
    return list(texts) or ["unknown"]


def may_write(script, path):
    """Tell whether a script may write a file; a script of only reading commands may not."""
    name = os.path.basename(path)
    try:
        commands = list(_commands(script))
    except ValueError:
        return True
    for words, targets in commands:
        if words and words[0] not in _READERS:
            return True
        if any(_EXPANDED.search(target) or os.path.basename(target) == name for target in targets):
            return True
    return False


def outputs(script):
    """Return the names that the commands of a script declare as outputs."""
    try:
        commands = list(_commands(script))
    except ValueError:
        return []
    found = []
    for words, targets in commands:
        found += targets
        if words and os.path.basename(words[0]) == "tee":
            found += words[1:]
        for position, option in enumerate(words[:-1]):
            if option in _OUTPUT_OPTIONS:
                found.append(words[position + 1])
        found += [word.partition("=")[2] for word in words if word.startswith("--out")]
    return found


def _commands(script):
    """Yield the words of each simple command, and the files to which its output is redirected.

    Raises:
        ValueError: The script contains syntax that is not supported here.
    """
    # A command that is not understood counts as one that may write anything.
    if "$(" in script or "`" in script or "<<" in script or "\\\n" in script:
        raise ValueError("a nested command")
    for line in script.splitlines():
        # `punctuation_chars` makes tokens of operators such as `>>`:
        # https://docs.python.org/3/library/shlex.html#improved-compatibility-with-shells
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        yield from _simple_commands(list(lexer))


def _simple_commands(tokens):
    words, targets, redirect = [], [], ""
    for token in tokens:
        if redirect:
            if ">" in redirect and not (redirect == ">&" and token.isdigit()):
                targets.append(token)
            redirect = ""
        elif token and set(token) <= set("<>&|") and set(token) & set("<>"):
            redirect = token
            # `2>` names a descriptor, and is no argument.
            if words and words[-1].isdigit():
                words.pop()
        elif token and set(token) <= set(";|&()"):
            yield words, targets
            words, targets = [], []
        elif words or not _ASSIGNMENT.fullmatch(token):
            words.append(token)
    yield words, targets


class Outside:
    """The started processes and contacted hosts, and the files and variables that commands name."""

    def __init__(self, log, named, variables, processes):
        self.log = log
        self.named = named
        self.variables = variables
        self.processes = processes
        self.hosts = {}

    def on_popen(self, program, arguments, folder, environment):
        self._note(arguments, folder)

    def on_exec(self, program, arguments, environment):
        self._note(arguments)

    def on_spawn(self, program, arguments, environment):
        # Already reported by `subprocess.Popen`.
        if self.processes.started[-1:] != [[os.fsdecode(word) for word in arguments]]:
            self._note(arguments)

    def on_system(self, command):
        self._note(["sh", "-c", command])

    def _note(self, arguments, folder=None):
        if isinstance(arguments, (str, bytes)):
            arguments = [arguments]
        words = [os.fsdecode(word) for word in arguments]
        self.processes.note(words)
        if words and os.path.basename(words[0]) in _SHELLS:
            for script in scripts_of(words, self.named.scripts):
                self.variables.on_script(script)
        for word in words:
            if folder is not None:
                self.named.consider(os.path.join(os.fsdecode(folder), word), of_command=True)
            self.named.consider(word, of_command=folder is None)
            self.named.consider_words(word)

    def on_connect(self, socket, address):
        if isinstance(address, tuple):
            self.on_host(address[0])

    def on_host(self, host, *more):
        if host and isinstance(host, (str, bytes)):
            self.hosts[os.fsdecode(host)] = True
            self.log.note("host", os.fsdecode(host))

    def on_url(self, url, *more):
        self.on_host(re.sub(r"^\w+://([^/?#]*@)?([^/:?#]*).*", r"\2", str(url)))
