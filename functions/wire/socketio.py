"""The Socket.IO wire: packets of Engine.IO 3 and 4 in; replies, events and opening packets out.

A packet is text: a digit for its Engine.IO type and, after a 4, one for its Socket.IO type, then an
optional namespace, an optional ack id and JSON. https://socket.io/docs/v4/socket-io-protocol
"""

import re
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from functions.calls.decision import UNKNOWN_CONNECTION, Verdict
from functions.calls.event import CallEvent, Recipient
from functions.clients.connection import ROOT, Wire
from functions.dialect.dialect import ERROR_EVENT, USUAL, Dialect
from functions.wire.frames import (
    Answerable,
    Connect,
    Frame,
    Goodbye,
    Ignored,
    Ping,
    Relay,
    Unread,
    Upgrade,
    call_of,
    event_data,
    is_initiate,
    reply_data,
)
from functions.wire.requests import device_in, request_frame
from functions.wire.text import NotJson, loads

NOOP = "6"  # every client ignores it, while an empty frame would end the session
# This is no packet in any version, so the client closes its socket and connects again by itself.
RECONNECT = '{"message":"reconnect"}'

CLOSE = "1"  # Engine.IO's: the server closes the socket, which Swift's and Python's clients do too
_UPGRADE = "5"  # Engine.IO's: all goes by this socket from here on
ENGINE_IO = {"3": Wire.EIO3, "4": Wire.EIO4}  # the wires, by the version that a client names
UNNAMED = "3"  # the version of a client that names none, as Swift's before 16
MAX_FRAME_BYTES = 32 * 1024  # API Gateway takes no larger frame
_LONGEST_HEAD = 1024  # bytes of a packet before its JSON, at most: a namespace has 100 characters
# No client sends more than `2probe`; and what a client that polls is answered waits in a document.
_LONGEST_PING = 128
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


class SocketIoCodec:
    """Reads and writes events and their replies, in one dialect."""

    def __init__(self, dialect: Dialect = USUAL) -> None:
        self._dialect = dialect
        self._namespaces = {ROOT, *dialect.namespaces}

    def decode(self, text: bytes) -> Frame:
        """Reads one packet and never raises: one that makes no sense comes out as Ignored."""
        try:
            packet = text.decode()
            if packet.startswith("2"):
                return Ping(packet[1:]) if len(packet) <= _LONGEST_PING else Ignored()
            if packet == CLOSE:
                return Goodbye(closes_socket=True)
            if packet == _UPGRADE:
                return Upgrade()
        except UnicodeDecodeError:
            return Ignored()
        message = _MESSAGE.fullmatch(packet)
        if message is None:
            return Ignored()
        data = _data(message["data"])
        namespace = message["namespace"] or ROOT
        match message["type"], data:
            case "0", _:
                return self._connect(namespace, data)
            case "1", None if namespace in self._namespaces and not message["ack"]:
                return Goodbye(namespace=namespace)
            case "2", [str(name), *arguments] if namespace in self._namespaces:
                # Only the first argument counts: a client may add `null` for a callback that was
                # not given.
                argument = arguments[0] if arguments else None
                return request_frame(name, argument, _ack(message), self._dialect, namespace)
            case _:
                return Ignored()

    def _connect(self, namespace: str, data: object) -> Connect:
        if data is None:
            return Connect(namespace)
        if not isinstance(data, dict):  # it waits for an answer, whatever it has sent
            return Connect(namespace, _NOT_TEXT)
        user = self._dialect.ids.user_in(data.get("userId"))
        token, ring = _text(data.get("token")), _text(data.get("ring"))
        device = device_in(data.get("deviceId"))
        return Connect(namespace, token, _text(user), device, ring)

    def reply_to(self, text: bytes) -> Unread:
        """Where the reply to a packet goes: to the root, unless it is an event in another namespace
        of ours."""
        message = _MESSAGE.fullmatch(text[:_LONGEST_HEAD].decode(errors="replace"))
        if message is None or message["type"] != "2":
            return Unread()
        namespace = message["namespace"] or ROOT
        if namespace not in self._namespaces:
            return Unread()
        return Unread(_ack(message), namespace)

    def encode_reply(self, verdict: Verdict, to: Answerable | Unread | None) -> str:
        """The reply to an event: an ack if the client asked for one, else NOOP or an error event. A
        client whose connection is not known is made to connect anew."""
        if verdict == UNKNOWN_CONNECTION:
            return RECONNECT
        data = reply_data(verdict, call_of(to), self._dialect, of_initiate=is_initiate(to))
        namespace = to.namespace if to else ROOT
        if to and to.ack is not None:
            return f"43{_prefix(namespace)}{to.ack}{_json([data])}"
        if verdict.ok:
            return NOOP
        return _event(self._dialect.events_out[ERROR_EVENT], data, namespace)

    def encode_event(self, event: CallEvent, recipient: Recipient, namespace: str = ROOT) -> str:
        """The frame that tells `recipient` of `event`."""
        name = self._dialect.events_out.get(recipient.event, recipient.event)
        return _event(name, event_data(event, recipient, self._dialect), namespace)

    def encode_relay(self, relay: Relay, namespace: str = ROOT) -> str:
        """The frame by which the other party hears what is relayed, its data as they are."""
        return _event(relay.event, msgspec.Raw(relay.data), namespace)

    def encode_pong(self, ping: Ping) -> str:
        """The packet that replies to a heartbeat."""
        return f"3{ping.payload}"


def encode_open(
    wire: Wire,
    sid: str,
    ping_interval: timedelta,
    ping_timeout: timedelta,
    upgrades: Sequence[str] = (),
) -> str:
    """The open packet, for which a client waits once it is connected; `upgrades` are the transports
    that it may go over to."""
    handshake: dict[str, object] = {
        "sid": sid,
        "upgrades": upgrades,
        "pingInterval": ping_interval // timedelta(milliseconds=1),
        "pingTimeout": ping_timeout // timedelta(milliseconds=1),
    }
    if wire is Wire.EIO4:
        handshake["maxPayload"] = MAX_FRAME_BYTES
    return f"0{_json(handshake)}"


def encode_admitted(wire: Wire, sid: str, namespace: str = ROOT) -> str:
    """The packet that admits a client to a namespace."""
    return f"40{_prefix(namespace)}{'' if wire is Wire.EIO3 else _json({'sid': sid})}"


def encode_refusal(wire: Wire, message: str, namespace: str = ROOT) -> str:
    """The packet that refuses a client; the client does not try again by itself."""
    said = _json(message if wire is Wire.EIO3 else {"message": message})
    return f"44{_prefix(namespace)}{said}"


def encode_goodbye(namespace: str = ROOT) -> str:
    """The packet that makes a client close its socket, and not connect again by itself."""
    return f"41{_prefix(namespace)}"


def _event(name: str, data: object, namespace: str) -> str:
    return f"42{_prefix(namespace)}{_json([name, data])}"


def _prefix(namespace: str) -> str:
    return "" if namespace == ROOT else f"{namespace},"


def _ack(message: re.Match[str]) -> int | None:
    return int(message["ack"]) if message["ack"] else None


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
