"""Copies: events republished from the outbox. Of one event, one copy at a time is delivered."""

from datetime import datetime, timedelta

from functions.attempt import MessageId, NotDelivered
from functions.ports.store import Entry, Outbox

# A frame's handler posts and publishes within this time of its commit. Until then its event is in
# good hands, and a copy republished meanwhile would only tell everybody twice.
HANDLER_AT_WORK = timedelta(seconds=4)
# As long as Pub/Sub waits for a delivery. A copy that was given up leaves its claim behind.
_CLAIM = timedelta(seconds=20)


async def claim(outbox: Outbox, entry: Entry, copy: MessageId, now: datetime) -> bool:
    """Whether this copy is to be delivered: 1 Commit, if nobody else is at it.

    Not when another copy is at it, which Pub/Sub delivers until it is done. Raises NotDelivered
    while whoever wrote the entry may still be at it, and when another copy was faster just now.
    """
    if entry.pending_since and now - entry.pending_since < HANDLER_AT_WORK:
        raise NotDelivered("the frame's own handler may still be at work")
    if entry.claimed_by == copy:
        return True  # it was delivered before, and not to everybody
    if entry.claimed_at is not None and now - entry.claimed_at < _CLAIM:
        return False
    # What was faster may have been this claim itself, whose reply was lost: the next look tells.
    if not await outbox.claim(entry, copy, now):
        raise NotDelivered("another copy was faster")
    return True
