"""The Socket.IO wire: packets of Engine.IO 3 and 4 in; replies, events and opening packets out.

A packet is text: a digit for its Engine.IO type and, after a 4, one for its Socket.IO type, then an
optional namespace, an optional ack id and JSON. https://socket.io/docs/v4/socket-io-protocol
"""

import re
from datetime import timedelta
from typing import Any

import msgspec

from functions.calls.decision import UNKNOWN_CONNECTION, Verdict
from functions.calls.event import CallEvent, Recipient
from functions.clients.connection import Wire
from functions.wire.frames import (
    AckId,
    Connect,
    Frame,
    Goodbye,
    Ignored,
    Malformed,
    Ping,
    Request,
    RequestFrame,
    call_of,
    event_data,
    reply_data,
)
from functions.wire.requests import InvalidRequest, parse
from functions.wire.text import NotJson, loads

ROOT = "/"  # the one namespace there is
NOOP = "6"  # every client ignores it, while an empty frame would end the session
# This is no packet in any version, so the client closes its socket and connects again by itself.
RECONNECT = '{"message":"reconnect"}'
ERROR_EVENT = "call:error"
# Says goodbye to a client, which then closes its socket and does not connect again by itself.
DISCONNECT = "41"

_CLOSE = "1"  # Engine.IO's: the server closes the socket, which Swift's and Python's clients do too
_MAX_FRAME_BYTES = 32 * 1024  # API Gateway takes no larger frame
_NOT_TEXT = "\0"  # for a value that is not text: it is no token, and no user's id
_NOT_JSON = object()  # for the data of a packet that can't be read

_MESSAGE = re.compile(
    r"4(?P<type>\d)"
    r"(?:(?P<namespace>/[^,?]*)(?:\?[^,]*)?(?:,|$))?"
    r"(?P<ack>\d{0,38})"  # below 2**127: the JSON wire's limit is 128 bits
    r"(?P<data>.*)",
    re.ASCII | re.DOTALL,
)


def is_packet(text: bytes) -> bool:
    """Whether a frame is a packet: it begins with a digit or, if an EIO3 client sends base64, with
    `b` and a digit. No JSON object begins so."""
    return text.removeprefix(b"b")[:1].isdigit()


def decode(text: bytes) -> Frame:
    """Reads one packet and never raises: one that makes no sense comes out as Ignored."""
    try:
        packet = text.decode()
        if packet.startswith("2"):
            return Ping(packet[1:])
        if packet == _CLOSE:
            return Goodbye(closes_socket=True)
    except UnicodeDecodeError:
        return Ignored()
    message = _MESSAGE.fullmatch(packet)
    if message is None:
        return Ignored()
    data = _data(message["data"])
    namespace = message["namespace"] or ROOT
    match message["type"], data:
        case "0", None:
            return Connect(namespace)
        case "0", dict():
            return Connect(namespace, _text(data.get("token")), _text(data.get("userId")))
        case "0", _:  # it waits for an answer, whatever it has sent
            return Connect(namespace, _NOT_TEXT)
        case "1", None if namespace == ROOT and not message["ack"]:
            return Goodbye()
        case "2", [str(name), *arguments] if namespace == ROOT:
            return _event(name, arguments, int(message["ack"]) if message["ack"] else None)
        case _:
            return Ignored()


def encode_reply(verdict: Verdict, request: Request | None, ack: AckId | None) -> str:
    """The reply to an event: an ack if the client asked for one, else NOOP or an error event. A
    client whose connection is not known is made to connect anew."""
    if verdict == UNKNOWN_CONNECTION:
        return RECONNECT
    data = reply_data(verdict, call_of(request))
    if ack is not None:
        return f"43{ack}{_json([data])}"
    return NOOP if verdict.ok else f"42{_json([ERROR_EVENT, data])}"


def encode_event(event: CallEvent, recipient: Recipient) -> str:
    """The frame that tells `recipient` of `event`."""
    return f"42{_json([recipient.event, event_data(event)])}"


def encode_open(wire: Wire, sid: str, ping_interval: timedelta, ping_timeout: timedelta) -> str:
    """The open packet, for which a client waits once its WebSocket is connected."""
    handshake: dict[str, object] = {
        "sid": sid,
        "upgrades": [],
        "pingInterval": ping_interval // timedelta(milliseconds=1),
        "pingTimeout": ping_timeout // timedelta(milliseconds=1),
    }
    if wire is Wire.EIO4:
        handshake["maxPayload"] = _MAX_FRAME_BYTES
    return f"0{_json(handshake)}"


def encode_admitted(wire: Wire, sid: str) -> str:
    """The packet that admits a client to the root namespace."""
    return "40" if wire is Wire.EIO3 else f"40{_json({'sid': sid})}"


def encode_refusal(wire: Wire, message: str, namespace: str = ROOT) -> str:
    """The packet that refuses a client; the client does not try again by itself."""
    prefix = "44" if namespace == ROOT else f"44{namespace},"
    return prefix + _json(message if wire is Wire.EIO3 else {"message": message})


def encode_pong(ping: Ping) -> str:
    """The packet that replies to a heartbeat."""
    return f"3{ping.payload}"


def _event(name: str, arguments: list[Any], ack: int | None) -> Frame:
    # Only the first argument counts: a client may add `null` for a callback that was not given.
    data = arguments[0] if arguments else None
    try:
        return RequestFrame(parse(name, data), ack)
    except InvalidRequest as error:
        return Malformed(error.field, error.message, ack)


def _data(text: str) -> object:
    """The JSON of a packet, or None if it has none."""
    try:
        return loads(text) if text else None
    except NotJson:
        return _NOT_JSON


def _text(value: object) -> str | None:
    """A token or a user id as the client gave it; a value that is not text counts as wrong."""
    if isinstance(value, str):
        return value or None
    return None if value is None else _NOT_TEXT


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
