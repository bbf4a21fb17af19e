"""What is scheduled: a task of a call that rings, with which `ring` is called when it is due."""

from datetime import UTC, datetime

import msgspec

from functions.calls.call import CallId, SignalId, UserId, names_document
from functions.calls.event import UnixMs, decoded


class _OfARing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The ring that a task is for, by the event that began it; it goes on until `rings_until`. A
    call that rings again has another."""

    call_id: CallId
    signal_id: SignalId | None  # None of a call of which nobody was told
    rings_until_ms: UnixMs = msgspec.field(name="ringsUntil")

    def __post_init__(self) -> None:
        """Raises ValueError for a task that no handler could ever finish."""
        if not names_document(self.call_id):
            raise ValueError("callId names no document")
        if self.signal_id is not None and not names_document(self.signal_id):
            raise ValueError("signalId names no document")

    @property
    def name(self) -> str:
        """The task's name, for the log."""
        return str(self.__struct_config__.tag)

    @property
    def rings_until(self) -> datetime:
        """`rings_until_ms` in UTC."""
        return datetime.fromtimestamp(self.rings_until_ms / 1000, UTC)


class RingEnds(_OfARing, frozen=True, kw_only=True, tag_field="name", tag="ring.ends"):
    """Nobody has answered in time: the ring ends, if the call still rings."""


class CallerCheck(_OfARing, frozen=True, kw_only=True, tag_field="name", tag="caller.check"):
    """The caller's connection was closed: the call goes on only if he has another one."""

    user_id: UserId


Scheduled = RingEnds | CallerCheck
_DECODER: msgspec.json.Decoder[Scheduled] = msgspec.json.Decoder(Scheduled)


def encode(task: Scheduled) -> bytes:
    """The task in JSON, as it is scheduled."""
    return msgspec.json.encode(task)


def decode(data: bytes) -> Scheduled:
    """Reads `encode` back. Raises MalformedEvent."""
    return decoded(_DECODER, data)
