"""Which codec reads a frame, and which writes for a connection."""

from typing import Protocol

from functions.calls.decision import Verdict
from functions.calls.event import CallEvent, Recipient
from functions.clients.connection import Wire
from functions.wire import json, socketio
from functions.wire.frames import AckId, Frame, Ping, Request


class Codec(Protocol):
    """Reads and writes one wire. The modules `json` and `socketio` are such codecs."""

    def decode(self, text: bytes, /) -> Frame: ...

    def encode_reply(
        self, verdict: Verdict, request: Request | None, ack: AckId | None, /
    ) -> str: ...

    def encode_pong(self, ping: Ping, /) -> str: ...

    def encode_event(self, event: CallEvent, recipient: Recipient, /) -> str: ...


def codec_of(frame: bytes) -> Codec:
    """The codec that reads a client's frame; the frame itself shows which wire it is on."""
    return socketio if socketio.is_packet(frame) else json


def codec_for(wire: Wire) -> Codec:
    """The codec that writes frames for a connection on `wire`."""
    return json if wire is Wire.JSON else socketio
