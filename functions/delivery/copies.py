"""Copies: events republished from the outbox. Of one event, one copy at a time is delivered."""

from datetime import datetime, timedelta

from functions.attempt import MessageId, NotDelivered
from functions.ports.store import Entry, Outbox

# A frame's handler posts and publishes within this time of its commit. A copy that is delivered
# before would only tell everybody twice.
HANDLER_AT_WORK = timedelta(seconds=4)
# The ack deadline of the subscriptions (pubsub.tf): after it Pub/Sub may have given the copy up, so
# its claim is void.
_CLAIM = timedelta(seconds=20)


async def claim(outbox: Outbox, entry: Entry, copy: MessageId, now: datetime) -> bool:
    """Whether this copy is to be delivered. Costs 1 Commit, unless a claim already decides it.

    False if another copy has the claim: Pub/Sub delivers that one until it is done. Raises
    NotDelivered while the handler that wrote the entry may still be at work, and if the entry
    changed since it was read, as another copy may have claimed it.
    """
    if entry.pending_since and now - entry.pending_since < HANDLER_AT_WORK:
        raise NotDelivered("the frame's own handler may still be at work")
    if entry.claimed_by == copy:
        return True  # an earlier attempt of this copy did not reach everybody
    if entry.claimed_at is not None and now - entry.claimed_at < _CLAIM:
        return False
    # This claim itself may have been written and its reply lost: the next attempt will see it.
    if not await outbox.claim(entry, copy, now):
        raise NotDelivered("another copy was faster")
    return True
