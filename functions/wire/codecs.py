"""Which codec reads a frame, and which writes for a connection."""

from typing import Protocol

import msgspec

from functions.calls.call import CallId
from functions.calls.decision import Verdict
from functions.calls.event import CallEvent, Recipient
from functions.clients.connection import Connection, Wire
from functions.dialect.dialect import BUSY_EVENT, Dialect
from functions.wire.frames import Answerable, Frame, Ping, Relay, Unread
from functions.wire.json import JsonCodec
from functions.wire.socketio import SocketIoCodec, is_packet


class Codec(Protocol):
    """Reads and writes one wire, in one dialect."""

    def decode(self, text: bytes, /) -> Frame: ...

    def reply_to(self, text: bytes, /) -> Unread:
        """Where the reply to a frame goes, as far as that shows without reading its JSON."""

    def encode_reply(self, verdict: Verdict, to: Answerable | Unread | None, /) -> str: ...

    def encode_pong(self, ping: Ping, /) -> str: ...

    def encode_event(self, event: CallEvent, recipient: Recipient, namespace: str, /) -> str: ...

    def encode_relay(self, relay: Relay, namespace: str, /) -> str: ...


class Codecs:
    """The codecs of all wires, in the app's dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._json = JsonCodec(dialect)
        self._socketio = SocketIoCodec(dialect)

    def of(self, frame: bytes) -> Codec:
        """The codec that reads a client's frame; the frame itself shows which wire it is on."""
        return self._socketio if is_packet(frame) else self._json

    def on(self, wire: Wire) -> Codec:
        """The codec that writes frames for a connection on `wire`."""
        return self._json if wire is Wire.JSON else self._socketio

    def busy_for(self, connection: Connection, call: CallId) -> str:
        """The frame that tells the caller, whose the connection is, that the receiver is busy."""
        data = {self._dialect.fields["callId"]: self._dialect.ids.call_out(call)}
        name = self._dialect.events_out[BUSY_EVENT]
        busy = Relay(call, name, msgspec.json.encode(data).decode())
        return self.relay_for(connection, busy)

    def event_for(self, connection: Connection, event: CallEvent, recipient: Recipient) -> str:
        """The frame that tells `recipient`, whose the connection is, of `event`."""
        return self.on(connection.wire).encode_event(event, recipient, connection.namespace)

    def relay_for(self, connection: Connection, relay: Relay) -> str:
        """The frame by which the other party, whose the connection is, hears what is relayed."""
        return self.on(connection.wire).encode_relay(relay, connection.namespace)
