"""The collection of results in the store of a project."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sphinx_nbcache.files.paths import inner_path
from sphinx_nbcache.project.forgetting import forget_missing
from sphinx_nbcache.project.requests import (
    SHORTEST_DIGEST,
    ProjectError,
    Reference,
    StoreTroubleError,
    UnknownReferenceError,
    names_meant,
    store_trouble,
)
from sphinx_nbcache.results.artifacts import Artifact
from sphinx_nbcache.results.outputs import RunOutputs
from sphinx_nbcache.results.records import Sources, Status, Stored, StoreLimits
from sphinx_nbcache.store.checking import Finding, check_store
from sphinx_nbcache.store.opening import remove_older_folders
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.store.upkeep import (
    keep_limits,
    last_uses,
    read_limits,
    remove_results,
    write_limits,
)
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.trace import Trace

if TYPE_CHECKING:
    from sphinx_nbcache.sharing.packing import Offer, Parcel

Node = Mapping[str, Any]
"""A notebook in memory: an nbformat node."""


@dataclass(frozen=True, slots=True)
class StoredInfo:
    """The properties of a result that are available without loading its outputs.

    Attributes:
        id: A small integer, local to the store and never reused.
        digest: The SHA-256 of the result, in hexadecimal.
        notebook: The notebook that was run: a path relative to the root.
        created: The end of the run, in seconds since the epoch (UTC).
        accessed: The last use, in seconds since the epoch (UTC), to within an hour.
        status: How the run ended.
        seconds: The duration of the run.
        kernel: The name of the kernel.
        bytes: The size of its outputs, as far as known.
        artifacts: The files that the run wrote.
    """

    id: int
    digest: str
    notebook: str
    created: float
    accessed: float
    status: Status
    seconds: float
    kernel: str
    bytes: int
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """The results that an export wrote, and those that it left out.

    Attributes:
        exported: The results in the archive.
        left_out: The other results, each with the reason.
    """

    exported: tuple[Stored, ...]
    left_out: tuple[tuple[Stored, str], ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """The results that an import added.

    Attributes:
        added: The results that the store did not have.
        present: How many it had.
    """

    added: tuple[Stored, ...]
    present: int


class Results:
    """The results in the store. Iteration yields a [](StoredInfo) for each.

    Args:
        store: The store.
        root: The directory to which the names of notebooks are relative.
        used: Returns the digests of the results that notebooks of the project use.
        add: Adds an executed notebook: see [](Project).
    """

    def __init__(
        self,
        store: Store,
        root: Path,
        used: Callable[[], set[str]],
        add: Callable[[Path, Node | None, bool, Sequence[Path]], Stored],
    ) -> None:
        self._store = store
        self._root = root
        self._used = used
        self._add = add

    def __iter__(self) -> Iterator[StoredInfo]:
        uses = last_uses(self._store)
        return iter([_info(stored, uses) for stored in self._store.all_results()])

    def get(self, reference: Reference) -> Stored:
        """Return a result by its id, the start of its digest, or the path of its notebook.

        If a notebook has several results, return the newest one.

        Raises:
            UnknownReferenceError: No result matches, or several digests begin with the reference.
        """
        return _meant(reference, self._store.all_results(), self._root)

    def outputs(self, stored: Stored) -> RunOutputs:
        """Return the outputs of a result.

        Raises:
            StoreTroubleError: The outputs are missing or damaged.
        """
        with store_trouble():
            return self._store.outputs(stored.result)

    def sources(self, stored: Stored) -> list[str]:
        """Return the sources of the code cells that were run.

        Raises:
            StoreTroubleError: The sources are missing or damaged.
        """
        with store_trouble():
            content = self._store.blob(stored.result.sources)
        try:
            return msgspec.json.decode(content, type=Sources)
        except (msgspec.DecodeError, ValueError) as error:
            raise StoreTroubleError(f"the sources of result {stored.id}: {error}") from None

    def trace(self, stored: Stored) -> Trace | None:
        """Return the observed dependencies and products of a run.

        Returns:
            The trace, without `tracked` kinds if the notebook was executed elsewhere; `None` if it
            is missing or damaged.
        """
        return self._store.traces([stored.result]).get(stored.result.trace)

    def artifact(self, stored: Stored, path: str) -> bytes:
        """Return the content of a file that a run wrote.

        Args:
            stored: The result of the run.
            path: The path of the file, relative to the notebook's folder.

        Raises:
            UnknownReferenceError: The run wrote no such file.
            StoreTroubleError: The content is missing or damaged.
        """
        try:
            wanted = inner_path(path)
        except ValueError:
            wanted = path
        for artifact in stored.result.artifacts:
            if artifact.path == wanted:
                with store_trouble():
                    return b"".join(self._store.content(artifact))
        raise UnknownReferenceError(f"result {stored.id} has no artifact {path!r}")

    def add(
        self, path: Path | str, *, validate: bool = True, artifacts: Sequence[Path | str] = ()
    ) -> Stored:
        """Add a notebook that was executed elsewhere, as the result of its code.

        Args:
            path: The notebook's file.
            validate: Whether the execution counts must be those of a run from top to bottom.
            artifacts: Files that the run wrote, in or below the notebook's folder.

        Raises:
            ValidityError: The execution counts are wrong. The message names the cells.
            ProjectError: The file is not a notebook, or an artifact cannot be used.
            StoreTroubleError: The store cannot be written.
        """
        return self._add(Path(path).absolute(), None, validate, _absolute(artifacts))

    def add_node(
        self,
        node: Node,
        path: Path | str,
        *,
        validate: bool = True,
        artifacts: Sequence[Path | str] = (),
    ) -> Stored:
        """Add an executed notebook in memory, as the result of its code.

        Args:
            node: The notebook: an nbformat node, or equal dictionaries and lists. It is copied.
            path: The path of the notebook. The file is not read and need not exist.
            validate: Whether the execution counts must be those of a run from top to bottom.
            artifacts: Files that the run wrote, in or below the folder of `path`.

        Raises:
            ValidityError: The execution counts are wrong. The message names the cells.
            ProjectError: The node is not a notebook, or an artifact cannot be used.
            StoreTroubleError: The store cannot be written.
        """
        return self._add(Path(path).absolute(), node, validate, _absolute(artifacts))

    def remove(self, references: Iterable[Reference]) -> list[Stored]:
        """Remove results.

        Raises:
            UnknownReferenceError: A reference is unknown. No result is removed.
            StoreTroubleError: The store cannot be written.
        """
        # Resolve all references before the first removal.
        everything = self._store.all_results()
        found = [_meant(reference, everything, self._root) for reference in references]
        return self._remove(list({stored.id: stored for stored in found}.values()))

    def clear(self) -> list[Stored]:
        """Remove all results.

        Raises:
            StoreTroubleError: The store cannot be written.
        """
        return self._remove(self._store.all_results())

    def prune(self) -> list[Stored]:
        """Remove the results that no notebook of the project uses, and stores in older formats.

        The records of files that no longer exist are removed as well.

        Raises:
            StoreTroubleError: The store cannot be written.
        """
        # Plan first: if planning fails, no result is removed.
        used = self._used()
        with store_trouble():
            for folder in remove_older_folders(self._store.folder):
                self._store.access.inform(f"removed {folder}, a store in an older format")
            forget_missing(self._store.access, self._root, time.time(), at_once=True)
        return self._remove([s for s in self._store.all_results() if s.digest not in used])

    @property
    def limits(self) -> StoreLimits:
        """The limits of the store."""
        return read_limits(self._store)

    def set_limits(self, *, count: int | None, size: int | None) -> None:
        """Set the limits of the store; results in excess are removed at once.

        Args:
            count: The number of results, at least 1; `None` for no limit.
            size: The number of bytes on the disk, at least 1; `None` for no limit.

        Raises:
            ValueError: A limit is below 1.
            StoreTroubleError: The store cannot be written.
        """
        for limit in (count, size):
            if limit is not None and limit < 1:
                raise ValueError(f"a limit must be 1 or more, or none, not {limit}")
        with store_trouble():
            write_limits(self._store, StoreLimits(count, size))
        keep_limits(self._store)

    def export(self, path: Path | str, *, only_used: bool = False) -> Exported:
        """Write results into an archive for [](import_archives). Equal results give equal bytes.

        Args:
            path: The file. One that exists is replaced.
            only_used: Whether to leave out what [](prune) would remove.

        Raises:
            OSError: The file cannot be written.
        """
        from sphinx_nbcache.sharing.archive import write_archive
        from sphinx_nbcache.sharing.leaving import Leaving, StaysError

        used = self._used() if only_used else None
        leaving = Leaving(self._store, PathNames(str(self._root)))
        exported: list[Stored] = []
        left_out: list[tuple[Stored, str]] = []

        def parcels() -> Iterator[tuple[str, Parcel]]:
            for stored in sorted(self._store.all_results(), key=lambda stored: stored.digest):
                if used is not None and stored.digest not in used:
                    continue
                try:
                    parcel = leaving.parcel(stored)
                except StaysError as error:
                    left_out.append((stored, str(error)))
                    continue
                exported.append(stored)
                yield stored.result.code_key, parcel

        write_archive(Path(path), parcels())
        return Exported(tuple(exported), tuple(left_out))

    def import_archives(self, paths: Iterable[Path | str]) -> Imported:
        """Add the results of archives: all, or none if there is trouble.

        They are not marked as results of this account.

        Raises:
            ProjectError: A file is no archive of results, or is not safe.
            StoreTroubleError: The store cannot be written.
            OSError: A file cannot be read.
        """
        from sphinx_nbcache.sharing.archive import Archive, ArchiveError
        from sphinx_nbcache.sharing.arriving import take_in

        with ExitStack() as stack:
            try:
                archives = [stack.enter_context(Archive(Path(path))) for path in paths]
                of = {offer.digest: archive for archive in archives for offer in archive.offers}
                offers = {offer.digest: offer for archive in archives for offer in archive.offers}

                def fetch(offer: Offer) -> Parcel:
                    return of[offer.digest].parcel(offer)

                # Also those that the store has: an archive that is damaged is never half right.
                for offer in offers.values():
                    fetch(offer)
                with store_trouble():
                    added = take_in(self._store, offers.values(), fetch)
            except ArchiveError as error:
                raise ProjectError(str(error)) from None
        keep_limits(self._store)
        return Imported(tuple(added), len(offers) - len(added))

    def check(self, *, fix: bool = False) -> list[Finding]:
        """Check the whole store for damage.

        Args:
            fix: Whether to remove damaged entries.

        Raises:
            StoreTroubleError: The store cannot be read or written.
        """
        with store_trouble():
            return check_store(self._store, fix=fix)

    def _remove(self, results: list[Stored]) -> list[Stored]:
        with store_trouble():
            remove_results(self._store, results)
        return results


def _absolute(paths: Sequence[Path | str]) -> list[Path]:
    return [Path(path).absolute() for path in paths]


def _info(stored: Stored, uses: dict[int, int]) -> StoredInfo:
    result = stored.result
    return StoredInfo(
        id=stored.id,
        digest=stored.digest,
        notebook=result.notebook,
        created=result.finished,
        # Uses are recorded late, or not at all if the store was read-only.
        accessed=max(result.finished, uses.get(stored.id, 0)),
        status=result.status,
        seconds=result.seconds,
        kernel=result.kernel,
        bytes=result.bytes,
        artifacts=result.artifacts,
    )


def _meant(reference: Reference, results: Sequence[Stored], root: Path) -> Stored:
    if isinstance(reference, int):
        found = [stored for stored in results if stored.id == reference]
        what = f"with the id {reference}"
    else:
        text, what = str(reference), repr(str(reference))
        found = [s for s in results if len(text) >= SHORTEST_DIGEST and s.digest.startswith(text)]
        if len(found) > 1:
            raise UnknownReferenceError(f"several digests of results begin with {what}")
        if not found:
            names = names_meant(reference, root)
            found = [stored for stored in results if stored.result.notebook in names]
    if not found:
        raise UnknownReferenceError(f"the store has no result {what}")
    return max(found, key=lambda stored: stored.id)
