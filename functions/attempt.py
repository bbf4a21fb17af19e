"""One attempt to deliver what was published to a function, and how it may end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

from functions.calls.event import CallEvent

MessageId = NewType("MessageId", str)  # Pub/Sub's, the same however often it delivers the message

# Younger than this, a first delivery finds the call as its signal has just left it.
_PROMPT = timedelta(seconds=2)


class NotDelivered(Exception):
    """Somebody who should have the event doesn't; it must be delivered again."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of Pub/Sub to deliver a message."""

    message: MessageId
    number: int | None = None  # from 1; None where the service does not count, as the emulator

    def is_late(self, event: CallEvent, now: datetime) -> bool:
        """Whether somebody may have the event already, or the call have gone on since: so of a
        retry, of a copy, and of what took its time."""
        return event.served is None or self.number != 1 or now - event.decided_at > _PROMPT
