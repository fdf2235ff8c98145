"""The author of a change to a file: the run, or another process.

A write is proven by an audit event, by a fanotify event, or by a descriptor that is open for
writing. Everything else is a comparison of stats, which proves nothing: a user may have saved the
file.
"""

import stat as modes

from .states import short
from .watch import open_for_writing, written_bytes

# The authors of a change.
OWN, PERHAPS, OTHER = "own", "perhaps", "other"
_UNASKED = object()
_TICK_NS = 10_000_000
# Larger files are not read.
_LARGEST = 1 << 26
_LOOKED_FOR = ("read", "probe")
# Programs that may clone a file instead of writing its bytes: `cp` does so by default since
# coreutils 9.0. https://www.gnu.org/software/coreutils/manual/html_node/cp-invocation.html
_CLONING = ("cp", "install", "rsync", "git")


class Changes:
    """The changed files, and the authors of the changes.

    Attributes:
        proven: Files without an audit event that the run was observed to write.
        changed: Files that another process changed, and that the run looked for.
        others: Files that the run wrote, and that another process wrote later. The value tells
            whether that may have been a process of the run.
    """

    def __init__(self, files, processes):
        self.files = files
        self.watch = files.watch
        self.processes = processes
        self.proven = {}
        self.changed = {}
        self.others = {}
        self.strangers = {}
        self.left = {}
        self.held = set()
        self.kept_open = set()
        self.judged = set()
        self.texts = ()
        self.started = 0
        self.bytes = None
        self.opened = _UNASKED

    def begin_cell(self, started):
        """Settle the events from before a cell, and record the start of the cell."""
        self.started = started
        renewed = self.settle()
        self.processes.begin_cell()
        return renewed

    def expect(self, texts, *, is_named):
        """Prepare to judge the files that a cell names; `texts` are the scripts in the cell."""
        self.texts = texts
        self.watch.begin()
        self.bytes = written_bytes() if is_named else None

    def end_cell(self):
        """Record the state in which the cell left the files that it wrote."""
        renewed = self.settle()
        for path in (*self.files.touched, *self.held):
            self._leave(path)
        # The next cell's first write must be noticed again, to tell it from a user's.
        self.files.forget_touched()
        return renewed

    def _leave(self, path):
        if not path.startswith(self.watch.prefixes):
            return
        found = self.files.stat(path)
        is_known = self.watch.is_known(path)
        self.left.pop(path, None)
        self.held.discard(path)
        if found is not None and not is_known and self._is_open(found):
            self.held.add(path)
        elif found is not None:
            self.left[path] = (short(found), not is_known and self._opened() is not None)

    def author(self, path, before, now):
        """Return the author of a change to a file during the cell that has just ended.

        Args:
            path: A file that the cell names, without an audit event.
            before: The previous look at the file.
            now: The current look at the file.
        """
        self.judged.add(path)
        self.watch.drain()
        others = path in self.watch.others
        is_open = self._is_open(self.files.stat(path))
        if is_open or path in self.watch.own:
            if is_open:
                self.kept_open.add(path)
            if not others:
                return OWN
            return PERHAPS if self.processes.names(path, self.texts) else OTHER
        if self._was_looked_for(path, now) and not self.processes.is_output(path, self.texts):
            return OTHER
        if not self.processes.any_in_cell():
            alone = others or self.watch.is_complete(path)
            return OTHER if alone or self._is_disproved(path, before) else PERHAPS
        if not self.processes.may_have_written(path, self.texts):
            return OTHER
        return OTHER if self._is_disproved(path, before) else PERHAPS

    def _was_looked_for(self, path, now):
        """Tell whether user code looked at a file before the file changed.

        Libraries also look for files that they are about to write.
        """
        read = self.files.reads.at(path)
        return read is not None and read[4] in _LOOKED_FOR and read[0] != now[0]

    def _is_disproved(self, path, before):
        """Tell whether the run wrote fewer bytes than the file contains.

        Linux counts the bytes that the process and its awaited children wrote, except through
        memory maps (fs/proc/base.c, do_io_accounting). Where nothing is counted, a file that
        existed before is not attributed to the run.
        """
        total, found = written_bytes(), self.files.stat(path)
        if total is None:
            return before[0] is not None
        if self.bytes is None or found is None or found.st_mtime_ns < self.started - _TICK_NS:
            return False  # perhaps moved here
        written = total - self.bytes
        if written >= found.st_size or self._may_be_cloned():
            return False
        # Libraries leave gaps: some bytes of an HDF5 file were never written.
        return _filled_bytes(path, found.st_size) > written

    def _may_be_cloned(self):
        if not self.processes.any_in_cell():
            return False
        words = {word for script in self.processes.scripts(self.texts) for word in script.split()}
        return self.processes.has_unknown() or any(program in words for program in _CLONING)

    def settle(self):
        """Sort out the pending events of files that are not being judged.

        Returns:
            Files that the run seems to have written, and that only the run changed since.
        """
        watch, files = self.watch, self.files
        watch.drain()
        for path in watch.others:
            if path not in self.judged and files.is_product(path):
                names = self.processes.names(path, self.texts)
                self._note_other(path, is_ours=names or self.processes.wrote(path))
        # Children may have written these before, but not this time.
        if watch.others and not self.processes.any_in_cell():
            for path in watch.others:
                found = files.stat(path)
                self.strangers[path] = found and short(found)
        renewed = [p for p in watch.own - watch.others - self.judged if p in files.inferred]
        for path in self.kept_open - watch.others - self.judged:
            renewed.append(path)
            if not self._is_open(files.stat(path)):
                self.kept_open.discard(path)
        watch.own.clear()
        watch.others.clear()
        self.judged.clear()
        self.opened = _UNASKED
        return renewed

    def _note_other(self, path, *, is_ours):
        self.others[path] = is_ours and self.others.get(path, True)

    def end(self, further=()):
        """Return the final state of files under the root, for later comparison.

        A file that is still open for writing may change at any time, so it is left out.

        Args:
            further: Files that children wrote.
        """
        for path, (stat, is_sure) in self.left.items():
            found = self.files.stat(path)
            if path in self.files.touched or self.watch.is_known(path):
                continue
            if found is not None and short(found) != stat:
                self._note_other(path, is_ours=not is_sure)
        further = list(further)
        for path in further:
            left, found = self.strangers.get(path), self.files.stat(path)
            if left is not None and found is not None and left == short(found):
                self._note_other(path, is_ours=False)
        paths = dict.fromkeys((*self.files.writes, *self.files.inferred, *further))
        stats = {p: self.files.stat(p) for p in paths if p.startswith(self.watch.prefixes)}
        return {path: short(s) for path, s in stats.items() if s and not self._is_open(s)}

    def are_handles_known(self):
        """Tell whether the system reports which files are open."""
        return self._opened() is not None

    def _opened(self):
        if self.opened is _UNASKED:
            self.opened = open_for_writing()
        return self.opened

    def _is_open(self, found):
        opened = self._opened()
        if not opened or found is None or not modes.S_ISREG(found.st_mode):
            return False
        return (found.st_dev, found.st_ino) in opened


def _filled_bytes(path, size):
    """Return the number of non-zero bytes in a file; 0 if it is too large to be read."""
    if size > _LARGEST:
        return 0
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return 0
    return len(content) - content.count(0)
