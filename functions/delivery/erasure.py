"""Erases a user: nothing that is kept names him any more, and no phone rings for his calls."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.calls.call import SignalId, Status, UserId
from functions.calls.event import LONGEST_LIFE
from functions.calls.transitions import ERASED, Signal
from functions.delivery.commit import Received
from functions.delivery.signaling import Signaling
from functions.ports.clock import Clock
from functions.ports.store import Entry, Mention, Store
from functions.telemetry import Log

# What waits or goes on and on ends by then. A sign-out may take as long once more; `api` has a
# minute in all.
_WORKS_FOR = timedelta(seconds=20)
_PUSHED_WITHIN = timedelta(seconds=5)  # of the commit, also by a `push` that has to start
_PAUSE = timedelta(seconds=1)

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many documents were deleted, and how many calls have lost his name."""

    connections: int
    devices: int
    calls: int
    is_finished: bool  # False: a repeat goes on


class Erasure:
    """Erases users."""

    def __init__(
        self,
        store: Store,
        signaling: Signaling,
        sign_out: Callable[[UserId], Awaitable[bool]],
        clock: Clock,
        new_id: Callable[[], SignalId],
    ) -> None:
        """`sign_out` closes a user's sockets, and gives whether all of them are closed."""
        self._store = store
        self._signaling = signaling
        self._sign_out = sign_out
        self._clock = clock
        self._new_id = new_id

    async def erase(self, user: UserId) -> Erased:
        """Costs what it costs to sign him out and to end his calls; 1 RunQuery for each 300
        connections and for each 300 entries of the outbox, 2 for up to 300 devices and 2 for up to
        300 calls, and 1 more for each 300 more; 1 RunQuery, and 1 more for each second in which his
        phones may not have stopped ringing; and 1 Commit for each 150 connections and each 300
        other documents, and 1 for each that changes meanwhile. Connections that change meanwhile
        cost 1 RunQuery more.

        His calls end first, while his sockets are open, and his devices go last, once they have
        been pushed: no phone is to ring on, not even his.

        Every write is to a document as it was read, or deletes it, so that nothing comes back and
        no change of others is lost. Safe to run twice. Raises StoreUnavailable and PublishFailed: a
        repeat goes on.
        """
        until = self._clock() + _WORKS_FOR
        calls, are_renamed = await self._rename_in_calls(user, until)
        is_signed_out = await self._sign_out(user)
        connections, are_removed = await self._remove_connections(user)
        are_silent = await self._wait_for_silence(user, until)
        devices = 0
        if are_silent:
            devices = await self._store.devices.remove_all(user)
            await self._store.outbox.remove_for(user)
        is_finished = is_signed_out and are_removed and are_renamed and are_silent
        counts = {"connections": connections, "devices": devices, "calls": calls}
        log.info("erased", outcome="erased" if is_finished else "unavailable", **counts)
        return Erased(**counts, is_finished=is_finished)

    async def _remove_connections(self, user: UserId) -> tuple[int, bool]:
        """How many, and whether that is all. What may still be open stays, so that a repeat finds
        it. Those that changed are read once more: his sign-out has brought their `$disconnect`."""
        removed = 0
        for _ in range(2):
            changed = 0
            async for page in self._store.connections.naming(user):
                now = self._clock()
                over = [each for each in page if each.closed_at or each.expires_at <= now]
                gone = await self._store.connections.remove(over)
                removed += gone
                changed += len(over) - gone
            if not changed:
                return removed, True
        return removed, False

    async def _wait_for_silence(self, user: UserId, until: datetime) -> bool:
        """Waits until the devices of his that ring have been told to stop, but not past `until`.
        Whether they have."""
        while True:
            now = self._clock()
            entries = await self._store.outbox.missed(user, now)
            if not any(_may_be_unpushed(entry, user, now) for entry in entries):
                return True
            if now + _PAUSE > until:
                return False
            await asyncio.sleep(_PAUSE.total_seconds())

    async def _rename_in_calls(self, user: UserId, until: datetime) -> tuple[int, bool]:
        """In how many, and whether that is all."""
        # Made of nothing that is known of him, and kept nowhere beside his name.
        pseudonym = UserId(f"erased-{self._new_id()}")
        renamed = 0
        while mentions := await self._store.calls.mentions(user):
            now = self._clock()
            live = [each for each in mentions if _is_live(each, now)]
            over = [each for each in mentions if not _is_live(each, now)]
            for mention in live:
                if self._clock() < until:
                    await self._end(mention, user)
            done = await self._store.calls.pseudonymise(over, pseudonym)
            renamed += done
            # Without progress the documents keep changing: not to be asked again and again.
            if self._clock() >= until or not (done or live):
                return renamed, False
        return renamed, True

    async def _end(self, mention: Mention, user: UserId) -> None:
        """Ends the call, so that the other party is told, and his own phones if they ring. Costs
        what a signal does."""
        received = Received(self._new_id(), self._clock(), received_at=None)
        signal = Signal(ERASED, mention.id, reason=None)
        await self._signaling.handle_of(signal, user, received)


def _is_live(mention: Mention, now: datetime) -> bool:
    """Whether somebody may be ringing or talking. The document of a call that nobody ended may say
    for years that it rings: to cancel it would only silence another ring, where an app does not
    compare ids."""
    call = mention.call
    if call is None:
        return False
    if call.status is Status.RINGING:
        return now < max(mention.version + LONGEST_LIFE, call.rings_until or mention.version)
    return call.status is Status.ACCEPTED


def _may_be_unpushed(entry: Entry, user: UserId, now: datetime) -> bool:
    """Whether the event stops his phones' ringing, and may not have been pushed to them. One that
    is still pending may not even have been published."""
    event = entry.event
    pushes = [each.push for each in event.push_recipients if each.user_id == user]
    if event.receiver_id != user or all(push is None or push.rings for push in pushes):
        return False
    return entry.pending_since is not None or now < entry.created + _PUSHED_WITHIN
