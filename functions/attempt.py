"""One attempt to deliver a published message to a function, and the error that asks for another."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

from functions.calls.call import Status
from functions.calls.event import CallEvent

MessageId = NewType("MessageId", str)  # Pub/Sub's, the same however often it delivers the message

# Within this time, a first delivery takes the call to be as its signal left it, and does not read
# it.
_PROMPT = timedelta(seconds=2)


class NotDelivered(Exception):
    """Somebody who should have the event does not have it; it must be delivered again."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of Pub/Sub to deliver a message."""

    message: MessageId
    number: int | None = None  # from 1; None if the service does not count, like the emulator

    def is_late(self, event: CallEvent, now: datetime) -> bool:
        """Whether somebody may have the event already, or its call may have changed since. That is
        so for a retry, for a copy, for an event that is not prompt, and for a ring: told after its
        end, it would go on for ever."""
        is_prompt = self.number == 1 and now - event.decided_at <= _PROMPT
        return event.served is None or event.status is Status.RINGING or not is_prompt
