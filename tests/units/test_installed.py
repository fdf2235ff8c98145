"""Where modules come from: editable and regular installations, and the search path."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tracing import Project, Shells, report

from sphinx_nbcache.traces.distributions import Environment, Python
from sphinx_nbcache.traces.facts import (
    Distribution,
    EntryPoints,
    EnvironmentVariable,
    File,
    SearchPath,
    Source,
    Uninstalled,
)
from sphinx_nbcache.traces.observe import observe
from sphinx_nbcache.traces.trace import Trace, verify


class Site:
    """A folder of packages, with one package `mylib` that is installed in one way at a time."""

    def __init__(self, folder: Path, project: Project) -> None:
        self.folder = folder
        self.project = project
        folder.mkdir()

    def install(self, checkout: Path, *, editable: bool, style: str = "pth") -> None:
        shutil.rmtree(self.folder)
        information = self.folder / "mylib-1.0.dist-info"
        information.mkdir(parents=True)
        (information / "WHEEL").write_text("Root-Is-Purelib: true\n")
        origin = {"url": checkout.as_uri(), "dir_info": {"editable": True} if editable else {}}
        (information / "direct_url.json").write_text(json.dumps(origin))
        names = ["mylib-1.0.dist-info/METADATA,sha256=a,1"]
        if editable and style == "pth":
            (self.folder / "_mylib.pth").write_text(f"{checkout / 'src'}\n")
            names.append("_mylib.pth,sha256=a,1")
        elif editable:
            mapping = {"mylib": str(checkout / "src" / "mylib")}
            finder = f"import sys\nMAPPING: dict[str, str] = {mapping!r}\nNAMESPACES = {{}}\n"
            (self.folder / "__editable___mylib_1_0_finder.py").write_text(finder)
            names.append("__editable___mylib_1_0_finder.py,sha256=a,1")
        else:
            shutil.copytree(checkout / "src" / "mylib", self.folder / "mylib")
            for file in sorted((self.folder / "mylib").iterdir()):
                digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest())
                names.append(f"mylib/{file.name},sha256={digest.decode().rstrip('=')},1")
        (information / "RECORD").write_text("\n".join(names) + "\n")

    @property
    def python(self) -> Python:
        return Python("CPython", "3.11", "linux", "x86_64", (str(self.folder),))

    def trace(self, **more: Any) -> Trace:
        python = {**msgspec.to_builtins(self.python), "prefixes": [], "library": []}
        return observe(report(python=python, **more), self.project.world())

    def says(self, trace: Trace) -> str | None:
        world = self.project.world()
        world.environment = Environment.of(self.python, {})
        mismatch = verify(trace, world)
        return str(mismatch) if mismatch is not None else None

    def trace_of_editable(self, checkout: Path) -> Trace:
        file = str(checkout / "src" / "mylib" / "__init__.py")
        return self.trace(modules={"mylib": [file, ""]})

    def trace_of_regular(self) -> Trace:
        return self.trace(packages=["mylib"], sources={"mylib": "mylib/__init__.py"})


@pytest.fixture
def project(tmp_path: Path, shells: Shells) -> Project:
    return Project(tmp_path / "project", shells)


@pytest.fixture
def site(tmp_path: Path, project: Project) -> Site:
    return Site(tmp_path / "site-packages", project)


def checkout(folder: Path, text: str = "x = 1", **others: str) -> Path:
    package = folder / "src" / "mylib"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(text)
    for name, content in others.items():
        (package / f"{name}.py").write_text(content)
    return folder


@pytest.mark.parametrize("style", ["pth", "finder"])
def test_another_checkout_as_editable_is_noticed_by_its_content(
    site: Site, tmp_path: Path, style: str
) -> None:
    first, same = checkout(tmp_path / "a"), checkout(tmp_path / "b")
    other = checkout(tmp_path / "c", "x = 2")
    site.install(first, editable=True, style=style)
    trace = site.trace_of_editable(first)
    assert [type(fact) for fact in trace.facts if isinstance(fact, File | Source)] in (
        [Source],
        [File, Source],
    )
    assert site.says(trace) is None
    site.install(other, editable=True, style=style)
    assert site.says(trace) == "mylib/__init__.py of mylib changed"
    site.install(same, editable=True, style=style)
    assert site.says(trace) is None
    checkout(same, "x = 3")
    assert site.says(trace) == "mylib/__init__.py of mylib changed"
    shutil.rmtree(site.folder)
    assert site.says(trace) == "mylib is not installed any more"


def test_a_package_of_the_project_counts_by_content_however_it_is_installed(
    site: Site, project: Project
) -> None:
    root = checkout(project.root, other="1")
    site.install(root, editable=True)
    edited = site.trace_of_editable(root)
    site.install(root, editable=False)
    regular = site.trace_of_regular()
    assert not any(isinstance(fact, Distribution) for fact in regular.facts)
    assert [site.says(trace) for trace in (edited, regular)] == [None, None]
    site.install(root, editable=True)
    assert [site.says(trace) for trace in (edited, regular)] == [None, None]
    # A module that was not imported does not count.
    checkout(root, other="2")
    site.install(root, editable=False)
    assert [site.says(trace) for trace in (edited, regular)] == [None, None]
    checkout(root, "x = 2")
    site.install(root, editable=False)
    assert site.says(regular) == "mylib/__init__.py of mylib changed"
    # An installation that is older than the checkout.
    checkout(root)
    assert site.says(edited) == "mylib/__init__.py of mylib changed"


def test_the_tracer_names_modules_whose_source_is_under_the_root(tmp_path: Path) -> None:
    from sphinx_nbcache.kernel_side.tracer.imports import _installed_from

    site = Site(tmp_path / "site", Project(tmp_path / "p"))
    site.install(checkout(tmp_path / "my project"), editable=False)
    assert set(_installed_from(str(site.folder), [str(tmp_path / "my project")])) == {"mylib"}
    assert set(_installed_from(str(site.folder), [str(tmp_path / "other")])) == set()


def test_another_folder_in_pythonpath_is_noticed(project: Project, tmp_path: Path) -> None:
    for name, text in (("lib1", "1"), ("lib2", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "zmod.py").write_text(text)
    first, second = str(tmp_path / "lib1"), str(tmp_path / "lib2")
    project.variables["PYTHONPATH"] = first
    traced = project.run(f"import sys; sys.path.insert(1, {first!r}); import zmod, colorsys")
    assert traced.all(SearchPath)[0].found == (("zmod", first),)
    assert project.says(traced) is None
    project.variables["PYTHONPATH"] = f"{tmp_path / 'empty'}:{first}:{second}"
    assert project.says(traced) is None
    project.variables["PYTHONPATH"] = second
    assert project.says(traced) == f"import zmod finds it in {second}/ now"
    (tmp_path / "lib3").mkdir()
    (tmp_path / "lib3" / "colorsys.py").touch()
    project.variables["PYTHONPATH"] = f"{tmp_path / 'lib3'}:{first}"
    assert project.says(traced) == f"import colorsys finds it in {tmp_path / 'lib3'}/ now"
    project.variables["PYTHONPATH"] = ""
    assert project.says(traced) == f"import zmod does not find it in {first}/ any more"


def test_a_pth_file_that_leads_elsewhere_is_noticed(site: Site, tmp_path: Path) -> None:
    for name in ("lib1", "lib2"):
        (tmp_path / name / "zpack").mkdir(parents=True)
        (tmp_path / name / "zpack" / "__init__.py").touch()
    (site.folder / "mine.pth").write_text(f"# a comment\nimport os\n{tmp_path / 'lib1'}\n")
    trace = site.trace(search=[["/", ["zpack", "json"]]])
    assert site.says(trace) is None
    (site.folder / "mine.pth").write_text(f"{tmp_path / 'lib2'}\n")
    assert site.says(trace) == f"import zpack finds it in {tmp_path / 'lib2'}/ now"
    (site.folder / "zpack").mkdir()
    assert site.says(trace) == f"import zpack does not find it in {tmp_path / 'lib1'}/ any more"


def test_an_optional_dependency_of_a_library_that_is_installed_later_is_noticed(
    project: Project,
) -> None:
    pytest.importorskip("bs4")
    (fact,) = project.run("import bs4").all(Uninstalled)
    assert "cchardet" in fact.modules.split()
    assert project.run("import json").all(Uninstalled) == []


def test_a_module_that_is_only_looked_for_counts(project: Project) -> None:
    traced = project.run("import importlib.util; importlib.util.find_spec('zopt')")
    assert traced.all(Uninstalled) == [Uninstalled("zopt", everywhere=True)]
    project.write("zopt.py")
    assert project.says(traced) == "zopt.py is now what import zopt finds"


def test_a_missing_module_is_noticed_however_it_is_installed(site: Site, tmp_path: Path) -> None:
    trace = site.trace(unavailable=["mylib", "names.part"])
    assert site.says(trace) is None
    site.install(checkout(tmp_path / "a"), editable=True, style="finder")
    assert site.says(trace) == "the package mylib is installed now"
    site.install(checkout(tmp_path / "a"), editable=True)
    assert site.says(trace) == "the package mylib is installed now"
    site.install(checkout(tmp_path / "a"), editable=False)
    assert site.says(trace) == "the package mylib is installed now"
    shutil.rmtree(site.folder)
    (site.folder / "names").mkdir(parents=True)
    assert site.says(trace) is None
    (site.folder / "names" / "part.py").touch()
    assert site.says(trace) == "the package names.part is installed now"
    # A fact of an earlier version means folders of packages only.
    (site.folder / "a.pth").write_text(f"{tmp_path / 'a' / 'src'}\n")
    assert site.says(Trace((Uninstalled("mylib"),))) is None


def test_the_version_of_what_is_not_installed_counts(project: Project) -> None:
    traced = project.run(
        "import importlib.metadata as m\ntry: m.version('Not_There')\n"
        "except m.PackageNotFoundError: 1",
        "m.version('pyyaml')",
    )
    found = [(fact.name, fact.version) for fact in traced.all(Distribution)]
    assert ("Not_There", "") in found
    assert "pyyaml" in dict(found)
    assert project.says(traced) is None
    libraries = project.root.parent / "libraries"
    (libraries / "not_there-2.dist-info").mkdir(parents=True)
    project.variables["PYTHONPATH"] = str(libraries)
    assert project.says(traced) == "Not_There 2 is installed now"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("entry_points(group='zgroup')", "the entry points of the group zgroup"),
        ("entry_points().select(group='zgroup')", "the entry points"),
        ("[d.version for d in distributions()]", "the list of installed packages changed"),
    ],
)
def test_entry_points_count(project: Project, code: str, told: str) -> None:
    traced = project.run(f"from importlib.metadata import distributions, entry_points\n{code}")
    assert len(traced.all(EntryPoints)) == 1
    assert project.says(traced) is None
    libraries = project.root.parent / "libraries"
    plugin = libraries / "plugin-2.dist-info"
    plugin.mkdir(parents=True)
    project.variables["PYTHONPATH"] = str(libraries)
    if "distributions()" not in code:
        (plugin / "entry_points.txt").write_text("[other]\na = b\n")
        assert (project.says(traced) is None) == ("(group" in code and "select" not in code)
        (plugin / "entry_points.txt").write_text("[zgroup]\na = b\n")
    assert (project.says(traced) or "").startswith(told)


def test_a_plug_in_that_is_loaded_counts(project: Project) -> None:
    traced = project.run(
        "from importlib.metadata import EntryPoint\n"
        "EntryPoint(name='a', group='b', value='YAML'.lower()).load()"
    )
    assert "pyyaml" in [fact.name for fact in traced.all(Distribution)]


RUN = "import subprocess, sys\nsubprocess.run([sys.executable, {arguments}]{more})"


def test_a_python_child_counts_by_what_it_imports_and_reads(project: Project) -> None:
    pytest.importorskip("bs4")
    project.variables["MODE"] = "1"
    project.write("local.py", "import os, bs4; os.environ['MODE']; os.environ.get('GIVEN')")
    project.write("script.py", "try: import local, optional_c\nexcept ImportError: import colorsys")
    traced = project.run(
        RUN.format(arguments="'script.py'", more=", env={**__import__('os').environ, 'GIVEN': '1'}")
    )
    assert {"beautifulsoup4", "soupsieve"} <= {fact.name for fact in traced.all(Distribution)}
    missing = traced.all(Uninstalled)[0].modules.split()
    assert {"optional_c", "cchardet"} <= set(missing)
    assert "local" not in missing
    assert [fact.name for fact in traced.all(EnvironmentVariable)] == ["MODE", "PYTHON*"]
    assert project.says(traced) is None
    project.variables["MODE"] = "2"
    assert project.says(traced) == "environment variable MODE changed"
    project.variables["MODE"] = "1"
    for name in ("optional_c", "colorsys", "bs4"):
        path = project.write(f"{name}.py")
        assert project.says(traced) == f"{name}.py is now what import {name} finds"
        path.unlink()
    assert project.says(traced) is None


def test_a_package_that_is_run_as_a_program_counts(project: Project) -> None:
    traced = project.run(RUN.format(arguments="'-m', 'pygments', '-V'", more=""))
    assert "pygments" in [fact.name for fact in traced.all(Distribution)]
    assert project.says(traced) is None


def test_a_forked_child_counts_by_its_variables_and_imports(project: Project) -> None:
    project.variables["MODE"] = "1"
    traced = project.run(
        "import os\nif os.fork() == 0:\n try:\n  os.environ['MODE']; import yaml, optional_f\n"
        " finally: os._exit(0)\nos.wait()"
    )
    assert "pyyaml" in [fact.name for fact in traced.all(Distribution)]
    assert "MODE" in [fact.name for fact in traced.all(EnvironmentVariable)]
    assert project.says(traced) is None
    project.write("optional_f.py")
    assert project.says(traced) == "optional_f.py is now what import optional_f finds"
