"""A ring may overtake its own end: whoever has it is then told the end once more, after it."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from functions.attempt import NotDelivered
from functions.calls.call import Call, Status
from functions.calls.event import CallEvent
from functions.calls.transitions import NO_PUSHES, Signal, transitions_of
from functions.clients.connection import Connection
from functions.delivery.notify import notify
from functions.ports.sockets import Sockets
from functions.ports.store import Outbox
from functions.telemetry import Log
from functions.wire.codecs import Codecs

log = Log(__name__)


async def tell_end(
    outbox: Outbox,
    sockets: Sockets,
    codecs: Codecs,
    ring: CallEvent,
    connections: Collection[Connection],
    now: datetime,
) -> None:
    """Tells `connections`, which have the `ring`, of its end if it has ended.

    Costs 1 BatchGetDocuments; for a ring that has ended 1 more, and 1 POST for each connection, or
    2 if it was answered and the talk is over too.
    Safe to run twice. Raises StoreUnavailable, and NotDelivered if a socket that may be open was
    not reached.
    """
    if not connections:
        return
    call = (await outbox.known(ring)).call
    if call is None or call.signal_id is None or ring.still_true(call):
        return
    entry = await outbox.entry(call.id, call.signal_id)
    # Where the app itself has ended the call, the last that we know of is the ring.
    if entry is None or entry.event.status is Status.RINGING or entry.event.expired(now):
        return
    served = unreached = 0
    for end in _ends_of_ring(call, entry.event):
        if not end.expired(now):
            report = await notify(sockets, codecs, connections, end)
            served, unreached = served + len(report.served), unreached + len(report.failed)
    counts = {"served": served, "unreached": unreached}
    log.info("ring overtook its end", cause=entry.event.cause, **counts)
    if unreached:
        raise NotDelivered(f"{unreached} connections were not told that the ring ended")


def _ends_of_ring(call: Call, last: CallEvent) -> list[CallEvent]:
    """What ended the ring: the last that has happened to the call, and before the end of a talk the
    answer that it began with."""
    # A call that the app has ring again may name the end of its last ring still.
    ended = last.only_for(last.still_true(call))
    if last.status is not Status.ENDED:
        return [ended]
    (row,) = transitions_of("call:accept")
    answer = Signal(row.signal, call.id, reason=None, by=call.answered_on)
    rang, at = replace(call, status=row.from_status), call.answered_at or last.decided_at
    made = CallEvent.of(rang, row, answer, call.receiver, last.signal_id, at, NO_PUSHES)
    elsewhere = (each for each in made.recipients if each.is_elsewhere)
    return [made.only_for(each for each in elsewhere if call.status in each.true_while), ended]
