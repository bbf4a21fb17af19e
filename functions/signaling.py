"""The one path of a signal: load, decide, commit, notify, publish."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from functions.calls.call import Call, ConnectionId, SignalId, UserId
from functions.calls.decision import UNAVAILABLE, Verdict, decide
from functions.calls.event import CallEvent
from functions.calls.transitions import Signal
from functions.copies import HANDLER_AT_WORK
from functions.notification import Report, notify
from functions.sender import sender_of
from functions.services.apigateway import Sockets
from functions.services.documents import Connection, StoredCall
from functions.services.firestore import Reloaded, Store
from functions.services.pubsub import Publisher, PublishFailed
from functions.services.remote import StoreConflict, StoreUnavailable
from functions.telemetry import Log, latency_ms
from functions.warmup import Step

_COMMITS = 3  # tries: a call changes once or twice in its life, so a third conflict means trouble
_TRIED_FOR = timedelta(seconds=10)

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """When and on which connection a frame came, and the id its signal goes by."""

    connection: ConnectionId
    signal_id: SignalId
    now: datetime
    requested: datetime | None  # when API Gateway got the frame


class Signaling:
    """Carries signals out."""

    def __init__(
        self,
        store: Store,
        sockets: Sockets,
        publisher: Publisher,
        *,
        direct_post_timeout: timedelta,
    ) -> None:
        self._store = store
        self._sockets = sockets
        self._publisher = publisher
        self._direct_post_timeout = direct_post_timeout

    async def handle(self, signal: Signal, received: Received) -> Verdict:
        """The verdict on `signal`, true by the time it is returned.

        `unavailable` means that Firestore or Pub/Sub failed us: nothing is written, or all is,
        and then the outbox has the event. Repeating the signal is safe.
        """
        try:
            return await self._decide(signal, received)
        except (StoreUnavailable, PublishFailed) as error:
            log.error("signal failed", **_fields(signal, received), error=str(error))
            return UNAVAILABLE

    def warm_up_steps(self) -> Sequence[Step]:
        return (self._sockets.warm_up, self._publisher.warm_up)

    async def _decide(self, signal: Signal, received: Received) -> Verdict:
        loaded = await self._store.load(received.connection, signal.call_id, received.now)
        # Judged by this first look: who sent the frame stays, whatever becomes of its connection.
        sender = sender_of(loaded.sender, received.requested)
        if isinstance(sender, Verdict):
            return sender
        stored = loaded.call
        for _ in range(_COMMITS):
            decision = decide(stored.call if stored else None, signal, sender)
            transition = decision.transition
            if stored is None or transition is None:
                if stored and decision.is_repeat:
                    await self._republish(stored.call)
                return decision.verdict
            # Anew for each try: from its commit on, the event has its time.
            now = datetime.now(UTC)
            event = CallEvent.of(stored.call, transition, signal, sender, received.signal_id, now)
            try:
                connections = await self._commit(stored, sender, event)
            except (StoreConflict, StoreUnavailable) as error:
                reloaded = await self._store.reload(event, sender)
                if not reloaded.is_ours:
                    self._check_time(received, error)
                    stored = reloaded.call
                    continue
                await self._tell_late(reloaded, event, received)
                return decision.verdict
            await self._tell(event, connections, received)
            return decision.verdict
        raise StoreUnavailable(f"{_COMMITS} commits failed in a row")

    async def _tell_late(self, reloaded: Reloaded, event: CallEvent, received: Received) -> None:
        """Tells of a commit that was done some seconds ago: who has not heard of it meanwhile, and
        only if the call has not gone on since."""
        entry = reloaded.entry
        call = reloaded.call.call if reloaded.call else None
        still_true = event.still_true(call)
        if (entry and entry.pending_since is None) or not still_true:
            await self._publisher.publish(
                event.served_to(None)
            )  # by which `deliver` is done with it
            return
        served = entry.served if entry else frozenset()
        connections = [each for each in await self._look_up(event) if each.id not in served]
        await self._tell(event, connections, received)

    def _check_time(self, received: Received, error: Exception) -> None:
        """API Gateway waits for 29 s, and each try can take a dozen."""
        if datetime.now(UTC) - received.now > _TRIED_FOR:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    async def _republish(self, call: Call) -> None:
        """1 BatchGetDocuments, and 1 Publish if the call's event is not known to be delivered."""
        if call.signal_id is None:
            return
        entry = await self._store.outbox.entry(call.id, call.signal_id)
        if entry and entry.pending_since:
            await self._publisher.publish(entry.event.served_to(None))

    async def _commit(
        self, stored: StoredCall, sender: UserId, event: CallEvent
    ) -> list[Connection]:
        """Commits, and looks up meanwhile who is to be told."""
        look_up = asyncio.create_task(self._look_up(event))
        try:
            await self._store.commit(stored, event, by=sender)
        except BaseException:
            look_up.cancel()
            raise
        return await look_up

    async def _look_up(self, event: CallEvent) -> list[Connection]:
        try:
            async with asyncio.timeout(self._direct_post_timeout.total_seconds()):
                return await self._store.connections_of(event.users, event.decided_at)
        except (StoreUnavailable, TimeoutError) as error:
            # `deliver` looks again; the commit and the publish must not hang on this.
            log.warning("look-up failed", callId=event.call_id, error=repr(error))
            return []

    async def _tell(
        self, event: CallEvent, connections: list[Connection], received: Received
    ) -> None:
        """Ends within four seconds: `sweep` may take the event up after six."""
        try:
            async with asyncio.timeout(HANDLER_AT_WORK.total_seconds()):
                timeout = self._direct_post_timeout
                report = await notify(self._sockets, connections, event, within=timeout)
                self._log_told(report, event, received)
                served = [connection.id for connection in report.served]
                await self._publisher.publish(event.served_to(served))
        except TimeoutError as error:
            raise PublishFailed("not confirmed in time") from error

    def _log_told(self, report: Report, event: CallEvent, received: Received) -> None:
        log.info(
            "told",
            signal=event.signal,
            callId=event.call_id,
            signalId=event.signal_id,
            outcome=event.status.value,
            latencyMs=latency_ms(received.requested, datetime.now(UTC)),
            served=len(report.served),
            unserved=len(report.gone) + len(report.refused) + len(report.failed),
        )


def _fields(signal: Signal, received: Received) -> dict[str, object]:
    return {
        "signal": signal.name,
        "callId": signal.call_id,
        "signalId": received.signal_id,
    }
