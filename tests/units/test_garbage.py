from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from sphinx_nbcache.extension.hooks import collection, set_aside, take_back


class Cycle:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_runs_have_left_is_collected_before_the_rest_is_set_aside() -> None:
    left = weakref.ref(Cycle())
    set_aside(has_garbage=True)
    assert left() is None


def test_an_earlier_build_in_the_same_process_can_be_collected() -> None:
    earlier = Cycle()
    found = weakref.ref(earlier)
    set_aside(has_garbage=False)
    del earlier
    gc.collect()
    assert found() is not None
    take_back()
    gc.collect()
    assert found() is None


@pytest.mark.parametrize("before", [gc.enable, gc.disable])
def test_afterwards_the_collector_runs_as_it_did_before(before: Callable[[], None]) -> None:
    try:
        before()
        was_enabled = gc.isenabled()
        with collection(running=False):
            assert not gc.isenabled()
            with collection(running=True):
                assert gc.isenabled()
            assert not gc.isenabled()
        assert gc.isenabled() is was_enabled
    finally:
        gc.enable()
