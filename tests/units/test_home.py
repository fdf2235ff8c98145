"""Kernels make nothing in the home directory: neither while they run, nor before or after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import AsyncKernelManager
from running import job, outcome_of, text

from sphinx_nbcache.execution.job import Outcome
from sphinx_nbcache.kernels.choosing import KernelManager, KernelStarts
from sphinx_nbcache.kernels.fitting import may_fork
from sphinx_nbcache.kernels.forked.starts import kernel_starts
from sphinx_nbcache.kernels.specs import KernelSpecs
from sphinx_nbcache.kernels.tracing import Tracing

SHOWS_HOME = """
import os, pathlib
home = pathlib.Path.home()
print(sorted(str(p.relative_to(home)) for p in home.rglob("*")))
"""
# What a kernel can see of how it was started, and of IPython.
SURROUNDINGS = """
import json, os, sys, threading, IPython, ipykernel.kernelapp
import __main__
from IPython.core import application, interactiveshell, profiledir
own = [IPython.paths, application, interactiveshell, profiledir, profiledir.ProfileDir]
own += [ipykernel.kernelapp.IPKernelApp]
spec = [w for w in sys.orig_argv if not w.endswith(".json")]
print(json.dumps({
    "argv": [w for w in sys.argv if not w.endswith(".json")], "orig_argv": spec, "path": sys.path,
    "searched": sorted(map(str, sys.path_importer_cache)), "flags": str(sys.flags),
    "main": sorted(vars(__main__)), "modules": sorted(sys.modules),
    "names": [sorted(vars(owner)) for owner in own],
    "same": [IPython.paths.os is os] + [
        getattr(vars(o)[n], "__func__", vars(o)[n]).__module__
        for o in own for n in sorted(vars(o))
        if hasattr(getattr(vars(o)[n], "__func__", vars(o)[n]), "__code__")
    ],
    "places": [get_ipython().ipython_dir, get_ipython().profile_dir.startup_dir],
}))
"""
# As they might be in versions that do it in another way: they rely on a folder that they make; they
# make it by other means.
RELIES = """
import os
from IPython.core.profiledir import ProfileDir
def check_pid_dir(self, change=None):
    self._mkdir(self.pid_dir)
    os.listdir(self.pid_dir)
ProfileDir.check_pid_dir = check_pid_dir
"""
OTHER_MEANS = """
from IPython.core.profiledir import ProfileDir
ProfileDir.make = ProfileDir._mkdir
del ProfileDir._mkdir
for name in ("log", "startup", "security", "pid"):
    def check(self, change=None, name=name):
        self.make(getattr(self, name + "_dir"))
    setattr(ProfileDir, "check_" + name + "_dir", check)
"""


@pytest.fixture(
    params=[
        "spawn",
        *(
            pytest.param(
                way, marks=pytest.mark.skipif(not may_fork("fork"), reason="works on Linux only")
            )
            for way in ("fork", "light")
        ),
    ]
)
def starts(request: pytest.FixtureRequest) -> Iterator[KernelStarts]:
    """All ways to start kernels, for one test: each has a home, and so a zygote, of its own.

    The zygotes that tests share are kept for the session, and there may be a few only.
    """
    told: list[str] = []
    with kernel_starts(request.param, (), list, lambda notice: told.append(notice.text)) as made:
        yield made
    assert told == []


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


def outcome_at(home: Path, starts: KernelStarts, *cells: str, **more: Any) -> Outcome:
    """Run cells with a home directory; nothing else says where IPython's folder is."""
    changes = {"HOME": str(home), "IPYTHONDIR": None, **more.pop("environment", {})}
    return outcome_of(job(home.parent, *cells, environment=changes, **more), starts)


@pytest.mark.kernel
def test_no_folder_is_made_in_the_home_directory(home: Path, starts: KernelStarts) -> None:
    (home.parent / "script.py").write_text("print(6 * 7)")
    cells = [SHOWS_HOME, "%run script.py\n!true", "1 / 0"]
    outcome = outcome_at(home, starts, *cells, allow_errors=True)
    # Also not for a while: builds may be killed, and others may look at the same folders.
    assert text(outcome, 1) == "[]\n"
    assert text(outcome, 2) == "42\n"
    assert list(home.rglob("*")) == []


@pytest.mark.kernel
def test_start_up_files_and_settings_count_without_further_folders(
    home: Path, starts: KernelStarts
) -> None:
    profile = home / ".ipython" / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "00-mine.py").write_text("mine = 'started'")
    settings = "c = get_config()\nc.InteractiveShell.ast_node_interactivity = 'all'\n"
    history = f"c.HistoryManager.hist_file = {str(home / 'history.sqlite')!r}\n"
    (profile / "ipython_config.py").write_text(settings + history)
    before = set(home.rglob("*"))
    outcome = outcome_at(home, starts, "mine\n'all are shown'")
    assert text(outcome, 1) == "'started''all are shown'"
    assert set(home.rglob("*")) == before


@pytest.mark.kernel
def test_what_a_cell_makes_in_ipythons_folder_stays(home: Path, starts: KernelStarts) -> None:
    makes = "import os\nfolder = get_ipython().profile_dir.location\nos.makedirs(folder + '/mine')"
    outcome = outcome_at(home, starts, "%cd -q .\n%bookmark here", makes)
    assert outcome.failure is None
    profile = home / ".ipython" / "profile_default"
    assert (profile / "mine").is_dir()
    assert (profile / "db" / "bookmarks").is_file()  # IPython makes what it needs for a cell


@pytest.mark.kernel
def test_nothing_tells_a_kernel_that_it_has_made_no_folders(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = json.loads(text(outcome_at(home, KernelStarts(), SURROUNDINGS), 1))
    assert list(home.rglob("*")) == []
    monkeypatch.setattr(KernelManager, "format_kernel_cmd", AsyncKernelManager.format_kernel_cmd)
    plain = json.loads(text(outcome_at(home, KernelStarts(), SURROUNDINGS), 1))
    assert list(home.rglob("startup")) != []  # this one was started as Jupyter does it
    assert ours == plain


@pytest.mark.kernel
@pytest.mark.parametrize("version", [RELIES, OTHER_MEANS])
def test_other_versions_of_ipython_make_their_folders(
    home: Path, starts: KernelStarts, version: str
) -> None:
    (home.parent / "lib").mkdir()
    (home.parent / "lib" / "sitecustomize.py").write_text(version)
    changes = {"PYTHONPATH": str(home.parent / "lib")}
    outcome = outcome_at(home, starts, "6 * 7", environment=changes)
    assert outcome.failure is None, outcome.failure.traceback
    assert text(outcome, 1) == "42"
    assert (home / ".ipython" / "profile_default" / "pid").is_dir()


@pytest.mark.kernel
@pytest.mark.parametrize("is_there", [False, True])
def test_a_start_up_folder_that_is_not_there_has_no_files(
    home: Path, starts: KernelStarts, *, is_there: bool
) -> None:
    folder = home / ".ipython" / "profile_default" / "startup"
    if is_there:
        folder.mkdir(parents=True)
    tracing = Tracing(str(home.parent), (), str(home.parent / "trace"))
    # Others may remove it meanwhile.
    cells = ["import os, shutil", f"shutil.rmtree({str(folder)!r}, ignore_errors=True)"]
    report = outcome_at(home, starts, *cells, tracing=tracing).report
    assert report["startup"]["folder"] == str(folder)
    assert report["startup"]["names"] == []
    assert report["errors"] == []


@pytest.mark.parametrize("named", ["", "elsewhere"])
def test_kernelspecs_are_found_without_making_a_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("IPYTHONDIR")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    if named:
        monkeypatch.setenv("IPYTHONDIR", str(home / named))
    assert "python3" in KernelSpecs().find_kernel_specs()
    assert list(home.rglob("*")) == []
    spec = home / (named or ".ipython") / "kernels" / "mine" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["x"], "display_name": "X", "language": "x"}))
    assert "mine" in KernelSpecs().find_kernel_specs()
