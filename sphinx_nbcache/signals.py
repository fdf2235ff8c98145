"""Handling of Ctrl-C, SIGTERM and SIGHUP: one line, and the exit status that shells use.

Sphinx catches `KeyboardInterrupt` and exits with status 2; SIGTERM and SIGHUP would end the process
without any clean-up. The handlers here raise [](Interrupted) in the main thread instead, so that
`finally` blocks run. A second signal ends the process at once.

This module imports only the standard library: the command line needs it before anything else.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

# Windows has no SIGHUP.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
# Standard output and standard error.
_STREAMS = (1, 2)
# Shells report a process that was ended by signal N with this status plus N:
# https://www.gnu.org/software/bash/manual/bash.html#Exit-Status
_STATUS = 128
# The terminal sends SIGINT to the whole process group, and programs such as `uv run` may forward it
# to their child as well, which then gets it twice:
# https://github.com/astral-sh/uv/pull/13925
_REPEAT_SECONDS = 0.1
# Long enough for the start of a worker to finish.
_FORK_SECONDS = 0.02

_last_acts: list[Callable[[], object]] = []


class Interrupted(SystemExit):
    """A signal ends this program with the exit status that shells use for that signal.

    This is not a `KeyboardInterrupt`, which Sphinx and click turn into statuses of their own.
    """

    def __init__(self, number: int) -> None:
        super().__init__(_STATUS + number)
        self.number = number

    def __str__(self) -> str:
        return interrupt_in_words(self)


def interrupt_in_words(interrupt: BaseException) -> str:
    """Return the beginning of the line that reports how the program was ended."""
    number = interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT
    name = signal.Signals(number).name
    return "interrupted" if name == "SIGINT" else f"interrupted by {name}"


def at_sudden_end(act: Callable[[], object]) -> None:
    """Register a callback that a second signal calls before it ends the process.

    Args:
        act: The callback. It must neither block nor raise. It is registered once.
    """
    if act not in _last_acts:
        _last_acts.append(act)


class SignalHandlers:
    """The signal handlers of one program.

    Args:
        say: Writes the line. It runs in the signal handler, so it must not block.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._is_silent = False
        self._first: float | None = None
        self._replaced: dict[signal.Signals, object] = {}
        self._pid = 0

    def install(self) -> None:
        """Install the handlers wherever the default handlers are in place.

        A signal that was ignored when the program started stays ignored: `nohup` ignores SIGHUP,
        and shells without job control ignore SIGINT for commands that end with `&`. Handlers of
        an embedding application stay in place.
        """
        # `signal.signal` raises ValueError in other threads. This is the case if an application
        # builds documentation in a thread of its own.
        if threading.current_thread() is not threading.main_thread():
            return
        self._pid = os.getpid()
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) in _DEFAULTS:
                self._replaced[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """Restore the previous handlers."""
        for number, former in self._replaced.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, former)  # type: ignore[arg-type]  # as `signal` returned it
        self._replaced.clear()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Leave the line to the caller, who knows more and catches [](Interrupted)."""
        self._is_silent = True
        try:
            yield
        finally:
            self._is_silent = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            # This is a worker forked by multiprocessing, which inherits the handlers: its parent
            # decides and reports.
            os._exit(_STATUS + number)
        if _is_forking(frame):
            # The new worker is not registered yet, so it would outlive this process.
            threading.Timer(_FORK_SECONDS, os.kill, [self._pid, number]).start()
            return
        if self._first is not None:
            self._handle_again(number)
            return
        self._first = time.monotonic()
        _let_go_of_closed_terminal()
        _end_workers()
        # Skip the garbage collection at exit: for Sphinx's objects it takes half a second. Frozen
        # objects are not collected: https://docs.python.org/3/library/gc.html#gc.freeze
        gc.freeze()
        interrupt = Interrupted(number)
        if not self._is_silent:
            self._say(str(interrupt))
        raise interrupt

    def _handle_again(self, number: int) -> None:
        """End the process. A terminal that closes sends several SIGHUP, which count as one."""
        assert self._first is not None
        is_repeated = time.monotonic() - self._first < _REPEAT_SECONDS
        if is_repeated or number == getattr(signal, "SIGHUP", None):
            return
        for act in _last_acts:
            act()
        # Not `sys.exit`: the clean-up that the first signal began may be what hangs.
        os._exit(_STATUS + number)


_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


def write_line(text: str, *, is_at_start: bool = False) -> None:
    """Write a line to standard error, also from a signal handler and if no one reads the stream.

    Args:
        text: The line.
        is_at_start: Whether the cursor is known to be at the beginning of a line.
    """
    stream = sys.stderr
    # The handler may have interrupted a write to this stream. Buffered streams are not reentrant,
    # so writing raises RuntimeError then: https://docs.python.org/3/library/io.html#reentrancy
    with suppress(OSError, RuntimeError, ValueError, AttributeError):
        # Sphinx shows its progress without a line end, and terminals echo `^C`.
        stream.write(f"{text}\n" if is_at_start or not stream.isatty() else f"\n{text}\n")
        stream.flush()


def _is_forking(frame: FrameType | None) -> bool:
    """Tell whether multiprocessing is starting a process, given the caller's frame."""
    while frame is not None:
        name = frame.f_globals.get("__name__"), frame.f_code.co_name
        if name == ("multiprocessing.process", "start"):
            return True
        frame = frame.f_back
    return False


def _let_go_of_closed_terminal() -> None:
    """Redirect output to the null device if the terminal has closed: each write would fail."""
    for stream in _STREAMS:
        try:
            os.get_terminal_size(stream)
        except OSError as error:
            # Linux answers each request about a terminal that has hung up with EIO. Files and pipes
            # answer ENOTTY, and stay as they are.
            if error.errno == errno.EIO:
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, stream)
                os.close(nothing)


def _end_workers() -> None:
    """Terminate Sphinx's reading and writing processes: Python would wait for them at exit."""
    # Do not import it: where it has not been imported, there are no workers.
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is None:
        return
    # Sphinx 9.0 does not start its workers as daemons, so multiprocessing joins them at exit.
    for worker in multiprocessing.active_children():
        with suppress(OSError, ValueError):
            worker.terminate()
