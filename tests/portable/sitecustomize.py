"""Hides what Windows lacks from the package's own modules, in each Python that finds this file.

Builds, commands and kernels inherit `PYTHONPATH`, so `nox -s portable` names this folder there.
Libraries and tests keep what the system has. Hidden are:

- modules such as `fcntl` and `resource`, and POSIX's names in `os` and `signal`, by what `import`
  returns to a module of ours;
- `/proc`, by an audit hook that refuses to open or list it on behalf of a module of ours;
- the name of the system, `sys.platform`, from code that decides by it. The tracer's report keeps
  the real one, which is compared with that of an interpreter that is asked.
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType, ModuleType
from typing import Any

# The second one is what the tracer's modules are in, in a kernel; the third is what prepares it.
_HOST, *_IN_KERNELS = "sphinx_nbcache", "_nbcache_trace", "<nbcache>"
_MODULES = frozenset({"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"})
_NAMES = {
    "os": """
        fork forkpty register_at_fork posix_spawn posix_spawnp wait wait3 wait4 waitid WNOHANG
        WNOWAIT WEXITED P_ALL P_PID getuid geteuid getgid getegid getpgid getpgrp getsid setsid
        setpgid killpg fchmod fchown fchdir chown lchown mkfifo mknod statvfs uname sysconf pread
        pwrite sched_getaffinity getloadavg O_NOFOLLOW O_DIRECTORY O_NONBLOCK O_CLOEXEC O_ACCMODE
    """.split(),
    "signal": ["SIGKILL", "SIGHUP", "SIGCHLD", "SIGURG", "pthread_sigmask", "setitimer"],
    "sys": [],
}
# The tracer adds its wrappers to the real set, which libraries in the kernel ask.
_VALUES_OF_HOST: dict[str, dict[str, Any]] = {
    "os": {"supports_dir_fd": frozenset()},
    "sys": {"platform": "portable"},
}
_PATHS = ("open", "os.listdir", "os.scandir")
# These act on behalf of their caller.
_PASSED_OVER = frozenset({__name__, "pathlib", "pathlib._local", "pathlib._abc", "os", "io"})


class _Without(ModuleType):
    """A module that lacks some names. All else is the module's own, also when it is set."""

    def __init__(
        self, module: ModuleType, hidden: Sequence[str], values: Mapping[str, Any]
    ) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(_module=module, _hidden=frozenset(hidden), _values=values)
        for name in ("__spec__", "__loader__", "__package__", "__doc__"):
            self.__dict__.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        if name in self._hidden:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name in self._values:
            return self._values[name]
        return getattr(self._module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._module, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._module, name)

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._module) if name not in self._hidden]


def _poorer(module: ModuleType, values: Mapping[str, Mapping[str, Any]]) -> _Without:
    return _Without(module, _NAMES[module.__name__], values.get(module.__name__, {}))


_FOR_HOST = {m.__name__: _poorer(m, _VALUES_OF_HOST) for m in (os, signal, sys)}
_FOR_KERNELS = {m.__name__: _poorer(m, {}) for m in (os, signal, sys)}
_FOR_WATCH = _FOR_KERNELS | {"sys": _FOR_HOST["sys"]}
_real_import = builtins.__import__


def _import(
    name: str,
    globals: Mapping[str, Any] | None = None,  # noqa: A002 (the signature of `__import__`)
    locals: Mapping[str, Any] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    if level == 0 and (name in _NAMES or name in _MODULES):
        package = _package_of(globals)
        if package is not None:
            if name in _MODULES:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return _modules_for(package, globals or {})[name]
    return _real_import(name, globals, locals, fromlist or (), level)


def _modules_for(package: str, names: Mapping[str, Any]) -> Mapping[str, ModuleType]:
    if package == _HOST:
        return _FOR_HOST
    return _FOR_WATCH if str(names["__name__"]).endswith(".watch") else _FOR_KERNELS


def _package_of(names: Mapping[str, Any] | None) -> str | None:
    """Return which package of ours the module with these global names is in."""
    package = str((names or {}).get("__name__", "")).partition(".")[0]
    return package if package == _HOST or package in _IN_KERNELS else None


def _refuse_proc(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _PATHS and arguments and _is_proc(arguments[0]):
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 (no other call gives a frame as cheaply)
        while frame is not None and frame.f_globals.get("__name__") in _PASSED_OVER:
            frame = frame.f_back
        if frame is not None and _package_of(frame.f_globals) is not None:
            raise FileNotFoundError(2, "hidden by tests/portable", str(arguments[0]))


def _is_proc(path: Any) -> bool:
    return str(path).startswith("/proc/") or str(path) == "/proc"


builtins.__import__ = _import
sys.addaudithook(_refuse_proc)
