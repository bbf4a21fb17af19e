"""One database: reads, atomic commits, transactions, and a clock that never stands still."""

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from infra.emulators.firestore import writes
from infra.emulators.firestore.documents import Document, Documents
from infra.emulators.firestore.errors import aborted, failed_precondition, invalid, unimplemented
from infra.emulators.firestore.names import Path
from infra.emulators.firestore.transactions import Found, Query, Transaction
from infra.emulators.firestore.values import Value
from infra.emulators.firestore.writes import Outcome, Write

TRANSACTION_SECONDS = 270.0  # Firestore's own limit
STALE_READ = timedelta(hours=1)
_TICK = timedelta(microseconds=1)

TransactionId = bytes
Staged = dict[Path, Document | None]  # None: deleted
Results = tuple[Value, ...]
# Called after each commit, with its time and the documents that it has written.
Watcher = Callable[[datetime, Collection[Path]], None]


class Clock:
    """Wall-clock time in microseconds; every tick is later than the one before."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """Return a time not before any commit."""
        return max(datetime.now(UTC), self._last)

    def tick(self) -> datetime:
        self._last = max(datetime.now(UTC), self._last + _TICK)
        return self._last


@dataclass(frozen=True)
class Commit:
    time: datetime
    outcomes: tuple[Outcome, ...]


class Database:
    """Every method runs in one go on the server's event loop: nothing comes between its steps."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.documents = Documents()
        self._clock = clock or Clock()
        self._committed = datetime.min.replace(tzinfo=UTC)
        self._watchers: list[Watcher] = []
        self._forget_transactions()

    def read_time(self) -> datetime:
        return self._clock.now()

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers.remove(watcher)

    def clear(self) -> None:
        """Delete every document and forget every transaction."""
        paths = [document.path for document in self.documents.select(lambda _: True)]
        self.documents = Documents()
        self._forget_transactions()
        self._tell(self._clock.tick(), paths)

    def check_read_time(self, at: datetime) -> None:
        """Refuse a read of the past, unless nothing has changed since: no old versions are kept."""
        now = datetime.now(UTC)
        if at > now:
            raise invalid("The requested 'read_time' cannot be in the future.")
        if at < now - STALE_READ:
            raise failed_precondition("The requested 'read_time' is too old.")
        if at < self._committed:
            raise unimplemented("The embedded Firestore keeps no past versions of documents.")

    def get(self, path: Path, transaction: TransactionId = b"") -> Document | None:
        reader = self._transaction(transaction) if transaction else self.documents
        return reader.get(path)

    def run(self, query: Query, transaction: TransactionId = b"") -> Found:
        if transaction:
            return self._transaction(transaction).run(query)
        return query(self.documents)

    def commit(self, changes: Sequence[Write], transaction: TransactionId = b"") -> Commit:
        """Apply all of `changes` in order, or none of them.

        Raises what `writes.apply` does, ABORTED if what `transaction` read has changed, and
        INVALID_ARGUMENT for a transaction that is not open or may not write. It closes
        `transaction` in every case.
        """
        if transaction:
            self._check_commit(transaction, changes)
        writes.check_repeats(changes)
        now = self._clock.tick()
        staged, results = self._stage(changes, now)
        for path, document in staged.items():
            self._store(path, document)
        self._tell(now, staged)
        written = zip(changes, results, strict=True)
        return Commit(now, tuple(Outcome(staged[write.path], done) for write, done in written))

    def begin(self, *, read_only: bool = False) -> TransactionId:
        self._expire()
        self._begun += 1
        transaction = self._mark + self._begun.to_bytes(8)
        opened = Transaction(self.documents, read_only=read_only, begun=time.monotonic())
        self._open[transaction] = opened
        return transaction

    def rollback(self, transaction: TransactionId) -> None:
        """End a transaction; ending one twice is no error."""
        if not self._is_closed(transaction):
            self._transaction(transaction)
            del self._open[transaction]

    def _stage(self, changes: Sequence[Write], now: datetime) -> tuple[Staged, list[Results]]:
        """Compute every document after the commit, and the transforms' results of each write."""
        staged: Staged = {}
        results = []
        for write in changes:
            if write.path in staged:
                step, before = writes.without_precondition(write), staged[write.path]
            else:
                step, before = write, self.documents.get(write.path)
            outcome = writes.apply(step, before, now)
            staged[write.path] = outcome.document
            results.append(outcome.transform_results)
        return staged, results

    def _store(self, path: Path, document: Document | None) -> None:
        before = self.documents.get(path)
        if document is None and before is None:
            return
        if document and before and document.update_time == before.update_time:
            return
        for transaction in self._open.values():
            transaction.notice(path, before)
        if document is None:
            self.documents.remove(path)
        else:
            self.documents.put(document)

    def _tell(self, committed: datetime, paths: Collection[Path]) -> None:
        self._committed = committed
        for watcher in self._watchers:
            watcher(committed, paths)

    def _forget_transactions(self) -> None:
        self._open: dict[TransactionId, Transaction] = {}
        self._mark = secrets.token_bytes(8)  # what ids of this database's transactions begin with
        self._begun = 0

    def _check_commit(self, transaction: TransactionId, changes: Sequence[Write]) -> None:
        opened = self._transaction(transaction)
        del self._open[transaction]
        if opened.read_only and changes:
            raise invalid("Cannot modify entities in a read-only transaction.")
        if not opened.read_only and not opened.holds():
            raise aborted("What the transaction has read was changed by another commit.")

    def _transaction(self, transaction: TransactionId) -> Transaction:
        self._expire()
        if transaction in self._open:
            return self._open[transaction]
        if self._is_closed(transaction):
            raise invalid("Transaction is invalid or closed.")
        raise invalid("Invalid transaction.")

    def _expire(self) -> None:
        oldest = time.monotonic() - TRANSACTION_SECONDS
        for transaction in [t for t, opened in self._open.items() if opened.begun < oldest]:
            del self._open[transaction]

    def _is_closed(self, transaction: TransactionId) -> bool:
        mark, number = transaction[:8], int.from_bytes(transaction[8:])
        was_begun = mark == self._mark and 0 < number <= self._begun
        return was_begun and transaction not in self._open
