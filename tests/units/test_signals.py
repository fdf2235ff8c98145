"""Which signals are taken, and what is left alone."""

from __future__ import annotations

import gc
import inspect
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from sphinx_nbcache.extension.log import is_command_line
from sphinx_nbcache.signals import Interrupted, SignalHandlers, write_line

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
TAKEN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    """Put back the handlers of pytest, and begin with those of a new process."""
    before = {number: signal.getsignal(number) for number in TAKEN}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    gc.unfreeze()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def handlers(lines: list[str]) -> Iterator[SignalHandlers]:
    made = SignalHandlers(lines.append)
    yield made
    made.restore()


@pytest.mark.parametrize("number", TAKEN)
def test_a_signal_says_one_line_and_raises_what_sphinx_does_not_catch(
    handlers: SignalHandlers, lines: list[str], number: signal.Signals
) -> None:
    handlers.install()
    with pytest.raises(Interrupted) as caught:
        os.kill(os.getpid(), number)
    assert caught.value.code == 128 + number
    assert not isinstance(caught.value, Exception | KeyboardInterrupt)
    assert len(lines) == 1


def test_who_knows_more_says_the_line(handlers: SignalHandlers, lines: list[str]) -> None:
    handlers.install()
    with pytest.raises(Interrupted), handlers.silent():
        os.kill(os.getpid(), signal.SIGTERM)
    assert lines == []


def test_handlers_of_the_application_and_ignored_signals_are_left_alone(
    handlers: SignalHandlers,
) -> None:
    def own(*_: object) -> None:
        pass

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, own)
    handlers.install()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is own
    handlers.restore()
    assert signal.getsignal(signal.SIGTERM) is own
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_nothing_is_installed_outside_of_the_main_thread(handlers: SignalHandlers) -> None:
    thread = threading.Thread(target=handlers.install)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_drives_sphinx_itself_keeps_its_signals() -> None:
    assert not is_command_line(inspect.currentframe())
    program = "import sys\ndef call(function): return function(sys._getframe())"
    scope = {"__name__": "sphinx.cmd.build"}
    exec(program, scope)
    assert scope["call"](is_command_line)  # type: ignore[operator]


def test_a_line_for_which_there_is_no_reader_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        write_line("nobody reads this")


SECOND = """
import os, signal, sys, time
from sphinx_nbcache.signals import SignalHandlers, at_sudden_end
at_sudden_end(lambda: print('acts', flush=True))
handlers = SignalHandlers(lambda words: None)
handlers.install()
try:
    os.kill(os.getpid(), signal.{name})
finally:
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.2)
    os.kill(os.getpid(), signal.{name})
    print('goes on')
"""


@pytest.mark.parametrize(
    ("name", "status", "printed"),
    [("SIGINT", 130, "acts\n"), ("SIGTERM", 143, "acts\n"), ("SIGHUP", 129, "goes on\n")],
)
def test_a_second_signal_ends_at_once_but_not_one_that_a_closing_terminal_repeats(
    name: str, status: int, printed: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SECOND.format(name=name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, printed, "")
