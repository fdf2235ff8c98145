"""Suggestions for misspelt names: used for every name that users write."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known name most similar to a word; empty if none is similar.

    Args:
        word: The name as the user wrote it.
        known: The names that exist.
    """
    from difflib import get_close_matches

    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.strip().lower(), by_lower, n=1)
    return by_lower[found[0]] if found else ""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return a question to append to a message about an unknown name; empty if nothing is similar.

    Args:
        word: The name as the user wrote it; only strings have a nearest name.
        known: The names that exist.
    """
    found = nearest(word, known) if isinstance(word, str) else ""
    return f"; did you mean `{found}`?" if found else ""


def one_edit_away(word: str, known: Iterable[str]) -> str:
    """Return the known name that is one typing error away from a word; empty if there is none.

    A typing error is a character too many, missing, or replaced, two swapped neighbours, or the
    wrong case. Where free words are allowed as well, such as the tags of cells, a word that
    differs more is probably intended.

    Args:
        word: The name as the user wrote it.
        known: The names that exist.
    """
    names = tuple(known)
    if word in names:
        return ""
    return next((name for name in names if _is_one_edit(word.lower(), name.lower())), "")


def _is_one_edit(word: str, name: str) -> bool:
    start = 0
    while start < min(len(word), len(name)) and word[start] == name[start]:
        start += 1
    rest, expected = word[start:], name[start:]
    is_swapped = rest[:2] == expected[:2][::-1] and rest[2:] == expected[2:]
    return is_swapped or rest == expected[1:] or rest[1:] == expected or rest[1:] == expected[1:]
