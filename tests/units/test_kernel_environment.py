"""What kernels are started with: environment variables and command-line arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import job, outcome_of, text

from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.kernels.environment import with_changes

pytestmark = pytest.mark.kernel


def test_variables_are_set_changed_and_taken_away() -> None:
    changed = with_changes({"A": "1", "B": "2", "C": "3"}, {"A": "4", "B": None, "D": ""})
    assert changed == {"A": "4", "C": "3", "D": ""}


def test_kernels_and_their_children_have_the_variables_of_the_job(
    tmp_path: Path, starts: KernelStarts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBC_OLD", "old")
    monkeypatch.setenv("NBC_GONE", "gone")
    names = ("NBC_OLD", "NBC_GONE", "NBC_NEW")
    code = f"import os\nprint([os.environ.get(name) for name in {names}])"
    child = "import subprocess\nprint(subprocess.check_output('echo $NBC_NEW', shell=True))"
    changes = {"NBC_OLD": "other", "NBC_GONE": None, "NBC_NEW": "né"}
    outcome = outcome_of(job(tmp_path, code, child, environment=changes), starts)
    assert text(outcome, 1) == "['other', None, 'né']\n"
    assert "n\\xc3\\xa9" in text(outcome, 2)
    assert "NBC_NEW" not in os.environ
    outcome = outcome_of(job(tmp_path, code), starts)
    assert text(outcome, 1) == "['old', 'gone', None]\n"


def test_modules_are_found_where_the_jobs_variables_say(
    tmp_path: Path, starts: KernelStarts
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "nbc_helper.py").write_text("x = 42")
    changes = {"PYTHONPATH": str(tmp_path / "lib")}
    outcome = outcome_of(
        job(tmp_path, "import nbc_helper\nprint(nbc_helper.x)", environment=changes), starts
    )
    assert text(outcome, 1) == "42\n"


@pytest.mark.parametrize("seed", ["0", "123", None])
def test_hashes_are_seeded_as_the_environment_says(
    tmp_path: Path, starts: KernelStarts, seed: str | None
) -> None:
    code = "import os\nprint(hash('a'), {*'abc'}, os.environ.get('PYTHONHASHSEED'))"
    outcome = outcome_of(job(tmp_path, code, environment={"PYTHONHASHSEED": seed}), starts)
    assert text(outcome, 1).split()[-1] == str(seed)
    if seed is not None:
        environment = with_changes(os.environ, {"PYTHONHASHSEED": seed})
        command = [sys.executable, "-c", code]
        plain = subprocess.run(command, env=environment, capture_output=True, check=True)
        assert text(outcome, 1) == plain.stdout.decode()


def test_kernels_are_given_the_arguments_of_the_job(tmp_path: Path, starts: KernelStarts) -> None:
    arguments = (
        "--InlineBackend.figure_formats={'svg'}",
        "--InteractiveShell.ast_node_interactivity=all",
        "--IPKernelApp.exec_lines=nbc = 'a, b'",
    )
    code = "1\nnbc\nget_ipython().config.InlineBackend"
    outcome = outcome_of(job(tmp_path, code, arguments=arguments), starts)
    assert outcome.failure is None
    shown = [output["data"]["text/plain"] for output in outcome.outputs.cells[0]]
    assert shown[:2] == ["1", "'a, b'"]
    assert "svg" in shown[2]
