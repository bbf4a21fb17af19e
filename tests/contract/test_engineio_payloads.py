"""Payloads of HTTP long polling against those of clients: the same packets, in both directions.

For version 4 the oracles are python-engineio and the parser in JavaScript's client 4, for version 3
the parser in JavaScript's client 2. They read more than any client writes, and we do not:

- python-engineio takes an empty payload for one without packets, reads JSONP (`d=`), and takes any
  digit for a type, whether it is ASCII or not. It refuses a binary packet that is no base64, which
  we leave as it is. It reads 16 packets at most, from servers too; JavaScript's parsers read any
  number, and we read MAX_PACKETS.
- JavaScript's parser of version 3 takes for a length whatever JavaScript takes for a number (`02`,
  ` 2`, `2.0`, `0x2`), and passes over empty packets (`0:`, which it writes if it has none).
- None of them knows a largest packet.
"""

from collections.abc import Iterator, Sequence

import pytest
from engineio.packet import MESSAGE, Packet
from engineio.payload import Payload
from hypothesis import given
from hypothesis import strategies as st

from functions.clients.connection import Wire
from functions.wire.payload import (
    MAX_PACKETS_OUT,
    MalformedPayload,
    decode_payload,
    encode_payload,
)
from tests.support.examples import examples
from tests.support.payloads import CLIENTS, JsParser, damaged, js_parser, packets_of

pytestmark = pytest.mark.examples


def read(wire: Wire, body: bytes) -> list[str] | None:
    """The packets that we read; None if there are none."""
    try:
        return [packet.decode() for packet in decode_payload(wire, body)]
    except MalformedPayload:
        return None


def comparable(packets: Sequence[str] | None) -> list[str] | None:
    """Without binary data, as one base64 can be written in several ways."""
    if packets is None:
        return None
    return ["b" if packet.startswith("b") else packet for packet in packets]


# python-engineio

texts = st.text(max_size=12).map(lambda text: text.replace("\x1e", ""))
contents = texts | st.dictionaries(texts, st.text(max_size=12), max_size=2) | st.lists(st.text())
python_packets = st.builds(Packet, st.integers(0, 6), st.none() | contents) | st.builds(
    Packet, st.just(MESSAGE), st.binary(max_size=12)
)


@given(st.lists(python_packets, min_size=1, max_size=8))
@examples(1000)
def test_the_packets_of_python_engineio_are_read_as_it_wrote_them(packets: list[Packet]) -> None:
    written = [str(packet.encode(b64=True)) for packet in packets]
    assert read(Wire.EIO4, Payload(packets).encode().encode()) == written


@given(packets_of(Wire.EIO4, MAX_PACKETS_OUT))
@examples(1000)
def test_python_engineio_reads_our_packets(packets: list[str]) -> None:
    payload = encode_payload(Wire.EIO4, packets)
    assert read_by_python(payload) == [told(Packet(encoded_packet=each)) for each in packets]


def test_python_engineio_reads_no_more_packets_than_we_send_at_once() -> None:
    assert len(Payload(encoded_payload=encode_payload(Wire.EIO4, ["6"] * MAX_PACKETS_OUT)).packets)
    with pytest.raises(ValueError, match="Too many packets"):
        Payload(encoded_payload=encode_payload(Wire.EIO4, ["6"] * (MAX_PACKETS_OUT + 1)))


@given(damaged(Wire.EIO4))
@examples(2000)
def test_what_was_damaged_is_read_as_python_engineio_reads_it_or_not_at_all(body: bytes) -> None:
    try:
        packets, by_python = read(Wire.EIO4, body), read_by_python(body.decode())
    except UnicodeDecodeError:
        assert read(Wire.EIO4, body) is None
        return
    if packets is None:
        assert by_python is None or is_read_by_python_alone(body.decode())
    elif by_python is None:
        assert any(packet.startswith("b") for packet in packets)  # in which is no base64
    else:
        assert by_python == [told(Packet(encoded_packet=packet)) for packet in packets]


def is_read_by_python_alone(payload: str) -> bool:
    others = [packet for packet in payload.split("\x1e") if packet[:1] not in tuple("0123456b")]
    has_other_digits = bool(others) and all(packet[:1].isdecimal() for packet in others)
    return payload == "" or payload.startswith("d=") or has_other_digits


def read_by_python(payload: str) -> list[tuple[int, str]] | None:
    try:
        return [told(packet) for packet in Payload(encoded_payload=payload).packets]
    except (ValueError, LookupError):
        return None


def told(packet: Packet) -> tuple[int, str]:
    """A packet's type and its data, written so that NaN is the same as NaN."""
    return packet.packet_type, repr(packet.data)


# JavaScript's clients


@pytest.fixture(params=CLIENTS, scope="module")
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def wire(client: str) -> Wire:
    return CLIENTS[client]


@pytest.fixture(scope="module")
def parser(client: str, node_missing: str | None) -> Iterator[JsParser]:
    if node_missing:
        pytest.skip(f"Node's Socket.IO clients can't run: {node_missing}")
    with js_parser(client) as parser:
        yield parser


@given(data=st.data())
@examples(500)
def test_the_packets_of_javascripts_clients_are_read_as_they_wrote_them(
    parser: JsParser, wire: Wire, data: st.DataObject
) -> None:
    packets = data.draw(packets_of(wire, 8))
    payload = parser.encode(packets)
    assert read(wire, payload.encode()) == packets
    assert encode_payload(wire, packets) == payload


@given(data=st.data())
@examples(500)
def test_javascripts_clients_read_our_packets(
    parser: JsParser, wire: Wire, data: st.DataObject
) -> None:
    packets = data.draw(packets_of(wire, 8))
    assert parser.decode(encode_payload(wire, packets)) == packets


@given(data=st.data())
@examples(1000)
def test_what_was_damaged_is_read_as_javascripts_clients_read_it_or_not_at_all(
    parser: JsParser, wire: Wire, data: st.DataObject
) -> None:
    body = data.draw(damaged(wire))
    packets = read(wire, body)
    try:
        payload = body.decode()
    except UnicodeDecodeError:
        assert packets is None
        return
    by_parser = parser.decode(payload)
    if packets is not None:
        assert comparable(by_parser) == comparable(packets)
    elif by_parser:
        assert parser.encode(by_parser) != payload  # so no client of its kind has written it
