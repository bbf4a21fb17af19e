"""The event that a committed signal causes: what is kept in the outbox and published."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

import msgspec

from functions.calls.call import Call, CallId, ConnectionId, SignalId, UserId, names_document
from functions.calls.signals import EVENTS, TRUE_WHILE, Signal

# How long an event may be told: until the ring would have ended by itself, or for `_LIFE` where
# nobody knows when that is. Past it, it would silence the ring of the next call on an app that does
# not compare ids.
_LIFE = timedelta(seconds=30)
_SHORTEST_LIFE = timedelta(seconds=20)  # a phone that is just waking up must still hear of it
LONGEST_LIFE = timedelta(seconds=120)  # no phone rings for longer, whatever a document says

_EPOCH = datetime.fromtimestamp(0, UTC)
_Moment = Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800_000)]  # till the year 9999


class MalformedEvent(ValueError):
    """It is no event of ours, so no retry can help."""


class CallEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One party is to be told that the other ended the ringing. Times are Unix milliseconds."""

    name: str  # as the sockets get it: an event of the table of signals
    signal_id: SignalId
    call_id: CallId
    caller_id: UserId
    tells: UserId
    reason: str
    timestamp: _Moment  # of the decision, server time
    expires_at: _Moment
    # The connections that have the event already; None on a copy republished from the outbox,
    # whose publisher can't know.
    served: tuple[ConnectionId, ...] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for an event that no handler could ever finish."""
        if self.name not in EVENTS:
            raise ValueError("name is no event")
        if not names_document(self.call_id):
            raise ValueError("callId names no document")
        if not names_document(self.signal_id):
            raise ValueError("signalId names no document")

    @classmethod
    def of(cls, call: Call, signal: Signal, signal_id: SignalId, now: datetime) -> Self:
        return cls(
            name=signal.rule.event,
            signal_id=signal_id,
            call_id=call.id,
            caller_id=call.caller,
            tells=call.user(signal.rule.tells),
            reason=signal.reason,
            timestamp=_milliseconds(now),
            expires_at=_milliseconds(_expiry(call, now)),
        )

    def served_to(self, connections: Iterable[ConnectionId] | None) -> Self:
        """The event as it is published once `connections` have it; None: nobody can tell."""
        served = None if connections is None else tuple(connections)
        return msgspec.structs.replace(self, served=served)

    @property
    def decided_at(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp / 1000, UTC)

    @property
    def expires(self) -> datetime:
        return datetime.fromtimestamp(self.expires_at / 1000, UTC)

    def expired(self, now: datetime) -> bool:
        return self.expires <= now

    def is_disproved_by(self, call: Call | None) -> bool:
        """Whether `call`, as it stands now, is evidence that this event is true no longer.

        A call that is gone or can't be read (None) proves nothing, nor does one whose writer left
        our `signal_id` out.
        """
        if call is None:
            return False
        if call.status not in TRUE_WHILE[self.name]:
            return True  # it went on, or rings again
        return call.signal_id not in (None, self.signal_id)  # it rang again, and ended again


def to_fields(event: CallEvent) -> dict[str, object]:
    """The event as a Firestore map."""
    fields: dict[str, object] = msgspec.to_builtins(event)
    return fields


def from_fields(fields: object) -> CallEvent:
    """Reads `to_fields` back. Raises MalformedEvent."""
    try:
        return msgspec.convert(fields, CallEvent)
    except msgspec.ValidationError as error:
        raise MalformedEvent(str(error)) from error


def _expiry(call: Call, now: datetime) -> datetime:
    ends = call.rings_until or now + _LIFE
    return min(max(ends, now + _SHORTEST_LIFE), now + LONGEST_LIFE)


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
