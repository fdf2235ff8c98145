"""A shared store behind the local one: look-ups, publishing, and compaction. There is no lock.

Objects are named by their content and never change; what is there is the union of all packs. A
pack is written after what it names, and deleted only by who has written another one with all its
results. So nothing that was acknowledged is lost, whoever writes or is killed meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain

import msgspec

from sphinx_nbcache.results.records import SCHEMA, Stored, content_digest
from sphinx_nbcache.sharing.arriving import take_in
from sphinx_nbcache.sharing.client import Client, OffError
from sphinx_nbcache.sharing.leaving import Leaving, StaysError
from sphinx_nbcache.sharing.packing import (
    BLOBS,
    BUNDLES,
    INDEX,
    LARGEST_OBJECT,
    PACKS,
    Line,
    Offer,
    Parcel,
    UnusableError,
    index_of,
    lines_of,
    offer_of,
    packs_of,
    parcel_of,
    refuse_spoilt,
    wrap,
)
from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.opening import folder_name
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.store.upkeep import PACK, PUBLISHED, Digests

_PACK_NAME = re.compile(r"p/[0-9a-f]{64}", re.ASCII)
# A reader asks for each pack once, so that many small ones cost time; a compactor reads them all.
_MANY_PACKS = 64
_SMALL_PACK = 1 << 20
_RESULTS_PER_KEY = 20
# The size of a part that is published at once: a build that has little time publishes some.
_BATCH_BYTES, _BATCH_RESULTS = 1 << 23, 200
_ROUNDS = 3


class Remote:
    """The results of others, and those that are given to them.

    Attributes:
        url: The address.
        spoilt: Why objects were of no use, by name.
        client: Talks to the helper.

    Args:
        url: The address.
        store: The local store.
    """

    def __init__(self, url: str, store: Store) -> None:
        self.url = url
        self.spoilt: dict[str, str] = {}
        self._missing: set[str] = set()
        self._store = store
        self.client = Client(url, folder_name(SCHEMA))
        self._published_key = f"{PUBLISHED}{content_digest(url.encode())}"
        self._packs: dict[str, bytes] | None = None

    @property
    def off(self) -> str | None:
        """Why the place is not used any more in this build; `None` while it is."""
        return self.client.off

    def offers(self, code_keys: Collection[str]) -> dict[str, list[Offer]]:
        """Return the results that are there under code keys, the newest first.

        Packs that an earlier build has read are not read again.
        """
        try:
            if self._packs is None:
                self._packs = self._current_packs()
        except OffError:
            return {}
        found: dict[str, dict[str, Offer]] = {}
        for line in self._lines(self._packs):
            if line.key in code_keys:
                try:
                    offer = offer_of(line)
                except UnusableError as error:
                    self.spoilt[f"r/{line.digest}"] = str(error)
                else:
                    found.setdefault(line.key, {})[offer.digest] = offer
        return {key: _newest(offers.values()) for key, offers in found.items()}

    def bring(self, offers: Iterable[Offer]) -> list[Stored]:
        """Fetch results at once, and put those that arrive whole into the local store."""
        wanted = list(offers)
        limits = {name: self._limit(name, offer) for offer in wanted for name in offer.objects}
        try:
            objects = self.client.get(limits)
        except OffError:
            return []

        def fetch(offer: Offer) -> Parcel | None:
            if not objects.keys() >= set(offer.objects):
                # A lifecycle rule has removed it, or the place is off by now.
                self._missing.add(offer.digest)
                return None
            try:
                return parcel_of(offer, objects)
            except UnusableError as error:
                self.spoilt[offer.digest] = str(error)
                return None

        try:
            return take_in(self._store, wanted, fetch)
        except ShelfError:
            return []  # the build tells that the store cannot be written

    def is_of_use(self, offer: Offer) -> bool:
        """Tell whether the contents of a result may be there: no request for them has failed."""
        return offer.digest not in self.spoilt and offer.digest not in self._missing

    def publish(self, results: Iterable[Stored], leaving: Leaving) -> None:
        """Begin to publish results of this account that were not published before."""
        known = self._published()
        new = [s for s in results if s.is_marked and s.digest not in known]
        stays: list[str] = []
        try:
            for batch in _batches(self._parcels(new, leaving, stays)):
                objects: dict[str, bytes] = {}
                lines: list[Line] = []
                for stored, parcel in batch:
                    line, contents = wrap(parcel, stored.result.code_key)
                    lines.append(line)
                    objects |= contents
                self.client.put_later(objects)
                packs = {PACKS + content_digest(pack): pack for pack in packs_of(lines)}
                # Only now: a result that is found is there.
                self.client.put_later(packs, [stored.digest for stored, _ in batch])
        except OffError:
            pass
        self._note_published(stays)

    def finish(self, seconds: float) -> int:
        """Wait for what is being published, tidy up, and end the helper.

        Args:
            seconds: The longest wait.

        Returns:
            How many results were published.
        """
        written = self.client.written(seconds)
        self._note_published(written)
        if written and self.off is None:
            with suppress(OffError):
                self._tidy()
        self.client.close()
        self._packs = None
        return len(written)

    def _parcels(
        self, results: Iterable[Stored], leaving: Leaving, stays: list[str]
    ) -> Iterator[tuple[Stored, Parcel]]:
        for stored in results:
            try:
                yield stored, leaving.parcel(stored)
            except StaysError:
                stays.append(stored.digest)

    def _limit(self, name: str, offer: Offer) -> int:
        is_large = name.startswith(BLOBS)
        return offer.large[name.removeprefix(BLOBS)] if is_large else LARGEST_OBJECT[BUNDLES]

    # -- packs

    def _current_packs(self) -> dict[str, bytes]:
        """Return all packs by name: those that are remembered, and those that are new.

        Raises:
            OffError: The place does not work.
        """
        for _ in range(_ROUNDS):
            names = self.listed()
            remembered = self._store.access.get_many(map(_pack_key, names))
            packs = {PACKS + key.removeprefix(PACK): pack for key, pack in remembered.items()}
            new = [name for name in names if name not in packs]
            fetched = self.client.get(dict.fromkeys(new, LARGEST_OBJECT[PACKS]))
            self._remember(fetched, names)
            packs |= fetched
            # A compactor has put one that is missing into another one meanwhile.
            if self.off is not None or all(name in packs for name in new):
                break
        return packs

    def listed(self) -> list[str]:
        """Return the names of the packs that are there.

        Raises:
            OffError: The place does not work.
        """
        return sorted(name for name in self.client.names(PACKS) if _PACK_NAME.fullmatch(name))

    def _remember(self, fetched: Mapping[str, bytes], listed: Collection[str]) -> None:
        gone = set(self._store.access.keys(PACK)) - set(map(_pack_key, listed))
        whole = {}
        for name, content in fetched.items():
            with suppress(UnusableError):
                refuse_spoilt(name, content)
                whole[_pack_key(name)] = content
        if whole or gone:
            with suppress(ShelfError):
                self._store.access.write(whole, gone)

    def _lines(self, packs: Mapping[str, bytes]) -> Iterator[Line]:
        for name, content in packs.items():
            try:
                refuse_spoilt(name, content)
            except UnusableError as error:
                self.spoilt[name] = str(error)
                continue
            for line in lines_of(content):
                if isinstance(line, Line):
                    yield line
                else:
                    self.spoilt[name] = str(line)

    def _tidy(self) -> None:
        """Write the index for readers who cannot list, and merge small packs if there are many.

        Raises:
            OffError: The place does not work.
        """
        names = self.listed()
        if len(names) > _MANY_PACKS:
            names = self._compacted(names)
        self.client.put({INDEX: index_of(names)})

    def _compacted(self, names: Collection[str]) -> list[str]:
        packs = self._current_packs()
        small = {
            name: content
            for name, content in packs.items()
            if len(content) < _SMALL_PACK and _is_whole(name, content)
        }
        if len(small) <= _MANY_PACKS:
            return sorted(names)
        by_key: dict[str, dict[str, Line]] = {}
        for line in chain.from_iterable(map(lines_of, small.values())):
            if isinstance(line, Line):
                by_key.setdefault(line.key, {})[line.digest] = line
        lines = (line for key in sorted(by_key) for line in _newest_lines(by_key[key].values()))
        merged = {PACKS + content_digest(pack): pack for pack in packs_of(lines)}
        self.client.put(merged)
        gone = small.keys() - merged.keys()
        self.client.delete(sorted(gone))
        return sorted({*names, *merged} - gone)

    # -- what was published

    def _published(self) -> frozenset[str]:
        return frozenset(self._store.access.read(self._published_key, Digests) or ())

    def _note_published(self, digests: Iterable[str]) -> None:
        """Remember that results need not be published, and forget those that are gone."""
        if not (new := set(digests)):
            return
        here = {key.removeprefix("result/") for key in self._store.access.keys("result/")}
        kept = sorted((self._published() | new) & here)
        with suppress(ShelfError):
            self._store.access.write({self._published_key: encoded(kept)})


def _pack_key(name: str) -> str:
    return PACK + name.removeprefix(PACKS)


def _is_whole(name: str, content: bytes) -> bool:
    """Tell whether a pack and all its lines can be read: a damaged one is left as it is."""
    try:
        refuse_spoilt(name, content)
    except UnusableError:
        return False
    return all(isinstance(line, Line) for line in lines_of(content))


def _newest(offers: Iterable[Offer]) -> list[Offer]:
    found = sorted(offers, key=lambda o: (o.result.finished, o.digest), reverse=True)
    return found[:_RESULTS_PER_KEY]


class _Times(msgspec.Struct):
    started: float
    seconds: float


def _newest_lines(lines: Iterable[Line]) -> list[Line]:
    """Return the newest lines of a key. One that does not say its time counts as old."""

    def time_of(line: Line) -> tuple[float, str]:
        try:
            times = msgspec.json.decode(line.result, type=_Times)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return 0.0, line.digest
        return times.started + times.seconds, line.digest

    return sorted(lines, key=time_of, reverse=True)[:_RESULTS_PER_KEY]


def _batches(
    parcels: Iterable[tuple[Stored, Parcel]],
) -> Iterator[list[tuple[Stored, Parcel]]]:
    batch: list[tuple[Stored, Parcel]] = []
    size = 0
    for stored, parcel in parcels:
        batch.append((stored, parcel))
        size += sum(map(len, parcel.contents.values()))
        if size > _BATCH_BYTES or len(batch) == _BATCH_RESULTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
