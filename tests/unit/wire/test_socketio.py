"""The Socket.IO wire, frame by frame, as clients were seen to send and to read them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.calls.call import CallId
from functions.calls.decision import NOT_FOUND, Verdict, invalid
from functions.calls.transitions import Signal
from functions.clients.connection import Wire
from functions.clients.device import FcmToken, Platform
from functions.wire import socketio
from functions.wire.frames import (
    Connect,
    Frame,
    Goodbye,
    Ignored,
    Malformed,
    Ping,
    RegisterDevice,
    RequestFrame,
)
from tests.support.examples import examples
from tests.support.frames import SENSELESS, UNREADABLE_CONNECTS
from tests.support.packets import (
    request_of,
)

pytestmark = pytest.mark.examples

CODEC = socketio.SocketIoCodec()
CANCEL = RequestFrame(Signal("call:cancel", CallId("CALL_1"), "because"))


@pytest.mark.parametrize(
    ("frame", "read"),
    [
        ("2", Ping("")),
        ("2probe", Ping("probe")),
        (f"2{'x' * 127}", Ping("x" * 127)),
        (f"2{'x' * 128}", Ignored()),
        ("40", Connect("/")),
        ("40{}", Connect("/")),
        ('40{"token":"T"}', Connect("/", "T")),
        ('40{"token":"T","userId":"USR_1"}', Connect("/", "T", "USR_1")),
        ('40{"token":"","userId":null}', Connect("/")),
        ('40{"token":7,"userId":{}}', Connect("/", "\0", "\0")),
        ("40/,", Connect("/")),
        ('40/,{"token":"T"}', Connect("/", "T")),
        ("40/admin", Connect("/admin")),
        ("40/admin,", Connect("/admin")),
        ('40/admin,{"token":"T"}', Connect("/admin", "T")),
        ("40/admin?token=T", Connect("/admin")),
        ("40/admin?token=T,", Connect("/admin")),
        ("1", Goodbye(closes_socket=True)),
        ("41", Goodbye()),
        ("41/", Goodbye()),
        ("41/,", Goodbye()),
        ('42["call:cancel",{"callId":"CALL_1","reason":"because"}]', CANCEL),
        ('42/,["call:cancel",{"callId":"CALL_1","reason":"because"}]', CANCEL),
        ('42["call:cancel",{"callId":"CALL_1","reason":"because"},null]', CANCEL),
        ('42["call:cancel",\n\t{"callId":"CALL_1","reason":"because"}]', CANCEL),
        (
            '420["call:cancel",{"callId":"CALL_1","reason":"because"}]',
            RequestFrame(CANCEL.request, ack=0),
        ),
        (
            '42/,17["call:cancel",{"callId":"CALL_1","reason":"because"}]',
            RequestFrame(CANCEL.request, ack=17),
        ),
        (
            '421["device:register",{"token":"T","platform":"web"}]',
            RequestFrame(RegisterDevice(FcmToken("T"), Platform.WEB), ack=1),
        ),
        ('42["call:explode",{}]', request_of("call:explode", {}, None)),
        ('425["call:cancel"]', Malformed("data", "data must be an object", ack=5)),
        ('425["call:cancel",{}]', Malformed("callId", "callId is missing", ack=5)),
        ('425["call:cancel",{"callId":"\x7f"}]', request_of("call:cancel", {"callId": "\0"}, 5)),
    ],
)
def test_a_packet_is_read_as_what_it_says(frame: str, read: Frame) -> None:
    assert CODEC.decode(frame.encode()) == read


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (CODEC.encode_reply(NOT_FOUND, RequestFrame(CANCEL.request, ack=0)), "430"),
        (CODEC.encode_reply(NOT_FOUND, CANCEL), '42["call:error",'),
        (CODEC.encode_reply(invalid("data", "x"), None), '42["call:error",'),
        (CODEC.encode_reply(Verdict(ok=True, outcome="cancelled"), None), "6"),
        (socketio.encode_refusal(Wire.EIO3, "no"), '44"no"'),
        (socketio.encode_refusal(Wire.EIO4, "no"), '44{"message":"no"}'),
        (socketio.encode_refusal(Wire.EIO3, "no", "/admin"), '44/admin,"no"'),
        (socketio.encode_refusal(Wire.EIO4, "no", "/admin"), '44/admin,{"message":"no"}'),
        (socketio.encode_admitted(Wire.EIO4, "c="), '40{"sid":"c="}'),
        (
            socketio.encode_open(Wire.EIO4, "c=", timedelta(minutes=9), timedelta(seconds=30)),
            '0{"sid":"c=",',
        ),
    ],
)
def test_a_frame_begins_as_clients_know_it(frame: str, answer: str) -> None:
    assert frame.startswith(answer)


# What makes no sense


@pytest.mark.parametrize("frame", UNREADABLE_CONNECTS, ids=lambda frame: repr(frame[:40]))
def test_a_connect_that_nobody_can_read_shows_a_token_that_is_none(frame: bytes) -> None:
    connect = CODEC.decode(frame)
    assert isinstance(connect, Connect)
    assert connect.token == "\0"


@pytest.mark.parametrize("frame", SENSELESS, ids=lambda frame: repr(frame[:40]))
def test_a_packet_that_makes_no_sense_is_ignored(frame: bytes) -> None:
    assert CODEC.decode(frame) == Ignored()
    assert socketio.is_packet(frame)


@given(st.binary(max_size=100))
@examples(1000)
def test_no_bytes_make_the_decoder_raise(frame: bytes) -> None:
    assert isinstance(CODEC.decode(frame), Frame)
