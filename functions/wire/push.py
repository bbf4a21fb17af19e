"""The data of FCM messages, all of it texts, as the app reads it."""

from collections.abc import Mapping

import msgspec

from functions.calls.event import CallEvent, Recipient
from functions.calls.transitions import Push
from functions.dialect.dialect import USUAL, Dialect

# What FCM takes no message with, wherever it came from.
# https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
_RESERVED = frozenset({"from", "notification", "message_type"})
_RESERVED_PREFIXES = ("google.", "gcm.", "gcm_")


def push_data(
    event: CallEvent, recipient: Recipient, dialect: Dialect = USUAL
) -> Mapping[str, str]:
    """What a recipient's app reads: `type`, `callId`, `callerId` and, where the push says so,
    `reason`. A ring has the server's `timestamp` (Unix ms), and what the app passes on. All of it
    as the app's dialect names it."""
    push = push_of(recipient)
    fields = {
        "type": dialect.push_types.get(push.type, push.type),
        "callId": str(dialect.ids.call_out(event.call_id)),
        "callerId": event.caller_id,
    }
    if push.with_reason and event.reason is not None:
        fields["reason"] = event.reason
    if not push.rings:
        return _named(fields, dialect)
    passed_on = texts(event.data) if event.data else {}
    fields["timestamp"] = str(event.timestamp)
    return {**_named(passed_on, dialect), **_named(fields, dialect)}


def _named(fields: Mapping[str, str], dialect: Dialect) -> Mapping[str, str]:
    names = dialect.push_fields
    return {names.get(name, name): fields[name] for name in fields} if names else fields


def push_of(recipient: Recipient) -> Push:
    assert recipient.push  # noqa: S101 - others are sent no message
    return recipient.push


def texts(content: str) -> Mapping[str, str]:
    """An object in JSON as a message carries it: what in it is no text, stays JSON."""
    fields = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    return {name: _text(bytes(value)) for name, value in fields.items()}


def _text(value: bytes) -> str:
    return msgspec.json.decode(value, type=str) if value.startswith(b'"') else value.decode()


def is_reserved(name: str) -> bool:
    """Whether FCM would refuse a message with a field of this name."""
    return not name or name in _RESERVED or name.startswith(_RESERVED_PREFIXES)
