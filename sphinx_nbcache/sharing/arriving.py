"""The one way into a store for results that were made elsewhere: checked before, and never marked.

So what they may bring back is what the rules for results without our mark allow
(docs/explanation/security.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sphinx_nbcache.results.records import Stored
from sphinx_nbcache.sharing.packing import Offer, Parcel
from sphinx_nbcache.store.store import Store

Fetch = Callable[[Offer], Parcel | None]
"""Returns an offered result with its contents; `None` if they cannot be had."""


def unknown(store: Store, offers: Iterable[Offer]) -> list[Offer]:
    """Return the offers that a store does not have whole, each once, in the order of their runs."""
    found = {offer.digest: offer for offer in offers}
    has = store.results_of({offer.result.code_key for offer in found.values()})
    whole = {
        stored.digest
        for results in has.values()
        for stored in results
        if stored.digest in found and store.missing_outputs(stored.result) is None
    }
    new = [offer for digest, offer in found.items() if digest not in whole]
    return sorted(new, key=lambda offer: (offer.result.finished, offer.digest))


def take_in(store: Store, offers: Iterable[Offer], fetch: Fetch) -> list[Stored]:
    """Put results into a store, in one transaction; return those that it did not have.

    An exception of `fetch` leaves the store as it was.

    Raises:
        ShelfError: The store cannot be written.
    """
    taken = []
    with store.access.transaction():
        # Looked up inside the transaction: another process may take in the same results.
        for offer in unknown(store, offers):
            if (parcel := fetch(offer)) is not None:
                contents = {**parcel.contents, offer.result.trace: parcel.trace}
                taken.append(store.accept(offer.result, parcel.record, contents))
    return taken
