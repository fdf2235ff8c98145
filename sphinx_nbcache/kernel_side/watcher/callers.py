"""Looks up the processes that are watched: their programs and folders."""

import os

KNOWN, SCRIPT, OTHER = "known", "script", "other"
"""The kinds of programs: Python that has a tracer, or whose code is not the notebook's; other
programs in Python; all others.
"""


def kind_of(thread, main, *, is_traced):
    """Return the kind of the program that a thread runs.

    Args:
        thread: The thread.
        main: The process of the kernel.
        is_traced: Whether Python processes have a tracer.

    Raises:
        OSError: It has gone.
    """
    program = os.path.basename(os.readlink(f"/proc/{thread}/exe"))
    if not program.startswith(("python", "pypy")):
        return OTHER
    # The kernel of another language may be a program in Python.
    is_kernel = os.path.exists(f"/proc/{main}/task/{thread}")
    return KNOWN if is_traced or is_kernel else SCRIPT


def folder_of(thread):
    """Return the working folder of a thread; empty if it has gone."""
    try:
        return os.readlink(f"/proc/{thread}/cwd")
    except OSError:
        return ""


def module_folders(thread):
    """Return the folders in which a Python program looks for its modules first.

    Raises:
        OSError: It has gone.
    """
    # https://docs.python.org/3/library/sys.html#sys.path
    folder = folder_of(thread)
    words = _words(thread, "cmdline")[1:]
    script = next((word for word in words if word[:1] != "-"), "")
    is_script = script and not {"-c", "-m"}.intersection(words)
    given = [word for word in _words(thread, "environ") if word.startswith("PYTHONPATH=")]
    above = [place for word in given for place in word.partition("=")[2].split(":") if place]
    above.append(os.path.dirname(script) if is_script else folder)
    return {os.path.realpath(os.path.join(folder, place)) for place in above}


def _words(thread, name):
    with open(f"/proc/{thread}/{name}", "rb") as file:
        return [os.fsdecode(word) for word in file.read().split(b"\0")]
