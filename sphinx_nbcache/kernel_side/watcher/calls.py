"""The system calls that are observed, and the filter that asks for them."""

import struct

AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000

OPEN, CREATE, TRUNCATE, EXECUTE, LOOK, LIST, ENTER = range(7)
MAKE, REMOVE, RENAME, LINK, CONNECT, UNSEEN = range(7, 13)
"""The things that a call may do."""


class Call:
    """A system call.

    Attributes:
        does: One of the constants above.
        path: The position of the argument with its path; of the descriptor for [](LIST) and
            [](CONNECT).
        folder: The position of the argument with the descriptor of the folder to which the path is
            relative; `None` if that is the working folder of the process.
        flags: The position of the argument with the flags of an open file, or `None`.
        empty: The position of an argument with flags, of which `AT_EMPTY_PATH` says that the call
            is about a descriptor and no path.
    """

    __slots__ = ("does", "empty", "flags", "folder", "path")

    def __init__(self, does, path, folder=None, *, flags=None, empty=None):
        self.does = does
        self.path = path
        self.folder = folder
        self.flags = flags
        self.empty = empty


# The numbers on x86-64 and aarch64; a call that is missing on one has none there.
# https://github.com/torvalds/linux/blob/v6.12/arch/x86/entry/syscalls/syscall_64.tbl
# https://github.com/torvalds/linux/blob/v6.12/scripts/syscall.tbl
_NUMBERS = {
    "access": (21, None),
    "chdir": (80, 49),
    "connect": (42, 203),
    "creat": (85, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "io_uring_setup": (425, 425),
    "link": (86, None),
    "linkat": (265, 37),
    "lstat": (6, None),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "newfstatat": (262, 79),
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "rmdir": (84, None),
    "stat": (4, None),
    "statx": (332, 291),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "truncate": (76, 45),
    "unlink": (87, None),
    "unlinkat": (263, 35),
}
_CALLS = {
    "access": Call(LOOK, 0),
    "chdir": Call(ENTER, 0),
    "connect": Call(CONNECT, 0),
    "creat": Call(CREATE, 0),
    "execve": Call(EXECUTE, 0),
    "execveat": Call(EXECUTE, 1, 0),
    "faccessat": Call(LOOK, 1, 0),
    "faccessat2": Call(LOOK, 1, 0, empty=3),
    "getdents": Call(LIST, 0),
    "getdents64": Call(LIST, 0),
    "io_uring_setup": Call(UNSEEN, 0),
    "link": Call(LINK, 1),
    "linkat": Call(LINK, 3, 2),
    "lstat": Call(LOOK, 0),
    "mkdir": Call(MAKE, 0),
    "mkdirat": Call(MAKE, 1, 0),
    "newfstatat": Call(LOOK, 1, 0, empty=3),
    "open": Call(OPEN, 0, flags=1),
    "openat": Call(OPEN, 1, 0, flags=2),
    # Its flags are the first field of the structure that the third argument points to.
    "openat2": Call(OPEN, 1, 0),
    "readlink": Call(LOOK, 0),
    "readlinkat": Call(LOOK, 1, 0),
    "rename": Call(RENAME, 0),
    "renameat": Call(RENAME, 1, 0),
    "renameat2": Call(RENAME, 1, 0),
    "rmdir": Call(REMOVE, 0),
    "stat": Call(LOOK, 0),
    "statx": Call(LOOK, 1, 0, empty=2),
    "symlink": Call(LINK, 1),
    "symlinkat": Call(LINK, 2, 1),
    "truncate": Call(TRUNCATE, 0),
    "unlink": Call(REMOVE, 0),
    "unlinkat": Call(REMOVE, 1, 0),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def calls_of(machine):
    """Return the observed calls of a machine, by number; nothing for an unknown machine."""
    if machine not in _MACHINES:
        return {}
    column, _ = _MACHINES[machine]
    return {
        numbers[column]: _CALLS[name]
        for name, numbers in _NUMBERS.items()
        if numbers[column] is not None
    }


def names_of(machine):
    """Return the names of the observed calls of a machine, by number."""
    column, _ = _MACHINES[machine]
    return {n[column]: name for name, n in _NUMBERS.items() if n[column] is not None}


# Instructions of the classic BPF: https://docs.kernel.org/networking/filter.html
_LOAD, _IS, _HAS_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
# Offsets in `struct seccomp_data`: the number of the call, the architecture, and the lower half of
# the first argument on machines with little ends, of eight bytes each.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16


def filter_program(machine):
    """Return the program of the filter: calls that are not observed pass unseen.

    So does what is about a descriptor: `fstat`, in all its forms, is the most frequent call, and
    says nothing that opening the file has not said.
    """
    calls = calls_of(machine)
    plain = sorted(number for number, call in calls.items() if call.empty is None)
    with_flags = sorted((number, call.empty) for number, call in calls.items() if call.empty)
    head = [(_LOAD, 0, 0, _ARCHITECTURE), (_IS, 1, 0, _MACHINES[machine][1])]
    head += [(_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _NUMBER)]
    # The last three: a call with flags goes to a block of its own, the others to the end.
    rest = len(with_flags)
    body = [(_IS, len(plain) - position + rest, 0, number) for position, number in enumerate(plain)]
    blocks = []
    for position, (number, argument) in enumerate(with_flags):
        # Past the other tests, both returns, and the blocks before.
        body.append((_IS, rest - position - 1 + 2 + 4 * position, 0, number))
        blocks += [
            (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
            (_HAS_BIT, 0, 1, _AT_EMPTY_PATH),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _NOTIFY),
        ]
    ends = [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
    return b"".join(
        struct.pack("HBBI", code, yes, no, value)
        for code, yes, no, value in (*head, *body, *ends, *blocks)
    )
