"""The payloads of Engine.IO's HTTP long polling: the packets that one request or answer carries.

Version 4 puts a record separator between packets. Version 3 puts its length before each, as
`<length>:<packet>`, in UTF-16 code units, which is how JavaScript counts.
https://socket.io/docs/v4/engine-io-protocol#packet-encoding
"""

import re
from collections.abc import Sequence

from functions.clients.connection import Wire
from functions.wire.socketio import MAX_FRAME_BYTES

MAX_PACKETS = 64  # of a request; an app has far less to say at once
# Of an answer: python-engineio's client takes more for an error, and ends the session.
MAX_PACKETS_OUT = 16

_SEPARATOR = "\x1e"
_TYPES = b"0123456b"  # with which a packet begins; `b` is for binary data in base64
# It is read from UTF-16-LE, in which each code unit has two bytes. As no packet is empty, the first
# digit is no zero, and as none has more than MAX_FRAME_BYTES, there are five digits at most.
_LENGTH = re.compile(rb"([1-9]\0(?:[0-9]\0){0,4}):\0")


class MalformedPayload(ValueError):
    """The body of a request is no payload; the message says why."""


def decode_payload(wire: Wire, body: bytes) -> list[bytes]:
    """The packets as the client wrote them, in UTF-8: at least one, and each begins with its type.
    One that holds binary data stays text, `b` and base64. Raises MalformedPayload."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedPayload("payload is not UTF-8") from error
    packets = _read_lengths(text) if wire is Wire.EIO3 else _split(body)
    for packet in packets:
        _check(packet)
    return packets


def encode_payload(wire: Wire, packets: Sequence[str]) -> str:
    """The payload of these packets. There must be at least one, as clients take an empty payload
    for an error. The separator is in none of them, as JSON escapes it."""
    if wire is Wire.EIO3:
        return "".join(f"{_units(packet)}:{packet}" for packet in packets)
    return _SEPARATOR.join(packets)


def _split(body: bytes) -> list[bytes]:
    packets = body.split(_SEPARATOR.encode(), MAX_PACKETS)
    if len(packets) > MAX_PACKETS:
        raise MalformedPayload("payload has too many packets")
    return packets


def _read_lengths(text: str) -> list[bytes]:
    units = text.encode("utf-16-le")
    packets: list[bytes] = []
    place = 0
    while place < len(units) or not packets:  # an empty payload lacks its first length
        if len(packets) == MAX_PACKETS:
            raise MalformedPayload("payload has too many packets")
        length = _LENGTH.match(units, place)
        if length is None:
            raise MalformedPayload("payload has no length where one must be")
        place = length.end() + 2 * int(length[1].decode("utf-16-le"))
        if place > len(units):
            raise MalformedPayload("payload ends within a packet")
        packets.append(_utf8(units[length.end() : place]))
    return packets


def _utf8(units: bytes) -> bytes:
    try:
        return units.decode("utf-16-le").encode()
    except UnicodeDecodeError as error:
        raise MalformedPayload("packet ends within a character") from error


def _check(packet: bytes) -> None:
    if not packet or packet[0] not in _TYPES:
        raise MalformedPayload("packet has no type")
    if len(packet) > MAX_FRAME_BYTES:
        raise MalformedPayload("packet is too large")


def _units(packet: str) -> int:
    return len(packet.encode("utf-16-le")) // 2
