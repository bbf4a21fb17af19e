"""An event that comes late: whether it may still be told, and to whom."""

from datetime import datetime

from functions.calls.event import CallEvent
from functions.ports.store import Entry, Outbox
from functions.telemetry import Log

log = Log(__name__)


def is_expired(event: CallEvent, now: datetime) -> bool:
    """Whether nobody is told of the event any more, which is logged."""
    if event.expired(now):
        log.warning("expired", outcome="expired")
        return True
    return False


async def as_it_stands(outbox: Outbox, event: CallEvent) -> tuple[CallEvent, Entry | None]:
    """The event for those recipients alone for whom it still holds, and its entry in the outbox.
    Costs 1 BatchGetDocuments. Raises StoreUnavailable."""
    known = await outbox.known(event)
    return event.only_for(event.still_true(known.call)), known.entry
