"""The payloads of HTTP long polling, byte by byte, as clients were seen to write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.clients.connection import Wire
from functions.wire.payload import (
    MAX_PACKETS,
    MalformedPayload,
    decode_payload,
    encode_payload,
)
from functions.wire.socketio import MAX_FRAME_BYTES
from tests.support.examples import examples
from tests.support.payloads import damaged, packets_of

pytestmark = pytest.mark.examples

EIO3, EIO4 = Wire.EIO3, Wire.EIO4
SAME = [
    (EIO4, "40", ["40"]),
    (EIO4, '40{"token":"T"}', ['40{"token":"T"}']),
    (EIO4, '42["a"]\x1e42["b"]\x1e1', ['42["a"]', '42["b"]', "1"]),
    (EIO4, '42["é😀"]\x1e3', ['42["é😀"]', "3"]),
    (EIO4, "451-[0]\x1ebAQIDBA==", ["451-[0]", "bAQIDBA=="]),
    (EIO3, "1:2", ["2"]),
    (EIO3, '7:42["a"]7:42["b"]1:1', ['42["a"]', '42["b"]', "1"]),
    (EIO3, '9:42["é😀"]1:2', ['42["é😀"]', "2"]),
    (EIO3, "6:4😀:\x1e:", ["4😀:\x1e:"]),
    (EIO3, "7:451-[0]10:b4AQIDBA==", ["451-[0]", "b4AQIDBA=="]),
    (EIO3, "12:412:41:12:41", ["412:41:12:41"]),
]


@pytest.mark.parametrize(("wire", "payload", "packets"), SAME)
def test_a_payload_is_read_as_the_packets_that_are_in_it(
    wire: Wire, payload: str, packets: list[str]
) -> None:
    assert decode_payload(wire, payload.encode()) == [packet.encode() for packet in packets]


@pytest.mark.parametrize(("wire", "payload", "packets"), SAME)
def test_packets_are_written_as_clients_write_them(
    wire: Wire, payload: str, packets: list[str]
) -> None:
    assert encode_payload(wire, packets) == payload


# What makes no sense

ANY_WIRE = {
    "nothing": b"",
    "a separator alone": b"\x1e",
    "no type": b"x",
    "a type that there is not": b"7",
    "a space": b" 40",
    "a byte order mark": b"\xef\xbb\xbf40",
    "a frame of the JSON wire": b'{"event":"call:cancel","data":{}}',
    "JSONP": b"d=40",
    "JSONP of version 3": b"d=2%3A40",
    "binary": b"\x00\x02\xff40",
    "binary that says so": b"\x01\x04\xff\x04\x01\x02\x03",
    "broken UTF-8": b"4\xff",
    "UTF-8 that ends early": b"4\xf0\x9f",
    "half of a surrogate pair": b"4\xed\xa0\xbd",
    "another way to write a digit": b"\xc0\xb4",
    "a digit that is not ASCII": "\u0664\u0660".encode(),
    "digits without an end": b"9" * 2_000_000 + b"\xff",
}
OF_VERSION_4 = {
    "an empty packet at first": b"\x1e40",
    "an empty packet in between": b"40\x1e\x1e41",
    "an empty packet at last": b"40\x1e",
    "a packet of another kind": b"40\x1e{}",
    "separators without an end": b"\x1e" * 2_000_000,
    "too many packets": b"\x1e".join([b"6"] * (MAX_PACKETS + 1)),
    "packets without an end": b"6\x1e" * 1_000_000,
    "a packet that is too large": b"4".ljust(MAX_FRAME_BYTES + 1, b"x"),
}
OF_VERSION_3 = {
    "no length": b"40",
    "no length at first": b":40",
    "no length later": b"2:4041",
    "no packet": b"2:",
    "no colon": b"2",
    "an empty packet": b"0:",
    "an empty packet among others": b"2:400:2:41",
    "a length that is too short": b"1:40",
    "a length that is too long": b"3:40",
    "a length that is too long later": b"2:403:41",
    "a negative length": b"-2:40",
    "a length with a sign": b"+2:40",
    "a length with a space": b" 2:40",
    "a length with a space after it": b"2 :40",
    "a length with a fraction": b"2.0:40",
    "a length with an exponent": b"2e0:40",
    "a hexadecimal length": b"0x2:40",
    "a leading zero": b"02:40",
    "a length of other digits": "\u0662:40".encode(),
    "a length that is no number": b"NaN:40",
    "a length in bytes": '8:42["é"]'.encode(),
    "a length in code points": '7:42["😀"]'.encode(),
    "a length that parts a character": "2:4😀".encode(),
    "two lengths that part a character": "2:4😀1:".encode(),
    "a huge length": b"2147483647:40",
    "a length beyond 64 bits": b"18446744073709551618:40",
    "a length of very many digits": b"1" * 2_000_000 + b":40",
    "a length of very many zeros": b"0" * 2_000_000 + b"2:40",
    "a separator of version 4": b"2:40\x1e2:41",
    "a packet of another kind": b"2:402:{}",
    "characters whose bytes are those of a colon": "㨀㨀㨀:40".encode(),
    "too many packets": b"1:6" * (MAX_PACKETS + 1),
    "packets without an end": b"1:6" * 1_000_000,
    "a packet that is too large": f"{MAX_FRAME_BYTES + 1}:4".encode() + b"x" * MAX_FRAME_BYTES,
    "a packet of too many bytes": f"{MAX_FRAME_BYTES}:4{'é' * (MAX_FRAME_BYTES - 1)}".encode(),
}
HOSTILE = [
    *((wire, body, what) for what, body in ANY_WIRE.items() for wire in (EIO3, EIO4)),
    *((EIO4, body, what) for what, body in OF_VERSION_4.items()),
    *((EIO3, body, what) for what, body in OF_VERSION_3.items()),
]


@pytest.mark.parametrize(
    ("wire", "body"),
    [pytest.param(wire, body, id=f"{wire}: {what}") for wire, body, what in HOSTILE],
)
def test_what_no_client_writes_is_malformed(wire: Wire, body: bytes) -> None:
    with pytest.raises(MalformedPayload):
        decode_payload(wire, body)


@pytest.mark.parametrize("wire", [EIO3, EIO4])
@pytest.mark.parametrize("character", ["x", "é", "\uffff", "😀"])
def test_as_many_packets_as_can_be_each_as_large_as_can_be_are_read(
    wire: Wire, character: str
) -> None:
    size = len(character.encode())
    packet = "4".ljust(1 + (MAX_FRAME_BYTES - 1) % size, "x")
    packet += character * ((MAX_FRAME_BYTES - 1) // size)
    assert len(packet.encode()) == MAX_FRAME_BYTES
    packets = [packet] * MAX_PACKETS
    body = encode_payload(wire, packets).encode()
    assert decode_payload(wire, body) == [packet.encode()] * MAX_PACKETS
    with pytest.raises(MalformedPayload):
        decode_payload(wire, encode_payload(wire, [packet + "x"]).encode())


@given(st.data(), st.sampled_from([EIO3, EIO4]))
@examples(1000)
def test_what_is_written_is_read_as_it_was(data: st.DataObject, wire: Wire) -> None:
    packets = data.draw(packets_of(wire, MAX_PACKETS))
    read = decode_payload(wire, encode_payload(wire, packets).encode())
    assert read == [packet.encode() for packet in packets]


@given(st.data(), st.sampled_from([EIO3, EIO4]))
@examples(2000)
def test_whatever_is_read_is_written_in_one_way_alone(data: st.DataObject, wire: Wire) -> None:
    body = data.draw(damaged(wire) | st.binary(max_size=40))
    try:
        packets = decode_payload(wire, body)
    except MalformedPayload:
        return
    assert encode_payload(wire, [packet.decode() for packet in packets]).encode() == body
