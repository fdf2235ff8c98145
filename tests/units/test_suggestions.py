"""Which known name a user meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.text import did_you_mean, nearest, one_edit_away

TAGS = ("hide-input", "hide-output", "skip-execution")


@pytest.mark.parametrize(
    ("word", "found"),
    [("precent", "percent"), ("Percent", "percent"), (" percnt", "percent"), ("xyz", "")],
)
def test_the_nearest_name_is_found_whatever_its_case(word: str, found: str) -> None:
    assert nearest(word, ["light", "percent", "sphinx"]) == found


def test_a_question_is_asked_only_where_there_is_a_name_for_it() -> None:
    assert did_you_mean("ligth", ["light"]) == "; did you mean `light`?"
    assert did_you_mean("ligth", []) == ""
    assert did_you_mean(7, ["light"]) == ""


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("hide-inputs", "hide-input"),
        ("hid-input", "hide-input"),
        ("hide_input", "hide-input"),
        ("Hide-Input", "hide-input"),
        ("hide-inptu", "hide-input"),
        ("skip_execution", "skip-execution"),
        ("hide-input", ""),
        ("hide-in", ""),
        ("hide", ""),
        ("parameters", ""),
        ("", ""),
    ],
)
def test_one_slip_is_told_from_a_word_of_its_own(word: str, meant: str) -> None:
    assert one_edit_away(word, TAGS) == meant


@given(name=st.text("ab-", min_size=3, max_size=8), data=st.data())
def test_every_single_slip_is_seen(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    slips = [
        name[:at] + name[at + 1 :],
        name[:at] + "x" + name[at:],
        name[:at] + "x" + name[at + 1 :],
        name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
    ]
    for slip in slips:
        assert slip == name or one_edit_away(slip, [name]) == name
    assert one_edit_away(name + "xy", [name]) == ""
