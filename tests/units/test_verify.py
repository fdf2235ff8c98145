"""Each kind of fact: when it holds, and what is said when it does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sphinx_nbcache.traces.distributions import Environment, Python, ask
from sphinx_nbcache.traces.fact import Kind
from sphinx_nbcache.traces.facts import (
    Absent,
    Baseline,
    Declared,
    Directory,
    Distribution,
    EnvironmentVariable,
    Fact,
    File,
    Interpreter,
    Listing,
    Location,
    Uninstalled,
    Unshadowed,
)
from sphinx_nbcache.traces.fingerprints import GONE, OTHER, Fingerprints, text_digest
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.trace import Trace, verify
from sphinx_nbcache.traces.tracking import TRACKED, Tracking, why_not_valid
from sphinx_nbcache.traces.variables import SecretKey, is_secret, variable_digest
from sphinx_nbcache.traces.world import World

PYTHON = Python("CPython", "3.11", "linux", "x86_64", ())


class Here:
    """A project in a temporary folder, and an interpreter's packages."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.root.mkdir()
        self.site = folder / "site-packages"
        self.site.mkdir()
        self.variables: dict[str, str] = {}

    def write(self, name: str, text: str = "1") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def install(self, name: str, version: str, *modules: str) -> Path:
        for old in self.site.glob(f"{name}-*.dist-info"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        folder = self.site / f"{name}-{version}.dist-info"
        folder.mkdir()
        record = "".join(f"{module}/__init__.py,,\n" for module in modules or [name])
        (folder / "RECORD").write_text(record)
        for module in modules or [name]:
            (self.site / module).mkdir(exist_ok=True)
        return folder

    @property
    def world(self) -> World:
        """The world as it is now."""
        python = msgspec.structs.replace(PYTHON, sites=(str(self.site),))
        places = PathNames(str(self.root), home=str(self.root.parent), temporary=())
        return World(places, Fingerprints(), Environment(python), dict(self.variables))

    def says(self, *facts: Fact, **more: Any) -> str | None:
        """Return what is said of a trace with these facts."""
        trace = Trace(facts, **more)
        decoded = msgspec.json.decode(msgspec.json.encode(trace), type=Trace)
        assert decoded == trace
        mismatch = verify(decoded, self.world)
        return str(mismatch) if mismatch is not None else None


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def file_digest(path: Path) -> str:
    digest = Fingerprints().digest(str(path))
    assert digest is not None
    return digest


def test_a_file_holds_while_its_content_is_the_same(here: Here) -> None:
    path = here.write("data/prices.csv")
    fact = File("data/prices.csv", file_digest(path))
    assert here.says(fact) is None
    os.utime(path, ns=(1, 1))
    assert here.says(fact) is None
    path.write_text("2")
    assert here.says(fact) == "data/prices.csv changed"
    path.unlink()
    assert here.says(fact) == "data/prices.csv is not there any more"


def test_the_first_fact_that_does_not_hold_is_told(here: Here) -> None:
    here.write("a")
    here.write("b")
    facts = File("a", "0"), File("b", "0")
    assert here.says(*facts) == "a changed"


def test_of_a_module_the_importer_is_told(here: Here) -> None:
    here.write("helpers.py")
    fact = File("helpers.py", "0", module=True)
    imported_by = {"helpers.py": "stats.py"}
    assert here.says(fact, imported_by=imported_by) == "helpers.py changed (imported by stats.py)"
    assert here.says(fact) == "helpers.py changed"


def test_a_file_that_the_run_rewrote_holds_before_and_after(here: Here) -> None:
    path = here.write("state", "before")
    before = file_digest(path)
    path.write_text("after")
    fact = File("state", before, after=file_digest(path))
    assert here.says(fact) is None
    path.write_text("before")
    assert here.says(fact) is None
    path.write_text("other")
    assert here.says(fact) == "state changed"
    path.unlink()
    assert here.says(fact) == "state is not there any more"
    assert here.says(File("state", before, after=GONE)) is None


def test_an_absent_file_holds_until_something_is_there(here: Here) -> None:
    assert here.says(Absent("cache.pkl")) is None
    path = here.write("cache.pkl")
    assert here.says(Absent("cache.pkl")) == "cache.pkl appeared"
    assert here.says(Absent("cache.pkl", after=file_digest(path))) is None
    path.write_text("other")
    assert here.says(Absent("cache.pkl", after=file_digest(here.write("x")))) == "cache.pkl changed"
    (here.root / "folder").mkdir()
    assert here.says(Absent("folder")) == "folder appeared"
    assert here.says(Absent("folder", after=OTHER)) is None


def test_a_directory_holds_while_it_is_there(here: Here) -> None:
    here.write("data/a")
    assert here.says(Directory("data")) is None
    assert here.says(Directory(".")) is None
    assert here.says(Directory("data/a")) == "directory data/a/ is not there any more"


def listing(*names: str, folder: str = "data", told: bool = True, **more: Any) -> Listing:
    return Listing(folder, text_digest(*names), names=names if told else (), **more)


@pytest.mark.parametrize(
    ("had", "says"),
    [
        (["a.csv", "sub/"], None),
        (["a.csv"], "data/sub/ appeared"),
        (["a.csv", "b.csv", "sub/"], "data/b.csv is not there any more"),
        (["b.csv", "sub/"], "directory data/ has other files: + a.csv, - b.csv"),
        ([], "directory data/ has other files: + a.csv, + sub/"),
        (list("bcde"), "directory data/ has other files: + a.csv, + sub/, - b, and 3 more"),
    ],
)
def test_a_listing_says_what_is_new_and_what_is_gone(
    here: Here, had: list[str], says: str | None
) -> None:
    here.write("data/a.csv")
    here.write("data/sub/x")
    assert here.says(listing(*had)) == says


def test_a_listing_with_many_names_says_only_that_they_differ(here: Here) -> None:
    here.write("data/a.csv")
    assert here.says(listing("b", told=False)) == "directory data/ has other files"


def test_only_names_that_were_asked_for_count_in_a_listing(here: Here) -> None:
    here.write("data/a.csv")
    fact = listing("a.csv", pattern="*.csv")
    here.write("data/readme.txt")
    here.write("data/__pycache__/x")
    assert here.says(fact) is None
    here.write("data/new.csv")
    assert here.says(fact) == "data/new.csv appeared"
    assert here.says(listing(folders=True)) is None


def test_names_that_the_run_wrote_do_not_count_in_a_listing(here: Here) -> None:
    here.write("a.csv")
    fact = listing("a.csv", folder=".", without=("out.csv",))
    assert here.says(fact) is None
    here.write("out.csv")
    assert here.says(fact) is None
    here.write("new.csv")
    assert here.says(fact) == "new.csv appeared"


def test_a_listed_directory_that_is_gone_is_told(here: Here) -> None:
    assert here.says(listing()) == "directory data/ is not there any more"


def test_a_glob_that_found_nothing_finds_nothing_without_the_directory_either(here: Here) -> None:
    assert here.says(Listing("data", text_digest(), "*.csv")) is None
    found = Listing("data", text_digest("a.csv"), "*.csv", names=("a.csv",))
    assert here.says(found) == "data/a.csv is not there any more"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("nb/pandas.test.py", None),
        ("nb/pandas.lasso", None),
        ("nb/pandas.so", "nb/pandas.so is now what import pandas finds"),
        ("nb/pandas.py", "nb/pandas.py is now what import pandas finds"),
        ("nb/pandas/__init__.py", "nb/pandas/ is now what import pandas finds"),
        ("nb/pandas.cpython-311-x.so", "nb/pandas.cpython-311-x.so is now what"),
        ("nb/pandas/data.csv", None),
        ("nb/pandas.csv", None),
        ("nb/and.py", None),
        ("nb/sub/pandas.py", None),
    ],
)
def test_a_module_that_would_be_found_first_is_noticed(
    here: Here, written: str, told: str | None
) -> None:
    fact = Unshadowed("nb", "json pandas numpy")
    here.write("nb/a.ipynb")
    assert here.says(fact) is None
    here.write(written)
    said = here.says(fact)
    assert said is None if told is None else said is not None and said.startswith(told)


def test_a_version_that_changed_is_told(here: Here) -> None:
    fact = Distribution("numpy", "2.3.4")
    assert here.says(fact) == "numpy 2.3.4 → not installed"
    here.install("numpy", "2.3.4")
    assert here.says(fact) is None
    here.install("numpy", "2.4.0")
    assert here.says(fact) == "numpy 2.3.4 → 2.4.0"


def test_names_of_distributions_are_normalised(here: Here) -> None:
    here.install("My_Package.x", "1")
    assert here.says(Distribution("my-package-x", "1")) is None


def test_of_a_repository_the_commit_is_part_of_the_version(here: Here) -> None:
    folder = here.install("mine", "1")
    url = '{"url": "https://x/y", "vcs_info": {"vcs": "git", "commit_id": "%s"}}'
    (folder / "direct_url.json").write_text(url % "a")
    environment = here.world.environment
    version = environment.version("mine") if environment is not None else None
    assert version is not None
    assert here.says(Distribution("mine", version)) is None
    (folder / "direct_url.json").write_text(url % "b")
    assert here.says(Distribution("mine", version)) is not None
    (folder / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    assert here.says(Distribution("mine", "1")) is None
    (folder / "direct_url.json").write_text("[")
    assert here.says(Distribution("mine", "1")) is None


RECORD = """\
../../../bin/mine,sha256={script},293
mine-1.dist-info/METADATA,sha256={metadata},48
mine-1.dist-info/RECORD,,
mine/__init__.py,sha256={code},8
"mine/a,b.txt",sha256={data},8
{more}"""


def test_the_same_version_with_other_code_is_noticed(here: Here) -> None:
    folder = here.install("mine", "1")
    (folder / "WHEEL").write_text("Root-Is-Purelib: true\n")

    def write(**values: str) -> None:
        parts = {"script": "a", "metadata": "b", "code": "c", "data": "d", "more": "", **values}
        (folder / "RECORD").write_text(RECORD.format(**parts))

    def fact() -> Distribution:
        assert here.world.environment is not None
        found = Distribution.now("mine", here.world.environment)
        assert found is not None
        return found

    write()
    before = fact()
    assert here.says(before) is None
    # Installers write other scripts and other metadata, and bytecode or none.
    write(script="x", metadata="y", more="mine/__pycache__/__init__.cpython-311.pyc,,\n")
    (folder / "direct_url.json").write_text('{"url": "file:///a/mine", "dir_info": {}}')
    assert here.says(before) is None
    write(code="x")
    assert here.says(before) == "mine 1 was installed again with other code"
    write(data="x")
    assert here.says(before) == "mine 1 was installed again with other code"
    # Earlier versions compared only the version.
    assert here.says(Distribution("mine", "1")) is None


def test_a_compiled_package_from_an_index_counts_by_its_version(here: Here) -> None:
    folder = here.install("mine", "1")
    assert here.world.environment is not None
    fact = Distribution.now("mine", here.world.environment)
    assert fact == Distribution("mine", "1", "index")
    (folder / "RECORD").write_text("mine/a.so,sha256=x,1\n")
    assert here.says(fact) is None
    (folder / "direct_url.json").write_text('{"url": "file:///a/mine", "dir_info": {}}')
    assert here.says(fact) == "mine 1 was installed again with other code"
    (folder / "direct_url.json").write_text('{"dir_info": {"editable": true}}')
    assert here.says(fact) == "mine 1: its installation was regular, and is editable now"


def test_a_package_that_was_not_there_is_noticed(here: Here) -> None:
    assert here.says(Uninstalled("seaborn polars")) is None
    here.install("polars", "1")
    assert here.says(Uninstalled("seaborn polars")) == "the package polars is installed now"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, None),
        ({"version": "3.10"}, "CPython 3.10 → CPython 3.11"),
        ({"implementation": "PyPy"}, "PyPy 3.11 → CPython 3.11"),
        ({"platform": "darwin"}, "darwin → linux"),
        ({"machine": "arm64"}, "arm64 → x86_64"),
    ],
)
def test_the_interpreter_counts(here: Here, change: dict[str, str], told: str | None) -> None:
    fact = msgspec.structs.replace(Interpreter.of(PYTHON), **change)
    assert here.says(fact) == told


def test_of_what_every_notebook_runs_on_only_large_changes_count(here: Here) -> None:
    fact = Baseline("7", "9.18")
    here.install("ipykernel", "7.4.1")
    here.install("ipython", "9.18.2")
    assert here.says(fact) is None
    here.install("ipython", "9.19.0")
    assert here.says(fact) == "IPython 9.18 → 9.19"
    here.install("ipykernel", "8.0.0")
    assert here.says(fact) == "ipykernel 7 → 8"


def test_an_environment_variable_counts_unless_it_is_secret(here: Here) -> None:
    unset = EnvironmentVariable("X", variable_digest("X", {}))
    empty = EnvironmentVariable("X", variable_digest("X", {"X": ""}))
    assert here.says(unset) is None
    assert here.says(empty) == "environment variable X changed"
    here.variables["X"] = ""
    assert here.says(empty) is None
    assert here.says(unset) == "environment variable X changed"
    assert here.says(EnvironmentVariable("X", None)) is None


def test_declared_files_count_with_their_names(here: Here) -> None:
    here.write("data/a.csv")
    here.write("data/deep/b.csv")
    fact = Declared.now("data/**/*.csv", here.world)
    assert list(fact.files) == ["data/a.csv", "data/deep/b.csv"]
    here.write("data/readme.txt")
    assert here.says(fact) is None
    here.write("data/deep/c.csv")
    assert here.says(fact) == "data/deep/c.csv appeared"
    (here.root / "data/deep/c.csv").unlink()
    here.write("data/a.csv", "2")
    assert here.says(fact) == "data/a.csv changed"
    (here.root / "data/a.csv").unlink()
    assert here.says(fact) == "data/a.csv is not there any more"
    many = msgspec.structs.replace(fact, files={})
    assert here.says(many) == "files that match data/**/*.csv changed"


def test_a_glob_is_looked_up_once_a_build_unless_something_was_written(here: Here) -> None:
    world = here.world
    fact = Declared.now("*.csv", world)
    new = here.write("a.csv")
    assert verify(Trace((fact,)), world) is None
    world.fingerprints.forget([str(new)])
    assert str(verify(Trace((fact,)), world)) == "a.csv appeared"


def test_a_glob_that_matches_nothing_holds_until_it_does(here: Here) -> None:
    fact = Declared.now("*.nc", here.world)
    assert here.says(fact) is None
    here.write("a.nc")
    assert here.says(fact) == "a.nc appeared"


def test_a_trace_that_mentions_its_place_holds_only_there(here: Here) -> None:
    assert here.says(Location(str(here.root))) is None
    told = here.says(Location("/other"))
    assert told == "the project moved from /other, which the notebook mentions"
    assert here.says(Location("/other", home=True)) is not None


def test_an_unreliable_trace_never_holds(here: Here) -> None:
    text = "data.csv changed while the notebook ran"
    assert here.says(unreliable=text) == text


def test_without_an_interpreter_no_version_holds(here: Here) -> None:
    world = here.world
    world.environment = None
    for fact in (
        Distribution("a", "1"),
        Interpreter.of(PYTHON),
        Baseline("", ""),
        Uninstalled("x"),
    ):
        assert verify(Trace((fact,)), world) is not None
    here.write("a")
    assert verify(Trace((File("a", file_digest(here.root / "a")),)), world) is None


def test_only_the_kinds_that_are_tracked_count() -> None:
    facts: tuple[Fact, ...] = (
        File("a", "0"),
        File("m.py", "0", module=True),
        Distribution("numpy", "1"),
        EnvironmentVariable("X", ""),
        Location("/x"),
    )
    trace = Trace(facts, unreliable="a changed")
    for kind in (Kind.FILES, Kind.IMPORTS, Kind.VERSIONS, Kind.ENVIRONMENT):
        kept = trace.tracking([kind])
        assert {fact.kind for fact in kept.facts} == {kind, Kind.ALWAYS}
        assert (kept.unreliable is None) == (kind in (Kind.VERSIONS, Kind.ENVIRONMENT))
    assert trace.tracking([]).facts == (Location("/x"),)


@pytest.mark.parametrize(
    "fact",
    [
        File("../x", "0"),
        File("a\0b", "0"),
        Absent("/dev/zero"),
        Listing("../..", "0"),
        Directory("\0"),
        Unshadowed("..", "a"),
        Distribution("", ""),
        EnvironmentVariable("", "0"),
        Location(""),
        Interpreter("", "", "", ""),
    ],
)
def test_odd_facts_make_no_trouble(here: Here, fact: Fact) -> None:
    here.says(fact)


def test_names_of_owners_come_from_the_lists_of_files(here: Here) -> None:
    here.install("PyYAML", "6", "yaml", "_yaml")
    here.install("numpy", "2")
    here.install("google-a", "1", "google")
    here.install("google-b", "1", "google")
    environment = here.world.environment
    assert environment is not None
    assert environment.owners("yaml") == ("pyyaml",)
    assert environment.owners("numpy") == ("numpy",)
    assert environment.owners("google") == ("google-a", "google-b")
    assert environment.owners("nothing") == ()


def test_an_interpreter_can_be_asked(tmp_path: Path) -> None:
    import sys

    python = ask(sys.executable)
    assert python is not None
    assert python.version == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert Environment(python).version("pytest") == pytest.__version__
    assert ask(str(tmp_path / "missing")) is None
    assert ask("/bin/true") is None


def processor_seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def test_a_thousand_traces_are_verified_in_a_second(here: Here) -> None:
    for number in range(5000):
        here.write(f"data/{number % 50}/{number}.csv", str(number))
    first = Fingerprints(now_ns=lambda: time.time_ns() + 10_000_000_000)
    paths = [f"data/{number % 50}/{number}.csv" for number in range(5000)]
    digests = [first.digest(str(here.root / path)) or "" for path in paths]
    files = [File(path, digest) for path, digest in zip(paths, digests, strict=True)]
    modules = Unshadowed("data", " ".join(f"module{number}" for number in range(300)))
    traces = [Trace((*(files * 5)[n * 19 : n * 19 + 19], modules)) for n in range(1000)]
    world = here.world
    world.fingerprints = Fingerprints(first.fresh)
    assert processor_seconds(lambda: [verify(trace, world) for trace in traces]) < 1
    assert all(verify(trace, world) is None for trace in traces)
    assert world.fingerprints.fresh == {}


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("API_KEY", True),
        ("GITHUB_TOKEN", True),
        ("db_password", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("DOC_AUTHOR", False),
        ("KEYBOARD_LAYOUT", False),
        ("MONKEY", False),
        ("PWD", False),
    ],
)
def test_names_are_secret_by_whole_words(name: str, secret: bool) -> None:  # noqa: FBT001
    assert is_secret(name) is secret


def with_key(key: bytes | None) -> SecretKey:
    def secret_key(*, make: bool) -> bytes | None:
        return key

    return secret_key


def test_a_secret_counts_by_a_digest_that_only_its_account_can_compare(tmp_path: Path) -> None:
    def world(value: str, key: bytes | None) -> World:
        places, variables = PathNames(str(tmp_path)), {"API_KEY": value}
        return World(places, Fingerprints(), None, variables, secret_key=with_key(key))

    fact = EnvironmentVariable.now("API_KEY", world("hunter2", b"ours"))
    kept = msgspec.json.encode(fact)
    assert b"hunter2" not in kept
    assert variable_digest("API_KEY", {"API_KEY": "hunter2"}).encode() not in kept
    assert fact.mismatch(world("hunter2", b"ours")) is None
    assert fact.mismatch(world("other", b"ours")) == "environment variable API_KEY changed"
    for key in (b"theirs", None):
        assert fact.mismatch(world("other", key)) is None
    trace = Trace(facts=(fact,))
    assert trace.listing_secrets(with_key(b"ours")) is trace
    assert trace.listing_secrets(with_key(b"theirs")).untracked == (
        "variable API_KEY: its value was kept under the secret of another account",
    )


def test_a_secret_of_an_earlier_version_holds(tmp_path: Path) -> None:
    fact = EnvironmentVariable("API_KEY", None)
    world = World(PathNames(str(tmp_path)), Fingerprints(), None, {}, secret_key=with_key(b"ours"))
    assert fact.mismatch(world) is None
    option = Tracking(variables=("API_KEY", "KEYBOARD_LAYOUT"))
    assert why_not_valid(Trace(tracked=TRACKED), option, world) is None
    known = (*TRACKED, "secrets")
    assert why_not_valid(Trace(tracked=TRACKED, known=known), option, world) is not None
