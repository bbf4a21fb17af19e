"""The data of FCM messages, all of it texts, as the app reads it."""

from collections.abc import Mapping

import msgspec

from functions.calls.call import CallId, Cause, UserId
from functions.calls.event import CallEvent, Recipient
from functions.calls.transitions import Push
from functions.dialect.dialect import PUSH_FIELDS, RING_TYPE, USUAL, Dialect, is_reserved


def push_data(
    event: CallEvent, recipient: Recipient, dialect: Dialect = USUAL
) -> Mapping[str, str]:
    """What a recipient's app reads: `type`, `callId`, `callerId` and, where the push says so,
    `reason`. A cancel that is not the caller's has its `cause`. A ring has the server's
    `timestamp` (Unix ms), and what the app passes on. All of it as the app's dialect names it."""
    push = push_of(recipient)
    if push.rings:
        return ring_data(event.call_id, event.caller_id, event.timestamp, event.data, dialect)
    fields = _of_call(push.type, event.call_id, event.caller_id, dialect)
    if push.with_reason and event.reason is not None:
        fields["reason"] = event.reason
    elif (cause := event.cause_for(recipient)) not in (None, Cause.CALLER_CANCELLED):
        fields["cause"] = str(cause)
    return _named(fields, dialect)


def ring_data(
    call: CallId, caller: UserId, timestamp: int, data: str | None, dialect: Dialect = USUAL
) -> Mapping[str, str]:
    """What the app reads of a ring. A field of ours wins over the app's own of its name."""
    fields = _of_call(RING_TYPE, call, caller, dialect)
    fields["timestamp"] = str(timestamp)
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
