"""Transactions: what they have read, as it was then, and whether it still holds. Optimistic.

Real Firestore locks what a transaction reads; here nobody waits, and the transaction that commits
second is ABORTED. The client library begins it again in both cases.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from infra.emulators.firestore.documents import Document, Documents, Selector
from infra.emulators.firestore.names import Path


class View(Protocol):
    """Documents that can be read: the database as it is, or a snapshot of it."""

    def get(self, path: Path) -> Document | None: ...

    def select(self, selector: Selector) -> Iterator[Document]: ...


@dataclass(frozen=True)
class Found:
    """What a query finds, in order, after it has skipped what its offset says."""

    documents: list[Document]
    skipped: int = 0


Query = Callable[[View], Found]
Versions = tuple[tuple[Path, datetime], ...]


class Snapshot:
    """The documents as they were at one moment: copies are kept of those that changed since."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._before: dict[Path, Document | None] = {}  # None: it did not exist

    def get(self, path: Path) -> Document | None:
        return self._before[path] if path in self._before else self._documents.get(path)

    def select(self, selector: Selector) -> Iterator[Document]:
        for document in self._documents.select(selector):
            if document.path not in self._before:
                yield document
        for path, old in self._before.items():
            if old is not None and selector(path[:-1]):
                yield old

    def keep(self, path: Path, before: Document | None) -> None:
        """Keep how `path` was, for it is about to change."""
        self._before.setdefault(path, before)

    def changed(self, paths: set[Path]) -> bool:
        return not paths.isdisjoint(self._before)


@dataclass(frozen=True)
class _QueryRead:
    run: Query
    seen: Versions


class Transaction:
    """What one transaction reads, all as of its first read; `begun` is in monotonic seconds."""

    def __init__(self, documents: Documents, *, read_only: bool, begun: float) -> None:
        self.read_only = read_only
        self.begun = begun
        self._documents = documents
        self._snapshot: Snapshot | None = None
        self._read: set[Path] = set()
        self._queries: list[_QueryRead] = []

    def get(self, path: Path) -> Document | None:
        self._read.add(path)
        return self._view().get(path)

    def run(self, query: Query) -> Found:
        found = query(self._view())
        self._queries.append(_QueryRead(query, _versions(found)))
        return found

    def notice(self, path: Path, before: Document | None) -> None:
        """Take note that another commit is about to change the document at `path`."""
        if self._snapshot is not None:
            self._snapshot.keep(path, before)

    def holds(self) -> bool:
        """Tell whether reading again would give the same: documents unchanged, no new matches."""
        if self._snapshot is None:
            return True
        if self._snapshot.changed(self._read):
            return False
        return all(_versions(q.run(self._documents)) == q.seen for q in self._queries)

    def _view(self) -> Snapshot:
        if self._snapshot is None:
            self._snapshot = Snapshot(self._documents)
        return self._snapshot


def _versions(found: Found) -> Versions:
    return tuple((document.path, document.update_time) for document in found.documents)
