"""Copies: events republished from the outbox. Of one event, one copy at a time is delivered."""

from datetime import datetime, timedelta

from functions.calls.event import CallEvent
from functions.delivery import NotDelivered
from functions.services.documents import MessageId
from functions.services.firestore import Store

# A frame's handler has published by then, if Firestore is not slow: until then its event is in
# good hands, and a copy republished meanwhile would only tell everybody twice.
_HANDLER_AT_WORK = timedelta(seconds=2)
# As long as Pub/Sub waits for a delivery. A copy that was given up leaves its claim behind.
_CLAIM = timedelta(seconds=20)


async def claim(store: Store, event: CallEvent, copy: MessageId, now: datetime) -> bool:
    """Whether this copy is to be delivered: 1 BatchGetDocuments and, if so, 1 Commit.

    Not when the event is done with, as then the outbox entry is gone; nor when another copy is at
    it, which Pub/Sub delivers until it is done. Raises NotDelivered while whoever wrote the entry
    may still be at it, and when another copy was faster just now.
    """
    pending = await store.pending(event.call_id)
    if pending is None or pending.event.signal_id != event.signal_id:
        return False
    if now - event.decided_at < _HANDLER_AT_WORK:
        raise NotDelivered("the frame's own handler may still be at work")
    if pending.claimed_by == copy:
        return True  # it was delivered before, and not to everybody
    if pending.claimed_at is not None and now - pending.claimed_at < _CLAIM:
        return False
    # What was faster may have been this claim itself, whose reply was lost: the next look tells.
    if not await store.claim(pending, copy, now):
        raise NotDelivered("another copy was faster")
    return True
