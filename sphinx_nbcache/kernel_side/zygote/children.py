"""Process relations and their clean-up on Linux."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
# Orphans become children of the nearest subreaper instead of init, so they can be found and killed:
# https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option, value):
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with(parent):
    """Arrange to be killed when the process that forked this one ends, in any way."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It ended before that: the signal is sent only for later ends.
        os._exit(1)


def adopt_orphans():
    """Become the parent of all descendants whose own parent has ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children_of(pid):
    """Return the process ids of the children; none if the system does not report them."""
    found = []
    try:
        for children in _children_by_thread(pid):
            found += children
    except OSError:
        pass
    return found


def has_no_child():
    """Tell whether this process is known to have no child."""
    try:
        return not any(_children_by_thread("self"))
    except OSError:
        return False


def _children_by_thread(pid):
    # Linux lists the children of each thread that forked. The files exist only with
    # CONFIG_PROC_CHILDREN; then OSError is raised.
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            yield [int(word) for word in file.read().split()]


def kill_tree(pid):
    """Kill a process, its group and its descendants, even those in sessions of their own."""
    tree = [pid]
    # The list grows while it is iterated over. Collect all members before killing any: children of
    # a killed process get another parent.
    for member in tree:
        tree += children_of(member)
    _kill(os.killpg, pid)
    for member in tree:
        _kill(os.kill, member)


def ended():
    """Yield the process ids and the statuses of children that have ended, and forget these."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def kill_all(others=()):
    """Kill the children of this process, and others, with their descendants."""
    # Twice: killed processes may leave orphans behind.
    for _ in range(2):
        for pid in {*others, *children_of(os.getpid())}:
            kill_tree(pid)


def kill_left(pid, kernels):
    """Kill the leftovers of a kernel that has ended: its group, and orphans in its session.

    An orphan in a session of its own could be of any kernel: it is killed with the last kernel.
    """
    _kill(os.killpg, pid)
    for orphan in children_of(os.getpid()):
        if orphan not in kernels and (not kernels or _session(orphan) == pid):
            kill_tree(orphan)


def _session(pid):
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _kill(how, pid):
    try:
        how(pid, signal.SIGKILL)
    except OSError:
        pass  # it has gone
