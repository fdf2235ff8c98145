"""Records of files that no longer exist are removed: at once if asked, otherwise in time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support import ipynb_text

from sphinx_nbcache import Project
from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.kernels.interpreters import kernel_facts
from sphinx_nbcache.project.forgetting import forget_missing
from sphinx_nbcache.results.records import History
from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.checking import check_store
from sphinx_nbcache.store.file_records import (
    checkout_id,
    keep_fingerprints,
    keep_html,
    made_contents,
    note_made,
)
from sphinx_nbcache.traces.fingerprints import Fingerprint

DAY = 86_400
HISTORY = History("0" * 64, "python3", "python", "", ())
KINDS = ("scan/", "history/", "file/", "made/", "html/", "kernel/")


class Checkout:
    """A project whose store remembers everything of its files, without a run."""

    def __init__(self, root: Path, place: Path) -> None:
        root.mkdir()
        self.root, self.id = root, checkout_id(root)
        self.project = Project.find(root, place=place)
        self.access = self.project.store.access

    def make(self, *names: str) -> None:
        """Make notebooks, and remember what a run of each would leave."""
        for name in names:
            (self.root / f"{name}.ipynb").write_text(ipynb_text(["%%1"], {}), encoding="utf-8")
            (self.root / f"{name}.csv").write_text(name, encoding="utf-8")
        self.project.sources = sorted(self.root.glob("*.ipynb"))
        self.project.plan()
        self.project.store.keep({}, {f"{name}.ipynb": HISTORY for name in names})
        keep_html(self.access, {f"{name}.ipynb": {"0" * 64: "<b></b>"} for name in names})
        files = [self.root / f"{name}.csv" for name in names]
        keep_fingerprints(
            self.access, {str(f): Fingerprint(Stat.of(f), "0" * 64, 0) for f in files}, {}
        )
        note_made(self.access, {file.name: "0" * 64 for file in files}, self.id)

    def remove(self, *names: str) -> None:
        """Remove notebooks and their files."""
        for name in names:
            (self.root / f"{name}.ipynb").unlink()
            (self.root / f"{name}.csv").unlink()

    def forget(self, days: float, *, at_once: bool = False) -> int:
        """Look for files that are missing, some days from now."""
        now = time.time() + days * DAY
        return forget_missing(self.access, self.root, now, at_once=at_once)

    @property
    def keys(self) -> set[str]:
        """The keys of what is remembered of files and kernels."""
        return {key for kind in KINDS for key in self.access.keys(kind)}

    def about(self, name: str) -> set[str]:
        """Return the kinds of what is remembered of a notebook and its file."""
        return {key.partition("/")[0] for key in self.keys if f"{name}." in key}


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path / "one", tmp_path / "store")
    yield made
    made.project.close()


def test_a_thousand_notebooks_that_are_deleted_leave_nothing_after_thirty_days(
    checkout: Checkout,
) -> None:
    checkout.make("kept")
    before, size = checkout.keys, checkout.access.size()
    many = [f"n{number}" for number in range(1000)]
    checkout.make(*many)
    assert len(checkout.keys) == len(before) + 5000
    checkout.remove(*many)
    assert [checkout.forget(day) for day in (0, 1, 29)] == [0, 0, 0]
    assert checkout.forget(30.5) == 5000
    assert checkout.keys == before
    assert checkout.access.size() < size + 10_000
    assert check_store(checkout.project.store) == []


def test_prune_forgets_what_is_missing_at_once(checkout: Checkout) -> None:
    checkout.make("kept", "gone")
    checkout.remove("gone")
    checkout.project.results.prune()
    assert checkout.about("gone") == set()
    assert checkout.about("kept") == {"scan", "history", "file", "made", "html"}


def test_a_file_that_comes_back_starts_the_time_again(checkout: Checkout) -> None:
    checkout.make("switched")
    notebook, away = checkout.root / "switched.ipynb", checkout.root.parent / "away"
    notebook.rename(away)
    assert checkout.forget(0) == 0
    away.rename(notebook)
    assert checkout.forget(20) == 0
    notebook.rename(away)
    assert [checkout.forget(day) for day in (40, 69)] == [0, 0]
    assert checkout.forget(71) == 3


def test_a_look_is_taken_once_a_day(checkout: Checkout) -> None:
    checkout.make("gone")
    checkout.forget(0)
    checkout.remove("gone")
    assert checkout.forget(0.9) == 0
    assert checkout.forget(30.9) == 0, "it is missed for the first time"
    assert checkout.forget(61) == 5


def test_a_look_survives_a_clock_that_was_wrong(checkout: Checkout) -> None:
    checkout.forget(1000)
    checkout.make("gone")
    checkout.remove("gone")
    assert checkout.forget(0) == 0
    assert checkout.forget(31) == 5


def test_a_project_that_shares_the_store_and_has_the_file_keeps_what_is_known(
    checkout: Checkout, tmp_path: Path
) -> None:
    other = Checkout(tmp_path / "two", tmp_path / "store")
    other.make("theirs")
    for day in range(0, 100, 20):
        assert (checkout.forget(day), other.forget(day + 0.1)) == (0, 0)
    assert other.about("theirs") == {"scan", "history", "file", "made", "html"}
    other.project.close()


@pytest.mark.parametrize("at_once", [False, True])
def test_what_runs_wrote_in_another_checkout_stays_known(
    checkout: Checkout, *, at_once: bool
) -> None:
    checkout.make("both")
    note_made(checkout.access, {"both.csv": "1" * 64}, "other")
    checkout.remove("both")
    checkout.forget(0)
    checkout.forget(31, at_once=at_once)
    assert checkout.about("both") == {"made"}
    assert made_contents(checkout.access, "both.csv", "other") == {"1" * 64}
    assert made_contents(checkout.access, "both.csv", checkout.id) == set()


def test_a_kernel_whose_interpreter_is_gone_is_forgotten(
    checkout: Checkout, tmp_path: Path
) -> None:
    facts = kernel_facts("python3", "python", dict(os.environ))
    assert facts is not None
    gone = msgspec.structs.replace(facts, watched={str(tmp_path / "gone"): Stat(1, 2, 3, 4)})
    checkout.access.write({"kernel/there": encoded(facts), "kernel/gone": encoded(gone)})
    assert checkout.forget(0, at_once=True) == 1
    assert checkout.access.keys("kernel/") == ["kernel/there"]
