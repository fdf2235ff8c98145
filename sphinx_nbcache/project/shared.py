"""The shared store in a build: what is looked for there, and what is given to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sphinx_nbcache.config import Settings
from sphinx_nbcache.notices import Notice, Notify, Topic
from sphinx_nbcache.planning import Action, Planned, Why, why_not
from sphinx_nbcache.project.planner import Planner
from sphinx_nbcache.project.run import Settled
from sphinx_nbcache.project.validity import Validity
from sphinx_nbcache.sharing.leaving import Leaving
from sphinx_nbcache.sharing.packing import Offer
from sphinx_nbcache.sharing.remote import Remote
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.text import counted
from sphinx_nbcache.traces.names import PathNames

# How long what is published may keep a build from ending, after its last run.
_SECONDS = 10.0
_READ_ONLY = "https://"
# No result of another run would change these decisions.
_IN_ANY_CASE = frozenset({Why.FORCED})


class SharedResults:
    """Results that other builds have published, and those that this one publishes.

    Args:
        store: The local store.
        planner: Knows what notebooks have used before.
        validity: Checks whether results hold here.
        settings: The options, which name a shared store.
        root: The root.
        notify: Takes what there is to say.
    """

    def __init__(  # noqa: PLR0913 (what it works with)
        self,
        store: Store,
        planner: Planner,
        validity: Validity,
        settings: Settings,
        *,
        root: Path,
        notify: Notify,
    ) -> None:
        assert settings.remote is not None
        self._remote = Remote(settings.remote, store)
        self._planner = planner
        self._validity = validity
        self._settings = settings
        self._leaving = Leaving(store, PathNames(str(root)))
        self._notify = notify
        self._told: set[str] = set()
        self._last_run = 0.0
        self._is_publishing = False

    def bring(self, plan: Iterable[Planned]) -> bool:
        """Fetch results for notebooks that would have to be run; tell whether there were any.

        Their contents are fetched at once. A result may depend on files that come with others: the
        caller plans again, and asks again.
        """
        wanted = [planned for planned in plan if _may_be_spared(planned)]
        if not wanted:
            return False
        offers = self._remote.offers({planned.code_key for planned in wanted})
        self._validity.expect(offer.trace for found in offers.values() for offer in found)
        taken = False
        while chosen := self._chosen(wanted, offers):
            found = {stored.result.code_key for stored in self._remote.bring(chosen)}
            taken |= bool(found)
            wanted = [planned for planned in wanted if planned.code_key not in found]
            if self._remote.off is not None or found.issuperset(o.result.code_key for o in chosen):
                break
        self._tell()
        return taken

    def publish(self, notebooks: Sequence[Settled]) -> None:
        """Begin to publish the results of a build that are this account's."""
        if self._settings.remote_mode != "read-write":
            return
        if self._remote.url.startswith(_READ_ONLY):
            text = (
                "nothing is published: a site can only be read; set nbcache_remote_mode to"
                ' "read", or nbcache_remote to the address of the bucket or folder behind it'
            )
            self._notify(Notice(Topic.REMOTE, text, option="nbcache_remote_mode"))
            return
        self._last_run = time.monotonic()
        self._is_publishing = True
        results = {item.result.digest: item.result for item in notebooks if item.result is not None}
        self._remote.publish(results.values(), self._leaving)

    def finish(self) -> None:
        """Wait for what is being published, but not long."""
        left = max(0.0, self._last_run + _SECONDS - time.monotonic()) if self._is_publishing else 0
        published = self._remote.finish(left)
        if published:
            text = f"{counted(published, 'result')} published to {self._remote.url}"
            self._notify(Notice(Topic.REMOTE, text, is_information=True))
        self._is_publishing = False
        self._tell()

    def _chosen(
        self, wanted: Iterable[Planned], offers: Mapping[str, Sequence[Offer]]
    ) -> list[Offer]:
        """Return the newest result for each notebook that holds here and may be had."""
        found: dict[str, Offer] = {}
        for planned in wanted:
            for offer in offers.get(planned.code_key, ()):
                if self._remote.is_of_use(offer) and self._holds(planned, offer):
                    found[offer.digest] = offer
                    break
        return list(found.values())

    def _holds(self, planned: Planned, offer: Offer) -> bool:
        if why_not(offer.result, planned.rules, planned.scan) is not None:
            return False
        return self._validity.depends_on_this_world(
            planned, offer.result, offer.trace, lambda: self._planner.earlier(planned)
        )

    def _tell(self) -> None:
        """Say once why the shared store is not used, or was of no use. The build goes on."""
        url = self._remote.url
        if self._remote.off is not None:
            self._inform(f"{url} is not used any more in this build: {self._remote.off}")
        if spoilt := sorted(self._remote.spoilt.values()):
            more = f", and {len(spoilt) - 1} more" if len(spoilt) > 1 else ""
            self._inform(f"in {url}: {spoilt[0]}{more}; that counts as absent")

    def _inform(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._notify(Notice(Topic.REMOTE, text, is_information=True))


def _may_be_spared(planned: Planned) -> bool:
    decision = planned.decision
    return (
        decision.action in (Action.EXECUTE, Action.REFUSE)
        and decision.reason.why not in _IN_ANY_CASE
    )
