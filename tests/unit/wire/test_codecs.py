"""Which wire a frame is taken for, and which one a connection is written to."""

import base64
import json as plain

import engineio.packet as engineio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.calls.decision import invalid
from functions.calls.transitions import Signal
from functions.clients.connection import ROOT, Wire
from functions.wire.frames import Malformed, RequestFrame
from functions.wire.json import JsonCodec
from functions.wire.socketio import SocketIoCodec
from tests.support.makers import CODECS, event

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_SPACE = st.text(" \t\r\n", max_size=4)


@given(st.dictionaries(st.text(), _JSON, max_size=4), _SPACE, st.sampled_from([None, 2]))
def test_a_json_object_always_goes_to_the_json_codec(
    content: dict[str, object], space: str, indent: int | None
) -> None:
    frame = f"{space}{plain.dumps(content, indent=indent)}"
    assert isinstance(CODECS.of(frame.encode()), JsonCodec)


@given(st.integers(0, 6), st.text(max_size=20))
def test_a_packet_always_goes_to_the_socketio_codec(type: int, data: str) -> None:
    frame = engineio.Packet(type, data).encode()
    assert isinstance(CODECS.of(frame.encode()), SocketIoCodec)


@given(st.binary(max_size=20))
def test_a_binary_packet_as_version_3_writes_it_goes_to_the_socketio_codec(data: bytes) -> None:
    assert isinstance(CODECS.of(b"b4" + base64.b64encode(data)), SocketIoCodec)


@pytest.mark.parametrize("frame", [b"", b" ", b"b", b"bb4", b"x", b"[", b'"2"', b"-1", b"\xb2"])
def test_what_begins_as_neither_is_told_so_in_json(frame: bytes) -> None:
    assert isinstance(CODECS.of(frame), JsonCodec)


def test_a_connection_is_written_to_in_its_own_wire() -> None:
    assert [type(CODECS.on(wire)) for wire in (Wire.JSON, Wire.EIO3, Wire.EIO4)] == [
        JsonCodec,
        SocketIoCodec,
        SocketIoCodec,
    ]
    made = event()
    (told,) = made.recipients
    in_json, in_packet = (
        CODECS.on(wire).encode_event(made, told, ROOT) for wire in (Wire.JSON, Wire.EIO3)
    )
    assert in_json.startswith('{"event":"call:cancelled",')
    assert in_packet.startswith('42["call:cancelled",')


@pytest.mark.parametrize("reason", ["because", "bye \\ud83d"], ids=["plain", "cut"])
def test_the_same_request_means_the_same_on_both_wires(reason: str) -> None:
    data = f'{{"callId":"CALL_1","reason":"{reason}"}}'
    frames = (f'{{"event":"call:cancel","data":{data},"id":7}}', f'427["call:cancel",{data}]')
    one, other = (CODECS.of(frame.encode()).decode(frame.encode()) for frame in frames)
    assert isinstance(one, RequestFrame)
    assert one == other


def test_a_reason_that_was_cut_within_a_character_still_cancels() -> None:
    frame = b'42["call:cancel",{"callId":"CALL_1","reason":"bye \\ud83d"}]'
    read = CODECS.of(frame).decode(frame)
    assert isinstance(read, RequestFrame)
    assert isinstance(read.request, Signal)
    assert read.request.reason == "bye"


@pytest.mark.parametrize(
    "frame",
    [
        b'{"event": "call:cancel", "data": {"callId": "\\ud83d"}, "id": "\\ud83d"}',
        b'{"event": "\\ud83d", "data": {}}',
        b'{"event": "device:register", "data": {"token": "\\ud83d", "platform": "ios"}}',
        b'427["call:cancel",{"callId":"\\ud83d"}]',
        b'42["\\ud83d",{}]',
    ],
)
def test_half_a_character_elsewhere_is_told_of_and_never_sent_back(frame: bytes) -> None:
    codec = CODECS.of(frame)
    read = codec.decode(frame)
    assert isinstance(read, Malformed)
    answer = codec.encode_reply(invalid(read.field, read.message), read)
    assert answer.encode()
