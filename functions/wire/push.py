"""The data of FCM messages, all of it texts, as the app reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from functions.calls.call import CallId, Cause, UserId
from functions.calls.event import CallEvent, Recipient, unix_ms
from functions.calls.transitions import Push
from functions.clients.ringtoken import ring_token_limit
from functions.dialect.dialect import PUSH_FIELDS, RING_TYPE, USUAL, Dialect, is_reserved

_SOME_TIME = 10**12  # Unix ms, which have 13 digits until the year 2286


@dataclass(frozen=True, slots=True)
class Sending:
    """What of a ring's message is new each time that it is sent."""

    at: datetime
    ring_token: str | None  # None where no secret is set to sign one with

    @property
    def at_ms(self) -> int:
        return unix_ms(self.at)


def push_data(
    event: CallEvent, recipient: Recipient, sending: Sending, dialect: Dialect = USUAL
) -> Mapping[str, str]:
    """What a recipient's app reads: `type`, `callId`, `callerId` and, where the push says so,
    `reason`. A cancel that is not the caller's has its `cause`. A ring has the server's
    `timestamp`, `sentAt` and `expiresAt` (Unix ms), a `ringToken` and what the app passes on. All
    of it as the app's dialect names it."""
    push = push_of(recipient)
    if push.rings:
        times = (event.timestamp, sending.at_ms, unix_ms(event.holds_until))
        token = sending.ring_token
        return _ring_data(event.call_id, event.caller_id, times, token, event.data, dialect)
    fields = _of_call(push.type, event.call_id, event.caller_id, dialect)
    if push.with_reason and event.reason is not None:
        fields["reason"] = event.reason
    elif (cause := event.cause_for(recipient)) not in (None, Cause.CALLER_CANCELLED):
        fields["cause"] = str(cause)
    return _named(fields, dialect)


def longest_ring_data(
    call: CallId, caller: UserId, receiver: UserId, data: str | None, dialect: Dialect = USUAL
) -> Mapping[str, str]:
    """As much as the receiver's app can have to read of a ring, whichever of his devices it is
    on."""
    times, token = (_SOME_TIME, _SOME_TIME, _SOME_TIME), "x" * ring_token_limit(call, receiver)
    return _ring_data(call, caller, times, token, data, dialect)


def _ring_data(
    call: CallId,
    caller: UserId,
    times: tuple[int, int, int],
    ring_token: str | None,
    data: str | None,
    dialect: Dialect,
) -> Mapping[str, str]:
    """What the app reads of a ring. A field of ours wins over the app's own of its name."""
    fields = _of_call(RING_TYPE, call, caller, dialect)
    fields |= zip(("timestamp", "sentAt", "expiresAt"), map(str, times), strict=True)
    if ring_token is not None:
        fields["ringToken"] = ring_token
    return {**passed_on(data or "{}", dialect), **_named(fields, dialect)}


def passed_on(data: str, dialect: Dialect = USUAL) -> Mapping[str, str]:
    """What the app passes on, an object in JSON, as a message carries it: what in it is no text,
    stays JSON. Of two fields that get one name, the renamed one wins. A name for a field of ours
    is not for the app's own that is called so."""
    fields = texts(data)
    names = {old: new for old, new in dialect.push_fields.items() if old not in PUSH_FIELDS}
    kept = {name: value for name, value in fields.items() if name not in names}
    renamed = {**kept, **{new: fields[old] for old, new in names.items() if old in fields}}
    # FCM would refuse the message for these.
    return {name: value for name, value in renamed.items() if not is_reserved(name)}


def _of_call(type: str, call: CallId, caller: UserId, dialect: Dialect) -> dict[str, str]:
    return {
        "type": dialect.push_types.get(type, type),
        "callId": str(dialect.ids.call_out(call)),
        "callerId": caller,
    }


def _named(fields: Mapping[str, str], dialect: Dialect) -> Mapping[str, str]:
    names = dialect.push_fields
    return {names.get(name, name): value for name, value in fields.items()}


def push_of(recipient: Recipient) -> Push:
    assert recipient.push  # noqa: S101 - others are sent no message
    return recipient.push


def texts(content: str) -> Mapping[str, str]:
    """An object in JSON as a message carries it: what in it is no text, stays JSON."""
    fields = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    return {name: _text(bytes(value)) for name, value in fields.items()}


def _text(value: bytes) -> str:
    return msgspec.json.decode(value, type=str) if value.startswith(b'"') else value.decode()
