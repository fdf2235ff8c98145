"""There is nobody at the keyboard: nothing that asks for input waits for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from running import job, outcome_of, soon, text

from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.kernels.tracing import Tracing
from sphinx_nbcache.results.records import Status

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of POSIX"),
]

# A cell, and what it shows. None of them may wait.
FINDS_THE_END = {
    "import sys\nprint(repr(sys.stdin.read()))": "''\n",
    "import os\nprint(os.read(0, 1))": "b''\n",
    "import subprocess\nsubprocess.run(['cat']).returncode": "0",
    "import subprocess\nprint(subprocess.run('read x', shell=True).returncode != 0)": "True\n",
    "%%bash\ncat\nThe script itself is the input.": "The script itself is the input.\n",
    "!cat": "",
    '!read x; echo "<$x>"': "<>\n",
    "get_ipython().system('cat <<END\\nIn a text\\nEND')": "In a text\n",
    "lines = !cat; echo last\nlines": "['last']",
    "%%sh\nread x || echo none": "none\n",
    "%sx cat; echo of sx": "['of sx']",
    "print(get_ipython().system('cat; exit 3'))": "None\n",
    "_exit_code": "3",
    "!echo 'quoted \"text\"' && echo {1 + 1} $$HOME_OF_NOBODY.": 'quoted "text"\n2 .\n',
    "def f(local):\n    get_ipython().system('echo {local}')\nf('a local one')": "a local one\n",
    "!(exit 7)": "",
    "print(_exit_code)": "7\n",
    "!test -t 1 && echo a terminal": "a terminal\n",
}


def test_what_reads_input_finds_its_end_at_once(tmp_path: Path, starts: KernelStarts) -> None:
    outcome = outcome_of(job(tmp_path, *FINDS_THE_END, timeout=20), starts)
    assert outcome.failure is None
    shown = [
        text(outcome, number).replace("\r\n", "\n") for number in range(1, len(FINDS_THE_END) + 1)
    ]
    assert dict(zip(FINDS_THE_END, shown, strict=True)) == FINDS_THE_END


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_commands_that_fail_say_what_they_say_elsewhere(
    tmp_path: Path, starts: KernelStarts, shell: str
) -> None:
    if not Path(shell).exists():
        pytest.skip(f"there is no {shell}")
    commands = ["no_such_command", "echo a (", "cat no_such_file", "exit 3"]
    cells = [f"import os\nos.environ['SHELL'] = {shell!r}", *(f"!{line}" for line in commands)]
    outcome = outcome_of(job(tmp_path, *cells), starts)
    for number, line in enumerate(commands, 2):
        plain = subprocess.run([shell, "-c", line], capture_output=True, check=False, text=True)
        assert text(outcome, number).replace("\r\n", "\n") == plain.stdout + plain.stderr


def test_commands_are_interrupted_with_their_cell(tmp_path: Path, starts: KernelStarts) -> None:
    # What it has started ends by Ctrl-C on the terminal, as ever.
    command = "!sh -c 'trap \"echo ended > ended; exit\" INT; while :; do sleep 0.1; done'"
    outcome = outcome_of(job(tmp_path, command, timeout=2), starts)
    assert outcome.status is Status.TIMEOUT
    assert soon((tmp_path / "ended").exists)


@pytest.mark.parametrize("asks", ["input('name? ')", "import getpass\ngetpass.getpass()"])
def test_asking_fails_at_once_and_says_why(tmp_path: Path, starts: KernelStarts, asks: str) -> None:
    outcome = outcome_of(job(tmp_path, asks, timeout=20), starts)
    assert outcome.status is Status.FAILED
    assert outcome.failure is not None
    assert outcome.failure.name == "StdinNotImplementedError"
    assert "does not support input requests" in outcome.failure.message


def test_the_tracer_sees_commands_as_cells_have_them(tmp_path: Path, starts: KernelStarts) -> None:
    tracing = Tracing(str(tmp_path), (), str(tmp_path / "trace"))
    outcome = outcome_of(job(tmp_path, "!echo hi", tracing=tracing), starts)
    started = [seen[1] for seen in outcome.report["children"] if seen[0] == "process"]
    assert [words[1:] for words in started] == [["-c", "echo hi"]]
    assert [path for path in outcome.report["reads"] if path.startswith("/dev/")] == []
