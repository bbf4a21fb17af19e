"""The JSON wire: `{"event": …, "data": {…}, "id": …}` in, acks and events out."""

from collections.abc import Mapping

import msgspec

from functions.calls.decision import Verdict
from functions.calls.event import CallEvent, Recipient
from functions.clients.connection import ROOT
from functions.dialect.dialect import USUAL, Dialect
from functions.wire.frames import (
    AckId,
    Answerable,
    Frame,
    Malformed,
    Ping,
    Relay,
    Unread,
    call_of,
    event_data,
    is_initiate,
    reply_data,
)
from functions.wire.requests import request_frame
from functions.wire.text import NotJson, loads

ACK_ID_LIMIT = 128  # characters of a string, bits of an integer


class JsonCodec:
    """Reads and writes the JSON wire, in one dialect."""

    def __init__(self, dialect: Dialect = USUAL) -> None:
        self._dialect = dialect

    def decode(self, text: bytes) -> Frame:
        """Reads one frame and never raises: a frame that can't be read comes out as Malformed."""
        try:
            frame = loads(text.decode())
        except UnicodeDecodeError:
            return Malformed("frame", "frame is not UTF-8")
        except NotJson as error:
            return Malformed("frame", f"frame is {error}")
        if not isinstance(frame, dict):
            return Malformed("frame", "frame must be a JSON object")
        ack = frame.get("id")
        if not _is_ack_id(ack):
            return Malformed("id", "id must be an integer or a short string")
        if frame.get("event") == "ping":
            return Ping(ack=ack)
        return request_frame(frame.get("event"), frame.get("data"), ack, self._dialect)

    def reply_to(self, _: bytes) -> Unread:
        """Nothing shows where the reply to a frame goes, as its `id` is in its JSON."""
        return Unread()

    def encode_reply(self, verdict: Verdict, to: Answerable | Unread | None) -> str:
        """The reply to a frame; it has an `id` if the frame had one."""
        data = reply_data(verdict, call_of(to), self._dialect, of_initiate=is_initiate(to))
        return _encode({"event": "ack", "data": data}, to.ack if to else None)

    def encode_pong(self, ping: Ping) -> str:
        """The frame that replies to a heartbeat; it has an `id` if the heartbeat had one."""
        return _encode({"event": "pong"}, ping.ack)

    def encode_event(self, event: CallEvent, recipient: Recipient, _: str = ROOT) -> str:
        """The frame that tells `recipient` of `event`. On this wire there are no namespaces."""
        name = self._dialect.events_out.get(recipient.event, recipient.event)
        data = event_data(event, recipient, self._dialect)
        return _encode({"event": name, "data": data}, None)

    def encode_relay(self, relay: Relay, _: str = ROOT) -> str:
        """The frame by which the other party hears what is relayed, its data as they are."""
        return _encode({"event": relay.event, "data": msgspec.Raw(relay.data)}, None)


def _encode(frame: Mapping[str, object], ack: AckId | None) -> str:
    return msgspec.json.encode(frame if ack is None else {**frame, "id": ack}).decode()


def _is_ack_id(ack: object) -> bool:
    match ack:
        case None:
            return True
        case bool():
            return False
        case int():
            return ack.bit_length() <= ACK_ID_LIMIT
        case str():
            return len(ack) <= ACK_ID_LIMIT and _is_text(ack)
        case _:
            return False


def _is_text(ack: str) -> bool:
    """Whether `ack` can be sent back in UTF-8: half of a surrogate pair can't."""
    try:
        ack.encode()
    except UnicodeEncodeError:
        return False
    return True
