"""Results leave a store in a form that says nothing about the machine or its user."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from sphinx_nbcache.results.outputs import OutputsError
from sphinx_nbcache.results.records import Result, Status, Stored, content_digest
from sphinx_nbcache.sharing.packing import LARGEST_BLOB, LARGEST_LINE, LARGEST_RESULT, Parcel
from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.facts import EnvironmentVariable, Location
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.trace import Trace
from sphinx_nbcache.traces.variables import SecretKey, is_secret, keyed_digest

# At the start of a text, or after a separator: a path from `/`, with a drive, or of a network.
# An address such as `https://host/a` is none.
_ABSOLUTE = re.compile(
    r"""(?:^|(?<=[\s'"=:(\[,;]))(?:/(?=[^\s/])|[A-Za-z]:[\\/]|\\\\)[^\s'",;)\]]*"""
)


class StaysError(Exception):
    """A result must not leave its store. The message says why."""


class Leaving:
    """Prepares results to leave a store.

    Args:
        store: The store.
        names: The root and the home directory, which no result that leaves may mention.
    """

    def __init__(self, store: Store, names: PathNames) -> None:
        self._store = store
        self._names = names

    def parcel(self, stored: Stored) -> Parcel:
        """Return a result with all that belongs to it.

        Raises:
            StaysError: The result must not, or cannot, leave.
        """
        result = stored.result
        trace = self._store.traces([result]).get(result.trace)
        if result.status is not Status.OK or result.failure is not None:
            raise StaysError("its run failed")
        if trace is None:
            raise StaysError("its dependencies are missing in the store")
        if trace.unreliable is not None:
            raise StaysError(f"it cannot be reused: {trace.unreliable}")
        try:
            contents = {d: self._store.blob(d) for d in result.blobs if d != result.trace}
        except OutputsError as error:
            raise StaysError(str(error)) from None
        if any(len(content) > LARGEST_BLOB for content in contents.values()):
            raise StaysError(f"a content is larger than {LARGEST_BLOB >> 20} MiB")
        if sum(map(len, contents.values())) > LARGEST_RESULT:
            raise StaysError(f"its contents are larger than {LARGEST_RESULT >> 20} MiB")
        self._refuse_mentions(contents.values())
        public = without_secrets(trace, self._store.access.marks.variable_key)
        return _parcel(result, public, contents)

    def _refuse_mentions(self, contents: Iterable[bytes]) -> None:
        texts = (text for content in contents if (text := _text(content)) is not None)
        root, home = self._names.mentioned(texts)
        if root is not None or home is not None:
            what = "the path of the project" if root is not None else "the home directory"
            raise StaysError(f"its outputs, sources or files name {what}")


def _parcel(result: Result, trace: Trace, contents: dict[str, bytes]) -> Parcel:
    """Put a result together. The parts that are left out are for the log of this machine only."""
    untracked = tuple(_ABSOLUTE.sub(_last_part, text) for text in trace.untracked)
    traced = encoded(msgspec.structs.replace(trace, untracked=untracked))
    digest = content_digest(traced)
    record = msgspec.structs.replace(
        result,
        trace=digest,
        retried=(),
        blobs=tuple(sorted({*contents, digest})),
        bytes=sum(map(len, contents.values())) + len(traced),
    )
    for value in (msgspec.to_builtins(record), msgspec.json.decode(traced)):
        for text in _texts(value):
            if found := _ABSOLUTE.search(text):
                raise StaysError(f"it depends on a place of this machine: {found[0][:200]}")
    parcel = Parcel(encoded(record), traced, contents)
    if len(parcel.record) + len(traced) > LARGEST_LINE:
        raise StaysError("it depends on too many files")
    return parcel


def without_secrets(trace: Trace, key: SecretKey) -> Trace:
    """Return a trace without digests of secrets: only whether such a variable was unset is kept.

    Raises:
        StaysError: The result depends on the value of a secret.
    """
    facts = [_without_value(fact, key) for fact in trace.facts]
    return msgspec.structs.replace(trace, facts=tuple(facts))


def _without_value(fact: Any, key: SecretKey) -> Any:
    if isinstance(fact, Location):
        raise StaysError(f"it depends on where {fact.in_words()}")
    if not isinstance(fact, EnvironmentVariable):
        return fact
    if fact.digest is not None and not is_secret(fact.name):
        return fact
    if fact.digest == "" or _was_unset(fact, key):
        # The same form as for other variables that are not set.
        return EnvironmentVariable(fact.name, "")
    raise StaysError(f"it depends on the variable {fact.name}, which looks like a secret")


def _was_unset(fact: EnvironmentVariable, key: SecretKey) -> bool:
    own = key(make=False)
    return own is not None and bool(fact.keyed) and fact.keyed == keyed_digest(fact.name, {}, own)


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in JSON, names of fields included."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            waiting += value


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _last_part(match: re.Match[str]) -> str:
    return re.split(r"[\\/]", match[0].rstrip("\\/"))[-1]
